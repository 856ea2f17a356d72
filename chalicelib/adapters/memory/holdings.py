"""Counting a user's live jobs, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from chalicelib.adapters.memory.rows import MemoryRows
from chalicelib.core.desk import Desk
from chalicelib.core.holdings import Tally
from chalicelib.core.ids import JobNumber, UserId
from chalicelib.core.ports.holdings import LiveRow


class MemoryHoldings:
    """``core.ports.holdings.Holdings`` in memory."""

    def __init__(self, rows: MemoryRows) -> None:
        self._rows = rows

    def tally(self, user: UserId) -> Tally:
        with self._rows.lock:
            return self._rows.desks.get(user, Desk(user=user)).tally

    def live(self, user: UserId, first: JobNumber) -> Iterator[LiveRow]:
        with self._rows.lock:
            found = sorted(ref for ref in self._rows.jobs if ref.user == user and ref.number >= first)
            jobs = [self._rows.jobs[ref].job for ref in found]
        for job in jobs:
            if not job.state.final:
                yield LiveRow(number=job.ref.number, bytes=job.size, posted=job.posted, created_at=job.created_at)

    def committed(self, user: UserId, postings: Iterable[str]) -> frozenset[str]:
        with self._rows.lock:
            found = {key: self._rows.postings.get((user, key)) for key in postings}
        return frozenset(key for key, posting in found.items() if posting is not None and posting.committed)

    def keep(self, user: UserId, tally: Tally, *, was: Tally) -> bool:
        with self._rows.lock:
            desk = self._rows.desks.get(user, Desk(user=user))
            if not desk.tally.same(was):
                return False
            with self._rows.writing():
                kept = replace(desk, held=tally.holding, counted_at=tally.counted_at, first_live=tally.first)
                self._rows.put_desk(kept)
            return True
