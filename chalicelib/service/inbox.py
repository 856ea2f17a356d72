"""A user's inbox, read in slices, so that a pass costs what is due and not what waits.

Three kinds of items lie in it. A *fact* was put there by whoever changed a job: every pass reads the jobs of facts.
What is left of facts when many jobs only wait for room becomes *backlog*: items of the planner's own that say of which
stage their jobs are and, if a login or a full disk holds them up, which routes they go by. Backlog is read when there
is room for what it names, the stage-outs first and the oldest first, and no further than room is filled. A *note* is of
a deadline to come (``service.timing``), and a fact from then on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from chalicelib.core.batch import route_of
from chalicelib.core.desk import InboxItem, Route
from chalicelib.core.due import due
from chalicelib.core.ids import JobNumber
from chalicelib.core.job import Job, Stage
from chalicelib.core.progress import abandoned_by, is_timed, plannable, stage_of, waits_for_start, waits_to_try
from chalicelib.service import fresh
from chalicelib.service.board import Turn

MOST_LISTED = 500
"""Inbox items that one pass reads."""

MOST_NAMED = 1000
"""Job numbers that one inbox item names."""

MOST_TAKEN = 4000
"""Jobs whose facts one pass takes in hand; the others' turn comes in the next, at once."""

SLICE = 2000
"""Jobs of the backlog that are read at a time: as many as one batch can have items."""

MOST_READ = 6000
"""Jobs of the backlog that one pass reads."""

MOST_LEFT = 100
"""Jobs that may wait for room as facts: to read so few again costs less than to write them down anew."""

MOST_ROUTES = 20

Kind = tuple[Stage | None, tuple[Route, ...]]
_FACT: Kind = (None, ())


