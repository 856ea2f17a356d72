"""A site's one call: reports in; answers, leases and commands out.

The agent repeats a report until it has an answer to it, and the service repeats a command until a report
answers that, so a call that was lost in either direction loses nothing. Indexes only hint at what there is to
do: each status is read and changed conditionally.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.errors import Conflict, NotFound
from chalicelib.core.ids import JobNumber, JobRef, SiteId, UserId
from chalicelib.core.job import Job, State
from chalicelib.core.keys import Caller, site_scope
from chalicelib.core.ports.bell import Bell
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.desks import Desks
from chalicelib.core.ports.jobs import Jobs, SiteQueue
from chalicelib.core.ports.places import Sites
from chalicelib.core.sites import Site
from chalicelib.core.sync import AgentReport, SyncRequest, reads_document
from chalicelib.core.turns import MOST_COMMANDS
from chalicelib.service import fresh
from chalicelib.service.changing import change_many
from chalicelib.service.commanding import Command, Commanding
from chalicelib.service.doors import Doors
from chalicelib.service.leasing import Lease, Leasing, wanted
from chalicelib.service.papers import papers
from chalicelib.service.readings import Answer, Reading, read_reports

log = logging.getLogger(__name__)

OCCUPIED = timedelta(seconds=90)
"""How long an agent keeps its site after a call; the next call comes long before."""

BUSY_SECONDS, IDLE_SECONDS = 2, 5
"""When the agent is to call again: with work in hand, and without."""

WRITTEN_WITHIN = timedelta(seconds=60)
"""How long the statuses of announced ends may be on their way: longer than the function that writes them can live."""

ENDED = frozenset({State.STAGE_OUT, State.FAILED})
"""What an ended job is for the planner to go on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """The answer to a sync."""

    site: Site
    answers: Sequence[Answer]
    leases: Sequence[Lease]
    commands: Sequence[Command]
    next_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Syncing:
    """Serves the agents of sites."""

    sites: Sites
    jobs: Jobs
    queue: SiteQueue
    desks: Desks
    bell: Bell
    clock: Clock
    doors: Doors

    def sync(self, caller: Caller, name: SiteId, request: SyncRequest) -> Synced:
        """Take reports, give leases and commands.

        :raises NotFound: the token is not this site's.
        :raises Conflict: another agent has the site.
        """
        if not caller.may(site_scope(name)):
            raise NotFound(f"There is no site {name!r} that this token opens.")
        now = self.clock.now()
        site = self._occupy(name, request, now)
        answers = self._take(site, request.reports, now)
        leasing = Leasing(jobs=self.jobs, queue=self.queue, doors=self.doors)
        leasing.renew(site, request, now)
        due = self.queue.due(site.id, commands=MOST_COMMANDS, leases=wanted(request))
        commands = Commanding(jobs=self.jobs, queue=self.queue).commands(site, due.commanded, now)
        # One or the other: an answer holds no more leases than it ever does.
        strays = bool(request.strays)
        leases = leasing.follow(site, request) if strays else leasing.lease(site, due.leasable, request, now)
        busy = bool(leases or commands or request.holding or answers)
        return Synced(
            site=site,
            answers=answers,
            leases=leases,
            commands=commands,
            next_seconds=BUSY_SECONDS if busy else IDLE_SECONDS,
        )

    def _occupy(self, name: SiteId, request: SyncRequest, now: datetime) -> Site:
        site = self.sites.get(name)
        if site is None or not _occupied_by(site, request.instance, now + OCCUPIED / 2):
            site = self.sites.occupy(name, request.instance, request.host, now + OCCUPIED, now)
        if site is None:
            raise NotFound(f"There is no site {name!r} that this token opens.")
        if site.agent != request.instance:
            until = site.agent_until or now
            seconds = max(1, int((until - now).total_seconds()))
            raise Conflict(
                "agent-busy",
                f"an agent on {site.agent_host} serves this site until {until:%Y-%m-%dT%H:%M:%SZ}; there can be one",
                retry_after=seconds,
            )
        return site

    def _take(self, site: Site, reports: Sequence[AgentReport], now: datetime) -> list[Answer]:
        """Record the reports, those of a job in one write.

        The order is that of an announced fact (``core.desk``): their users' desks are told which jobs may end, the
        statuses are written one by one, and the bell rings. An agent that gets no answer reports again.
        """
        told: dict[JobRef, list[AgentReport]] = defaultdict(list)
        for report in reports:
            if report.ref is not None:
                told[report.ref].append(report)
        readings = self._read_reports(site, told, now, strong=False)
        # What changes is written on the condition of what was read. That a report changes nothing, or cannot be, is
        # believed only of a strong read.
        unsure = {ref: told[ref] for ref in told if ref not in readings or not readings[ref].changes}
        if unsure:
            readings |= self._read_reports(site, unsure, now, strong=True)
        for reading in readings.values():
            for bug in reading.bugs:
                log.error("report refused", extra={"fields": {"site": site.id, "cause": str(bug)}})
        changing = [reading for reading in readings.values() if reading.after is not reading.job]
        users = self._announce([reading.job.ref for reading in changing if _is_news(reading.after)], now)
        change_many(self.jobs, [(reading.job, reading.deciding(now)) for reading in changing], now, settle=False)
        for user in users:
            self.bell.ring(user)
        answered = {id(answer.report): answer for reading in readings.values() for answer in reading.answers}
        return [answered.get(id(report)) or Answer(report=report, result="unknown") for report in reports]

    def _read_reports(
        self, site: Site, told: Mapping[JobRef, Sequence[AgentReport]], now: datetime, *, strong: bool
    ) -> dict[JobRef, Reading]:
        """What the reports mean for those of these jobs that are the site's."""
        found = self.jobs.get_many(list(told), strong=strong)
        jobs = [job for job in found.values() if job.site == site.id and job.posted is None]
        read = papers(self.jobs, [job for job in jobs if any(reads_document(each) for each in told[job.ref])])
        return {job.ref: read_reports(job, told[job.ref], read, now) for job in jobs}

    def _announce(self, ended: Sequence[JobRef], now: datetime) -> list[UserId]:
        """Tell the planners which jobs are about to end; returns their users."""
        numbers: dict[UserId, list[JobNumber]] = defaultdict(list)
        for ref in sorted(ended):
            numbers[ref.user].append(ref.number)
        for user, theirs in numbers.items():
            self.desks.record(user, fresh.inbox_item(now, tuple(theirs), until=now + WRITTEN_WITHIN), now)
        return list(numbers)


def _is_news(job: Job) -> bool:
    """Whether the planner is to hear of what has become of the job. It is to, of any end that others await."""
    return job.state in ENDED or job.before_data or (job.state.final and job.awaited)


def _occupied_by(site: Site, instance: str, until: datetime) -> bool:
    """Whether the site is this agent's until then at least: to say so again would be a write for nothing."""
    return site.agent == instance and site.agent_until is not None and site.agent_until >= until
