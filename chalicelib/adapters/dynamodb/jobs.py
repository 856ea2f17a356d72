"""Statuses, documents and tales in the table ``jobs``, and the queue of a site in its index ``site``."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any

from chalicelib.adapters.dynamodb import desk_items, job_items
from chalicelib.adapters.dynamodb.encoding import document_sk, edge_sk, job_sk, key, number_of, tale_sk, words_expire
from chalicelib.adapters.dynamodb.expressions import Piece
from chalicelib.adapters.dynamodb.statements import Statement
from chalicelib.adapters.dynamodb.table import Refused, Table
from chalicelib.core.desk import InboxItem
from chalicelib.core.ids import JobNumber, JobRef, SiteId, UserId
from chalicelib.core.job import Job
from chalicelib.core.listing import read_marker, turn_page
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.jobs import Page, Save, SiteDue, Tale, Wanted
from chalicelib.core.shards import SITE_SHARDS
from chalicelib.core.site_queue import Kind

_PAGE = 250
"""Rows of one query of a listing: about 200 KB, well under the megabyte that a query can return."""


class JobTable:
    """``core.ports.jobs.Jobs`` in DynamoDB. Final jobs are kept for ``retention``."""

    def __init__(self, table: Table, clock: Clock, retention: timedelta) -> None:
        self._table, self._clock, self._retention = table, clock, retention

    def get(self, ref: JobRef) -> Job | None:
        found = self._table.get(job_items.status_key(ref))
        return None if found is None else job_items.read_job(found, self._clock.now())

    def get_many(self, refs: Sequence[JobRef], *, strong: bool = True) -> Mapping[JobRef, Job]:
        now = self._clock.now()
        items = self._table.get_many([job_items.status_key(ref) for ref in refs], strong=strong)
        found = (job_items.read_job(item, now) for item in items)
        return {job.ref: job for job in found if job is not None}

    def documents(self, wanted: Sequence[tuple[JobRef, int]]) -> Mapping[JobRef, Mapping[str, Any]]:
        keys = [key(ref.user, document_sk(ref.number, revision)) for ref, revision in wanted]
        # A document never changes, so that one which is there is the right one, however weak the read.
        found = {(item["user"], item["sk"]): item for item in self._table.get_many(keys, strong=False)}
        missed = [each for each in keys if (each["user"], each["sk"]) not in found]
        found.update({(item["user"], item["sk"]): item for item in self._table.get_many(missed)})
        return {
            ref: job_items.read_document(found[(ref.user, document_sk(ref.number, revision))])
            for ref, revision in wanted
        }

    def save(
        self,
        job: Job,
        *,
        was: int,
        tales: Sequence[Tale] = (),
        fact: InboxItem | None = None,
        document: Mapping[str, Any] | None = None,
    ) -> bool:
        # Nobody has changed the status since it was read: what was derived from it still holds.
        unchanged = Piece("#n = :was", {"was": was})
        status = self._table.put(job_items.write_job(job, self._retention), unchanged)
        words = [job_items.write_tale(job.ref, tale, job.updated_at, self._retention) for tale in tales]
        if fact is None and document is None and all(self._put_first(each) for each in words):
            return not isinstance(self._table.write(status), Refused)
        others = [self._table.put(each) for each in words]
        if fact is not None:
            others += desk_items.record(self._table, job.ref.user, fact, job.updated_at)
        if document is not None:
            expires = words_expire(job.created_at, self._retention)
            others.append(self._table.put(job_items.write_document(job.ref, job.revision, document, expires)))
        return not self._table.transact([status, *others])

    def _put_first(self, tale: Mapping[str, Any]) -> bool:
        """Put a tale ahead of its status, for half of what a transaction costs; False if another stands there.

        It never takes the place of one to which a winner's status may point already.
        """
        answer = self._table.write(self._table.put(tale, Piece("attribute_not_exists(#sk)")))
        return not isinstance(answer, Refused) or answer.stored == {k: v for k, v in tale.items() if v is not None}

    def save_many(self, saves: Sequence[Save]) -> Sequence[bool]:
        tales = [(place, each.job, tale) for place, each in enumerate(saves) for tale in each.tales]
        items = [job_items.write_tale(job.ref, tale, job.updated_at, self._retention) for _, job, tale in tales]
        first = self._table.write_each([self._table.insert(item) for item in items])
        contested = {place for (place, _, _), done in zip(tales, first, strict=True) if not done}
        rest = [place for place in range(len(saves)) if place not in contested]
        saved = dict(zip(rest, self._table.write_each([self._amended(saves[place]) for place in rest]), strict=True))
        # Where other words stand already, or these from a call that was cut off, ``save`` knows what to do.
        saved |= {
            place: self.save(saves[place].job, was=saves[place].was, tales=saves[place].tales) for place in contested
        }
        return [saved[place] for place in range(len(saves))]

    def _amended(self, save: Save) -> Statement:
        status = job_items.write_job(save.job, self._retention)
        return self._table.amend(job_items.status_key(save.job.ref), status, {"n": save.was})

    def list(self, user: UserId, wanted: Wanted, limit: int, marker: str | None) -> Page:
        before = None if marker is None else read_marker(marker)
        return turn_page(self._newest_first(user, before, limit, wanted), wanted, limit)

    def _newest_first(
        self, user: UserId, before: JobNumber | None, limit: int, wanted: Wanted
    ) -> Iterator[tuple[JobNumber, Job | None]]:
        last = job_sk(10**10 - 1 if before is None else before - 1)
        within = Piece("#user = :user AND #sk BETWEEN :first AND :last", {"user": user, "first": "J#", "last": last})
        page = min(limit + 1, _PAGE) if wanted == Wanted() else _PAGE
        now = self._clock.now()
        for item in self._table.query(within, newest_first=True, page=page):
            yield number_of(item["sk"]), job_items.read_job(item, now)

    def tales(self, ref: JobRef) -> Sequence[Tale]:
        its = f"{tale_sk(ref.number, 0).rpartition('#')[0]}#"
        within = Piece("#user = :user AND begins_with(#sk, :its)", {"user": ref.user, "its": its})
        return tuple(job_items.read_tale(item) for item in self._table.query(within))

    def tale(self, ref: JobRef, version: int) -> Tale | None:
        found = self._table.get(key(ref.user, tale_sk(ref.number, version)))
        return None if found is None else job_items.read_tale(found)


class DependantTable:
    """``core.ports.jobs.Dependants`` in DynamoDB: ``E#<parent>#<child>`` in the user's partition."""

    def __init__(self, table: Table, clock: Clock, retention: timedelta) -> None:
        self._table, self._clock, self._retention = table, clock, retention

    def note(self, user: UserId, edges: Sequence[tuple[JobNumber, JobNumber]]) -> None:
        expires = words_expire(self._clock.now(), self._retention)
        self._table.fill([job_items.write_edge(user, parent, child, expires) for parent, child in dict.fromkeys(edges)])

    def of(self, parent: JobRef) -> Sequence[JobNumber]:
        within = Piece(
            "#user = :user AND begins_with(#sk, :its)", {"user": parent.user, "its": edge_sk(parent.number, None)}
        )
        return [job_items.read_edge(item) for item in self._table.query(within)]


