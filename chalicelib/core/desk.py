"""A user's desk: who may plan, what is under way, and when to look again.

There is one desk for each user, because tokens, Globus's limits and batching are all per user. Two kinds of
hands touch it, and they never touch the same fields:

* *writers* (a POST, a login, a site's report) record a fact: ``seq + 1``, ``wake_at = now``, and one inbox
  item that names the jobs concerned, in one transaction with the fact itself, or, of many jobs, before it
  (``InboxItem.until``);
* *the planner* (one reconcile at a time) owns ``plan``: it claims the desk by compare-and-set on
  ``plan.version``, works, and closes it by the same.

The rules, each of which ``tests/unit/test_desk_protocol.py`` walks at random:

* a wake is dropped if ``wake_at`` or ``claimed_until`` lies in the future: somebody looks later, or now;
* a claim lasts longer than the function that made it can live, so an expired claim's planner is dead;
* closing sets ``wake_at`` to the next look only if ``seq`` is as it was read when the desk was claimed;
  otherwise a fact came in meanwhile, ``wake_at`` becomes now, and the closer rings again.

So a committed fact always has a future look: its own ``wake_at``, which only a close that has seen it moves.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chalicelib.core.consent import LoginReason, SessionDemand
from chalicelib.core.holdings import Holding, Tally
from chalicelib.core.ids import FIRST_NUMBER, BatchId, CollectionId, JobNumber, SubmissionId, TaskId, UserId
from chalicelib.core.job import Stage

CLAIM_MARGIN = timedelta(seconds=30)
"""How much longer a claim lasts than the function that makes it can run."""

SKEW = timedelta(milliseconds=250)
"""How far two functions' clocks may differ: a ring that comes this much early is not dropped."""

MOST_ROUTES = 8
"""Routes of which it is remembered how long a task takes."""

