"""Which jobs a site is given to submit, and for how long they are its own.

The index only hints at them: each lease is a conditional write, so that two calls never make the same.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from chalicelib.core.document import Document
from chalicelib.core.events import Leased
from chalicelib.core.ids import JobRef, UserId
from chalicelib.core.job import Job
from chalicelib.core.ports.jobs import Jobs, SiteQueue
from chalicelib.core.site_queue import Kind, leasable, leased, site_due
from chalicelib.core.sites import LEASE, Site
from chalicelib.core.sync import SyncRequest
from chalicelib.service.changing import TOGETHER, Step, change_many
from chalicelib.service.doors import Doors
from chalicelib.service.papers import documents

log = logging.getLogger(__name__)

LOOK_AHEAD = 1000
"""Jobs that one call looks at where some of them are not for its agent."""

MOST_ASKED = 100
"""Users whose sign-in one call looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A job that the site is to submit."""

    job: Job
    document: Document


def wanted(request: SyncRequest) -> int:
    """How many jobs the queue is asked for: what the agent holds already may be among them."""
    return request.take + len(request.holding) if request.take else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Leasing:
    """Gives leases, and prolongs them."""

    jobs: Jobs
    queue: SiteQueue
    doors: Doors

    def renew(self, site: Site, request: SyncRequest, now: datetime) -> None:
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

    def lease(self, site: Site, refs: Sequence[JobRef], request: SyncRequest, now: datetime) -> list[Lease]:
        """Lease jobs, each by a conditional write, so that two calls never get the same.

        A site has one agent. A job that is leased, and that this agent does not say it holds, was in an answer
        that got lost: it is given again under the same epoch.
        """

        def decide(current: Job) -> tuple[Step, ...]:
            free = leasable(current, now)
            return (Step(event=Leased(epoch=current.epoch + 1, until=now + LEASE)),) if free else ()

        some = self._next(site, refs, request, now)
        changed = change_many(self.jobs, [(job, decide) for job in some], now, settle=False)
        taken = [job for job in changed if job is not None and _leasable(job) and leased(job, now)]
        read = documents(self.jobs, taken)
        for job in taken:
            log.info("job leased", extra={"fields": {"site": site.id, "job": str(job.ref), "epoch": job.epoch}})
        return [Lease(job=job, document=read[job.ref]) for job in taken]

    def follow(self, site: Site, request: SyncRequest) -> list[Lease]:
        """The leases, as they stand, of jobs at the scheduler that the agent has found and has no record of.

        Nothing is written: the agent that had them is no more, for a site has one, and what this one reports is what
        that one would have.
        """
        found = self.jobs.get_many(list(request.strays)).values()
        lost = [job for job in found if job.site == site.id and job.submitted]
        read = documents(self.jobs, lost)
        for job in lost:
            log.warning("job followed again", extra={"fields": {"site": site.id, "job": str(job.ref)}})
        return [Lease(job=job, document=read[job.ref]) for job in lost]

    def _next(self, site: Site, refs: Sequence[JobRef], request: SyncRequest, now: datetime) -> list[Job]:
        """The next jobs that the agent may be given, of the oldest and those behind them.

        What is not for it keeps it from nothing else, and costs nothing where there is none of it: the statuses of as
        many are read as it takes, and of more where among these are jobs that it does not know how to hold.
        """
        ahead, good = self._candidates(site, refs, request, now), list[Job]()
        count = request.take
        while len(good) < request.take and (some := list(islice(ahead, count))):
            good += [job for job in self._read(some, now) if request.holds or job.may_begin]
            count = TOGETHER
        return good[: request.take]

    def _read(self, refs: Sequence[JobRef], now: datetime) -> list[Job]:
        found = dict(self.jobs.get_many(refs, strong=False))
        # A new lease is written on the condition of what was read; one that is given again is not written.
        found |= self.jobs.get_many([ref for ref, job in found.items() if _leasable(job) and leased(job, now)])
        return list(found.values())

    def _candidates(self, site: Site, refs: Sequence[JobRef], request: SyncRequest, now: datetime) -> Iterator[JobRef]:
        """What the queue has for the site and its agent does not hold. Jobs of users who do not meet its demands are
        passed over, so that they keep nobody waiting; each user's profile is read once."""
        seen = {ref for ref, _ in request.holding}
        serves: dict[UserId, bool] = {}

        def fits(ref: JobRef) -> bool:
            if not site.demands.sign_in:
                return True
            if ref.user not in serves and len(serves) < MOST_ASKED:
                serves[ref.user] = self.doors.serves(ref.user, site, now)
            return serves.get(ref.user, False)

        yield from (ref for ref in refs if ref not in seen and fits(ref))
        if refs and len(refs) >= wanted(request):
            behind = self.queue.due(site.id, commands=0, leases=LOOK_AHEAD + len(seen)).leasable
            seen |= set(refs)
            yield from (ref for ref in behind if ref not in seen and fits(ref))


def _leasable(job: Job) -> bool:
    due = site_due(job)
    return due is not None and due[0] is Kind.LEASE


def _prolong(job: Job, now: datetime) -> tuple[Step, ...]:
    """Keep a lease, unless the job has been taken back since it was read."""
    return (Step(event=Leased(epoch=job.epoch, until=now + LEASE)),) if job.may_begin else ()