class SiteQueueIndex:
    """``core.ports.jobs.SiteQueue`` in DynamoDB: one query for each shard of the site, merged by time.

    Rows of commands stand before those of leases, so that one query sees both.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def due(self, site: SiteId, *, commands: int, leases: int) -> SiteDue:
        buckets = [job_items.site_bucket(site, shard) for shard in range(SITE_SHARDS)]
        commanded, leasable = zip(*(self._shard(bucket, commands, leases) for bucket in buckets), strict=True)
        return SiteDue(commanded=_earliest(commanded, commands), leasable=_earliest(leasable, leases))

    def _shard(self, bucket: str, commands: int, leases: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        first, last = Kind.COMMAND if commands else Kind.LEASE, Kind.LEASE if leases else Kind.COMMAND
        commanded: list[dict[str, Any]] = []
        leasable: list[dict[str, Any]] = []
        for item in self._rows(bucket, first, last, page=leases or commands):
            is_command = item["site_due"].startswith(Kind.COMMAND)
            (commanded if is_command else leasable).append(item)
            if is_command and len(commanded) == commands:
                # However many commands nobody carries out, they keep no job from being leased.
                leasable = list(islice(self._rows(bucket, last, last, page=leases), leases)) if leases else []
                break
            if len(leasable) == leases and not is_command:
                break
        return commanded, leasable

    def _rows(self, bucket: str, first: Kind, last: Kind, page: int) -> Iterator[dict[str, Any]]:
        within = Piece(
            "#site_bucket = :bucket AND #site_due BETWEEN :first AND :last",
            {"bucket": bucket, "first": f"{first}#", "last": f"{last}#~"},
        )
        return self._table.query(within, index="site", page=page)


def _earliest(shards: Sequence[Sequence[dict[str, Any]]], limit: int) -> Sequence[JobRef]:
    merged = heapq.merge(*shards, key=lambda item: str(item["site_due"]))
    return [job_items.ref_of(item) for item in islice(merged, limit)]
