"""A listing of a user's jobs: which of them match, where a page ends, and what its marker says.

A page is bounded by the rows that are examined for it, not only by those that match: a filter that few jobs
pass costs one bounded read a page, and the caller goes on by the marker. Reads no store: the rows come in.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

from chalicelib.core.ids import JobNumber
from chalicelib.core.job import Job
from chalicelib.core.ports.jobs import Page, Wanted

MOST_EXAMINED = 1000
"""Rows that one page may look at."""

_MARKER = re.compile(r"j1:([1-9][0-9]{0,9})")


def matches(job: Job, wanted: Wanted) -> bool:
    """Whether a listing that asks for ``wanted`` shows this job."""
    return (
        (not wanted.states or job.state in wanted.states)
        and wanted.site in (None, job.site)
        and wanted.name in (None, job.name)
        and all(job.tags.get(key) == value for key, value in wanted.tags.items())
    )


def turn_page(rows: Iterable[tuple[JobNumber, Job | None]], wanted: Wanted, limit: int) -> Page:
    """Fill one page from a user's rows, newest first; a row without a job has expired and is passed over.

    ``rows`` is consumed as far as the page needs, and one row further where it is full, to know the end.
    """
    found: list[Job] = []
    last: JobNumber | None = None
    for examined, (number, job) in enumerate(rows):
        if len(found) == limit or examined == MOST_EXAMINED:
            return Page(jobs=tuple(found), marker=None if last is None else write_marker(last))
        last = number
        if job is not None and matches(job, wanted):
            found.append(job)
    return Page(jobs=tuple(found), marker=None)


def write_marker(number: JobNumber) -> str:
    """The marker of a page that ended at this number. Opaque to callers; it names no user, only a place."""
    return base64.urlsafe_b64encode(f"j1:{number}".encode()).decode().rstrip("=")


def read_marker(marker: str) -> JobNumber:
    """Read what ``write_marker`` wrote.

    :raises ValueError: for anything else.
    """
    try:
        text = base64.b64decode(marker + "=" * (-len(marker) % 4), altchars=b"-_", validate=True).decode("ascii")
    except ValueError as malformed:  # binascii.Error and UnicodeError are both
        raise ValueError("is not a marker of this listing") from malformed
    found = _MARKER.fullmatch(text)
    if found is None:
        raise ValueError("is not a marker of this listing")
    return JobNumber(int(found[1]))
