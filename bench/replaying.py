"""A replay with staging through the service's own handlers, and whether it agrees with the replay by the rules alone.

``emulators.cobalt.staging.planner`` plans by ``chalicelib.core`` what ``chalicelib.service`` plans on its stores.
Here the same jobs go through both: the same trace, sizes, machine and Globus, and an agent that comes in the same
rounds. They must agree on when each job is staged, submitted, started, ended and delivered, to the microsecond.

    python -m bench.replaying TRACE --compress 1.5 --first 200
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.far_side import FarSide
from bench.house import THETA, House, TurnedTime, a_document, a_user, agent_caller, memory_stores
from chalicelib.core.batch import Batch, Movement
from chalicelib.core.ids import JobNumber, TaskId, UserId
from chalicelib.core.job import Stage, State
from chalicelib.core.ports.transfer import Task, TaskStatus
from chalicelib.core.sync import read_sync
from chalicelib.core.tokens import AccessToken
from emulators.cobalt.estimates import Estimate
from emulators.cobalt.replay.command import add_load_options, load
from emulators.cobalt.replay.jobs import TraceJob
from emulators.cobalt.replay.machine import Machine, Rules
from emulators.cobalt.staging.ahead import Ahead, Looks
from emulators.cobalt.staging.course import run
from emulators.cobalt.staging.planner import ROUND, Planner
from emulators.cobalt.staging.site import KILLED
from emulators.cobalt.staging.transfers import Moving, Transfers
from emulators.cobalt.staging.trips import Trip, trips_of
from emulators.globus.pace import Link

PATIENCE = 3 * 86400.0
"""Seconds after the last POST in which everything is over, unless a job is stuck."""

LINK = Link(overhead=10, bandwidth=2e8)
TIMES = ("staged", "eligible", "begins", "ends", "delivered")


@dataclass(slots=True, kw_only=True)
class Globus(FarSide):
    """The far side with the replay's own transfers: a task takes as long as its bytes do."""

    transfers: Transfers
    trips: dict[tuple[UserId, JobNumber], Trip] = field(default_factory=dict)
    moving: dict[TaskId, tuple[Batch, Moving]] = field(default_factory=dict)

    def submit(self, token: AccessToken, batch: Batch, movements: Sequence[Movement]) -> TaskId:
        trips = [self.trips[batch.user, move.member.number] for move in movements]
        out = batch.route.stage is Stage.STAGE_OUT
        size = sum(trip.outputs if out else trip.inputs for trip in trips)
        moving = self.transfers.accept(batch.user, size, self.clock.now().timestamp())
        task = TaskId(f"t{moving.number}")
        self.moving[task] = batch, moving
        return task

    def look(self, token: AccessToken, ids: Sequence[TaskId]) -> dict[TaskId, Task]:
        return {task: self._shown(task) for task in ids if task in self.moving}

    def settled(self) -> list[Moving]:
        return [moving for _, moving in self.moving.values()]

    def _shown(self, name: TaskId) -> Task:
        batch, moving = self.moving[name]
        over = datetime.fromtimestamp(moving.ends, UTC) <= self.clock.now()
        took = datetime.fromtimestamp(moving.ends, UTC) - datetime.fromtimestamp(moving.accepted, UTC)
        files = len(batch.members)
        return Task(
            id=name,
            status=TaskStatus.SUCCEEDED if over else TaskStatus.ACTIVE,
            label=batch.label,
            files=files,
            files_done=files if over else 0,
            bytes=moving.bytes if over else 0,
            ok=True,
            paused=False,
            faults=0,
            skipped=0,
            nice_status=None,
            fatal=None,
            rate=int(moving.bytes / took.total_seconds()) if over else 0,
            took=took if over else None,
        )


@dataclass(slots=True, kw_only=True)
class _Held:
    """A job that the agent has taken."""

    trip: Trip
    epoch: int
    said: bool = False


