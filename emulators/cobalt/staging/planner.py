"""qstage in a replay: each user's desk, planned by ``chalicelib.core``, and a site's agent that comes in rounds.

All that decides is core's: which items go together and how many tasks there may be (``drafting``, ``batch``), which
outputs wait for company (``company``), when Globus is looked at again (``polling``), what follows for a job
(``progress``, ``settling``, ``lifecycle``). What is done here is what ``service`` does around those rules on stores and
queues: a fact rings, a pass looks and submits, and rings for its own next look in whole seconds. Nothing fails in a
replay; the rules of failures, logins, deadlines and full disks are not in it.

A user has one input and one output a job. The agent comes every ``ROUND`` seconds: it reports which jobs have ended,
and takes what is staged.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from chalicelib.core.batch import Batch, Member, Movement, by_number, movement, room, route_of
from chalicelib.core.company import joined, waits_until
from chalicelib.core.desk import SKEW, LiveBatch, Plan, Route
from chalicelib.core.document import read_document
from chalicelib.core.drafting import Draft, draft, long_slots, tells_rate
from chalicelib.core.due import due
from chalicelib.core.events import Event, Exited, Leased, LegsClaimed, LegsSettled
from chalicelib.core.ids import (
    FIRST_NUMBER,
    BatchId,
    CollectionId,
    JobNumber,
    JobRef,
    SiteId,
    SubmissionId,
    TaskId,
    UserId,
)
from chalicelib.core.job import Job, Outcome, Stage, State
from chalicelib.core.lifecycle import transition
from chalicelib.core.outputs import Found, legs_at_exit
from chalicelib.core.polling import is_due, next_look
from chalicelib.core.posting import first_status
from chalicelib.core.progress import plannable, stage_of
from chalicelib.core.settling import Aboard, settle_success
from chalicelib.core.sites import LEASE, Mount, Site
from emulators.cobalt.replay.machine import Machine
from emulators.cobalt.staging.transfers import Moving, Transfers
from emulators.cobalt.staging.trips import Trip

ROUND = 15
"""Seconds between two calls of the site's agent, on the clock's own grid."""

LAB, ARCHIVE, SCRATCH = (CollectionId(f"aaaaaaaa-0000-4000-8000-00000000000{each}") for each in (1, 2, 3))
SITE = Site(
    id=SiteId("machine"),
    owner=UserId("operator"),
    scheduler="cobalt",
    mappings=(Mount(collection=SCRATCH, path="/scratch/", directory="/scratch/"),),
    created_at=datetime.fromtimestamp(0, UTC),
)
RAW: dict[str, Any] = {
    "name": "job",
    "site": str(SITE.id),
    "executable": "/bin/true",
    "stage_in": [{"source": f"globus://{LAB}/data/", "target": "inputs/"}],
    "stage_out": [{"source": "results/", "target": f"globus://{ARCHIVE}/runs/{{id}}/"}],
}
DOCUMENT = read_document(RAW)
DEADLINE = timedelta(days=3)
KILLED = 143


@dataclass(slots=True, kw_only=True)
class _Desk:
    """One user's: the plan, and those of the jobs that something is to move for."""

    user: UserId
    plan: Plan = field(default_factory=Plan)
    next_number: int = FIRST_NUMBER
    jobs: dict[JobNumber, Job] = field(default_factory=dict)
    trips: dict[JobNumber, Trip] = field(default_factory=dict)
    batches: dict[BatchId, tuple[Batch, tuple[Movement, ...], Moving]] = field(default_factory=dict)
    waiting: set[JobNumber] = field(default_factory=set)
    """Those that have something to move and are in no task."""
    wake_at: datetime | None = None

    def note(self, job: Job) -> None:
        if stage_of(job) is not None and job.pending:
            self.waiting.add(job.ref.number)
        else:
            self.waiting.discard(job.ref.number)