@dataclass(slots=True, kw_only=True)
class Inbox:
    """The inbox as one pass sees it."""

    facts: Sequence[InboxItem]
    """Those that this pass sees to."""
    more: bool
    """There are facts that it does not."""
    backlog: list[InboxItem]
    """What of the backlog has not been read."""
    notes: Sequence[InboxItem] = ()
    """Of deadlines to come."""
    read: list[InboxItem] = field(default_factory=list)
    """What of it has."""

    @property
    def login(self) -> bool:
        return any(item.login for item in self.facts)

    @property
    def asks(self) -> bool:
        """Whether an item names no job: it asks whether the user's login still holds."""
        return any(not item.numbers for item in self.facts)

    def named(self) -> tuple[JobNumber, ...]:
        """The jobs of the facts."""
        return _named(self.facts)

    def read_on(self, turn: Turn) -> bool:
        """Take the next slice of the backlog in hand, leaving out what is held up; returns whether more is left."""
        going = [item for item in self.backlog if not item.routes or not all(map(turn.held_up, item.routes))]
        taken: list[InboxItem] = []
        for item in going:
            room = min(SLICE, MOST_READ - _count(self.read))
            if taken and _count(taken) + len(item.numbers) > room:
                break
            if room > 0:
                taken.append(item)
        self.backlog = [item for item in self.backlog if item not in taken]
        self.read += taken
        _admit(turn, _named(taken))
        return bool(taken) and len(going) > len(taken)

    def tidy(self, turn: Turn, unlearnt: frozenset[JobNumber], untouched: Collection[InboxItem]) -> int:
        """Discard what nothing is left to do of; put many that are left into few.

        :param unlearnt: jobs that are to be looked at again whatever they wait for.
        :param untouched: facts that stay as they are.
        :returns: how many items went.
        """
        kept: list[InboxItem] = []
        self.facts = [item for item in self.facts if item not in untouched]
        read = [*self.facts, *self.read]
        for kind, numbers in self._left(turn, unlearnt).items():
            own = [item for item in read if _stays(item, kind, numbers)]
            if len(own) <= -(-len(numbers) // MOST_NAMED):
                kept += own
                numbers -= {number for item in own for number in item.numbers}
            left = sorted(numbers)
            for start in range(0, len(left), MOST_NAMED):
                now = turn.clock.now()
                put = fresh.inbox_item(now, tuple(left[start : start + MOST_NAMED]), stage=kind[0], routes=kind[1])
                turn.desks.record(turn.board.user, put, now)
        gone = [item.id for item in read if item not in kept]
        turn.desks.discard(turn.board.user, gone)
        return len(gone)

    def _left(self, turn: Turn, unlearnt: frozenset[JobNumber]) -> dict[Kind, set[JobNumber]]:
        """What is left to do of the jobs at hand, by the kind of item that is to name them."""
        facts, backlog = set(self.named()), set(_named(self.read))
        jobs = [turn.shelf.jobs[number] for number in facts | backlog if number in turn.shelf.jobs]
        waiting = {job.ref.number for job in jobs if plannable(job) and due(job) is None} - unlearnt
        stay = facts - backlog if len(facts & waiting) <= MOST_LEFT else set[JobNumber]()
        found: dict[Kind, set[JobNumber]] = defaultdict(set)
        for job in jobs:
            number = job.ref.number
            if number in unlearnt or _wants_more(job):
                kind = _kind(turn, job) if number in waiting and number not in stay else _FACT
                found[kind].add(number)
        return found


def inbox_of(listed: Sequence[InboxItem], now: datetime) -> Inbox:
    """The inbox by its list, of which a pass sees no more than MOST_LISTED items."""
    notes = [item for item in listed if item.after is not None and item.after > now]
    facts = [item for item in listed if item.stage is None and item not in notes]
    taken: list[InboxItem] = []
    for item in facts:
        if not item.numbers or not taken or _count(taken) + len(item.numbers) <= MOST_TAKEN:
            taken.append(item)
    backlog = sorted((item for item in listed if item.stage is not None), key=_order)
    return Inbox(facts=taken, more=len(taken) < len(facts) or len(listed) >= MOST_LISTED, backlog=backlog, notes=notes)


def _order(item: InboxItem) -> tuple[bool, JobNumber]:
    return item.stage is not Stage.STAGE_OUT, min(item.numbers)


def _admit(turn: Turn, numbers: Iterable[JobNumber]) -> None:
    """Read jobs, and do what is due of them."""
    turn.check_time()
    turn.shelf.load(numbers, turn.board.live())
    for number in numbers:
        job = turn.shelf.jobs.get(number)
        if job is not None and due(job) is not None:
            turn.check_time()
            turn.shelf.apply(job)


def _wants_more(job: Job) -> bool:
    """Whether the planner is not done with the job: an end that it asked for may not have been carried out."""
    unjudged = bool(job.parents) and job.posted is not None  # its parents do not find it before its first change
    waits = waits_to_try(job) or waits_for_start(job) or is_timed(job)
    return plannable(job) or due(job) is not None or abandoned_by(job) or unjudged or waits


def _kind(turn: Turn, job: Job) -> Kind:
    """What an item of the backlog says of the job: its routes only if all of them are held up."""
    stage = stage_of(job)
    assert stage is not None, "a plannable job is in a stage"
    if (job.ref.number, job.revision) not in turn.shelf.documents:
        return stage, ()
    routes = {route_of(turn.shelf.movement(job, stage, leg.item, job.revision), stage) for leg in job.pending}
    if len(routes) > MOST_ROUTES or not all(map(turn.held_up, routes)):
        return stage, ()
    return stage, tuple(sorted(routes, key=lambda route: (route.source, route.destination)))


def _stays(item: InboxItem, kind: Kind, numbers: Collection[JobNumber]) -> bool:
    """Whether an item may go on naming those of its jobs that are left."""
    if (item.stage, item.routes) != kind:
        return False
    left = sum(number in numbers for number in item.numbers)
    return left > 0 if kind == _FACT else 2 * left >= len(item.numbers)


def _count(items: Iterable[InboxItem]) -> int:
    return sum(len(item.numbers) for item in items)


def _named(items: Iterable[InboxItem]) -> tuple[JobNumber, ...]:
    return tuple(dict.fromkeys(number for item in items for number in item.numbers))
