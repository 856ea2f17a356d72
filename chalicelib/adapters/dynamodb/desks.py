"""Desks, inboxes and frozen batches in the table ``jobs``. See ``core.desk`` for the protocol they serve."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from chalicelib.adapters.dynamodb import desk_items
from chalicelib.adapters.dynamodb.encoding import micros
from chalicelib.adapters.dynamodb.expressions import Piece
from chalicelib.adapters.dynamodb.table import Refused, Table
from chalicelib.core.batch import Batch
from chalicelib.core.desk import Desk, InboxItem, Plan
from chalicelib.core.ids import BatchId, UserId


class DeskTable:
    """``core.ports.desks.Desks`` in DynamoDB."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, user: UserId) -> Desk | None:
        found = self._table.get(desk_items.desk_key(user))
        return None if found is None else desk_items.read_desk(found)

    def keep_plan(self, user: UserId, plan: Plan, *, was: int) -> bool:
        change = Piece("SET #plan = :plan, #plan_version = :plan_version", desk_items.plan_values(plan))
        write = self._table.update(desk_items.desk_key(user), change, _planner_is_the_same(was))
        return not isinstance(self._table.write(write), Refused)

    def close(self, user: UserId, plan: Plan, *, was: int, seq: int | None, wake_at: datetime | None) -> bool:
        text, values = "SET #plan = :plan, #plan_version = :plan_version", desk_items.plan_values(plan)
        if wake_at is None:
            text += " REMOVE #wake_at, #wake_due, #wake_shard"
        else:
            text += f", {desk_items.WAKE}"
            values |= desk_items.wake_values(user, wake_at)
        conditions = [_planner_is_the_same(was)]
        if seq is not None:
            conditions.append(_nothing_came_in(seq))
        write = self._table.update(desk_items.desk_key(user), Piece(text, values), *conditions)
        return not isinstance(self._table.write(write), Refused)

    def record(self, user: UserId, fact: InboxItem, now: datetime) -> None:
        failed = self._table.transact(desk_items.record(self._table, user, fact, now))
        assert not failed, "neither write has a condition"

    def inbox(self, user: UserId, limit: int) -> Sequence[InboxItem]:
        within = Piece("#user = :user AND begins_with(#sk, :inbox)", {"user": user, "inbox": desk_items.INBOX})
        return [desk_items.read_fact(item) for item in islice(self._table.query(within, page=limit), limit)]

    def discard(self, user: UserId, ids: Sequence[str]) -> None:
        self._table.remove([desk_items.fact_key(user, each) for each in dict.fromkeys(ids)])

    def due(self, shard: int, now: datetime, limit: int) -> Sequence[UserId]:
        within = Piece(
            "#wake_shard = :shard AND #wake_due <= :now",
            {"shard": desk_items.shard_name(shard), "now": micros(now)},
        )
        found = islice(self._table.query(within, index="wake", page=limit), limit)
        return [UserId(item["user"]) for item in found]


class BatchTable:
    """``core.ports.desks.Batches`` in DynamoDB."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def freeze(self, batch: Batch) -> Batch:
        # A batch once frozen may have been posted: whoever comes later must go on with that one.
        first = Piece("attribute_not_exists(#sk)")
        answer = self._table.write(self._table.put(desk_items.write_batch(batch), first))
        if not isinstance(answer, Refused):
            return batch
        assert answer.stored is not None, "only an item that is there can be in the way"
        return desk_items.read_batch(answer.stored)

    def get(self, user: UserId, batch: BatchId) -> Batch | None:
        found = self._table.get(desk_items.batch_key(user, batch))
        return None if found is None else desk_items.read_batch(found)

    def drop(self, user: UserId, batch: BatchId) -> None:
        self._table.remove([desk_items.batch_key(user, batch)])


def _planner_is_the_same(was: int) -> Piece:
    # Only the planner that claimed the desk may change the plan: another claim has another version. A desk without
    # one has never been claimed; one that does not exist cannot be.
    if was:
        return Piece("#plan_version = :was", {"was": was})
    return Piece(
        "attribute_exists(#sk) AND (attribute_not_exists(#plan_version) OR #plan_version = :was)", {"was": was}
    )


def _nothing_came_in(seq: int) -> Piece:
    # The next look may be put off only if the planner has seen every fact that was recorded.
    return Piece("#seq = :seq", {"seq": seq}) if seq else Piece("attribute_not_exists(#seq)")
