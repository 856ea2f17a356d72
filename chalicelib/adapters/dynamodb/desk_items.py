"""How desks, inbox items and batches look as items. The one place that knows their attributes.

DESK       v · seq · wake_at, wake_shard (both or neither: the keys of the index ``wake``) · next_number
           plan (JSON) · plan_version; what a desk does not have yet has its first value
I#<id>     v · nums · login
B#<id>     v · submission · route (JSON) · members · deadline · careful
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chalicelib.adapters.dynamodb.encoding import (
    DESK,
    SCHEMA,
    json_text,
    key,
    maybe_moment,
    micros,
    moment,
    read_numbers,
    write_numbers,
)
from chalicelib.adapters.dynamodb.expressions import Piece
from chalicelib.adapters.dynamodb.plain import to_plain, to_record
from chalicelib.adapters.dynamodb.table import Table, Write
from chalicelib.core.batch import Batch, Member
from chalicelib.core.desk import Desk, InboxItem, Plan, Route
from chalicelib.core.ids import FIRST_NUMBER, BatchId, JobNumber, SubmissionId, UserId
from chalicelib.core.shards import wake_shard

INBOX = "I#"


def desk_key(user: UserId) -> dict[str, Any]:
    return key(user, DESK)


def read_desk(item: Mapping[str, Any]) -> Desk:
    plan = to_record(Plan, json.loads(item["plan"])) if "plan" in item else Plan()
    return Desk(
        user=UserId(item["user"]),
        seq=item.get("seq", 0),
        wake_at=maybe_moment(item.get("wake_at")),
        next_number=JobNumber(item.get("next_number", FIRST_NUMBER)),
        plan=plan,
    )


def shard_name(shard: int) -> str:
    return f"w{shard}"


def wake_values(user: UserId, at: datetime) -> dict[str, Any]:
    """The values of the index keys."""
    return {"wake_at": micros(at), "wake_shard": shard_name(wake_shard(user))}


def plan_values(plan: Plan) -> dict[str, Any]:
    return {"plan": json_text(to_plain(plan)), "plan_version": plan.version}


def record(table: Table, user: UserId, fact: InboxItem, now: datetime) -> list[Write]:
    """The two writes by which every writer tells the planner of a fact; the desk is made if there is none."""
    wake = Piece(
        "SET #wake_at = :wake_at, #wake_shard = :wake_shard, #v = :v ADD #seq :one",
        {**wake_values(user, now), "v": SCHEMA, "one": 1},
    )
    return [table.put(write_fact(user, fact)), table.update(desk_key(user), wake)]


def fact_key(user: UserId, fact: str) -> dict[str, Any]:
    return key(user, f"{INBOX}{fact}")


def write_fact(user: UserId, fact: InboxItem) -> dict[str, Any]:
    numbers = write_numbers(fact.numbers) or None
    return {**fact_key(user, fact.id), "v": SCHEMA, "nums": numbers, "login": fact.login or None}


def read_fact(item: Mapping[str, Any]) -> InboxItem:
    numbers = read_numbers(item.get("nums", ""))
    return InboxItem(id=item["sk"][len(INBOX) :], numbers=numbers, login=item.get("login", False))


def batch_key(user: UserId, batch: BatchId) -> dict[str, Any]:
    return key(user, f"B#{batch}")


def write_batch(batch: Batch) -> dict[str, Any]:
    return {
        **batch_key(batch.user, batch.id),
        "v": SCHEMA,
        "submission": batch.submission,
        "route": json_text(to_plain(batch.route)),
        "members": _write_members(batch.members),
        "deadline": micros(batch.deadline),
        "careful": batch.careful or None,
    }


def read_batch(item: Mapping[str, Any]) -> Batch:
    return Batch(
        id=BatchId(item["sk"].partition("#")[2]),
        user=UserId(item["user"]),
        submission=SubmissionId(item["submission"]),
        route=to_record(Route, json.loads(item["route"])),
        members=_read_members(item["members"]),
        deadline=moment(item["deadline"]),
        careful=item.get("careful", False),
    )


def _write_members(members: tuple[Member, ...]) -> str:
    """``number.revision:items`` for each run of one job's items, in the order of the batch."""
    runs: list[tuple[tuple[int, int], list[int]]] = []
    for member in members:
        whose = (member.number, member.revision)
        if not runs or runs[-1][0] != whose:
            runs.append((whose, []))
        runs[-1][1].append(member.item)
    return ";".join(f"{number}.{revision}:{write_numbers(items)}" for (number, revision), items in runs)


def _read_members(text: str) -> tuple[Member, ...]:
    found: list[Member] = []
    for run in text.split(";") if text else ():
        whose, _, items = run.partition(":")
        number, revision = (int(part) for part in whose.split("."))
        found += (Member(JobNumber(number), item, revision) for item in read_numbers(items))
    return tuple(found)
