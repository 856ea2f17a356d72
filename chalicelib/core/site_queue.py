"""What a site has to do with a job, told from its status alone.

Both stores index jobs by this answer and a sync checks it again on the status itself: an index may be stale,
the status never is. A site has to do with a job in these cases:

* *lease*: it may begin (``Job.may_begin``), and its user does not want it ended. A lease on it
  changes nothing here, so that to give one, to prolong it and to lose it costs the index no write; whether it lasts
  the status tells. Nor does it tell when a next try may begin: such a job comes after those that need not wait;
* *lease* as well: it is to wait at the scheduler, held, until it may begin, and the scheduler is not known to have it
  (``core.ahead``);
* *cancel*: its user wants it ended, or it has waited for nodes beyond its deadline, and a site has had it, so that only
  the site can say that nothing of it is left at the scheduler; or it has failed while the scheduler held it;
* *order*: its scheduler has it, and its user wants it held, let go or asked for otherwise (``core.orders``);
* *cleanup*: it is completed, and its directory is to be removed; or it was cancelled before it ran, and so is
  what arrived for it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from chalicelib.core.job import Job, State


class Kind(StrEnum):
    """The two questions that a site asks. The words are stored in index keys; do not rename them."""

    LEASE = "lease"
    """May be leased and submitted; the time given with it is the job's age, by which sites take jobs, or when its
    next try may begin."""
    COMMAND = "command"
    """Has a command for the site, since the time given with it, until a report answers it."""


def site_due(job: Job) -> tuple[Kind, datetime] | None:
    """What the job's site has to do with it and from when, or None if nothing."""
    if job.cleanup and job.state in (State.COMPLETED, State.CANCELED):
        return Kind.COMMAND, job.updated_at
    if job.state is State.FAILED:
        return (Kind.COMMAND, job.updated_at) if job.may_be_held else None
    if job.cancel_requested or (job.overdue and job.state in (State.STAGED, State.QUEUED)):
        return (Kind.COMMAND, job.updated_at) if _in_site_hands(job) else None
    if job.orders:
        return Kind.COMMAND, job.updated_at
    return (Kind.LEASE, job.not_before or job.created_at) if job.may_begin or _goes_ahead(job) else None


def _goes_ahead(job: Job) -> bool:
    """Whether the site is to put the job in the queue, or find it there, before it may begin: it can end nothing that
    it does not know. Who knows whether its POST was committed has written something since."""
    return job.may_go_ahead and job.posted is None and job.broken is None and not job.overdue


def rests(job: Job, now: datetime) -> bool:
    """Whether the job waits for the time of its next try."""
    return job.not_before is not None and job.not_before > now


def leased(job: Job, now: datetime) -> bool:
    """Whether a lease on the job lasts."""
    return job.leased_until is not None and job.leased_until > now


def leasable(job: Job, now: datetime) -> bool:
    """Whether the site may be given the job now."""
    due = site_due(job)
    return due is not None and due[0] is Kind.LEASE and not leased(job, now) and not rests(job, now)


def _in_site_hands(job: Job) -> bool:
    """Whether a site may have given the job to its scheduler. An expired lease is no proof that it has not."""
    if job.before_data:
        return job.may_be_held
    given = job.epoch > 0 or job.may_be_held
    return job.submitted or (job.state is State.STAGED and given)
