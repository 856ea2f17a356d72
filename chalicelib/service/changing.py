"""The one way a stored job changes: load, let core decide, save if nobody else has, and begin again if so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.core.desk import InboxItem
from chalicelib.core.errors import FarSide
from chalicelib.core.events import Event
from chalicelib.core.job import Job
from chalicelib.core.lifecycle import transition
from chalicelib.core.ports.jobs import Jobs, Save, Tale
from chalicelib.core.progress import due
from chalicelib.service import fresh

MOST_TRIES = 8
"""A status has few writers: its user, its site and one planner. Losing this often is not a race any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An event, with the words that go into the story if it changes the job."""

    event: Event
    detail: Mapping[str, Any] | None = None


Decide = Callable[[Job], tuple[Step, ...]]


def walk(job: Job, steps: tuple[Step, ...], now: datetime, *, settle: bool = True) -> tuple[Job, tuple[Tale, ...]]:
    """Apply the steps, then (with ``settle``) whatever is due by then, and gather the tales."""
    tales = []
    for step in steps:
        changed = transition(job, step.event, now)
        if changed is not job and step.detail:
            tales.append(Tale(version=changed.version, detail=step.detail, code=step.event.code))
        job = changed
    while settle and (event := due(job)) is not None:
        job = transition(job, event, now)
    return job, tuple(tales)


def change_many(
    jobs: Jobs, wanted: Sequence[tuple[Job, Decide]], now: datetime, *, settle: bool = True
) -> list[Job | None]:
    """Change jobs that were just read, each by itself and many at a time; a job stands in ``wanted`` once.

    :returns: for each what ``change`` would have.
    """
    after = [(job, *walk(job, decide(job), now, settle=settle)) for job, decide in wanted]
    changed = [place for place, (job, now_is, _) in enumerate(after) if now_is is not job]
    saves = [Save(job=after[at][1], was=after[at][0].version, tales=after[at][2]) for at in changed]
    found: list[Job | None] = [now_is for _, now_is, _ in after]
    for at, saved in zip(changed, jobs.save_many(saves) if saves else (), strict=True):
        if not saved:
            again = jobs.get(after[at][0].ref)
            found[at] = None if again is None else change(jobs, again, wanted[at][1], now, settle=settle)
    return found


def change(
    jobs: Jobs,
    job: Job,
    decide: Callable[[Job], tuple[Step, ...]],
    now: datetime,
    *,
    settle: bool = True,
    fact: Callable[[Job], InboxItem | None] = lambda job: None,
) -> Job | None:
    """Change a job that was just read, reading it again as often as another writer gets in between.

    The end of a job that others wait for is a fact of its own, whoever brings it about.

    :returns: the job as it is now, the same object if nothing had to change; None if it is gone.
    """
    for _ in range(MOST_TRIES):
        changed, tales = walk(job, decide(job), now, settle=settle)
        if changed is job or jobs.save(changed, was=job.version, tales=tales, fact=fact(changed) or _end(job, changed)):
            return changed
        again = jobs.get(job.ref)
        if again is None:
            return None
        job = again
    raise FarSide("dynamodb", "contention", f"job {job.ref} changes too often to be saved", transient=True)


def _end(was: Job, job: Job) -> InboxItem | None:
    ends = job.awaited and job.state.final and not was.state.final
    return fresh.inbox_item(job.updated_at, (job.ref.number,)) if ends else None