class Planner:
    """Stages every job as soon as it is posted: ``staging: eager``."""

    def __init__(self, transfers: Transfers) -> None:
        self._transfers = transfers
        self._desks: dict[UserId, _Desk] = {}
        self._rings: list[tuple[datetime, int, UserId]] = []
        self._order = count()
        self._staged: list[tuple[_Desk, JobNumber]] = []
        self._ended: list[Trip] = []
        self._at_site: dict[int, tuple[_Desk, JobNumber]] = {}
        self._round_at: float | None = None
        self._worked_at = -math.inf

    # What the outside does: see ``course.Staging``.

    def post(self, trip: Trip, now: float) -> None:
        desk = self._desks.setdefault(UserId(trip.job.user), _Desk(user=UserId(trip.job.user)))
        number, desk.next_number = JobNumber(desk.next_number), desk.next_number + 1
        at = _moment(now)
        desk.jobs[number] = first_status(DOCUMENT, JobRef(user=desk.user, number=number), "", 0, "", at)
        desk.trips[number] = trip
        desk.note(desk.jobs[number])
        self._fact(desk, at)

    def ended(self, trip: Trip, now: float) -> None:
        self._ended.append(trip)
        self._come(now)

    def next_at(self) -> float | None:
        ring = self._rings[0][0].timestamp() if self._rings else None
        return min((at for at in (ring, self._round_at) if at is not None), default=None)

    def work(self, machine: Machine, now: float) -> None:
        if self._round_at is not None and self._round_at <= now:
            self._round_at = None
            self._sync(machine, now)
        self._worked_at = now
        at = _moment(now)
        while self._rings and self._rings[0][0] <= at:
            _, _, user = heapq.heappop(self._rings)
            desk = self._desks[user]
            if desk.wake_at is not None and desk.wake_at <= at + SKEW:
                self._pass(desk, at)

    # The agent's round.

    def _come(self, now: float) -> None:
        """Let the agent come at its next round; one is now, if it has not been."""
        at = math.ceil(now / ROUND) * float(ROUND)
        if at == self._worked_at:
            at += ROUND
        self._round_at = at if self._round_at is None else min(self._round_at, at)

    def _sync(self, machine: Machine, now: float) -> None:
        at = _moment(now)
        for trip in self._ended:
            desk, number = self._at_site.pop(trip.job.jobid)
            self._apply(desk, number, _exit(trip, desk.jobs[number]), at)
            self._fact(desk, at)
        self._ended = []
        for desk, number in self._staged:
            job = desk.jobs[number]
            self._apply(desk, number, Leased(epoch=job.epoch + 1, until=at + LEASE), at)
            trip = desk.trips[number]
            self._at_site[trip.job.jobid] = desk, number
            trip.eligible = now
            self._give(machine, trip, now)
        self._staged = []

    def _give(self, machine: Machine, trip: Trip, now: float) -> None:
        machine.submit(trip.job, now)

    # A pass over one desk: see ``service.passing``.

    def _fact(self, desk: _Desk, now: datetime) -> None:
        desk.wake_at = now
        heapq.heappush(self._rings, (now, next(self._order), desk.user))

    def _pass(self, desk: _Desk, now: datetime) -> None:
        if is_due(desk.plan, now):
            self._observe(desk, now)
        looks = []
        if room(desk.plan, now) > 0:
            looks.append(self._submit(desk, now))
        looks.append(next_look(desk.plan))
        desk.wake_at = min((at for at in looks if at is not None), default=None)
        if desk.wake_at is not None:
            delay = max(0, math.ceil((desk.wake_at - now).total_seconds()))
            heapq.heappush(self._rings, (now + timedelta(seconds=delay), next(self._order), desk.user))

    def _observe(self, desk: _Desk, now: datetime) -> None:
        desk.plan = replace(desk.plan, looked_at=now, others=0)
        for live in desk.plan.batches:
            batch, movements, moving = desk.batches[live.batch]
            if _moment(moving.ends) <= now:
                self._settle(desk, live, batch, movements, moving, now)

    def _settle(
        self,
        desk: _Desk,
        live: LiveBatch,
        batch: Batch,
        movements: Sequence[Movement],
        moving: Moving,
        now: datetime,
    ) -> None:
        assert live.task is not None, "it was sent at once"
        legs = {number: {leg.item: leg for leg in desk.jobs[number].legs} for number in batch.numbers()}
        aboard = [
            Aboard(leg=legs[each.member.number][each.member.item], movement=each, optional=False) for each in movements
        ]
        settled = settle_success(aboard, (), None)
        for number in batch.numbers():
            own = {member.item: each.leg for member, each in settled.items() if member.number == number}
            self._apply(desk, number, LegsSettled(batch=live.batch, legs=own, task=live.task), now)
            self._arrived(desk, number, batch.route, moving)
        took = _moment(moving.ends) - _moment(moving.accepted)
        rate = int(moving.bytes / took.total_seconds())
        plan = desk.plan.without(live.batch).with_usual(batch.route, took, tells_rate(moving.bytes, rate))
        desk.plan = plan
        del desk.batches[live.batch]

    def _arrived(self, desk: _Desk, number: JobNumber, route: Route, moving: Moving) -> None:
        """Write down what has arrived; the job goes on by itself."""
        trip, job = desk.trips[number], desk.jobs[number]
        if route.stage is Stage.STAGE_OUT:
            assert job.state.final, job
            trip.delivered = moving.ends
            del desk.jobs[number], desk.trips[number]
        else:
            assert job.state is State.STAGED, job
            trip.staged = moving.ends
            self._staged.append((desk, number))
            self._come(job.updated_at.timestamp())

    def _wanted(self, desk: _Desk) -> list[tuple[Job, Stage]]:
        """The jobs that have something to move now."""
        found = []
        for number in sorted(desk.waiting):
            job = desk.jobs[number]
            stage = stage_of(job)
            if stage is not None and plannable(job):
                found.append((job, stage))
        return found

    def _submit(self, desk: _Desk, now: datetime) -> datetime | None:
        """Send what there is room for; returns until when outputs wait for company."""
        items = [
            (leg, movement(job, DOCUMENT, SITE, stage, leg.item), stage)
            for job, stage in self._wanted(desk)
            for leg in job.pending
        ]
        if not items:
            return None
        ends: dict[Route, list[datetime]] = {}
        for _, move, stage in items:
            if stage is Stage.STAGE_OUT:
                ends.setdefault(route_of(move, stage), []).append(desk.jobs[move.member.number].updated_at)
        until = {route: waits_until(desk.plan.stream(route), route, at) for route, at in ends.items()}
        lingering = {route: at for route, at in until.items() if at is not None and at > now}
        items = [each for each in items if route_of(each[1], each[2]) not in lingering]
        occupied = [
            move.destination
            for batch, movements, _ in desk.batches.values()
            if batch.route.stage is Stage.STAGE_OUT
            for move in movements
        ]
        long = long_slots(desk.plan, now)
        for each in draft(items, occupied, room(desk.plan, now), long=long, rate=desk.plan.usual_rate):
            self._send(desk, each, now)
        return min(lingering.values(), default=None)

    def _send(self, desk: _Desk, wanted: Draft, now: datetime) -> None:
        members = [move.member for move in wanted.movements]
        if wanted.route.stage is Stage.STAGE_OUT:
            ends = [desk.jobs[number].updated_at for number in {member.number for member in members}]
            stream = joined(desk.plan.stream(wanted.route), wanted.route, ends)
            desk.plan = desk.plan if stream is None else desk.plan.with_stream(stream)
        size = sum(_size(desk.trips[member.number], wanted.route) for member in members)
        moving = self._transfers.accept(desk.user, size, now.timestamp())
        name = BatchId(f"b{moving.number}")
        batch = _batch(desk.user, name, wanted, members, now)
        for number, found in by_number(members).items():
            self._apply(desk, number, LegsClaimed(batch=name, items=found), now)
        live = LiveBatch(
            batch=name,
            submission=batch.submission,
            route=wanted.route,
            opened_at=now,
            task=TaskId(f"t{moving.number}"),
            sent_at=now,
            items=len(members),
            long=wanted.long,
        )
        desk.plan = desk.plan.with_batch(live)
        desk.batches[name] = (batch, wanted.movements, moving)

    def _apply(self, desk: _Desk, number: JobNumber, event: Event, now: datetime) -> None:
        """Bring a job through an event, and all that is due after it."""
        job = transition(desk.jobs[number], event, now)
        while (following := due(job)) is not None:
            job = transition(job, following, now)
        desk.jobs[number] = job
        desk.note(job)


def _batch(user: UserId, name: BatchId, wanted: Draft, members: Iterable[Member], now: datetime) -> Batch:
    return Batch(
        id=name,
        user=user,
        submission=SubmissionId(f"s-{name}"),
        route=wanted.route,
        members=tuple(members),
        deadline=now + DEADLINE,
    )


def _exit(trip: Trip, job: Job) -> Exited:
    """What the agent reports of a job that has left its nodes."""
    killed = trip.job.walltime is not None and trip.job.runtime > trip.job.walltime
    outcome, code = (Outcome.WALLTIME, KILLED) if killed else (Outcome.OK, 0)
    found = Found(item=0, kind="directory", files=1, bytes=trip.outputs)
    legs = legs_at_exit(DOCUMENT, outcome, code, [found])
    return Exited(epoch=job.epoch, native_id=str(trip.job.jobid), exit_code=code, outcome=outcome, legs=legs)


def _size(trip: Trip, route: Route) -> int:
    return trip.outputs if route.stage is Stage.STAGE_OUT else trip.inputs


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