class Service:
    """The service as a way of staging: see ``course.Staging``."""

    def __init__(self, transfers: Transfers, begin: float, how: Estimate | None = None) -> None:
        self._looks = None if how is None else Looks(how)
        self._ahead: dict[int, str] = {}
        self._time = TurnedTime(at=_moment(begin))
        self._globus = Globus(clock=self._time, transfers=transfers)
        self._house = House(clock=self._time, stores=memory_stores(self._time), globus=self._globus)
        self._users: dict[str, int] = {}
        self._held: dict[str, _Held] = {}
        self._ended: dict[int, str] = {}
        self._round_at = _next_round(begin)
        self._posted_at = begin
        self._left = 0

    def post(self, trip: Trip, now: float) -> None:
        self._time.at, self._posted_at = _moment(now), now
        user = self._users.setdefault(trip.job.user, len(self._users))
        (number,) = self._house.post([self._document()], user)
        self._globus.trips[a_user(user), number] = trip
        self._left += 1

    def _document(self) -> dict[str, Any]:
        return a_document(cleanup=False, **({} if self._looks is None else {"staging": "just_in_time"}))

    def ended(self, trip: Trip, now: float) -> None:
        killed = trip.job.walltime is not None and trip.job.runtime > trip.job.walltime
        self._ended[trip.job.jobid] = "walltime" if killed else "ok"

    def next_at(self) -> float | None:
        ring = self._house.bell.next_at()
        times = [None if ring is None else ring.timestamp(), self._round_at if self._left else None]
        return min((at for at in times if at is not None), default=None)

    def work(self, machine: Machine, now: float) -> None:
        assert now < self._posted_at + PATIENCE, f"{self._left} jobs never end"
        self._time.at = _moment(now)
        if self._round_at <= now:
            self._sync(machine, now)
            self._round_at = _next_round(now)
        for user in self._house.bell.due():
            self._house.wake(user)
        self._write_down()

    def _sync(self, machine: Machine, now: float) -> None:
        news = {} if self._looks is None else self._looks.news(machine, self._ahead, now)
        body = {
            "agent": {"instance": "bench-agent", "version": "0.1.0", "host": "login1"},
            "take": 100,
            "holds": True,
            "holding": [{"job": ref, "epoch": held.epoch} for ref, held in self._held.items() if not held.said],
            "reports": [report for ref, held in self._held.items() for report in self._reports(ref, held, news)],
        }
        answer = self._house.syncing.sync(agent_caller(), THETA, read_sync(body))
        for each in answer.answers:
            assert each.result == "recorded", each
            if each.report.event == "exited":
                del self._held[each.report.text]
            else:
                self._held[each.report.text].said = True
        for lease in answer.leases:
            trip = self._globus.trips[lease.job.ref.user, lease.job.ref.number]
            self._held[str(lease.job.ref)] = _Held(trip=trip, epoch=lease.job.epoch)
            self._give(machine, trip, str(lease.job.ref), now, staged=lease.job.state is State.STAGED)

    def _give(self, machine: Machine, trip: Trip, ref: str, now: float, *, staged: bool) -> None:
        """Do what a lease is for: submit the job, held if its data is not there; or release it, if it is held."""
        if not staged:
            self._ahead[trip.job.jobid] = ref
            machine.submit(trip.job, now, held=True)
            return
        trip.eligible = now
        if self._ahead.pop(trip.job.jobid, None) is None:
            machine.submit(trip.job, now)
        else:
            machine.release(trip.job.jobid, now)

    def _reports(self, ref: str, held: _Held, news: Mapping[int, float]) -> list[dict[str, Any]]:
        told: dict[str, Any] = {"job": ref, "epoch": held.epoch, "native_id": str(held.trip.job.jobid)}
        outcome = self._ended.get(held.trip.job.jobid)
        if outcome is not None:
            found = [{"item": 0, "kind": "directory", "files": 1, "bytes": held.trip.outputs}]
            code = KILLED if outcome == "walltime" else 0
            return [{**told, "event": "exited", "exit_code": code, "outcome": outcome, "outputs": found}]
        if held.trip.job.jobid in self._ahead:
            at = news.get(held.trip.job.jobid)
            return [] if at is None else [{**told, "event": "held_ahead", "starts_at": _moment(at).isoformat()}]
        return [] if held.said else [{**told, "event": "queued"}]

    def _write_down(self) -> None:
        """What has arrived, once the service knows of it: a task that it has settled is on no desk any more."""
        for task in [task for task, (batch, _) in self._globus.moving.items() if self._is_settled(batch)]:
            batch, moving = self._globus.moving.pop(task)
            for member in batch.members:
                trip = self._globus.trips[batch.user, member.number]
                if batch.route.stage is Stage.STAGE_OUT:
                    trip.delivered = moving.ends
                    self._left -= 1
                else:
                    trip.staged = moving.ends

    def _is_settled(self, batch: Batch) -> bool:
        desk = self._house.desks.read(batch.user)
        assert desk is not None, "its user has a desk"
        return desk.plan.batch(batch.id) is None


def _next_round(now: float) -> float:
    return (now // ROUND + 1) * ROUND


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def differences(
    jobs: Sequence[TraceJob], rules: Rules, *, seed: int, link: Link = LINK, how: Estimate | None = None
) -> list[str]:
    """Take the jobs through both, just in time if ``how`` is given, and return what they disagree on."""
    by_rules, by_service = trips_of(jobs, seed), trips_of(jobs, seed)
    run(by_rules, rules, Planner(Transfers(link)) if how is None else Ahead(Transfers(link), how))
    run(by_service, rules, Service(Transfers(link), jobs[0].submitted, how))
    found = []
    for one, other in zip(by_rules, by_service, strict=True):
        for name in TIMES:
            ours, theirs = getattr(one, name), getattr(other, name)
            if abs(ours - theirs) > timedelta(microseconds=1).total_seconds():
                found.append(f"job {one.job.jobid} {name}: {ours} by the rules, {theirs} by the service")
    return found


def a_busy_day(count: int) -> list[TraceJob]:
    """A load without a trace: four users, close together, on and off the agent's grid; some run too long."""
    chance = random.Random(6)
    at, found = 0.0, []
    for number in range(1, count + 1):
        at += chance.choice((0, 1, 15, 40, 120)) + chance.choice((0.0, 0.5))
        runtime = chance.choice((0, 30, 45, 290, 700))
        user = chance.choice(("ada", "bob", "eve", "kim"))
        found.append(
            TraceJob(
                jobid=number,
                submitted=1_000_000_005.0 + at,
                runtime=runtime,
                walltime=600,
                nodes=chance.choice((1, 2, 4)),
                user=user,
            )
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.replaying", description=__doc__)
    add_load_options(parser)
    parser.add_argument("--seed", type=int, default=1, help="of the sizes (1)")
    options = parser.parse_args()
    jobs, nodes, said = load(options)
    print("\n".join(said))
    for how, name in ((None, "eager"), (Estimate.PLANNED, "just in time")):
        found = differences(jobs, Rules(nodes=nodes), seed=options.seed, how=how)
        if found:
            sys.exit("\n".join(found))
        print(f"{len(jobs)} jobs, {name}, by the rules and through the service: every time of every job is the same")


if __name__ == "__main__":
    main()
