"""Jobs, postings and the site queue, in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.adapters.memory.rows import JobRow, MemoryRows
from chalicelib.core.desk import Desk, InboxItem
from chalicelib.core.holdings import Caps, Holding
from chalicelib.core.ids import JobNumber, JobRef, SiteId, UserId
from chalicelib.core.job import Job
from chalicelib.core.listing import read_marker, turn_page
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.jobs import Commit, Page, Posting, Save, SiteDue, Taken, Tale, Wanted
from chalicelib.core.site_queue import Kind

RETENTION = timedelta(days=180)


class MemoryJobs:
    """``core.ports.jobs.Jobs`` in memory. Documents and tales are kept as text, so that nobody shares them."""

    def __init__(self, rows: MemoryRows, clock: Clock, retention: timedelta = RETENTION) -> None:
        self._rows, self._clock, self._retention = rows, clock, retention

    def get(self, ref: JobRef) -> Job | None:
        with self._rows.lock:
            row = self._rows.jobs.get(ref)
        return None if row is None else self._alive(row)

    def get_many(self, refs: Sequence[JobRef], *, strong: bool = True) -> Mapping[JobRef, Job]:
        with self._rows.lock:
            rows = [self._rows.jobs.get(ref) if strong else self._rows.lately(ref) for ref in refs]
        alive = (self._alive(row) for row in rows if row is not None)
        return {job.ref: job for job in alive if job is not None}

    def documents(self, wanted: Sequence[tuple[JobRef, int]]) -> Mapping[JobRef, Mapping[str, Any]]:
        with self._rows.lock:
            return {ref: json.loads(self._rows.documents[(ref, revision)]) for ref, revision in wanted}

    def save(
        self,
        job: Job,
        *,
        was: int,
        tales: Sequence[Tale] = (),
        fact: InboxItem | None = None,
        document: Mapping[str, Any] | None = None,
    ) -> bool:
        with self._rows.lock:
            row = self._rows.jobs.get(job.ref)
            if row is None or row.job.version != was:
                return False
            with self._rows.writing():
                if document is not None:
                    self._rows.documents[(job.ref, job.revision)] = json.dumps(dict(document))
                for tale in tales:
                    self._rows.tales[job.ref][tale.version] = json.dumps([tale.code, dict(tale.detail)])
                expires = job.updated_at + self._retention if job.state.final else None
                self._rows.put_job(JobRow(job, expires))
                if fact is not None:
                    self._rows.put_fact(job.ref.user, fact, job.updated_at)
            return True

    def save_many(self, saves: Sequence[Save]) -> Sequence[bool]:
        return [self.save(each.job, was=each.was, tales=each.tales) for each in saves]

    def list(self, user: UserId, wanted: Wanted, limit: int, marker: str | None) -> Page:
        before = None if marker is None else read_marker(marker)
        with self._rows.lock:
            return turn_page(self._newest_first(user, before), wanted, limit)

    def _newest_first(self, user: UserId, before: JobNumber | None) -> Iterator[tuple[JobNumber, Job | None]]:
        refs = (ref for ref in self._rows.jobs if ref.user == user and (before is None or ref.number < before))
        for ref in sorted(refs, reverse=True):
            yield ref.number, self._alive(self._rows.jobs[ref])

    def tales(self, ref: JobRef) -> Sequence[Tale]:
        with self._rows.lock:
            return tuple(self._tale(ref, version) for version in sorted(self._rows.tales[ref]))

    def tale(self, ref: JobRef, version: int) -> Tale | None:
        with self._rows.lock:
            return self._tale(ref, version) if version in self._rows.tales[ref] else None

    def _tale(self, ref: JobRef, version: int) -> Tale:
        code, detail = json.loads(self._rows.tales[ref][version])
        return Tale(version=version, detail=detail, code=code)

    def _alive(self, row: JobRow) -> Job | None:
        return None if row.expires is not None and row.expires <= self._clock.now() else row.job


class MemoryDependants:
    """``core.ports.jobs.Dependants`` in memory."""

    def __init__(self, rows: MemoryRows) -> None:
        self._rows = rows

    def note(self, user: UserId, edges: Sequence[tuple[JobNumber, JobNumber]]) -> None:
        with self._rows.writing():
            for parent, child in edges:
                self._rows.edges.setdefault(JobRef(user=user, number=parent), set()).add(child)

    def of(self, parent: JobRef) -> Sequence[JobNumber]:
        with self._rows.lock:
            return sorted(self._rows.edges.get(parent, ()))


class MemoryPostings:
    """``core.ports.jobs.Postings`` in memory."""

    def __init__(self, rows: MemoryRows) -> None:
        self._rows = rows

    def numbers(self, user: UserId, count: int) -> Taken:
        with self._rows.writing():
            desk = self._rows.desks.get(user, Desk(user=user))
            after = replace(desk, next_number=JobNumber(desk.next_number + count))
            self._rows.put_desk(after)
            numbers = tuple(JobNumber(desk.next_number + index) for index in range(count))
            return Taken(numbers=numbers, tally=after.tally)

    def begin(self, posting: Posting) -> Posting:
        with self._rows.writing():
            return self._rows.postings.setdefault((posting.user, posting.key), posting)

    def find(self, user: UserId, key: str) -> Posting | None:
        with self._rows.lock:
            return self._rows.postings.get((user, key))

    def put_rows(self, rows: Sequence[tuple[Job, Mapping[str, Any]]]) -> None:
        for job, document in rows:
            with self._rows.writing():
                self._rows.documents.setdefault((job.ref, job.revision), json.dumps(dict(document)))
                if job.ref not in self._rows.jobs:
                    self._rows.put_job(JobRow(job, None))

    def commit(self, posting: Posting, fact: InboxItem, now: datetime, adds: Holding, caps: Caps) -> Commit:
        key = (posting.user, posting.key)
        with self._rows.lock:
            stored = self._rows.postings.get(key)
            if stored is None or stored.committed:
                return Commit.ALREADY
            desk = self._rows.desks.get(posting.user, Desk(user=posting.user))
            held = desk.held + adds
            if not caps.allow(held) or desk.first_live > min(fact.numbers):
                return Commit.FULL
            with self._rows.writing():
                self._rows.postings[key] = replace(stored, committed=True)
                self._rows.put_desk(replace(desk, held=held))
                self._rows.put_fact(posting.user, fact, now)
            return Commit.DONE

    def noted(self, user: UserId, targets: Sequence[str]) -> Mapping[str, JobNumber]:
        with self._rows.lock:
            found = {target: self._rows.targets.get((user, target)) for target in targets}
        return {target: number for target, number in found.items() if number is not None}

    def claim_target(self, user: UserId, target: str, number: JobNumber, instead_of: JobNumber | None) -> JobNumber:
        with self._rows.writing():
            noted = self._rows.targets.get((user, target), number)
            if noted == instead_of:
                noted = number
            self._rows.targets[(user, target)] = noted
            return noted


class MemorySiteQueue:
    """``core.ports.jobs.SiteQueue`` in memory: as stale as the rows' lag makes it."""

    def __init__(self, rows: MemoryRows) -> None:
        self._rows = rows

    def due(self, site: SiteId, *, commands: int, leases: int) -> SiteDue:
        with self._rows.lock:
            commanded = self._rows.site_queue.read(self._rows.writes, (site, Kind.COMMAND))
            leasable = self._rows.site_queue.read(self._rows.writes, (site, Kind.LEASE))
        return SiteDue(
            commanded=[ref for _, ref in commanded][:commands], leasable=[ref for _, ref in leasable][:leases]
        )
