"""The rows that all stores in memory share, behind one lock, with indexes and weak reads that may lag.

A store takes ``writing()`` around what would be one write or one transaction; it changes nothing unless its
conditions hold, so that all of a write takes place or none of it.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

from chalicelib.core.batch import Batch
from chalicelib.core.consent import CollectionFacts
from chalicelib.core.desk import Desk, InboxItem, found_from
from chalicelib.core.ids import BatchId, CollectionId, JobNumber, JobRef, SiteId, UserId
from chalicelib.core.job import Job
from chalicelib.core.ports.jobs import Posting
from chalicelib.core.shards import wake_shard
from chalicelib.core.site_queue import Kind, site_due
from chalicelib.core.sites import Site

Key = TypeVar("Key")
Part = TypeVar("Part", bound=Hashable)


class MemoryIndex(Generic[Key, Part]):
    """A sparse index: key -> (partition, time). A change shows once ``lag`` further writes have been made."""

    def __init__(self, lag: int) -> None:
        self._lag = lag
        self._shown: dict[Key, tuple[Part, datetime]] = {}
        self._coming: deque[tuple[int, Key, tuple[Part, datetime] | None]] = deque()

    def change(self, write: int, key: Key, entry: tuple[Part, datetime] | None) -> None:
        """Note that write number ``write`` gave ``key`` this entry, or took it out."""
        self._coming.append((write, key, entry))

    def read(self, write: int, part: Part) -> list[tuple[datetime, Key]]:
        """The entries of one partition as of ``lag`` writes before ``write``, earliest first."""
        while self._coming and self._coming[0][0] + self._lag <= write:
            _, key, entry = self._coming.popleft()
            if entry is None:
                self._shown.pop(key, None)
            else:
                self._shown[key] = entry
        found = [(at, key) for key, (its, at) in self._shown.items() if its == part]
        return sorted(found, key=lambda each: each[0])


@dataclass(frozen=True, slots=True)
class JobRow:
    """A status and when it is to be forgotten."""

    job: Job
    expires: datetime | None


class MemoryRows:
    """What is stored. ``lag`` is the number of writes that the indexes and weak reads of statuses are behind."""

    def __init__(self, lag: int = 0) -> None:
        self.lock = threading.RLock()
        self.jobs: dict[JobRef, JobRow] = {}
        self.documents: dict[tuple[JobRef, int], str] = {}
        self.tales: dict[JobRef, dict[int, str]] = defaultdict(dict)
        self.desks: dict[UserId, Desk] = {}
        self.inbox: dict[tuple[UserId, str], InboxItem] = {}
        self.batches: dict[tuple[UserId, BatchId], Batch] = {}
        self.postings: dict[tuple[UserId, str], Posting] = {}
        self.edges: dict[JobRef, set[JobNumber]] = {}
        self.targets: dict[tuple[UserId, str], JobNumber] = {}
        self.sites: dict[SiteId, Site] = {}
        self.collections: dict[CollectionId, CollectionFacts] = {}
        self.wakes: MemoryIndex[UserId, int] = MemoryIndex(lag)
        self.site_queue: MemoryIndex[JobRef, tuple[SiteId, Kind]] = MemoryIndex(lag)
        self.writes = 0
        self._lag = lag
        self._replaced: dict[JobRef, deque[tuple[int, JobRow | None]]] = {}

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One write or one transaction."""
        with self.lock:
            self.writes += 1
            yield

    def catch_up(self, writes: int = 1_000_000) -> None:
        """Let the indexes come up to date, as if time had passed."""
        with self.lock:
            self.writes += writes

    def put_job(self, row: JobRow) -> None:
        """Store a status and its index row. Call within ``writing()``."""
        ref = row.job.ref
        if self._lag:
            self._replaced.setdefault(ref, deque()).append((self.writes, self.jobs.get(ref)))
        self.jobs[ref] = row
        due = site_due(row.job)
        self.site_queue.change(self.writes, ref, None if due is None else ((row.job.site, due[0]), due[1]))

    def lately(self, ref: JobRef) -> JobRow | None:
        """The row as it was ``lag`` writes ago: what a read that is not strong may see."""
        replaced = self._replaced.get(ref, deque())
        while replaced and replaced[0][0] + self._lag <= self.writes:
            replaced.popleft()
        return replaced[0][1] if replaced else self.jobs.get(ref)

    def put_desk(self, desk: Desk) -> None:
        """Store a desk and its index row. Call within ``writing()``."""
        self.desks[desk.user] = desk
        entry = None if desk.wake_at is None else (wake_shard(desk.user), found_from(desk.wake_at))
        self.wakes.change(self.writes, desk.user, entry)

    def put_fact(self, user: UserId, fact: InboxItem, now: datetime) -> None:
        """The inbox item and the wake that comes with it. Call within ``writing()``."""
        desk = self.desks.get(user, Desk(user=user))
        self.inbox[(user, fact.id)] = fact
        self.put_desk(replace(desk, seq=desk.seq + 1, wake_at=now))
