"""How long a job will still need its user's login session, and whether that lasts.

Pure rules. A job's end is expected from its state: staging takes a margin, the queue takes what its site or this
deployment expects, the run takes its walltime. A wait that has lasted longer than expected is expected to last as
long again, up to the whole expectation: queues are like that. Where a scheduler has told when it will start a job
that it holds, that counts. Each collection is needed until the last stage that
touches it is over; the session must serve all of them that long.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.core.consent import NOTHING, CollectionFacts, SessionDemand, joined
from chalicelib.core.desk import LoginNeed, Route
from chalicelib.core.ids import CollectionId
from chalicelib.core.job import Job, Leg, Stage, State
from chalicelib.core.progress import plannable, stage_of
from chalicelib.core.sessions import NEVER, Session, good_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What is expected where nothing better is known, and how long before a session's end its user is warned."""

    queue_wait: timedelta = timedelta(hours=24)
    staging: timedelta = timedelta(hours=1)
    lead: timedelta = timedelta(hours=6)

    def at(self, queue_wait: int | None) -> Expectations:
        """The same where a site says how long its queue takes, in seconds."""
        return self if queue_wait is None else replace(self, queue_wait=timedelta(seconds=queue_wait))


class Standing(StrEnum):
    """How the login session compares with what a job still needs. The words are shown to users."""

    OK = "ok"
    UNCHECKED = "unchecked"
    """A collection of the job is not known yet; within seconds it will be."""
    ENDS = "ends"
    """The session is expected to end before the job is done with a collection that demands it."""
    ENDS_SOON = "ends_soon"
    """The same, and it ends within the time of warning."""
    ENDED = "ended"
    """The session does not serve, or no longer: the job will wait for a login when it gets there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is expected of one job. ``until`` is when the session first fails it (NEVER: it never served), None if
    it does not; ``collections`` are those in the way, ``login`` the sign-in that renews all of them."""

    standing: Standing
    expected_end: datetime | None = None
    until: datetime | None = None
    collections: tuple[CollectionId, ...] = ()
    login: SessionDemand = NOTHING


NOTHING_TO_SERVE = Outlook(standing=Standing.OK)
"""Of a job that is final, or of which no journey is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """When a job is expected to be done with each stage: None where the stage is over or does not come."""

    inputs_until: datetime | None
    outputs_until: datetime | None
    end: datetime


def course(job: Job, expected: Expectations, now: datetime) -> Course | None:
    """When the job is expected to be through, from where it stands now; None if it is final or has no journey."""
    journey = job.journey
    if job.state.final or journey is None:
        return None
    if job.state is State.STAGE_OUT:
        moves = bool(_unsettled(job.legs))
        end = now + expected.staging if moves else now
        return Course(inputs_until=None, outputs_until=end if moves else None, end=end)
    staged = now
    if job.before_data and _unsettled(job.legs):
        staged = now + expected.staging
        if job.awaits_start:  # its inputs come when it is to start, and not before
            staged = max(staged, job.starts_at or now + expected.queue_wait)
    over = max(_started(job, staged, expected, now) + timedelta(seconds=journey.walltime), now)
    end = over + expected.staging if journey.outputs else over
    return Course(
        inputs_until=staged if staged > now else None, outputs_until=end if journey.outputs else None, end=end
    )


def needs(job: Job, home: CollectionId, course: Course) -> Mapping[CollectionId, datetime]:
    """Until when each collection that the job's remaining stages touch is needed. ``home`` is its site's own."""
    assert job.journey is not None, "a job without a journey has no course"
    found: dict[CollectionId, datetime] = {}
    if course.inputs_until is not None:
        sources = (job.journey.inputs[leg.item] for leg in _unsettled(job.legs))
        for each in (home, *sources):
            if each is not None:
                found[each] = course.inputs_until
    if course.outputs_until is not None:
        for each in (home, *_targets(job)):
            found[each] = course.outputs_until
    return found


def collections_of(job: Job, home: CollectionId) -> frozenset[CollectionId]:
    """The collections that the job's remaining stages touch."""
    found = course(job, Expectations(), job.updated_at)
    return frozenset() if found is None else frozenset(needs(job, home, found))


