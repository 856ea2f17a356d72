"""What a user does with jobs that exist: look at them, list them, cancel, hold, release, alter, retry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.core.desk import Desk
from chalicelib.core.document import read_document
from chalicelib.core.errors import Conflict, Fault, Invalid, NotFound
from chalicelib.core.events import CancelRequested, Event, HoldPlaced, HoldReleased, TriedAgain
from chalicelib.core.holdings import Holding
from chalicelib.core.holds import Hold
from chalicelib.core.ids import JobNumber, JobRef, SiteId, UserId
from chalicelib.core.job import Job, State
from chalicelib.core.keys import Caller
from chalicelib.core.lifecycle import allows
from chalicelib.core.logins import LoginRequest
from chalicelib.core.ports.bell import Bell
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.desks import Desks
from chalicelib.core.ports.jobs import Jobs, Page, Postings, Tale, Wanted
from chalicelib.core.ports.places import Sites
from chalicelib.core.retrying import try_by_hand
from chalicelib.core.site_queue import leasable
from chalicelib.core.sites import Site
from chalicelib.service import fresh
from chalicelib.service.allowance import Allowance
from chalicelib.service.altering import alter
from chalicelib.service.changing import Step, change
from chalicelib.service.commitment import committed
from chalicelib.service.doors import Doors
from chalicelib.service.outlooks import Outlooks, Prospect
from chalicelib.service.targets import note_targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A job with what its answer is made of. ``document`` and ``exited`` only where one job was asked for."""

    job: Job
    desk: Desk
    site: Site | None
    document: Mapping[str, Any] | None = None
    told: Tale | None = None
    exited: Tale | None = None
    prospect: Prospect | None = None
    """Whether the login session lasts; None for a job that is final."""
    door: LoginRequest | None = None
    """The login that its site demands before it takes the job; None unless that is all the job waits for there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A job's trail with the tales that belong to it."""

    job: Job
    tales: Mapping[int, Tale]


