"""How desks, inbox items and batches look as items. The one place that knows their attributes.

DESK       v · seq · next_number · wake_at; with it wake_due and wake_shard, the keys of the index ``wake``
           live_jobs · live_bytes · counted_at · first_live: the tally of ``core.holdings``
           plan (JSON) · plan_version; what a desk does not have yet has its first value
I#<id>     v · nums · login · logout · until · stage · routes (JSON)
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
    maybe_micros,
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
from chalicelib.core.desk import Desk, InboxItem, Plan, Route, found_from
from chalicelib.core.holdings import Caps, Holding, Tally
from chalicelib.core.ids import FIRST_NUMBER, BatchId, JobNumber, SubmissionId, UserId
from chalicelib.core.job import Stage
from chalicelib.core.shards import wake_shard

INBOX = "I#"
WAKE = "#wake_at = :wake_at, #wake_due = :wake_due, #wake_shard = :wake_shard"


def desk_key(user: UserId) -> dict[str, Any]:
    return key(user, DESK)


def read_desk(item: Mapping[str, Any]) -> Desk:
    plan = to_record(Plan, json.loads(item["plan"])) if "plan" in item else Plan()
    return Desk(
        user=UserId(item["user"]),
        seq=item.get("seq", 0),
        wake_at=maybe_moment(item.get("wake_at")),
        next_number=JobNumber(item.get("next_number", FIRST_NUMBER)),
        held=Holding(jobs=item.get("live_jobs", 0), bytes=item.get("live_bytes", 0)),
        counted_at=maybe_moment(item.get("counted_at")),
        first_live=JobNumber(item.get("first_live", FIRST_NUMBER)),
        plan=plan,
    )


def shard_name(shard: int) -> str:
    return f"w{shard}"


def wake_values(user: UserId, at: datetime) -> dict[str, Any]:
    """When to look again, and the index keys by which the sweep finds it."""
    return {"wake_at": micros(at), "wake_due": micros(found_from(at)), "wake_shard": shard_name(wake_shard(user))}


def plan_values(plan: Plan) -> dict[str, Any]:
    return {"plan": json_text(to_plain(plan)), "plan_version": plan.version}


def record(table: Table, user: UserId, fact: InboxItem, now: datetime) -> list[Write]:
    """The two writes by which every writer tells the planner of a fact; the desk is made if there is none."""
    return [table.put(write_fact(user, fact)), table.update(desk_key(user), _wake(user, now))]


def record_jobs(table: Table, user: UserId, fact: InboxItem, now: datetime, adds: Holding, caps: Caps) -> list[Write]:
    """As ``record``, of a fact that brings live jobs: the tally is raised, if it leaves room."""
    wake = _wake(user, now)
    change = Piece(
        f"{wake.text}, #live_jobs :jobs, #live_bytes :bytes",
        {**wake.values, "jobs": adds.jobs, "bytes": adds.bytes},
    )
    first = "attribute_not_exists(#live_jobs) OR " if caps.allow(adds) else ""
    # Two POSTs at once cannot both take the last room; and a count must not pass over jobs that it did not see.
    room = Piece(
        f"({first}#live_jobs <= :most_jobs) AND ({first}#live_bytes <= :most_bytes)",
        {"most_jobs": caps.jobs - adds.jobs, "most_bytes": caps.bytes - adds.bytes},
    )
    seen = Piece("attribute_not_exists(#first_live) OR #first_live <= :number", {"number": min(fact.numbers)})
    return [table.put(write_fact(user, fact)), table.update(desk_key(user), change, room, seen)]


def _wake(user: UserId, now: datetime) -> Piece:
    return Piece(
        f"SET {WAKE}, #v = :v ADD #seq :one",
        {**wake_values(user, now), "v": SCHEMA, "one": 1},
    )


def keep_tally(table: Table, user: UserId, tally: Tally, was: Tally) -> Write:
    """Store a tally over the one that was read."""
    values = {"jobs": tally.holding.jobs, "bytes": tally.holding.bytes, "first": tally.first}
    change = Piece("SET #live_jobs = :jobs, #live_bytes = :bytes, #first_live = :first", values)
    if tally.counted_at is not None:
        counted = {**values, "counted": micros(tally.counted_at)}
        change = Piece(f"{change.text}, #counted_at = :counted", counted)
    # What was counted is the whole truth only if no POST was committed, and nobody else counted, meanwhile.
    return table.update(
        desk_key(user),
        change,
        _still("live_jobs", was.holding.jobs, 0),
        _still("live_bytes", was.holding.bytes, 0),
        _still("counted_at", maybe_micros(was.counted_at), None),
        _still("first_live", was.first, FIRST_NUMBER),
    )


def _still(name: str, value: int | None, first: int | None) -> Piece:
    """The attribute is as it was; one that is not there has its first value."""
    if value is None:
        return Piece(f"attribute_not_exists(#{name})")
    same = Piece(f"#{name} = :was_{name}", {f"was_{name}": value})
    return same if value != first else Piece(f"attribute_not_exists(#{name}) OR {same.text}", same.values)


def fact_key(user: UserId, fact: str) -> dict[str, Any]:
    return key(user, f"{INBOX}{fact}")


def write_fact(user: UserId, fact: InboxItem) -> dict[str, Any]:
    numbers = write_numbers(fact.numbers) or None
    told = {"nums": numbers, "login": fact.login or None, "logout": maybe_micros(fact.logout)}
    told |= {"until": maybe_micros(fact.until), "after": maybe_micros(fact.after)}
    if fact.stage is not None:
        routes = json_text([to_plain(route) for route in fact.routes]) if fact.routes else None
        told |= {"stage": fact.stage.value, "routes": routes}
    return {**fact_key(user, fact.id), "v": SCHEMA, **told}


def read_fact(item: Mapping[str, Any]) -> InboxItem:
    numbers = read_numbers(item.get("nums", ""))
    return InboxItem(
        id=item["sk"][len(INBOX) :],
        numbers=numbers,
        login=item.get("login", False),
        logout=maybe_moment(item.get("logout")),
        until=maybe_moment(item.get("until")),
        after=maybe_moment(item.get("after")),
        stage=Stage(item["stage"]) if "stage" in item else None,
        routes=tuple(to_record(Route, each) for each in json.loads(item.get("routes", "[]"))),
    )


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
