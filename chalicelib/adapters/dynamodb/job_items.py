"""How a job's status, its documents and its tales look as items. The one place that knows their attributes.

The status is written at every step of a job's life and read in every listing, so it is kept under 1 KB in the
plain case, the unit in which DynamoDB counts writes: short names, nothing for what has its first value. Only what
conditions and indexes look at is an attribute; the rest is one JSON text, because what a write takes of a processor
grows with its attributes. Moments in it are microseconds since the job's creation.

    v schema · n version · d data · expires
    site_bucket, site_due: the keys of the index ``site``

In the data:

    r revision · s state · si site · ow owner · na name · ix index · c created_at (since 1970) · u updated_at
    l legs · e epoch · lu leased_until · ni native_id · oc outcome · x exit_code · fs failed_stage
    er error · to told · xd exited · cr cancel_requested · h hold · o orders · oa answered · cl cleanup
    dl deadlines · od overdue · rt retry · at attempt · nb not_before · pa parents · bk broken · aw awaited
    hd ahead · wa awaits_start · sa starts_at · su submission (where it is not the attempt)
    w waiting_for · p posted · t trail · tg tags · j journey · b size
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
from chalicelib.core.ports.holdings import LiveRow
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
    """The status item, with its index keys, and its expiry if the job is final: every attribute that it can have."""
    return {
        **status_key(job.ref),
        "v": SCHEMA,
        "n": job.version,
        "d": json_text({name: value for name, value in _data(job).items() if value is not None}),
        "expires": expiry(job.updated_at + retention) if job.state.final else None,
        **_site_keys(job),
    }


def _data(job: Job) -> dict[str, Any]:
    created = job.created_at
    return {
        "r": None if job.revision == 1 else job.revision,
        "s": _STATES[job.state],
        "si": job.site,
        "ow": job.owner,
        "na": job.name,
        "ix": job.index or None,
        "c": micros(created),
        "u": micros(job.updated_at) - micros(created),
        "l": [_write_leg(leg) for leg in job.legs] or None,
        "e": job.epoch or None,
        "lu": _since(created, job.leased_until),
        "ni": job.native_id,
        "oc": job.outcome.value if job.outcome else None,
        "x": job.exit_code,
        "fs": job.failed_stage.value if job.failed_stage else None,
        "er": job.error,
        "to": job.told,
        "xd": job.exited,
        "cr": job.cancel_requested or None,
        "h": None if job.hold is None else job.hold.value,
        "o": [_write_order(each) for each in job.orders] or None,
        "oa": job.answered or None,
        "dl": None if job.deadlines == Deadlines() else _write_deadlines(job.deadlines),
        "hd": None if job.ahead is None else job.ahead.value,
        "wa": job.awaits_start or None,
        "sa": _since(created, job.starts_at),
        "od": job.overdue or None,
        "rt": None if job.retry == Retry() else [job.retry.attempts, job.retry.delay],
        "at": None if job.attempt == 1 else job.attempt,
        "su": None if job.submission == job.attempt else job.submission,
        "nb": _since(created, job.not_before),
        "pa": [[parent.number, parent.when.value] for parent in job.parents] or None,
        "bk": job.broken,
        "aw": job.awaited or None,
        "cl": job.cleanup or None,
        "w": sorted(job.waiting_for) or None,
        "p": job.posted,
        "t": [_write_mark(mark, created) for mark in job.trail] or None,
        "tg": dict(job.tags) or None,
        "j": _write_journey(job.journey) if job.journey else None,
        "b": job.size or None,
    }


def read_job(item: Mapping[str, Any], now: datetime) -> Job | None:
    """The status, or None if it has expired: DynamoDB may take days to remove it."""
    if "expires" in item and item["expires"] <= now.timestamp():
        return None
    data = json.loads(item["d"])
    created = moment(data["c"])
    return Job(
        ref=ref_of(item),
        owner=data["ow"],
        site=SiteId(data["si"]),
        name=data["na"],
        index=data.get("ix", 0),
        created_at=created,
        updated_at=created + timedelta(microseconds=data["u"]),
        state=_STATE_OF[data["s"]],
        version=item["n"],
        revision=data.get("r", 1),
        legs=tuple(_read_leg(*leg) for leg in data.get("l", ())),
        epoch=data.get("e", 0),
        leased_until=_at(created, data.get("lu")),
        native_id=data.get("ni"),
        outcome=Outcome(data["oc"]) if "oc" in data else None,
        exit_code=data.get("x"),
        failed_stage=Stage(data["fs"]) if "fs" in data else None,
        error=data.get("er"),
        told=data.get("to"),
        exited=data.get("xd"),
        cancel_requested=data.get("cr", False),
        hold=Hold(data["h"]) if "h" in data else None,
        orders=tuple(_read_order(*order) for order in data.get("o", ())),
        answered=data.get("oa", 0),
        ahead=Ahead(data["hd"]) if "hd" in data else None,
        awaits_start=data.get("wa", False),
        starts_at=_at(created, data.get("sa")),
        deadlines=_read_deadlines(*data["dl"]) if "dl" in data else Deadlines(),
        overdue=data.get("od", False),
        retry=_read_retry(*data["rt"]) if "rt" in data else Retry(),
        attempt=data.get("at", 1),
        submission=data.get("su", data.get("at", 1)),
        not_before=_at(created, data.get("nb")),
        parents=tuple(Parent(number=number, when=When(when)) for number, when in data.get("pa", ())),
        broken=data.get("bk"),
        awaited=data.get("aw", False),
        cleanup=data.get("cl", False),
        waiting_for=frozenset(data.get("w", ())),
        posted=data.get("p"),
        trail=tuple(_read_mark(created, *mark) for mark in data.get("t", ())),
        tags=data.get("tg", {}),
        journey=_read_journey(*data["j"]) if "j" in data else None,
        size=data.get("b", 0),
    )


def live_row(item: Mapping[str, Any]) -> LiveRow:
    """What the count of a user's live jobs needs of a status."""
    data = json.loads(item["d"])
    return LiveRow(
        number=number_of(item["sk"]), bytes=data.get("b", 0), posted=data.get("p"), created_at=moment(data["c"])
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
        return {"site_bucket": None, "site_due": None}
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


def _write_deadlines(deadlines: Deadlines) -> list[Any]:
    return [deadlines.stage_in, deadlines.stage_out, deadlines.queue]


def _read_deadlines(stage_in: int | None, stage_out: int | None, queue: int | None) -> Deadlines:
    return Deadlines(stage_in=stage_in, stage_out=stage_out, queue=queue)


def _read_retry(attempts: int, delay: int) -> Retry:
    return Retry(attempts=attempts, delay=delay)


def _write_order(order: Order) -> list[Any]:
    """[number, verb, terms], without terms where there are none."""
    found = [order.number, order.verb.value]
    return [*found, dict(order.terms)] if order.terms else found


def _read_order(number: int, verb: str, terms: Mapping[str, Any] | None = None) -> Order:
    return Order(number=number, verb=Verb(verb), terms=terms or {})


def _since(created: datetime, at: datetime | None) -> int | None:
    return None if at is None else micros(at) - micros(created)


def _at(created: datetime, since: int | None) -> datetime | None:
    return None if since is None else created + timedelta(microseconds=since)


def _write_mark(mark: Mark, created: datetime) -> list[Any]:
    """[version, microseconds since the creation, code, state, note], without an empty note."""
    found = [mark.version, micros(mark.at) - micros(created), mark.code, _STATES[mark.state]]
    return [*found, mark.note] if mark.note else found


def _read_mark(created: datetime, version: int, after: int, code: str, state: str, note: str = "") -> Mark:
    at = created + timedelta(microseconds=after)
    return Mark(version=version, at=at, code=code, state=_STATE_OF[state], note=note)
