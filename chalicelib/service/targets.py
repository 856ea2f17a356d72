"""Where outputs go: no two live jobs write to the same place, unless both say that they mean it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from chalicelib.core.document import Document
from chalicelib.core.errors import Conflict
from chalicelib.core.ids import JobNumber, JobRef, UserId
from chalicelib.core.job import Job
from chalicelib.core.paths import Location
from chalicelib.core.ports.jobs import Jobs, Postings
from chalicelib.core.posting import IN_FLIGHT, contested


def note_targets(
    jobs: Jobs, postings: Postings, job: Job, document: Document, now: datetime, *, company: Collection[JobNumber] = ()
) -> None:
    """Note where the job's outputs go. Safe to repeat.

    ``company`` are the numbers of its POST, whose rows are about to be live.
    :raises Conflict: an output would go where a live job's output goes; it names both.
    """
    user, number = job.ref.user, job.ref.number
    for digest, (item, place) in contested(document, number, job.index).items():
        noted = postings.claim_target(user, digest, number, None)
        if noted != number and noted not in company and not writes(jobs, postings, user, noted, now):
            noted = postings.claim_target(user, digest, number, noted)
        if noted != number:
            raise output_conflict(item, number, place, noted)


def output_conflict(item: int, number: JobNumber, place: Location, other: JobNumber) -> Conflict:
    return Conflict(
        "output-conflict",
        f"stage_out item {item} of job {number} goes to {place}, and so does an output of job {other}; "
        "put {id} in the target, or say merge: true on both",
    )


def writes(jobs: Jobs, postings: Postings, user: UserId, number: JobNumber, now: datetime) -> bool:
    """Whether a noted job is live, or about to be: of a request that is being answered."""
    other = jobs.get(JobRef(user=user, number=number))
    if other is None or other.state.final:
        return False
    if other.posted is None:
        return True
    found = postings.find(user, other.posted)
    return found is not None and (found.committed or now - found.started_at < IN_FLIGHT)
