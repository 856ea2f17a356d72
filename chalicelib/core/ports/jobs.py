"""Where jobs are kept: statuses, documents, stories, and the POST that made them.

All reads here are strongly consistent, unless a method says *hint*. A write that depends on what was read is
conditional on it, and answers whether it took place.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from chalicelib.core.desk import InboxItem
from chalicelib.core.holdings import Caps, Holding, Tally
from chalicelib.core.ids import JobNumber, JobRef, SiteId, UserId
from chalicelib.core.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Tale:
    """The words that belong to one version of a job: what a person wants to know, never an environment value."""

    version: int
    detail: Mapping[str, Any]
    code: str = ""
    """That of the event which made the version: of a writer who lost the race for it, words may be left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """One status to replace; see ``Jobs.save``."""

    job: Job
    was: int
    tales: Sequence[Tale] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """The idempotency record of one POST: which numbers it was given, and whether it is committed.

    ``key`` is a digest of (user, Idempotency-Key) or random; ``body`` a digest of the request. Until
    ``committed`` the rows of ``numbers`` may or may not exist, and are nobody's jobs.
    """

    user: UserId
    key: str
    body: str
    numbers: tuple[JobNumber, ...]
    started_at: datetime
    committed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Fresh numbers, and the tally of the desk that they were taken from."""

    numbers: tuple[JobNumber, ...]
    tally: Tally


class Commit(enum.StrEnum):
    """What became of a commit; nothing is written unless it is DONE."""

    DONE = "done"
    ALREADY = "already"
    """The posting is committed, or was never begun."""
    FULL = "full"
    """The tally on the desk does not leave room for it, or says that jobs with such numbers are not live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some jobs, newest first, and the marker for those after them; None at the end."""

    jobs: tuple[Job, ...]
    marker: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a listing asks for; None or empty asks for anything."""

    states: frozenset[str] = frozenset()
    site: SiteId | None = None
    name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class Jobs(Protocol):
    """Statuses and what hangs on them."""

    def get(self, ref: JobRef) -> Job | None:
        """Return the status, or None if there is no such row."""
        ...

    def get_many(self, refs: Sequence[JobRef], *, strong: bool = True) -> Mapping[JobRef, Job]:
        """Return the statuses that exist. Any number of refs, in as few calls as the store allows.

        Not ``strong`` costs half and is a *hint*: a status may have been replaced since, and a new one be missed. What
        is then saved on the condition of its version is safe; that nothing has to be done is not to be told by it.
        """
        ...

    def documents(self, wanted: Sequence[tuple[JobRef, int]]) -> Mapping[JobRef, Mapping[str, Any]]:
        """Return the documents of these (job, revision) pairs as they were sent; all of them exist."""
        ...

    def save(
        self,
        job: Job,
        *,
        was: int,
        tales: Sequence[Tale] = (),
        fact: InboxItem | None = None,
        document: Mapping[str, Any] | None = None,
    ) -> bool:
        """Replace the status if the stored version is still ``was``; False, and nothing written, if not.

        A status never points at words that are not there. The tale of a writer who lost a race may be left, but
        never in the place of the winner's; its ``code`` tells. With ``fact``, the status, the tales, the inbox item
        and the desk (``seq + 1``, ``wake_at = job.updated_at``) are one transaction, and so is ``document``, that of
        the job's new revision: nothing of the loser of a race stays. A job in a final state is
        given its expiry. Safe to repeat: the second answers False.
        """
        ...

    def save_many(self, saves: Sequence[Save]) -> Sequence[bool]:
        """Make each save by itself, several at a time: some may take place and others not. At most one of a job."""
        ...

    def list(self, user: UserId, wanted: Wanted, limit: int, marker: str | None) -> Page:
        """Return up to ``limit`` jobs that match, newest first, from after ``marker``.

        Bounded work: a page may be short, even empty, and still have a marker.
        :raises ValueError: the marker is not one that this store gave to this user.
        """
        ...

    def tales(self, ref: JobRef) -> Sequence[Tale]:
        """Return every tale of a job, oldest first."""
        ...

    def tale(self, ref: JobRef, version: int) -> Tale | None:
        """Return one tale."""
        ...


class Dependants(Protocol):
    """Which jobs of a user wait for which others of theirs: edges from a parent to its children."""

    def note(self, user: UserId, edges: Sequence[tuple[JobNumber, JobNumber]]) -> None:
        """Put each (parent, child). On return all are there. Safe to repeat."""
        ...

    def of(self, parent: JobRef) -> Sequence[JobNumber]:
        """Return the children of a job; some may never have been committed."""
        ...


class Postings(Protocol):
    """The commit of a POST: see ``service.posting`` for the order of the calls."""

    def numbers(self, user: UserId, count: int) -> Taken:
        """Take ``count`` fresh numbers from the user's desk, which is made if there is none. Never repeats."""
        ...

    def begin(self, posting: Posting) -> Posting:
        """Put the posting if there is none under its key; return the one that is stored."""
        ...

    def find(self, user: UserId, key: str) -> Posting | None:
        """Return the posting under this key."""
        ...

    def put_rows(self, rows: Sequence[tuple[Job, Mapping[str, Any]]]) -> None:
        """Put each status and document (as sent) that is not there yet. Safe to repeat."""
        ...

    def commit(self, posting: Posting, fact: InboxItem, now: datetime, adds: Holding, caps: Caps) -> Commit:
        """Mark the posting committed, put the inbox item, wake the desk and raise its tally, in one transaction."""
        ...

    def noted(self, user: UserId, targets: Sequence[str]) -> Mapping[str, JobNumber]:
        """Return which job is noted as writing to these targets, for those of which one is."""
        ...

    def claim_target(self, user: UserId, target: str, number: JobNumber, instead_of: JobNumber | None) -> JobNumber:
        """Note that job ``number`` writes to ``target`` (a digest), if nobody or ``instead_of`` is noted.

        Returns the number that is noted now: ``number`` itself, or the one in the way.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteDue:
    """What a site has to do: jobs with a command for it, the oldest command first, and jobs that it may be leased,
    leased or not, the oldest job first."""

    commanded: Sequence[JobRef] = ()
    leasable: Sequence[JobRef] = ()


class SiteQueue(Protocol):
    """What a site has to do. The answer is a *hint*: the status decides, read and changed conditionally."""

    def due(self, site: SiteId, *, commands: int, leases: int) -> SiteDue:
        """Return so many of each at most."""
        ...
