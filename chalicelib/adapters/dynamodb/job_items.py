"""How a job's status, its documents and its tales look as items. The one place that knows their attributes.

The status is written at every step of a job's life and read in every listing, so it is kept under 1 KB in the
plain case, the unit in which DynamoDB counts writes: short names, no attribute for what has its first value, legs
and trail as JSON arrays, the trail's moments as microseconds since the job's creation.

    v schema · n version · r revision · s state · si site · ow owner · na name · ix index · c created_at
    u updated_at · l legs · e epoch · lu leased_until · ni native_id · oc outcome · x exit_code · fs failed_stage
    er error · to told · xd exited · cr cancel_requested · h hold · o orders · oa answered · cl cleanup
    dl deadlines · od overdue · rt retry · at attempt · nb not_before · pa parents · bk broken · aw awaited
    hd ahead · wa awaits_start · sa starts_at · su submission (where it is not the attempt)
    w waiting_for · p posted · t trail · tg tags · j journey · b size · expires
    site_bucket, site_due: the keys of the index ``site``
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby, repeat
from typing import Any

from chalicelib.adapters.dynamodb.encoding import (
    SCHEMA,
    document_sk,
    edge_sk,
    expiry,
    job_sk,
    json_text,
    key,
    maybe_micros,
    maybe_moment,
    micros,
    moment,
    number_of,
    tale_sk,
    words_expire,
)
from chalicelib.core.dependencies import Parent, When
from chalicelib.core.holds import Hold
from chalicelib.core.ids import BatchId, CollectionId, JobNumber, JobRef, SiteId, UserId
from chalicelib.core.job import Ahead, Deadlines, Job, Leg, LegStatus, Mark, Outcome, Retry, Stage, State
from chalicelib.core.journey import Journey
from chalicelib.core.orders import Order, Verb
from chalicelib.core.ports.jobs import Tale
from chalicelib.core.shards import site_shard
from chalicelib.core.site_queue import Kind, site_due

_STATES = {
    State.NEW: "n",
    State.STAGE_IN: "i",
    State.STAGED: "d",
    State.QUEUED: "q",
    State.ACTIVE: "a",
    State.STAGE_OUT: "o",
    State.COMPLETED: "c",
    State.FAILED: "f",
    State.CANCELED: "x",
}
_LEGS = {
    LegStatus.PENDING: "p",
    LegStatus.MOVING: "m",
    LegStatus.DONE: "d",
    LegStatus.ABSENT: "a",
    LegStatus.FAILED: "f",
}
_ASKED: Mapping[str, Any] = {"notify": "", "nodes": 1, "processes": 0, "queue": "", "account": ""}
"""What follows the walltime in a journey, with its defaults."""
_STATE_OF = {letter: state for state, letter in _STATES.items()}
_LEG_OF = {letter: status for status, letter in _LEGS.items()}


def status_key(ref: JobRef) -> dict[str, Any]:
    return key(ref.user, job_sk(ref.number))


def ref_of(item: Mapping[str, Any]) -> JobRef:
    """The job that a status item, or its row in an index, is about."""
    return JobRef(user=UserId(item["user"]), number=number_of(item["sk"]))


def write_job(job: Job, retention: timedelta) -> dict[str, Any]:
    """The status item, with its index keys, and its expiry if the job is final."""
    return {
        **status_key(job.ref),
        "v": SCHEMA,
        "n": job.version,
        "r": job.revision,
        "s": job.state.value,
        "si": job.site,
        "ow": job.owner,
        "na": job.name,
        "ix": job.index or None,
        "c": micros(job.created_at),
        "u": micros(job.updated_at),
        "l": json_text([_write_leg(leg) for leg in job.legs]) if job.legs else None,
        "e": job.epoch or None,
        "lu": maybe_micros(job.leased_until),
        "ni": job.native_id,
        "oc": job.outcome.value if job.outcome else None,
        "x": job.exit_code,
        "fs": job.failed_stage.value if job.failed_stage else None,
        "er": job.error,
        "to": job.told,
        "xd": job.exited,
        "cr": job.cancel_requested or None,
        "h": None if job.hold is None else job.hold.value,
        "o": json_text([_write_order(each) for each in job.orders]) if job.orders else None,
        "oa": job.answered or None,
        "dl": None if job.deadlines == Deadlines() else _deadlines_text(job.deadlines),
        "hd": None if job.ahead is None else job.ahead.value,
        "wa": job.awaits_start or None,
        "sa": maybe_micros(job.starts_at),
        "od": job.overdue or None,
        "rt": None if job.retry == Retry() else json_text([job.retry.attempts, job.retry.delay]),
        "at": None if job.attempt == 1 else job.attempt,
        "su": None if job.submission == job.attempt else job.submission,
        "nb": maybe_micros(job.not_before),
        "pa": json_text([[parent.number, parent.when.value] for parent in job.parents]) if job.parents else None,
        "bk": job.broken,
        "aw": job.awaited or None,
        "cl": job.cleanup or None,
        "w": json_text(sorted(job.waiting_for)) if job.waiting_for else None,
        "p": job.posted,
        "t": json_text([_write_mark(mark, job.created_at) for mark in job.trail]) if job.trail else None,
        "tg": json_text(job.tags) if job.tags else None,
        "j": json_text(_write_journey(job.journey)) if job.journey else None,
        "b": job.size or None,
        "expires": expiry(job.updated_at + retention) if job.state.final else None,
        **_site_keys(job),
    }


def read_job(item: Mapping[str, Any], now: datetime) -> Job | None:
    """The status, or None if it has expired: DynamoDB may take days to remove it."""
    if "expires" in item and item["expires"] <= now.timestamp():
        return None
    created = moment(item["c"])
    return Job(
        ref=ref_of(item),
        owner=item["ow"],
        site=SiteId(item["si"]),
        name=item["na"],
        index=item.get("ix", 0),
        created_at=created,
        updated_at=moment(item["u"]),
        state=State(item["s"]),
        version=item["n"],
        revision=item["r"],
        legs=tuple(_read_leg(*leg) for leg in json.loads(item.get("l", "[]"))),
        epoch=item.get("e", 0),
        leased_until=maybe_moment(item.get("lu")),
        native_id=item.get("ni"),
        outcome=Outcome(item["oc"]) if "oc" in item else None,
        exit_code=item.get("x"),
        failed_stage=Stage(item["fs"]) if "fs" in item else None,
        error=item.get("er"),
        told=item.get("to"),
        exited=item.get("xd"),
        cancel_requested=item.get("cr", False),
        hold=_read_hold(item.get("h")),
        orders=tuple(_read_order(*order) for order in json.loads(item.get("o", "[]"))),
        answered=item.get("oa", 0),
        ahead=Ahead(item["hd"]) if "hd" in item else None,
        awaits_start=item.get("wa", False),
        starts_at=maybe_moment(item.get("sa")),
        deadlines=_read_deadlines(item.get("dl")),
        overdue=item.get("od", False),
        retry=_read_retry(item.get("rt")),
        attempt=item.get("at", 1),
        submission=item.get("su", item.get("at", 1)),
        not_before=maybe_moment(item.get("nb")),
        parents=tuple(Parent(number=number, when=When(when)) for number, when in json.loads(item.get("pa", "[]"))),
        broken=item.get("bk"),
        awaited=item.get("aw", False),
        cleanup=item.get("cl", False),
        waiting_for=frozenset(json.loads(item.get("w", "[]"))),
        posted=item.get("p"),
        trail=tuple(_read_mark(created, *mark) for mark in json.loads(item.get("t", "[]"))),
        tags=json.loads(item.get("tg", "{}")),
        journey=_read_journey(*json.loads(item["j"])) if "j" in item else None,
        size=item.get("b", 0),
    )


def write_document(ref: JobRef, revision: int, document: Mapping[str, Any], expires: int) -> dict[str, Any]:
    sk = document_sk(ref.number, revision)
    return {**key(ref.user, sk), "v": SCHEMA, "doc": json_text(document), "expires": expires}


def read_document(item: Mapping[str, Any]) -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads(item["doc"])
    return found


def write_edge(user: UserId, parent: JobNumber, child: JobNumber, expires: int) -> dict[str, Any]:
    return {**key(user, edge_sk(parent, child)), "v": SCHEMA, "expires": expires}


def read_edge(item: Mapping[str, Any]) -> JobNumber:
    return JobNumber(int(item["sk"].rpartition("#")[2]))


def write_tale(ref: JobRef, tale: Tale, written: datetime, retention: timedelta) -> dict[str, Any]:
    sk = tale_sk(ref.number, tale.version)
    expires = words_expire(written, retention)
    return {
        **key(ref.user, sk),
        "v": SCHEMA,
        "tale": json_text(tale.detail),
        "code": tale.code,
        "expires": expires,
    }


def read_tale(item: Mapping[str, Any]) -> Tale:
    version = int(item["sk"].rpartition("#")[2])
    return Tale(version=version, detail=json.loads(item["tale"]), code=item.get("code", ""))


def site_bucket(site: SiteId, shard: int) -> str:
    return f"{site}#{shard}"


def site_key(kind: Kind, at: datetime) -> str:
    """The sort key of the site index: by kind, then by time (16 digits reach the year 2286)."""
    return f"{kind}#{micros(at):016d}"


def _site_keys(job: Job) -> dict[str, Any]:
    """Present only while the site has something to do with the job, which keeps the index small."""
    due = site_due(job)
    if due is None:
        return {}
    return {"site_bucket": site_bucket(job.site, site_shard(job.ref)), "site_due": site_key(*due)}


def _write_leg(leg: Leg) -> list[Any]:
    """[item, status, batch, files, bytes, error, share], without what is None at the end."""
    found = [leg.item, _LEGS[leg.status], leg.batch, leg.files, leg.bytes, leg.error, leg.share]
    while found[-1] is None:
        found.pop()
    return found


def _read_leg(
    item: int,
    status: str,
    batch: str | None = None,
    files: int | None = None,
    size: int | None = None,
    error: str | None = None,
    share: int | None = None,
) -> Leg:
    return Leg(
        item=item,
        status=_LEG_OF[status],
        batch=None if batch is None else BatchId(batch),
        files=files,
        bytes=size,
        error=error,
        share=share,
    )


def _write_journey(journey: Journey) -> list[Any]:
    """[collections, inputs, outputs, walltime, notify, nodes, processes, queue, account]: a run of items of one
    collection is its place among these (-1: a linked input) and how long it is; without the defaults at its end."""
    names = list(dict.fromkeys(each for each in (*journey.inputs, *journey.outputs) if each is not None))
    places: dict[CollectionId | None, int] = {None: -1, **{each: place for place, each in enumerate(names)}}

    def runs(ends: Sequence[CollectionId | None]) -> list[int]:
        found = [(places[each], len(list(run))) for each, run in groupby(ends)]
        return [number for pair in found for number in pair]

    asked = [getattr(journey, name) for name in _ASKED]
    defaults = list(_ASKED.values())
    while asked and asked == [*asked[:-1], defaults[len(asked) - 1]]:
        asked.pop()
    return [names, runs(journey.inputs), runs(journey.outputs), journey.walltime, *asked]


def _read_journey(
    names: list[CollectionId], inputs: list[int], outputs: list[int], walltime: int, *asked: Any
) -> Journey:
    def ends(runs: list[int]) -> Iterator[CollectionId | None]:
        for place, count in zip(runs[::2], runs[1::2], strict=True):
            yield from repeat(None if place < 0 else names[place], count)

    return Journey(
        inputs=tuple(ends(inputs)),
        outputs=tuple(each for each in ends(outputs) if each is not None),
        walltime=walltime,
        **dict(zip(_ASKED, asked, strict=False)),
    )


def _read_deadlines(stored: str | None) -> Deadlines:
    if stored is None:
        return Deadlines()
    stage_in, stage_out, *queue = json.loads(stored)
    return Deadlines(stage_in=stage_in, stage_out=stage_out, queue=queue[0] if queue else None)


def _deadlines_text(deadlines: Deadlines) -> str:
    return json_text([deadlines.stage_in, deadlines.stage_out, deadlines.queue])


def _read_retry(stored: str | None) -> Retry:
    if stored is None:
        return Retry()
    attempts, delay = json.loads(stored)
    return Retry(attempts=attempts, delay=delay)


def _read_hold(stored: str | bool | None) -> Hold | None:
    """Statuses written before there were two kinds say true."""
    if not stored:
        return None
    return Hold.RUN if isinstance(stored, bool) else Hold(stored)


def _write_order(order: Order) -> list[Any]:
    """[number, verb, terms], without terms where there are none."""
    found = [order.number, order.verb.value]
    return [*found, dict(order.terms)] if order.terms else found


def _read_order(number: int, verb: str, terms: Mapping[str, Any] | None = None) -> Order:
    return Order(number=number, verb=Verb(verb), terms=terms or {})


def _write_mark(mark: Mark, created: datetime) -> list[Any]:
    """[version, microseconds since the creation, code, state, note], without an empty note."""
    found = [mark.version, micros(mark.at) - micros(created), mark.code, _STATES[mark.state]]
    return [*found, mark.note] if mark.note else found


def _read_mark(created: datetime, version: int, after: int, code: str, state: str, note: str = "") -> Mark:
    at = created + timedelta(microseconds=after)
    return Mark(version=version, at=at, code=code, state=_STATE_OF[state], note=note)
