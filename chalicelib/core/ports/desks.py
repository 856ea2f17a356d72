"""Where desks, inboxes and batches are kept. See ``core.desk`` for the protocol that these serve."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from chalicelib.core.batch import Batch
from chalicelib.core.desk import Desk, InboxItem, Plan
from chalicelib.core.ids import BatchId, UserId


class Desks(Protocol):
    """Reads are strongly consistent; ``due`` alone is a hint."""

    def read(self, user: UserId) -> Desk | None:
        """Return the user's desk, or None if they have none."""
        ...

    def keep_plan(self, user: UserId, plan: Plan, *, was: int) -> bool:
        """Replace the plan if its stored version is ``was``; ``wake_at`` and ``seq`` stay. False if it is not."""
        ...

    def close(self, user: UserId, plan: Plan, *, was: int, seq: int | None, wake_at: datetime | None) -> bool:
        """As ``keep_plan``, and set ``wake_at`` in the same write.

        With ``seq`` the write also needs the stored seq to be that; None means whatever it is.
        """
        ...

    def record(self, user: UserId, fact: InboxItem, now: datetime) -> None:
        """Put the inbox item and wake the desk (``seq + 1``, ``wake_at = now``) in one transaction.

        The desk is made if there is none. Safe to repeat with the same fact: one item, one more wake.
        """
        ...

    def inbox(self, user: UserId, limit: int) -> Sequence[InboxItem]:
        """Return the oldest inbox items."""
        ...

    def discard(self, user: UserId, ids: Sequence[str]) -> None:
        """Remove inbox items. Safe to repeat."""
        ...

    def due(self, shard: int, now: datetime, limit: int) -> Sequence[UserId]:
        """Return users of this shard who are due, or soon (``core.desk.found_from``); longest overdue first. A hint."""
        ...


class Batches(Protocol):
    """Frozen batches."""

    def freeze(self, batch: Batch) -> Batch:
        """Put the batch if there is none under its id; return the one that is stored."""
        ...

    def get(self, user: UserId, batch: BatchId) -> Batch | None:
        """Return a frozen batch, or None if it never was frozen (so it was never posted either)."""
        ...

    def drop(self, user: UserId, batch: BatchId) -> None:
        """Remove it once the desk no longer names it. Safe to repeat."""
        ...
