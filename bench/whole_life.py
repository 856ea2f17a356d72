"""Jobs over their whole life in turned time: a POST, the planner, a site's agent, the sweep, until all is quiet.

The agent speaks as the shipped one does: it takes up to 100 jobs, gathers reports the longer the more it holds,
reports each step of each job, says what it holds, repeats nothing that was answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bench.house import THETA, House, TurnedTime, agent_caller
from chalicelib.core.ids import JobNumber
from chalicelib.core.job import State
from chalicelib.core.sync import MOST_REPORTS, read_sync

TAKE = 100
TAIL = "step 1000 of 1000, energy -1.2345e+04\n" * 10
"""What the job printed at its end: 380 bytes."""
QUEUED_FOR = timedelta(seconds=30)
SWEEP = timedelta(minutes=1)
LONGEST = timedelta(days=2)


@dataclass(kw_only=True)
class _Held:
    ref: str
    epoch: int
    number: JobNumber
    starts_at: datetime
    ends_at: datetime
    said: str = "leased"


@dataclass(kw_only=True)
class Agent:
    """``ends_at`` tells when a job's process ends, by its number."""

    house: House
    ends_at: Callable[[JobNumber], datetime]
    held: dict[str, _Held] = field(default_factory=dict)
    cleanups: dict[str, int] = field(default_factory=dict)
    next_at: datetime | None = None
    syncs: int = 0

    def sync(self) -> None:
        """One call, and when the next is due."""
        now = self.house.clock.now()
        reports = [self._report(held, now) for held in self.held.values()]
        told = [report for report in reports if report is not None]
        told += [{"job": ref, "epoch": epoch, "event": "cleaned"} for ref, epoch in self.cleanups.items()]
        body = {
            "agent": {"instance": "bench-agent", "version": "0.1.0", "host": "thetalogin1"},
            "take": TAKE,
            "holds": True,
            "holding": [{"job": held.ref, "epoch": held.epoch} for held in self.held.values() if held.said == "leased"],
            "reports": told[:MOST_REPORTS],
        }
        answer = self.house.syncing.sync(agent_caller(), THETA, read_sync(body))
        self.syncs += 1
        for each in answer.answers:
            assert each.result == "recorded", each
            self._answered(each.report.text, each.report.event)
        for lease in answer.leases:
            self._take(lease.job, now)
        self.cleanups |= {str(each.job.ref): each.job.epoch for each in answer.commands if each.word == "cleanup"}
        gathering = min(15.0, max(0.5, len(self.held) / 50))
        self.next_at = now + timedelta(seconds=max(answer.next_seconds, gathering))

    def _take(self, job: Any, now: datetime) -> None:
        starts = now + QUEUED_FOR
        self.held[str(job.ref)] = _Held(
            ref=str(job.ref),
            epoch=job.epoch,
            number=job.ref.number,
            starts_at=starts,
            ends_at=max(starts + timedelta(seconds=1), self.ends_at(job.ref.number)),
        )

    def _report(self, held: _Held, now: datetime) -> dict[str, Any] | None:
        told = {"job": held.ref, "epoch": held.epoch, "native_id": f"7{held.number}", "at": now.isoformat()}
        if held.said == "leased":
            return {**told, "event": "queued"}
        if held.said == "queued" and now >= held.starts_at:
            return {**told, "event": "active"}
        if held.said == "active" and now >= held.ends_at:
            found = [{"item": 0, "kind": "directory", "files": 1, "bytes": 1000}]
            end = {"event": "exited", "exit_code": 0, "outcome": "ok", "tail": TAIL, "outputs": found}
            return {**told, **end}
        return None

    def _answered(self, ref: str, event: str) -> None:
        if event == "cleaned":
            del self.cleanups[ref]
        elif event == "exited":
            del self.held[ref]
        else:
            self.held[ref].said = event


def live(house: House, agent: Agent, numbers: list[JobNumber], user: int = 0) -> None:
    """Turn time from one thing that happens to the next, until every job is completed and cleaned up."""
    clock = house.clock
    assert isinstance(clock, TurnedTime)
    agent.next_at = clock.now()
    limit, sweep_at = clock.now() + LONGEST, clock.now() + SWEEP
    done = 0
    while done < len(numbers):
        for each in house.bell.due():
            house.wake(each)
        if agent.next_at is not None and agent.next_at <= clock.now():
            before = set(agent.cleanups)
            agent.sync()
            done += len(before - set(agent.cleanups))
        if sweep_at <= clock.now():
            house.sweep.run()
            sweep_at += SWEEP
        coming = [each for each in (house.bell.next_at(), agent.next_at, sweep_at) if each is not None]
        clock.at = max(clock.at, min(coming))
        assert clock.at < limit, f"{done} of {len(numbers)} jobs ended"


def check_all_completed(house: House, numbers: list[JobNumber], user: int = 0) -> None:
    """Every job is completed and its directory removed."""
    from bench.house import a_user
    from chalicelib.core.ids import JobRef

    jobs = house.jobs.get_many([JobRef(user=a_user(user), number=number) for number in numbers])
    bad = [job for job in jobs.values() if job.state is not State.COMPLETED or job.cleanup]
    assert len(jobs) == len(numbers), f"{len(numbers) - len(jobs)} jobs are gone"
    assert not bad, bad[0]
