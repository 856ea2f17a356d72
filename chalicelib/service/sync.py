"""A site's one call: reports in; answers, leases and commands out.

The agent repeats a report until it has an answer to it, and the service repeats a command until a report
answers that, so a call that was lost in either direction loses nothing. Indexes only hint at what there is to
do: each status is read and changed conditionally.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.document import Document, read_document
from chalicelib.core.errors import Conflict, NotFound
from chalicelib.core.events import Leased
from chalicelib.core.ids import JobNumber, JobRef, SiteId, UserId
from chalicelib.core.job import Job, State
from chalicelib.core.keys import Caller, site_scope
from chalicelib.core.orders import Order
from chalicelib.core.ports.bell import Bell
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.desks import Desks
from chalicelib.core.ports.jobs import Jobs, SiteQueue
from chalicelib.core.ports.places import Sites
from chalicelib.core.site_queue import Kind, leasable, leased, site_due
from chalicelib.core.sites import LEASE, Site
from chalicelib.core.sync import AgentReport, SyncRequest, reads_document
from chalicelib.service import fresh
from chalicelib.service.changing import Step, change_many
from chalicelib.service.doors import Doors
from chalicelib.service.readings import Answer, Papers, Reading, read_reports

log = logging.getLogger(__name__)

OCCUPIED = timedelta(seconds=90)
"""How long an agent keeps its site after a call; the next call comes long before."""

BUSY_SECONDS, IDLE_SECONDS = 2, 5
"""When the agent is to call again: with work in hand, and without."""

MOST_COMMANDS = 100

LOOK_AHEAD = 1000
"""Jobs that one call looks at where a site's demands keep some of them back."""

MOST_ASKED = 100
"""Users whose sign-in one call looks at."""

WRITTEN_WITHIN = timedelta(seconds=60)
"""How long the statuses of announced ends may be on their way: longer than the function that writes them can live."""