def outlook(
    job: Job,
    home: CollectionId,
    facts: Mapping[CollectionId, CollectionFacts],
    session: Session,
    expected: Expectations,
    now: datetime,
) -> Outlook:
    """How the session compares with what the job still needs. ``facts`` lack what is not known yet."""
    found = course(job, expected, now)
    if found is None:
        return NOTHING_TO_SERVE
    wanted = needs(job, home, found)
    lapses = {each: good_until(session, facts[each].demand) for each in wanted if each in facts}
    failing = {each: until for each, until in lapses.items() if until is not None and until < wanted[each]}
    if not failing:
        standing = Standing.OK if wanted.keys() == lapses.keys() else Standing.UNCHECKED
        return Outlook(standing=standing, expected_end=found.end)
    until = min(failing.values())
    return Outlook(
        standing=_standing(until, expected.lead, now),
        expected_end=found.end,
        until=until,
        collections=tuple(sorted(failing)),
        login=joined(facts[each].login for each in sorted(failing)),
    )


def alert_at(until: datetime, expected: Expectations) -> datetime:
    """When the user is warned again of a session that serves until then."""
    return NEVER if until - NEVER < expected.lead else until - expected.lead


def routes(job: Job, home: CollectionId) -> frozenset[Route]:
    """The ways that the job's pending items have to go; none if nothing of it waits to move."""
    stage = stage_of(job)
    if stage is None or job.journey is None or not plannable(job):
        return frozenset()
    far = job.journey.inputs if stage is Stage.STAGE_IN else job.journey.outputs
    ends = {far[leg.item] for leg in job.pending}
    inward = stage is Stage.STAGE_IN
    return frozenset(
        Route(stage=stage, source=each if inward else home, destination=home if inward else each)
        for each in ends
        if each is not None
    )


def held_up(job: Job, home: CollectionId | None, need: LoginNeed) -> bool:
    """Whether something of the job waits for the login: what it has to move goes a way that the need holds up."""
    if stage_of(job) is None or not (plannable(job) or job.in_flight):
        return False
    if need.collections is None:
        return True
    if job.journey is None or home is None:
        return plannable(job)
    return any(need.holds_up(route) for route in routes(job, home))


def _standing(until: datetime, lead: timedelta, now: datetime) -> Standing:
    if until < now:
        return Standing.ENDED
    return Standing.ENDS_SOON if until - now <= lead else Standing.ENDS


def _unsettled(legs: Iterable[Leg]) -> tuple[Leg, ...]:
    return tuple(leg for leg in legs if not leg.status.settled)


def _targets(job: Job) -> tuple[CollectionId, ...]:
    """The collections of the outputs: of those that are left, once it is known which there are."""
    assert job.journey is not None, "asked of jobs with a journey only"
    if job.state is not State.STAGE_OUT:
        return job.journey.outputs
    return tuple(job.journey.outputs[leg.item] for leg in _unsettled(job.legs))


def _started(job: Job, staged: datetime, expected: Expectations, now: datetime) -> datetime:
    """When the job's run began, or is expected to."""
    if job.state is State.ACTIVE:
        return _marked(job, "active") or job.updated_at
    if job.awaits_start or (job.starts_at is not None and job.state is not State.QUEUED):
        return max(staged, job.starts_at or staged)
    if job.state is not State.QUEUED:
        return staged + expected.queue_wait
    waited = now - (_marked(job, "queued") or job.updated_at)
    return now + max(expected.queue_wait - waited, min(waited, expected.queue_wait))


def _marked(job: Job, code: str) -> datetime | None:
    return next((mark.at for mark in reversed(job.trail) if mark.code == code), None)
