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

from chalicelib.core.batch import Batch, Member, Movement, by_number, movement, room, route_of
from chalicelib.core.company import joined, waits_until
from chalicelib.core.desk import SKEW, LiveBatch, Plan, Route
from chalicelib.core.document import Document
from chalicelib.core.drafting import Draft, draft, long_slots, tells_rate
from chalicelib.core.due import due
from chalicelib.core.events import Event, Leased, LegsClaimed, LegsSettled
from chalicelib.core.ids import (
    FIRST_NUMBER,
    BatchId,
    JobNumber,
    JobRef,
    SubmissionId,
    TaskId,
    UserId,
)
from chalicelib.core.job import Job, Stage, State
from chalicelib.core.lifecycle import transition
from chalicelib.core.polling import is_due, next_look
from chalicelib.core.posting import first_status
from chalicelib.core.progress import plannable, stage_of
from chalicelib.core.settling import Aboard, settle_success
from chalicelib.core.sites import LEASE
from emulators.cobalt.replay.machine import Machine
from emulators.cobalt.staging.site import DOCUMENT, SITE, exit_of
from emulators.cobalt.staging.transfers import Moving, Transfers
from emulators.cobalt.staging.trips import Trip

ROUND = 15
"""Seconds between two calls of the site's agent, on the clock's own grid."""

DEADLINE = timedelta(days=3)


@dataclass(slots=True, kw_only=True)
class Desk:
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

    def __init__(self, transfers: Transfers, document: Document = DOCUMENT) -> None:
        self._transfers, self._document = transfers, document
        self._desks: dict[UserId, Desk] = {}
        self._rings: list[tuple[datetime, int, UserId]] = []
        self._order = count()
        self._staged: list[tuple[Desk, JobNumber]] = []
        self._ended: list[Trip] = []
        self._at_site: dict[int, tuple[Desk, JobNumber]] = {}
        self._round_at: float | None = None
        self._worked_at = -math.inf

    # What the outside does: see ``course.Staging``.

    def post(self, trip: Trip, now: float) -> None:
        desk = self._desks.setdefault(UserId(trip.job.user), Desk(user=UserId(trip.job.user)))
        number, desk.next_number = JobNumber(desk.next_number), desk.next_number + 1
        at = moment(now)
        desk.jobs[number] = first_status(self._document, JobRef(user=desk.user, number=number), "", 0, "", at)
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
        at = moment(now)
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
        at = moment(now)
        heard = {}
        for trip in self._ended:
            desk, number = self._at_site.pop(trip.job.jobid)
            self._apply(desk, number, exit_of(trip, desk.jobs[number]), at)
            heard[desk.user] = desk
        for desk in heard.values():
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

    def _fact(self, desk: Desk, now: datetime) -> None:
        desk.wake_at = now
        heapq.heappush(self._rings, (now, next(self._order), desk.user))

    def _pass(self, desk: Desk, now: datetime) -> None:
        looks = [self._begin(desk, now)]
        if is_due(desk.plan, now):
            self._observe(desk, now)
        if room(desk.plan, now) > 0:
            looks.append(self._submit(desk, now))
        looks.append(next_look(desk.plan))
        desk.wake_at = min((at for at in looks if at is not None), default=None)
        if desk.wake_at is not None:
            delay = max(0, math.ceil((desk.wake_at - now).total_seconds()))
            heapq.heappush(self._rings, (now + timedelta(seconds=delay), next(self._order), desk.user))

    def _begin(self, desk: Desk, now: datetime) -> datetime | None:
        """Do what comes before all else; returns when there is more of it to do."""
        return None

    def _observe(self, desk: Desk, now: datetime) -> None:
        desk.plan = replace(desk.plan, looked_at=now, others=0)
        for live in desk.plan.batches:
            batch, movements, moving = desk.batches[live.batch]
            if moment(moving.ends) <= now:
                self._settle(desk, live, batch, movements, moving, now)

    def _settle(
        self,
        desk: Desk,
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
        took = moment(moving.ends) - moment(moving.accepted)
        rate = int(moving.bytes / took.total_seconds())
        plan = desk.plan.without(live.batch).with_usual(batch.route, took, tells_rate(moving.bytes, rate))
        desk.plan = plan
        del desk.batches[live.batch]

    def _arrived(self, desk: Desk, number: JobNumber, route: Route, moving: Moving) -> None:
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

    def _wanted(self, desk: Desk) -> list[tuple[Job, Stage]]:
        """The jobs that have something to move now."""
        found = []
        for number in sorted(desk.waiting):
            job = desk.jobs[number]
            stage = stage_of(job)
            if stage is not None and plannable(job):
                found.append((job, stage))
        return found

    def _submit(self, desk: Desk, now: datetime) -> datetime | None:
        """Send what there is room for; returns until when outputs wait for company."""
        items = [
            (leg, movement(job, self._document, SITE, stage, leg.item), stage)
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

    def _send(self, desk: Desk, wanted: Draft, now: datetime) -> None:
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

    def _apply(self, desk: Desk, number: JobNumber, event: Event, now: datetime) -> None:
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


def _size(trip: Trip, route: Route) -> int:
    return trip.outputs if route.stage is Stage.STAGE_OUT else trip.inputs


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
