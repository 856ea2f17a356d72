"""The words of a site's one call: what an agent reports, and how that reads as events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from chalicelib.core.altering import altered, differing, merged
from chalicelib.core.document import SHAPE as DOCUMENT
from chalicelib.core.document import Document, read_document
from chalicelib.core.errors import Fault, Invalid
from chalicelib.core.events import (
    Active,
    Altered,
    AlteredThere,
    CancelRefused,
    Cleaned,
    CleanupRefused,
    Event,
    Exited,
    Failed,
    Gone,
    Held,
    HeldAhead,
    NotReleased,
    OrderRefused,
    Queued,
    Rejected,
    Released,
    Unheld,
    Withdrawn,
)
from chalicelib.core.ids import JobRef
from chalicelib.core.job import DEADLINE, Ahead, Job, Outcome, Stage, State
from chalicelib.core.orders import TERMS, Terms, Verb, patch_of, terms_of
from chalicelib.core.outputs import Found, legs_at_exit
from chalicelib.core.retrying import next_try
from chalicelib.core.shape import ABSENT, Choice, Field, Flag, Integer, ListOf, Record, Text

MOST_LEASES = 100
MOST_REPORTS = 500
MOST_STRAYS = MOST_LEASES
LONGEST_TAIL = 4096

_REF = Text(longest=64, shortest=3)
_SHORT = Text(longest=256)
_EPOCH = Integer(least=1)
COMMANDS = ("cancel", "cleanup", *Verb)
_ORDERS = frozenset(Verb)


def _members(field: str) -> list[tuple[str, Field]]:
    """The terms in a field of the document, as the document has them."""
    shape = cast("Record", DOCUMENT.fields[field].shape)
    return [(name, shape.fields[name]) for name, where in TERMS.items() if where == field]


_ENDS = ("exited", "rejected", "refused", "gone", "cleaned")
EVENTS = ("held_ahead", "queued", "active", *_ENDS, "held", "released", "altered")
_OF_THE_LEASE = frozenset({"exited", "gone", "rejected", "refused"})
"""What of a job whose data is not there tells that the site is done with it."""
_OUTPUT = Record(
    fields={
        "item": Field(shape=Integer(most=1000), required=True),
        "kind": Field(shape=Choice(words=("file", "directory", "missing")), required=True),
        "files": Field(shape=Integer(), default=0),
        "bytes": Field(shape=Integer(most=2**63), default=0),
        "links": Field(shape=ListOf(item=Text(), longest=20), default=()),
    }
)
_CHANGE = Record(
    fields={
        field: Field(
            shape=Record(fields={name: replace(member, default=None) for name, member in _members(field)}), default=None
        )
        for field in dict.fromkeys(TERMS.values())
    }
)
_REPORT = Record(
    fields={
        "job": Field(shape=_REF, required=True),
        # A command may be about a job that was never leased.
        "epoch": Field(shape=Integer(), required=True),
        "command": Field(shape=Choice(words=COMMANDS), default=None),
        # Of an order to the scheduler: which one this answers.
        "order": Field(shape=Integer(), default=None),
        # And, of an alteration, what the scheduler has been asked for by now.
        "change": Field(shape=_CHANGE, default=None),
        "event": Field(shape=Choice(words=EVENTS), required=True),
        "native_id": Field(shape=Text(longest=256, shortest=1), default=None),
        "at": Field(shape=_SHORT, default=None),
        "starts_at": Field(shape=_SHORT, default=None),
        "exit_code": Field(shape=Integer(least=-1024, most=1024), default=None),
        "outcome": Field(shape=Choice(words=tuple(Outcome)), default=None),
        "tail": Field(shape=Text(longest=LONGEST_TAIL), default=""),
        "outputs": Field(shape=ListOf(item=_OUTPUT, longest=100), default=()),
        "detail": Field(shape=Text(longest=LONGEST_TAIL), default=""),
    }
)
SHAPE = Record(
    describe="What an agent sends",
    fields={
        "agent": Field(
            shape=Record(
                fields={
                    "instance": Field(shape=Text(longest=64, shortest=8), required=True),
                    "version": Field(shape=_SHORT, required=True),
                    "host": Field(shape=_SHORT, required=True),
                }
            ),
            required=True,
        ),
        "take": Field(shape=Integer(most=10_000), default=0),
        "holding": Field(
            shape=ListOf(
                item=Record(
                    fields={
                        "job": Field(shape=_REF, required=True),
                        "epoch": Field(shape=_EPOCH, required=True),
                    }
                ),
                longest=10_000,
            ),
            default=(),
        ),
        "strays": Field(shape=ListOf(item=_REF, longest=MOST_STRAYS), default=()),
        "holds": Field(
            shape=Flag(describe="the agent submits jobs under a hold, before their data is there"), default=False
        ),
        "reports": Field(shape=ListOf(item=_REPORT, longest=MOST_REPORTS), default=()),
        "draining": Field(shape=Flag(describe="the agent takes nothing new"), default=False),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReport:
    """One report, as sent. ``ref`` is None if the agent's text is not a job's."""

    text: str
    ref: JobRef | None
    epoch: int
    event: str
    native_id: str | None
    exit_code: int | None
    outcome: Outcome | None
    tail: str
    found: tuple[Found, ...]
    detail: str
    starts_at: datetime | None = None
    """The start that the scheduler expects, of a job that it holds."""
    command: str | None = None
    """What the service had ordered, if the report answers that."""
    order: int | None = None
    """The number that the service gave to it, of an order to the scheduler (``core.orders``)."""
    terms: Terms = field(default_factory=dict)
    """What of it the scheduler has changed (``core.altering``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest:
    """A checked sync."""

    instance: str
    host: str
    take: int
    holding: tuple[tuple[JobRef, int], ...]
    reports: tuple[AgentReport, ...]
    strays: tuple[JobRef, ...] = ()
    """Jobs whose directories an agent has found that has no record of them: its journal was lost."""
    holds: bool = False
    """Whether the agent knows how to submit a job under a hold."""


def read_sync(raw: Any) -> SyncRequest:
    """Check a sync's body; ``Invalid`` names every fault at once."""
    faults: list[Fault] = []
    values = SHAPE.read(raw, "", faults)
    if values is ABSENT:
        raise Invalid(tuple(faults))
    for index, entry in enumerate(values["reports"] if isinstance(values["reports"], tuple) else ()):
        if entry is not ABSENT:
            _check_report(entry, f"/reports/{index}", faults)
    if faults:
        raise Invalid(tuple(faults))
    held = ((JobRef.parse(entry["job"]), entry["epoch"]) for entry in values["holding"])
    strays = (JobRef.parse(text) for text in values["strays"])
    return SyncRequest(
        instance=values["agent"]["instance"],
        host=values["agent"]["host"],
        take=0 if values["draining"] else min(values["take"], MOST_LEASES),
        holding=tuple((ref, epoch) for ref, epoch in held if ref is not None),
        reports=tuple(_report(entry) for entry in values["reports"]),
        strays=tuple(ref for ref in strays if ref is not None),
        holds=values["holds"],
    )


def _check_report(entry: Mapping[str, Any], pointer: str, faults: list[Fault]) -> None:
    if entry["event"] in ("held_ahead", "queued", "active") and entry["native_id"] is None:
        faults.append(Fault(f"{pointer}/native_id", f"is required with {entry['event']}"))
    if entry["event"] == "exited" and entry["outcome"] is None:
        faults.append(Fault(f"{pointer}/outcome", "is required with exited"))
    # The release of a job whose data has come is no order of its user's: its lease says it.
    by_lease = (entry["event"], entry["command"]) == ("refused", Verb.RELEASE)
    answers = entry["event"] in ("held", "released", "altered") or entry["command"] in _ORDERS
    if entry["order"] is None and answers and not by_lease:
        faults.append(Fault(f"{pointer}/order", "is required in an answer to an order"))
    if isinstance(entry["starts_at"], str) and _moment(entry["starts_at"]) is None:
        faults.append(Fault(f"{pointer}/starts_at", "must be a moment such as 2026-01-31T12:00:00Z"))


def _moment(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if found.tzinfo is None else found


def _report(entry: Mapping[str, Any]) -> AgentReport:
    return AgentReport(
        text=entry["job"],
        ref=JobRef.parse(entry["job"]),
        epoch=entry["epoch"],
        event=entry["event"],
        native_id=entry["native_id"],
        exit_code=entry["exit_code"],
        outcome=None if entry["outcome"] is None else Outcome(entry["outcome"]),
        tail=entry["tail"],
        found=tuple(Found(**each) for each in entry["outputs"]),
        detail=entry["detail"],
        starts_at=_moment(entry["starts_at"]),
        command=entry["command"],
        order=entry["order"],
        terms=terms_of(entry["change"] or {}),
    )


def reads_document(report: AgentReport) -> bool:
    """Whether the job's document is needed to read the report."""
    return report.event in ("exited", "altered") or bool(report.terms)


def event_of(report: AgentReport, job: Job, document: Document | None) -> Event:
    """The event that a report of the job's own epoch tells of.

    ``document``: the job's, for a report that ``reads_document``. An exit is of the outputs that it calls for.
    """
    never_begun = job.before_data or (job.state is State.FAILED and job.may_be_held)
    if never_begun and report.event in _OF_THE_LEASE and report.command not in _ORDERS:
        return _before_data(report, job)
    match report.event:
        case "held_ahead":
            return HeldAhead(epoch=report.epoch, native_id=report.native_id or "", starts_at=report.starts_at)
        case "gone":
            return Withdrawn(epoch=report.epoch) if job.cancel_requested else Rejected(epoch=report.epoch, error="gone")
        case "queued":
            return Queued(epoch=report.epoch, native_id=report.native_id or "")
        case "active":
            return Active(epoch=report.epoch, native_id=report.native_id or "")
        case "cleaned":
            return Cleaned(epoch=report.epoch)
        case "held":
            return Held(epoch=report.epoch, order=report.order or 0)
        case "released":
            return Released(epoch=report.epoch, order=report.order or 0)
        case "altered":
            assert document is not None, "an alteration is read with the job's document"
            return AlteredThere(epoch=report.epoch, order=report.order or 0, change=_change(report, job, document))
        case "rejected" | "refused":
            return _refusal(report, job, document)
    assert report.event == "exited", f"{report.event} has no event"
    assert document is not None, "an exit is read with the job's document"
    assert report.outcome is not None, "an exit without outcome is refused when the sync is read"
    return Exited(
        epoch=report.epoch,
        native_id=report.native_id,
        exit_code=report.exit_code,
        outcome=report.outcome,
        legs=legs_at_exit(document, report.outcome, report.exit_code, report.found),
    )


def document_after(report: AgentReport, document: Document) -> Document:
    """A job's document once it says what the scheduler has been asked for."""
    return read_document(merged(dict(document.raw), patch_of(report.terms)))


def _change(report: AgentReport, job: Job, document: Document) -> Altered | None:
    after = document_after(report, document)
    return altered(job, document, after) if differing(document, after) else None


def _before_data(report: AgentReport, job: Job) -> Event:
    """What the end of a lease means for a job whose data is not there, or will never be."""
    if report.event == "refused" and report.command == "cancel":
        return CancelRefused(epoch=report.epoch)
    over = report.event in ("exited", "gone")
    # What the site's policy refuses at the first lease has never been submitted. A rejection can have come after the
    # submission, whose answer got lost.
    never = job.ahead is Ahead.WANTED and report.event == "refused" and report.epoch == 1
    left = not over and job.may_be_held and not never
    if (job.state is State.FAILED or job.cancel_requested) and not left:
        return Unheld(epoch=report.epoch)
    return Gone(epoch=report.epoch, error="gone" if over else report.event, left=left)


def _refusal(report: AgentReport, job: Job, document: Document | None) -> Event:
    """What a site would not do: obey an order, clean up, end the job, or submit it. The last is no failure of a
    cancelled job."""
    if report.command == Verb.RELEASE and report.order is None:
        return NotReleased(epoch=report.epoch)
    if report.command in _ORDERS and report.order is not None:
        change = None if document is None else _change(report, job, document)
        return OrderRefused(epoch=report.epoch, order=report.order, verb=Verb(report.command), change=change)
    if report.command == "cleanup" or job.state is State.COMPLETED:
        return CleanupRefused(epoch=report.epoch)
    ordered = report.command == "cancel"
    if job.overdue and ordered and not job.cancel_requested and job.native_id is None:
        return Rejected(epoch=report.epoch, error=DEADLINE, stage=Stage.QUEUE)
    if not job.cancel_requested and not (job.overdue and ordered):
        failure = Failed(stage=Stage.SUBMIT, error=report.event)
        again = None if job.may_be_held else next_try(job, failure)
        return again or Rejected(epoch=report.epoch, error=report.event)
    if ordered and job.native_id is not None:
        return CancelRefused(epoch=report.epoch)
    return Withdrawn(epoch=report.epoch)


def detail_of(report: AgentReport) -> Mapping[str, Any] | None:
    """The words of a report, for the job's story."""
    words = {"words": [report.detail]} if report.detail else {}
    if report.event == "exited":
        counted = [{"item": f.item, "kind": f.kind, "files": f.files, "bytes": f.bytes} for f in report.found]
        return {"tail": report.tail, "outputs": counted, **words}
    return {**report.terms, **words} or None
