"""Desks, inboxes, batches and the bell, in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from chalicelib.adapters.memory.rows import MemoryRows
from chalicelib.core.batch import Batch
from chalicelib.core.desk import Desk, InboxItem, Plan
from chalicelib.core.ids import BatchId, UserId
from chalicelib.core.ports.bell import LONGEST_DELAY


class MemoryDesks:
    """``core.ports.desks.Desks`` in memory."""

    def __init__(self, rows: MemoryRows) -> None:
        self._rows = rows

    def read(self, user: UserId) -> Desk | None:
        with self._rows.lock:
            return self._rows.desks.get(user)

    def keep_plan(self, user: UserId, plan: Plan, *, was: int) -> bool:
        with self._rows.lock:
            desk = self._rows.desks.get(user)
            if desk is None or desk.plan.version != was:
                return False
            with self._rows.writing():
                self._rows.put_desk(replace(desk, plan=plan))
            return True

    def close(self, user: UserId, plan: Plan, *, was: int, seq: int | None, wake_at: datetime | None) -> bool:
        with self._rows.lock:
            desk = self._rows.desks.get(user)
            if desk is None or desk.plan.version != was or seq not in (None, desk.seq):
                return False
            with self._rows.writing():
                self._rows.put_desk(replace(desk, plan=plan, wake_at=wake_at))
            return True

    def record(self, user: UserId, fact: InboxItem, now: datetime) -> None:
        with self._rows.writing():
            self._rows.put_fact(user, fact, now)

    def inbox(self, user: UserId, limit: int) -> Sequence[InboxItem]:
        with self._rows.lock:
            items = [item for (owner, _), item in self._rows.inbox.items() if owner == user]
        return sorted(items, key=lambda item: item.id)[:limit]

    def discard(self, user: UserId, ids: Sequence[str]) -> None:
        with self._rows.writing():
            for each in ids:
                self._rows.inbox.pop((user, each), None)

    def due(self, shard: int, now: datetime, limit: int) -> Sequence[UserId]:
        with self._rows.lock:
            entries = self._rows.wakes.read(self._rows.writes, shard)
        return [user for at, user in entries if at <= now][:limit]


class MemoryBatches:
    """``core.ports.desks.Batches`` in memory."""

    def __init__(self, rows: MemoryRows) -> None:
        self._rows = rows

    def freeze(self, batch: Batch) -> Batch:
        with self._rows.writing():
            return self._rows.batches.setdefault((batch.user, batch.id), batch)

    def get(self, user: UserId, batch: BatchId) -> Batch | None:
        with self._rows.lock:
            return self._rows.batches.get((user, batch))

    def drop(self, user: UserId, batch: BatchId) -> None:
        with self._rows.writing():
            self._rows.batches.pop((user, batch), None)


class MemoryBell:
    """``core.ports.bell.Bell`` that remembers its rings: (user, delay in seconds), oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.rings: list[tuple[UserId, int]] = []

    def ring(self, user: UserId, delay: int = 0) -> None:
        if not 0 <= delay <= LONGEST_DELAY:
            raise ValueError(f"a ring cannot be delayed by {delay} seconds")
        with self._lock:
            self.rings.append((user, delay))

    def take(self) -> list[tuple[UserId, int]]:
        """Remove and return what has rung so far."""
        with self._lock:
            rung, self.rings = self.rings, []
            return rung