@dataclass(frozen=True, slots=True, kw_only=True)
class ManageJobs:
    """The verbs on jobs. Another user's job cannot be addressed: the caller is part of the key."""

    jobs: Jobs
    postings: Postings
    desks: Desks
    sites: Sites
    allowance: Allowance
    bell: Bell
    clock: Clock
    outlooks: Outlooks
    doors: Doors

    def show(self, caller: Caller, number: JobNumber) -> Seen:
        """One job, whole."""
        job = self._get(caller, number)
        return self._seen_whole(job)

    def page(self, caller: Caller, wanted: Wanted, limit: int, marker: str | None) -> tuple[Sequence[Seen], str | None]:
        """A page of the caller's jobs, newest first."""
        try:
            page = self.jobs.list(caller.user, wanted, limit, marker)
        except ValueError:
            raise Invalid((Fault("?marker", "is not a marker of an earlier page"),)) from None
        shown = self._committed(caller.user, page)
        desk = self._desk(caller.user)
        sites: dict[SiteId, Site | None] = {name: self.sites.get(name) for name in {job.site for job in shown}}
        prospects = self._prospects(caller.user, [(job, sites[job.site]) for job in shown])
        doors = self._doors(caller.user, [(job, sites[job.site]) for job in shown])
        return [
            Seen(
                job=job,
                desk=desk,
                site=sites[job.site],
                prospect=prospects.get(job.ref.number),
                door=doors.get(job.ref.number),
                told=self._refusal(job),
            )
            for job in shown
        ], page.marker

    def story(self, caller: Caller, number: JobNumber) -> Story:
        """Everything that happened to a job."""
        job = self._get(caller, number)
        return Story(job=job, tales={tale.version: tale for tale in self.jobs.tales(job.ref) if _belongs(job, tale)})

    def cancel(self, caller: Caller, number: JobNumber) -> tuple[Seen, bool]:
        """Ask for the end of a job; the flag tells whether there is still something to end."""
        job = self._wish(self._get(caller, number), CancelRequested())
        return self._seen_whole(job), not job.state.final

    def hold(self, caller: Caller, number: JobNumber, kind: Hold = Hold.RUN) -> Seen:
        """Keep a job from being given to the scheduler; of kind STAGING, keep its inputs back as well. One that the
        scheduler has is held there, by its site's next sync."""
        return self._seen_whole(self._wish(self._get(caller, number), HoldPlaced(hold=kind)))

    def release(self, caller: Caller, number: JobNumber) -> Seen:
        """End a hold."""
        return self._seen_whole(self._wish(self._get(caller, number), HoldReleased()))

    def alter(self, caller: Caller, number: JobNumber, patch: object) -> Seen:
        """Change a job's document by a JSON merge patch; see ``core.altering`` for what may be changed when.

        :raises Invalid: every fault of the document as it would be.
        :raises Conflict: names each field that cannot be changed now, and the job's state.
        :raises Forbidden, LoginNeeded: the site would not take the job by this key, or from this sign-in.
        """
        if not isinstance(patch, dict):
            raise Invalid((Fault("", "must be an object: a JSON merge patch of the job's document"),))
        job = self._get(caller, number)
        self._check_door(caller, job)
        changed = alter(
            job,
            patch,
            jobs=self.jobs,
            postings=self.postings,
            sites=self.sites,
            allowance=self.allowance,
            clock=self.clock,
        )
        if changed is not job:
            self.bell.ring(job.ref.user)
        return self._seen_whole(changed)

    def retry(self, caller: Caller, number: JobNumber) -> Seen:
        """Try a failed job again from what failed of it, whatever its policy says.

        :raises Conflict: it has not failed, what its scheduler held is still being removed, or its outputs would go
            where a live job's go by now.
        :raises TooMany: it would be one live job more than the caller may have.
        """
        job = self._get(caller, number)
        if job.state is not State.FAILED:
            raise Conflict("not-failed", f"job {number} is {job.state}: only a failed job is tried again")
        if job.may_be_held:
            words = f"what the site's scheduler held for job {number} is being removed: try it again when that is done"
            raise Conflict("removal-open", words)
        self._check_door(caller, job)
        document = read_document(dict(self.jobs.documents([(job.ref, job.revision)])[job.ref]))
        now = self.clock.now()
        more = Holding(jobs=1, bytes=job.size)
        self.allowance.check(caller.user, more)
        note_targets(self.jobs, self.postings, job, document, now)
        self.allowance.take(caller.user, more, number)
        again = try_by_hand(job, cleanup=bool(document.cleanup))
        return self._seen_whole(self._wish(job, again))

    def _check_door(self, caller: Caller, job: Job) -> None:
        """What makes the site run something else, or again, takes what a submission to it takes."""
        site = self.sites.get(job.site)
        self.doors.check(caller, [] if site is None else [site], self.clock.now())

    def _wish(self, job: Job, event: Event) -> Job:
        """Write a user's wish down, and have the planner look at it. The planner alone ends jobs."""
        now = self.clock.now()

        def decide(current: Job) -> tuple[Step, ...]:
            # What a final job has lived past changes nothing; another try is of a failed job alone.
            if (not current.state.final or isinstance(event, TriedAgain)) and not allows(current.state, type(event)):
                raise Conflict("too-late", f"job {current.ref.number} is {current.state}: its run has begun")
            ending = current.cancel_requested or current.overdue
            if ending and current.state is State.QUEUED and isinstance(event, HoldPlaced):
                raise Conflict("too-late", f"job {current.ref.number} is being ended")
            return (Step(event=event),)

        def fact(changed: Job) -> Any:
            return fresh.inbox_item(now, (changed.ref.number,))

        changed = change(self.jobs, job, decide, now, settle=False, fact=fact)
        if changed is None:
            raise NotFound(f"There is no job {job.ref.number}.")
        if changed is not job:
            self.bell.ring(job.ref.user)
        return changed

    def _get(self, caller: Caller, number: JobNumber) -> Job:
        job = self.jobs.get(JobRef(user=caller.user, number=number))
        if job is None or not self._is_committed(job):
            raise NotFound(f"You have no job {number}.")
        return job

    def _committed(self, user: UserId, page: Page) -> list[Job]:
        return committed(self.postings, user, page.jobs)

    def _is_committed(self, job: Job) -> bool:
        return bool(committed(self.postings, job.ref.user, [job]))

    def _prospects(self, user: UserId, jobs: Sequence[tuple[Job, Site | None]]) -> Mapping[JobNumber, Prospect]:
        live = [(job, site) for job, site in jobs if not job.state.final]
        return self.outlooks.of(user, live, self.clock.now())

    def _doors(self, user: UserId, jobs: Sequence[tuple[Job, Site | None]]) -> Mapping[JobNumber, LoginRequest]:
        """Of the jobs that are ready to be given to their site, those that its demands keep back."""
        now = self.clock.now()
        ready = [(job, site) for job, site in jobs if leasable(job, now)]
        waits = self.doors.waits(user, [site for _, site in ready], now)
        return {job.ref.number: waits[job.site] for job, _ in ready if job.site in waits}

    def _refusal(self, job: Job) -> Tale | None:
        """The words by which a site refused what was wanted of a job that goes on; there are few such jobs."""
        if job.error is None or job.told is None or job.state.final:
            return None
        return self.jobs.tale(job.ref, job.told)

    def _desk(self, user: UserId) -> Desk:
        return self.desks.read(user) or Desk(user=user)

    def _seen_whole(self, job: Job) -> Seen:
        site = self.sites.get(job.site)
        return Seen(
            job=job,
            desk=self._desk(job.ref.user),
            site=site,
            prospect=self._prospects(job.ref.user, [(job, site)]).get(job.ref.number),
            door=self._doors(job.ref.user, [(job, site)]).get(job.ref.number),
            document=self.jobs.documents([(job.ref, job.revision)])[job.ref],
            told=None if job.told is None else self.jobs.tale(job.ref, job.told),
            exited=None if job.exited is None else self.jobs.tale(job.ref, job.exited),
        )


def _belongs(job: Job, tale: Tale) -> bool:
    """Whether the event that made the version is the tale's: somebody else may have lost the race for it."""
    return all(mark.code == tale.code for mark in job.trail if mark.version == tale.version)
