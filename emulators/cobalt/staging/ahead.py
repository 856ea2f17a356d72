"""qstage just in time in a replay: the job waits at the scheduler, held, from the beginning.

The agent submits it held in the round after it was posted, reports in the next when the scheduler expects it to start,
looks again every ``LOOK`` seconds, and reports what is news. ``chalicelib.core.just_in_time`` says when its inputs set
out; in the first round after they have arrived the agent releases it. What it lost of its score while it was held is
the scheduler's policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from chalicelib.core.due import due
from chalicelib.core.events import HeldAhead, Leased, StagingDue
from chalicelib.core.ids import JobNumber
from chalicelib.core.just_in_time import begin_at, usual_time, ways_in
from chalicelib.core.progress import waits_for_start
from chalicelib.core.sites import LEASE
from emulators.cobalt.estimates import Estimate
from emulators.cobalt.replay.machine import Machine
from emulators.cobalt.staging.planner import Desk, Planner, moment
from emulators.cobalt.staging.site import AHEAD, SITE
from emulators.cobalt.staging.transfers import Transfers
from emulators.cobalt.staging.trips import Trip

LOOK = 60.0
"""Seconds between two looks at all estimates."""

LEAST_NEWS, NEWS_SHARE = 300.0, 0.25
"""An estimate is news if it differs by so many seconds, and by this share of what was left. So says the agent."""


class Looks:
    """What the agent has reported of the jobs that the scheduler holds; ``how`` the scheduler estimates."""

    def __init__(self, how: Estimate) -> None:
        self.how = how
        self.due_at = 0.0
        self._told: dict[int, float] = {}

    def news(self, machine: Machine, held: Mapping[int, object], now: float) -> dict[int, float]:
        """Look, if it is time to, and return what is to be reported: at first, all of it."""
        late = self.due_at <= now
        if not held or not (late or any(jobid not in self._told for jobid in held)):
            return {}
        starts = machine.expected_starts(self.how, now)
        found = {jobid: starts[jobid] for jobid in held if self._is_news(jobid, starts[jobid], now, late=late)}
        self._told |= found
        if late:
            self.due_at = now + LOOK
        return found

    def _is_news(self, jobid: int, at: float, now: float, *, late: bool) -> bool:
        before = self._told.get(jobid)
        return before is None or (late and abs(at - before) >= max(LEAST_NEWS, NEWS_SHARE * (before - now)))


class Ahead(Planner):
    """Stages a job when its start comes near: ``staging: just_in_time``."""

    def __init__(self, transfers: Transfers, how: Estimate) -> None:
        super().__init__(transfers, AHEAD)
        self._looks = Looks(how)
        self._offered: list[tuple[Desk, JobNumber]] = []
        self._held: dict[int, tuple[Desk, JobNumber]] = {}

    def _begin(self, desk: Desk, now: datetime) -> datetime | None:
        """Offer new jobs to the site; let those set out whose start is near. Returns when the next one's is."""
        wakes = []
        for number in sorted(desk.waiting):
            job = desk.jobs[number]
            if waits_for_start(job):
                at = begin_at(job.starts_at, usual_time(desk.plan, ways_in(job, SITE.home)), now)
                if at > now:
                    wakes.append(at)
                else:
                    self._apply(desk, number, StagingDue(), now)
            elif (offered := due(job)) is not None:
                self._apply(desk, number, offered, now)
                self._offered.append((desk, number))
                self._come(now.timestamp())
        return min(wakes, default=None)

    def _sync(self, machine: Machine, now: float) -> None:
        at, heard = moment(now), {}
        for jobid, start in self._looks.news(machine, self._held, now).items():
            desk, number = self._held[jobid]
            epoch = desk.jobs[number].epoch
            report = HeldAhead(epoch=epoch, native_id=str(jobid), starts_at=moment(start))
            self._apply(desk, number, report, at)
            heard[desk.user] = desk
        for desk in heard.values():
            self._fact(desk, at)
        super()._sync(machine, now)
        for desk, number in self._offered:
            trip = desk.trips[number]
            self._apply(desk, number, Leased(epoch=desk.jobs[number].epoch + 1, until=at + LEASE), at)
            machine.submit(trip.job, now, held=True)
            self._held[trip.job.jobid] = desk, number
        if self._held:
            self._come(now + 1 if self._offered else max(self._looks.due_at, now + 1))
        self._offered = []

    def _give(self, machine: Machine, trip: Trip, now: float) -> None:
        del self._held[trip.job.jobid]
        machine.release(trip.job.jobid, now)
