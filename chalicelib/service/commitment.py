"""Which statuses are somebody's jobs: rows whose POST was never committed are nobody's."""

from __future__ import annotations

from collections.abc import Iterable

from chalicelib.core.ids import UserId
from chalicelib.core.job import Job
from chalicelib.core.ports.jobs import Postings


def committed(postings: Postings, user: UserId, jobs: Iterable[Job]) -> list[Job]:
    """Those of these jobs of one user that are committed, in their order. A job that has changed once is."""
    jobs = list(jobs)
    keys = {job.posted for job in jobs if job.posted is not None}
    found = {key: postings.find(user, key) for key in sorted(keys)}
    good = {key for key, posting in found.items() if posting is not None and posting.committed}
    return [job for job in jobs if job.posted is None or job.posted in good]
