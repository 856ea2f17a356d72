"""What a POST of jobs makes: first statuses, and the digests that its commit hangs on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.ahead import ahead_of, awaits_start
from chalicelib.core.batch import legs_to_stage_in
from chalicelib.core.document import LARGEST, Document, read_document
from chalicelib.core.errors import Fault, Invalid
from chalicelib.core.ids import JobNumber, JobRef, UserId
from chalicelib.core.job import Deadlines, Job, Mark, Retry, State
from chalicelib.core.journey import journey_of
from chalicelib.core.paths import Location, placeholders

MOST_JOBS = 1000
"""Documents in one POST."""

IN_FLIGHT = timedelta(seconds=45)
"""How long a POST may take: a repeat within it is told to wait, a later one finishes what was begun. The function that
answers one lives 29 s at most, so that whoever repeats it never meets the first at work."""


def read_documents(raw: object) -> tuple[Document, ...]:
    """Read one document, or ``{"jobs": [documents]}``; ``Invalid`` names every fault of all of them."""
    if isinstance(raw, dict) and set(raw) == {"jobs"}:
        entries = raw["jobs"]
        if not isinstance(entries, list) or not 1 <= len(entries) <= MOST_JOBS:
            raise Invalid((Fault("/jobs", f"must be a list of 1 to {MOST_JOBS} documents"),))
        return _read_all([(f"/jobs/{index}", entry) for index, entry in enumerate(entries)])
    return _read_all([("", raw)])


def _read_all(entries: Sequence[tuple[str, Any]]) -> tuple[Document, ...]:
    faults: list[Fault] = []
    documents = []
    for pointer, raw in entries:
        size = document_size(raw)
        if size > LARGEST:
            faults.append(Fault(pointer, f"is {size} bytes of JSON; a document may have {LARGEST}"))
            continue
        try:
            documents.append(replace(read_document(raw, pointer), size=size))
        except Invalid as refused:
            faults += refused.faults
    if faults:
        raise Invalid(tuple(faults))
    return tuple(documents)


def first_status(document: Document, ref: JobRef, owner: str, index: int, posting: str, now: datetime) -> Job:
    """The status that a job begins with."""
    return Job(
        ref=ref,
        owner=owner,
        site=document.site,
        name=document.name,
        index=index,
        created_at=now,
        updated_at=now,
        legs=legs_to_stage_in(document),
        hold=document.hold,
        deadlines=Deadlines(**document.deadlines),
        retry=Retry(**document.retry),
        parents=document.depends_on,
        cleanup=bool(document.cleanup),
        ahead=ahead_of(document),
        awaits_start=awaits_start(document),
        waiting_for=frozenset() if document.hold is None else frozenset({"hold"}),
        posted=posting,
        trail=(Mark(version=1, at=now, code="submitted", state=State.NEW),),
        tags=dict(document.tags),
        journey=journey_of(document),
        size=document.size,
    )


_as_stored = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def document_size(raw: object) -> int:
    """The bytes of a document as it is stored: JSON without blanks, in UTF-8."""
    return len(_as_stored(raw).encode(errors="replace"))


def body_digest(raw: object) -> str:
    """The same for two requests that say the same."""
    return hashlib.sha256(json.dumps(raw, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def key_digest(user: UserId, purpose: str, key: str) -> str:
    """Under which a request's Idempotency-Key is stored."""
    return hashlib.sha256(f"{user}\n{purpose}\n{key}".encode()).hexdigest()[:40]


def target_digest(place: Location) -> str:
    """Under which the place that an output goes to is noted."""
    return hashlib.sha256(str(place).encode()).hexdigest()[:40]


def contested(document: Document, number: JobNumber, index: int) -> Mapping[str, tuple[int, Location]]:
    """The places that another job could write to as well: digest -> (item, place).

    A target with ``{id}`` in it is this job's alone, and ``merge`` says that company is welcome.
    """
    places = document.targets(number, index)
    return {
        target_digest(places[item]): (item, places[item])
        for item, out in enumerate(document.stage_out)
        if not out.merge and "id" not in placeholders(out.template)
    }