ENDED = frozenset({State.STAGE_OUT, State.FAILED})
"""What an ended job is for the planner to go on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Something the site is to do about a job."""

    job: Job
    word: str
    directory: str
    paths: tuple[str, ...] | None = None
    unless_ran: bool = False
    """Leave the job alone if it has begun to run: of a cleanup, remove only what was staged for it."""
    order: Order | None = None
    """Of an order to the scheduler: which one it is."""


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
        self._renew(site, request, now)
        held = {ref for ref, _ in request.holding}
        # What an agent does not know how to hold keeps it from nothing else.
        take = request.take if request.holds else min(request.take, 1) * LOOK_AHEAD
        wanted = take + len(held) if take else 0
        due = self.queue.due(site.id, commands=MOST_COMMANDS, leases=wanted)
        commands = self._commands(site, due.commanded)
        leases = self._lease(site, self._next(site, due.leasable, take, held, now), request, now)
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
        papers = self._papers([job for job in jobs if any(reads_document(each) for each in told[job.ref])])
        return {job.ref: read_reports(job, told[job.ref], papers, now) for job in jobs}

    def _announce(self, ended: Sequence[JobRef], now: datetime) -> list[UserId]:
        """Tell the planners which jobs are about to end; returns their users."""
        numbers: dict[UserId, list[JobNumber]] = defaultdict(list)
        for ref in sorted(ended):
            numbers[ref.user].append(ref.number)
        for user, theirs in numbers.items():
            self.desks.record(user, fresh.inbox_item(now, tuple(theirs), until=now + WRITTEN_WITHIN), now)
        return list(numbers)

    def _renew(self, site: Site, request: SyncRequest, now: datetime) -> None:
        """Prolong the leases that the agent still works on, when half of one is over."""
        # What is reported in this call is at the scheduler, or is no more.
        told = {report.ref for report in request.reports}
        held = {ref: epoch for ref, epoch in request.holding if ref not in told}
        late = [
            job
            for ref, job in self.jobs.get_many(list(held)).items()
            if job.site == site.id and _leasable(job) and job.epoch == held[ref]
            if job.leased_until is not None and job.leased_until - now < LEASE / 2
        ]
        change_many(self.jobs, [(job, lambda current: _prolong(current, now)) for job in late], now, settle=False)

    def _commands(self, site: Site, refs: Sequence[JobRef]) -> list[Command]:
        # A status that has been replaced since repeats a command, which an agent may be told any number of times; but
        # an order to the scheduler may have been followed by its opposite.
        found = dict(self.jobs.get_many(refs, strong=False))
        found |= self.jobs.get_many([ref for ref, job in found.items() if job.orders])
        jobs = [found[ref] for ref in refs if ref in found and _commanded(found[ref])]
        documents = self._documents([job for job in jobs if job.state is State.COMPLETED])
        return [each for job in jobs for each in self._of_job(site, job, documents.get(job.ref))]

    def _of_job(self, site: Site, job: Job, document: Document | None) -> list[Command]:
        directory = site.job_directory(job.ref.user, job.directory_name())
        if job.orders:
            return [Command(job=job, word=each.verb, directory=directory, order=each) for each in job.orders]
        return [self._command(job, directory, document)]

    def _command(self, job: Job, directory: str, document: Document | None) -> Command:
        if job.state is State.CANCELED:
            return Command(job=job, word="cleanup", directory=directory, unless_ran=True)
        if job.state is not State.COMPLETED:
            # What is only late runs on if it has begun meanwhile.
            return Command(
                job=job,
                word="cancel",
                directory=directory,
                unless_ran=job.state is not State.FAILED and not job.cancel_requested,
            )
        assert document is not None, "the documents of completed jobs have been read"
        cleanup = document.cleanup
        paths = cleanup if isinstance(cleanup, tuple) else None
        return Command(job=job, word="cleanup", directory=directory, paths=paths)

    def _lease(self, site: Site, refs: Sequence[JobRef], request: SyncRequest, now: datetime) -> list[Lease]:
        """Lease jobs, each by a conditional write, so that two calls never get the same.

        A site has one agent. A job that is leased, and that this agent does not say it holds, was in an answer
        that got lost: it is given again under the same epoch.
        """
        found = dict(self.jobs.get_many(refs, strong=False))
        # A new lease is written on the condition of what was read; one that is given again is not written.
        found |= self.jobs.get_many([ref for ref, job in found.items() if _leasable(job) and leased(job, now)])
        some = [job for job in found.values() if request.holds or job.state is State.STAGED][: request.take]

        def decide(current: Job) -> tuple[Step, ...]:
            wanted = leasable(current, now)
            return (Step(event=Leased(epoch=current.epoch + 1, until=now + LEASE)),) if wanted else ()

        changed = change_many(self.jobs, [(job, decide) for job in some], now, settle=False)
        taken = [job for job in changed if job is not None and _leasable(job) and leased(job, now)]
        documents = self._documents(taken)
        for job in taken:
            log.info("job leased", extra={"fields": {"site": site.id, "job": str(job.ref), "epoch": job.epoch}})
        return [Lease(job=job, document=documents[job.ref]) for job in taken]

    def _next(
        self, site: Site, refs: Sequence[JobRef], take: int, held: Set[JobRef], now: datetime
    ) -> Sequence[JobRef]:
        """The next ``take`` jobs that the site may be given, of the oldest and those behind them. Those of users who
        do not meet its demands are passed over, so that they keep nobody waiting; each user's profile is read once."""
        if not site.demands.sign_in:
            return [ref for ref in refs if ref not in held][:take]
        serves: dict[UserId, bool] = {}

        def fits(ref: JobRef) -> bool:
            if ref.user not in serves and len(serves) < MOST_ASKED:
                serves[ref.user] = self.doors.serves(ref.user, site, now)
            return serves.get(ref.user, False)

        good = [ref for ref in refs if ref not in held and fits(ref)][:take]
        if len(good) < take <= len(refs) - len(held):
            ahead = self.queue.due(site.id, commands=0, leases=LOOK_AHEAD + len(held)).leasable
            good = [ref for ref in ahead if ref not in held and fits(ref)][:take]
        return good

    def _papers(self, jobs: Sequence[Job]) -> Papers:
        """A reader of documents, which has read those of these jobs."""
        found = self._documents(jobs)
        read = {(job.ref, job.revision): found[job.ref] for job in jobs}

        def document(job: Job) -> Document:
            # That of another revision is called for where the job was altered since.
            return read.get((job.ref, job.revision)) or self._documents([job])[job.ref]

        return document

    def _documents(self, jobs: Sequence[Job]) -> Mapping[JobRef, Document]:
        found = self.jobs.documents([(job.ref, job.revision) for job in jobs]) if jobs else {}
        return {ref: read_document(dict(raw)) for ref, raw in found.items()}


def _is_news(job: Job) -> bool:
    """Whether the planner is to hear of what has become of the job. It is to, of any end that others await."""
    before_data = job.state in (State.NEW, State.STAGE_IN)
    return job.state in ENDED or before_data or (job.state.final and job.awaited)


def _occupied_by(site: Site, instance: str, until: datetime) -> bool:
    """Whether the site is this agent's until then at least: to say so again would be a write for nothing."""
    return site.agent == instance and site.agent_until is not None and site.agent_until >= until


def _leasable(job: Job) -> bool:
    due = site_due(job)
    return due is not None and due[0] is Kind.LEASE


def _prolong(job: Job, now: datetime) -> tuple[Step, ...]:
    """Keep a lease, unless the job has been taken back since it was read."""
    kept = job.state is State.STAGED and job.hold is None and not job.parents
    return (Step(event=Leased(epoch=job.epoch, until=now + LEASE)),) if kept else ()


def _commanded(job: Job) -> bool:
    due = site_due(job)
    return due is not None and due[0] is Kind.COMMAND
