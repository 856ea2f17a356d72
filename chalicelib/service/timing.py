"""Deadlines of a pass's jobs: what is over one fails, and the rest is looked at in time.

A job that moves data stays among what passes read. One that waits for nodes, for days perhaps, does not: an inbox
item notes the deadline, and nobody reads the job before. Jobs without deadlines cost nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from chalicelib.core.deadlines import hangs, in_the_way, needs_door, runs_out, timed_stage
from chalicelib.core.desk import InboxItem
from chalicelib.core.events import Overdue
from chalicelib.core.ids import JobNumber
from chalicelib.core.job import Job, Stage
from chalicelib.core.sessions import Session, newest, satisfies
from chalicelib.service import fresh
from chalicelib.service.board import Turn
from chalicelib.service.changing import Step

MOST_NAMED = 1000
"""Jobs that one note names."""

MOST_NOTES = 20
"""Notes that may lie in an inbox, as long as they can be put into fewer."""

ASK_AGAIN = timedelta(hours=1)
"""How soon it is looked again whether a clock runs, where a site's door is shut or the site has yet to answer."""


def keep_deadlines(turn: Turn, notes: Iterable[InboxItem], session: Callable[[], Session]) -> None:
    """Fail what is over its stage's deadline, and have the desk woken when the next one is.

    :param notes: the inbox's notes of deadlines that are still to come.
    :param session: the user's sign-ins, asked for only where a site demands one.
    """
    turn.noted.update(_noted(notes))
    if turn.noted:
        turn.board.deadline_by(min(turn.noted.values()))
    for job in list(turn.shelf.jobs.values()):
        stage, at = timed_stage(job), runs_out(job, turn.board.plan)
        if stage is None or at is None:
            continue
        if stage is Stage.QUEUE and at <= turn.clock.now() and needs_door(job):
            at = turn.put_off[job.ref.number] = _through_the_door(turn, job, at, session)
        if at <= turn.clock.now():
            _fail(turn, job, stage, at)
        elif stage is not Stage.QUEUE:
            turn.board.wake_by(at)


def note_deadlines(turn: Turn, jobs: Iterable[Job]) -> None:
    """Note when those of these jobs that wait for nodes have done so for too long, unless that is noted already."""
    ends = []
    for job in jobs:
        at = _queue_ends(turn, job)
        if at is not None and turn.noted.get(job.ref.number, datetime.max.replace(tzinfo=at.tzinfo)) > at:
            ends.append((at, job.ref.number))
    for some in _chunks(sorted(ends)):
        _put(turn, some)


def merge_notes(turn: Turn, notes: Sequence[InboxItem]) -> None:
    """Put many notes into few, so that they never crowd facts out of what a pass lists of the inbox."""
    ends = _noted(notes)
    if len(notes) <= max(MOST_NOTES, 2 * (len(ends) // MOST_NAMED + 1)):
        return
    for some in _chunks(sorted((at, number) for number, at in ends.items())):
        _put(turn, some)
    turn.desks.discard(turn.board.user, [note.id for note in notes])


def _noted(notes: Iterable[InboxItem]) -> dict[JobNumber, datetime]:
    """When each job is first to be looked at."""
    ends: dict[JobNumber, datetime] = {}
    for note in notes:
        assert note.after is not None, "a note says when"
        for number in note.numbers:
            ends[number] = min(note.after, ends.get(number, note.after))
    return ends


def _put(turn: Turn, ends: Sequence[tuple[datetime, JobNumber]]) -> None:
    """Note these jobs, the one whose deadline comes first ahead."""
    first, now = ends[0][0], turn.clock.now()
    numbers = tuple(number for _, number in ends)
    turn.desks.record(turn.board.user, fresh.inbox_item(now, numbers, after=first), now)
    turn.noted.update(dict.fromkeys(numbers, first))
    turn.board.deadline_by(first)


def _queue_ends(turn: Turn, job: Job) -> datetime | None:
    if timed_stage(job) is not Stage.QUEUE:
        return None
    if hangs(job):
        return turn.clock.now() + ASK_AGAIN
    at = runs_out(job, turn.board.plan)
    return None if at is None else max(at, turn.put_off.get(job.ref.number, at))


def _chunks(ends: Sequence[tuple[datetime, JobNumber]]) -> Iterable[Sequence[tuple[datetime, JobNumber]]]:
    return (ends[start : start + MOST_NAMED] for start in range(0, len(ends), MOST_NAMED))


def _through_the_door(turn: Turn, job: Job, at: datetime, session: Callable[[], Session]) -> datetime:
    """The deadline of a job that its site may not be given before its user signs in as the site demands."""
    demand = turn.shelf.site(job.site).demands.sign_in
    if not demand:
        return at
    signed_in, seconds = session(), job.deadlines.queue
    found = newest(signed_in, demand)
    if found is None or seconds is None or not satisfies(signed_in, demand, turn.clock.now()):
        return turn.clock.now() + ASK_AGAIN
    return max(at, found.auth_time + timedelta(seconds=seconds))


def _fail(turn: Turn, job: Job, stage: Stage, at: datetime) -> None:
    turn.check_time()
    what = "it had not started to run" if stage is Stage.QUEUE else f"{stage} was not done"
    words = f"{what} by its deadline, {at:%Y-%m-%dT%H:%M:%SZ}: {in_the_way(job, turn.board.plan)}"
    turn.shelf.apply(job, Step(event=Overdue(stage=stage, attempt=job.attempt), detail={"words": [words]}))
