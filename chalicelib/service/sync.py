"""A site's one call: reports in; answers, leases and commands out.

The agent repeats a report until it has an answer to it, and the service repeats a command until a report
answers that, so a call that was lost in either direction loses nothing. Indexes only hint at what there is to
do: each status is read and changed conditionally.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.desk import InboxItem
from chalicelib.core.document import Document, read_document
from chalicelib.core.errors import Conflict, NotFound
from chalicelib.core.events import Leased
from chalicelib.core.ids import SiteId, UserId
from chalicelib.core.job import Job, State
from chalicelib.core.keys import Caller, site_scope
from chalicelib.core.lifecycle import IllegalTransition
from chalicelib.core.ports.bell import Bell
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.jobs import Jobs, SiteQueue
from chalicelib.core.ports.places import Sites
from chalicelib.core.site_queue import Kind, site_due
from chalicelib.core.sites import LEASE, Site
from chalicelib.core.sync import AgentReport, SyncRequest, detail_of, event_of
from chalicelib.service import fresh
from chalicelib.service.changing import Step, change

log = logging.getLogger(__name__)

OCCUPIED = timedelta(seconds=90)
"""How long an agent keeps its site after a call; the next call comes long before."""

BUSY_SECONDS, IDLE_SECONDS = 2, 5
"""When the agent is to call again: with work in hand, and without."""

MOST_COMMANDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one report: recorded, stale, unknown or refused."""

    report: AgentReport
    result: str
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Something the site is to do about a job."""

    job: Job
    word: str
    directory: str
    paths: tuple[str, ...] | None = None
    unless_ran: bool = False
    """Of a cleanup: remove what was staged, unless the job has run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A job that the site is to submit."""

    job: Job
    document: Document


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
    bell: Bell
    clock: Clock

    def sync(self, caller: Caller, name: SiteId, request: SyncRequest) -> Synced:
        """Take reports, give leases and commands.

        :raises NotFound: the token is not this site's.
        :raises Conflict: another agent has the site.
        """
        if not caller.may(site_scope(name)):
            raise NotFound(f"There is no site {name!r} that this token opens.")
        now = self.clock.now()
        site = self._occupy(name, request, now)
        rung: set[UserId] = set()
        answers = [self._take(site, report, now, rung) for report in request.reports]
        for user in rung:
            self.bell.ring(user)
        self._renew(site, request, now)
        commands = self._commands(site)
        leases = self._lease(site, request, now)
        busy = bool(leases or commands or request.holding or answers)
        return Synced(
            site=site,
            answers=answers,
            leases=leases,
            commands=commands,
            next_seconds=BUSY_SECONDS if busy else IDLE_SECONDS,
        )

    def _occupy(self, name: SiteId, request: SyncRequest, now: datetime) -> Site:
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

    def _take(self, site: Site, report: AgentReport, now: datetime, rung: set[UserId]) -> Answer:
        """Record one report. One that is bad by itself never keeps back the others."""
        job = None if report.ref is None else self.jobs.get(report.ref)
        if job is None or job.site != site.id or job.posted is not None:
            return Answer(report=report, result="unknown")
        if report.epoch != job.epoch:
            return Answer(report=report, result="stale", detail=f"the job's lease is now of epoch {job.epoch}")

        document = self._document(job) if report.event == "exited" else None

        def decide(current: Job) -> tuple[Step, ...]:
            return (Step(event=event_of(report, current, document), detail=detail_of(report)),)

        def fact(changed: Job) -> InboxItem | None:
            ended = changed.state in (State.STAGE_OUT, State.FAILED)
            return fresh.inbox_item(now, (changed.ref.number,)) if ended else None

        try:
            changed = change(self.jobs, job, decide, now, settle=False, fact=fact)
        except IllegalTransition as bug:
            # Not log.exception: the cause tells the job's whole story, and the stack would add only this file.
            log.error("report refused", extra={"fields": {"site": site.id, "cause": str(bug)}})  # noqa: TRY400
            return Answer(report=report, result="refused", detail=f"{report.event} cannot follow {job.state}")
        if changed is not None and (changed.state is State.STAGE_OUT or (changed.state.final and changed.awaited)):
            rung.add(job.ref.user)
        return Answer(report=report, result="recorded")

    def _renew(self, site: Site, request: SyncRequest, now: datetime) -> None:
        """Prolong the leases that the agent still works on, when half of one is over."""
        held = dict(request.holding)
        for ref, job in self.jobs.get_many(list(held)).items():
            ours = job.site == site.id and job.state is State.STAGED and job.epoch == held[ref] and job.hold is None
            if ours and job.leased_until is not None and job.leased_until - now < LEASE / 2:
                change(self.jobs, job, lambda current: (_prolong(current, now),), now, settle=False)

    def _commands(self, site: Site) -> list[Command]:
        refs = self.queue.commanded(site.id, MOST_COMMANDS)
        found = self.jobs.get_many(list(refs))
        return [self._command(site, found[ref]) for ref in refs if ref in found and _commanded(found[ref])]

    def _command(self, site: Site, job: Job) -> Command:
        directory = site.job_directory(job.ref.user, job.directory_name())
        if job.state is State.CANCELED:
            return Command(job=job, word="cleanup", directory=directory, unless_ran=True)
        if job.state is not State.COMPLETED:
            return Command(job=job, word="cancel", directory=directory)
        cleanup = self._document(job).cleanup
        paths = cleanup if isinstance(cleanup, tuple) else None
        return Command(job=job, word="cleanup", directory=directory, paths=paths)

    def _lease(self, site: Site, request: SyncRequest, now: datetime) -> list[Lease]:
        """Lease jobs, each by a conditional write, so that two calls never get the same.

        A site has one agent. A job that is leased, and that this agent does not say it holds, was in an answer
        that got lost: it is given again under the same epoch.
        """
        held = {ref for ref, _ in request.holding}
        refs = self.queue.leasable(site.id, request.take + len(held), now + LEASE) if request.take else ()
        leases: list[Lease] = []
        for ref, job in self.jobs.get_many([ref for ref in refs if ref not in held][: request.take]).items():
            taken = self._lease_one(job, now)
            if taken is not None:
                leases.append(Lease(job=taken, document=self._document(taken)))
                log.info("job leased", extra={"fields": {"site": site.id, "job": str(ref), "epoch": taken.epoch}})
        return leases

    def _lease_one(self, job: Job, now: datetime) -> Job | None:
        """The job under a lease that this call may give away; None if it is not to be had."""

        def decide(current: Job) -> tuple[Step, ...]:
            due = site_due(current)
            wanted = due is not None and due[0] is Kind.LEASE and due[1] <= now
            return (Step(event=Leased(epoch=current.epoch + 1, until=now + LEASE)),) if wanted else ()

        taken = change(self.jobs, job, decide, now, settle=False)
        leased = taken is not None and taken.state is State.STAGED and taken.leased_until is not None
        return taken if leased and taken is not None and not taken.cancel_requested else None

    def _document(self, job: Job) -> Document:
        return read_document(dict(self.jobs.documents([(job.ref, job.revision)])[job.ref]))


def _prolong(job: Job, now: datetime) -> Step:
    return Step(event=Leased(epoch=job.epoch, until=now + LEASE))


def _commanded(job: Job) -> bool:
    due = site_due(job)
    return due is not None and due[0] is Kind.COMMAND