FIRST_BACKOFF = timedelta(seconds=5)
LONGEST_BACKOFF = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What the items of one Globus task have in common."""

    stage: Stage
    source: CollectionId
    destination: CollectionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the last look at a batch's task saw, for people. ``trouble`` is a code, ``words`` are Globus's."""

    files: int = 0
    bytes: int = 0
    bytes_per_second: int = 0
    paused: bool = False
    suspended: bool = False
    """Globus waits for a login."""
    trouble: str | None = None
    words: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveBatch:
    """A batch as the desk names it. A batch exists if and only if the desk does."""

    batch: BatchId
    submission: SubmissionId
    route: Route
    opened_at: datetime
    task: TaskId | None = None
    canceling: str | None = None
    """The code for which its task is being cancelled, once it is."""
    sent_at: datetime | None = None
    """When Globus accepted its task."""
    items: int = 0
    """How many went into it."""
    long: bool = False
    """It is expected to take long."""
    signed_in_at: datetime | None = None
    """When the user last signed in while its task stood still for want of that."""
    retry_at: datetime | None = None
    """Before then a submission that Globus refused for the time being is not repeated."""
    look: Look = field(default_factory=Look)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """How the last task of a route went: what the next is expected to be like."""

    route: Route
    milliseconds: int
    rate: int = 0
    """Bytes a second, as far as it told; 0 if it moved too little to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Jobs with outputs for one route that ended one after the other; see ``core.company``."""

    route: Route
    last_at: datetime
    gap: int = 0
    """Milliseconds between two of them, the latest counting most."""
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginNeed:
    """Why only the user can help. ``collections`` None: everything at Globus waits; else what uses these, and
    what goes by one of ``routes``, where Globus did not say which collection is in the way."""

    reason: LoginReason
    words: str
    since: datetime
    collections: frozenset[CollectionId] | None = None
    scopes: tuple[str, ...] = ()
    session: SessionDemand = SessionDemand()
    """What the next login must satisfy besides."""
    routes: tuple[Route, ...] = ()

    def holds_up(self, route: Route) -> bool:
        """Whether what goes this way waits for the login."""
        if self.collections is None or route in self.routes:
            return True
        return not self.collections.isdisjoint({route.source, route.destination})

    def without(self, route: Route) -> LoginNeed | None:
        """What is left of the need once this way is free again; None if that was all of it."""
        routes = tuple(each for each in self.routes if each != route)
        return replace(self, routes=routes) if routes or self.collections is None or self.collections else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A far side that did not answer, or not as it should: passing, and tried again."""

    code: str
    words: str
    since: datetime
    until: datetime | None = None
    """Before then it asked not to be asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSpace:
    """A collection whose disk or quota is full. Nothing is sent there before ``again_at``."""

    collection: CollectionId
    words: str
    since: datetime
    again_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is kept of the user's login session while live jobs use collections that demand something of it."""

    collections: tuple[CollectionId, ...] = ()
    """Those collections, as far as passes have seen."""
    at: datetime | None = None
    """When all live jobs are to be looked at, because the end of the session comes close."""
    told: tuple[str, ...] = ()
    """The causes that the user has been told of; see ``core.notices``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The planner's half of a desk."""

    version: int = 0
    claimed_until: datetime | None = None
    batches: tuple[LiveBatch, ...] = ()
    failures: int = 0
    """Claims in a row that did not get to close."""
    need: LoginNeed | None = None
    resumed_at: datetime | None = None
    """When the last login was made that anything had to wait for."""
    trouble: Trouble | None = None
    full: tuple[NoSpace, ...] = ()
    watch: Watch | None = None
    looked_at: datetime | None = None
    """The last look at what is under way."""
    others: int = 0
    """Tasks of the user that Globus was working on then and that are not qstage's."""
    usual: tuple[Usual, ...] = ()
    """Of the last few routes, the latest last."""
    streams: tuple[Stream, ...] = ()
    """The same."""

    def batch(self, batch: BatchId) -> LiveBatch | None:
        return next((live for live in self.batches if live.batch == batch), None)

    def with_batch(self, live: LiveBatch) -> Plan:
        others = tuple(other for other in self.batches if other.batch != live.batch)
        return replace(self, batches=(*others, live))

    def without(self, batch: BatchId) -> Plan:
        return replace(self, batches=tuple(live for live in self.batches if live.batch != batch))

    def no_space(self, collection: CollectionId) -> NoSpace | None:
        """What is known of a collection that was full when something was last sent there."""
        return next((each for each in self.full if each.collection == collection), None)

    def usual_time(self, route: Route) -> timedelta | None:
        """How long a task of this route takes, if one has been seen."""
        found = next((each for each in self.usual if each.route == route), None)
        return None if found is None else timedelta(milliseconds=found.milliseconds)

    def usual_rate(self, route: Route) -> int | None:
        """How many bytes a second a task of this route moves, if a large one has been seen."""
        return next((each.rate for each in self.usual if each.route == route and each.rate), None)

    def with_usual(self, route: Route, took: timedelta, rate: int = 0) -> Plan:
        """Remember how long a task of the route took; of a rate 0 the one known before stays."""
        others = tuple(each for each in self.usual if each.route != route)[-MOST_ROUTES + 1 :]
        known = rate or self.usual_rate(route) or 0
        made = Usual(route=route, milliseconds=took // timedelta(milliseconds=1), rate=known)
        return replace(self, usual=(*others, made))

    def stream(self, route: Route) -> Stream | None:
        return next((each for each in self.streams if each.route == route), None)

    def with_stream(self, stream: Stream) -> Plan:
        others = tuple(each for each in self.streams if each.route != stream.route)[-MOST_ROUTES + 1 :]
        return replace(self, streams=(*others, stream))

    def with_full(self, full: NoSpace) -> Plan:
        others = tuple(each for each in self.full if each.collection != full.collection)
        return replace(self, full=(*others, full))

    def without_full(self, collection: CollectionId) -> Plan:
        return replace(self, full=tuple(each for each in self.full if each.collection != collection))


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One user's desk as it was read."""

    user: UserId
    seq: int = 0
    wake_at: datetime | None = None
    next_number: JobNumber = FIRST_NUMBER
    held: Holding = field(default_factory=Holding)
    """What the user's live jobs amount to, at most; see ``core.holdings``."""
    counted_at: datetime | None = None
    first_live: JobNumber = FIRST_NUMBER
    plan: Plan = field(default_factory=Plan)

    @property
    def tally(self) -> Tally:
        return Tally(holding=self.held, counted_at=self.counted_at, first=self.first_live, next=self.next_number)

    def claimable(self, now: datetime) -> bool:
        """Whether a wake that arrives now is for anything."""
        due = self.wake_at is not None and self.wake_at <= now + SKEW
        claimed = self.plan.claimed_until is not None and self.plan.claimed_until > now
        return due and not claimed

    def claimed(self, now: datetime, life: timedelta) -> Plan:
        """The plan that claims the desk for a function that lives at most ``life``."""
        return replace(
            self.plan,
            version=self.plan.version + 1,
            claimed_until=now + life + CLAIM_MARGIN,
            failures=self.plan.failures + 1,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxItem:
    """One fact for the planner: which jobs it concerns, that the user has signed in, or that they signed out
    everywhere (``logout``: when).

    A fact about many jobs is *announced*: its item is put before their statuses are written, one by one, and says
    ``until`` when that may go on. The planner keeps it as long while any of them is still at its site.

    With ``stage`` it is no fact but *backlog*: jobs of that stage that the planner has seen and that only wait for
    room. ``routes`` are those that they go by, if all of these were held up.

    With ``after`` it is the planner's own note that a deadline of these jobs is then: no pass reads them before.
    """

    id: str
    numbers: tuple[JobNumber, ...] = ()
    login: bool = False
    logout: datetime | None = None
    until: datetime | None = None
    after: datetime | None = None
    stage: Stage | None = None
    routes: tuple[Route, ...] = ()


def found_from(wake_at: datetime) -> datetime:
    """From when on the sweep finds a desk that is due at that time: from the beginning of its minute.

    The sweep comes once a minute, and an index key that followed each look exactly would cost two writes a look. Who
    is rung too early drops the ring.
    """
    return wake_at.replace(second=0, microsecond=0)


def closed(plan: Plan) -> Plan:
    """The plan of a pass that has done its work."""
    return replace(plan, version=plan.version + 1, claimed_until=None, failures=0)


def abandoned(plan: Plan) -> Plan:
    """The plan of a pass that broke: unclaimed, with its failure counted."""
    return replace(plan, version=plan.version + 1, claimed_until=None)


def backoff(failures: int) -> timedelta:
    """How long a desk rests after this many failures in a row."""
    doublings = min(max(failures - 1, 0), 16)
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * (1 << doublings))
