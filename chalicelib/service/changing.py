"""The one way a stored job changes: load, let core decide, save if nobody else has, and begin again if so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from chalicelib.core.desk import InboxItem
from chalicelib.core.due import due
from chalicelib.core.errors import FarSide
from chalicelib.core.events import Event
from chalicelib.core.job import Job
from chalicelib.core.lifecycle import transition
from chalicelib.core.ports.jobs import Jobs, Save, Tale
from chalicelib.service import fresh

MOST_TRIES = 8
"""A status has few writers: its user, its site and one planner. Losing this often is not a race any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An event, with the words that go into the story if it changes the job."""

    event: Event
    detail: Mapping[str, Any] | None = None
    document: Mapping[str, Any] | None = None
    """What the job's document is by this event, if it is another one."""


TOGETHER = 200
"""Statuses that are changed at a time: so many are soon written, and then time and claim are looked at again."""

Some = TypeVar("Some")
Decide = Callable[[Job], tuple[Step, ...]]


def in_turns(many: Sequence[Some]) -> Iterator[Sequence[Some]]:
    """Cut a long list into parts that are changed at a time."""
    for start in range(0, len(many), TOGETHER):
        yield many[start : start + TOGETHER]


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
    after = [walk(job, decide(job), now, settle=settle) for job, decide in wanted]
    found: list[Job | None] = [changed for changed, _ in after]
    saves: dict[int, Save] = {}
    alone: list[int] = []
    for place, ((job, _), (changed, tales)) in enumerate(zip(wanted, after, strict=True)):
        if changed is not job and _news(job, changed) is None:
            saves[place] = Save(job=changed, was=job.version, tales=tales)
        elif changed is not job:
            alone.append(place)  # it goes with a fact of its own
    saved = jobs.save_many(list(saves.values())) if saves else ()
    for place in (*alone, *(place for place, done in zip(saves, saved, strict=True) if not done)):
        job, decide = wanted[place]
        again = job if place in alone else jobs.get(job.ref)
        found[place] = None if again is None else change(jobs, again, decide, now, settle=settle)
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

    The end of a job that others wait for is a fact of its own, whoever brings it about, and so is another document.

    :returns: the job as it is now, the same object if nothing had to change; None if it is gone.
    """
    for _ in range(MOST_TRIES):
        steps = decide(job)
        changed, tales = walk(job, steps, now, settle=settle)
        news = fact(changed) or _news(job, changed)
        document = _document(steps) if changed.revision != job.revision else None
        if changed is job or jobs.save(changed, was=job.version, tales=tales, fact=news, document=document):
            return changed
        again = jobs.get(job.ref)
        if again is None:
            return None
        job = again
    raise FarSide("dynamodb", "contention", f"job {job.ref} changes too often to be saved", transient=True)


def _news(was: Job, job: Job) -> InboxItem | None:
    ends = job.awaited and job.state.final and not was.state.final
    return fresh.inbox_item(job.updated_at, (job.ref.number,)) if ends or job.revision != was.revision else None


def _document(steps: tuple[Step, ...]) -> Mapping[str, Any] | None:
    """The newest document that the steps bring."""
    return next((step.document for step in reversed(steps) if step.document is not None), None)
