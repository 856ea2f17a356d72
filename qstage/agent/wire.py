"""What travels between the agent and the service, as values: leases, commands and answers in, reports out.

A lease that cannot be read raises ``BadLease`` with words for its owner; nothing here judges whether a lease
is *allowed* (``policy`` does) or acts on it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeVar, cast, get_args

from qstage.cobalt.submission import ADOPT, HELD

Event = Literal[
    "queued", "active", "exited", "rejected", "refused", "gone", "cleaned", "held", "released", "altered", "held_ahead"
]
"""What a report says. ``rejected``: the scheduler would not; ``refused``: this site's policy would not; ``held_ahead``:
the scheduler holds a job whose data is not there yet; ``gone``: it does not any more, and nothing has run."""

Outcome = Literal["ok", "error", "walltime", "lost", "canceled"]
CommandWord = Literal["cancel", "cleanup", "hold", "release", "alter"]
ORDERS = frozenset({"hold", "release", "alter"})
"""Commands about a job that the scheduler has. They bear a number."""
Kind = Literal["file", "directory", "missing"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MODE = re.compile(r"0?[0-7]{3}")
_T = TypeVar("_T")


class BadLease(ValueError):
    """A lease that cannot be read; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileToWrite:
    """A small file that came with the document."""

    path: str
    content: bytes = field(repr=False)
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link to data that is already at the site."""

    path: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedMode:
    """The mode of a staged file, which Globus does not carry."""

    path: str
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What the scheduler is asked for. ``duration`` is seconds of walltime."""

    duration: int = 600
    queue_name: str | None = None
    account: str | None = None
    reservation_id: str | None = None
    custom: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """How much of the machine. ``memory`` is bytes."""

    node_count: int | None = None
    process_count: int | None = None
    processes_per_node: int | None = None
    cpu_cores_per_process: int | None = None
    gpu_cores_per_process: int | None = None
    exclusive_node_use: bool = False
    memory: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Something to be staged out, to be looked for when the job has ended."""

    item: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One staged job that this agent may submit until ``leased_until`` (ISO 8601; None of one that was submitted)."""

    job: str
    id: int
    epoch: int
    leased_until: str | None
    owner_id: str
    owner: str
    tag: str
    name: str
    directory: str
    executable: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    inherit_environment: bool = False
    """Whether the job sees all that the scheduler's script sees on its node, not the short list alone."""
    files: tuple[FileToWrite, ...] = ()
    links: tuple[Link, ...] = ()
    staged_modes: tuple[StagedMode, ...] = ()
    resources: Resources = field(default_factory=Resources)
    attributes: Attributes = field(default_factory=Attributes)
    outputs: tuple[Output, ...] = ()
    stdin_path: str | None = None
    stdout_path: str | None = None
    stderr_path: str | None = None
    attempt: int = 1
    staged: bool = True
    """Whether it may begin: its data is there, and nothing else keeps it. If not, the scheduler is to have it all the
    same, held, and must not run it."""
    held: bool = False
    """Whether the scheduler has or may have it, held, from before its data was there: as ``native_id``, if known."""
    submitted: bool = False
    """Whether the scheduler has it, as ``native_id``: an agent has submitted it whose journal is lost."""
    native_id: str | None = None
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def adopted(self) -> bool:
        """Whether the scheduler has this job already, held, under ``scheduler_name``: a submit filter put it there."""
        return self.attempt == 1 and self.attributes.custom.get(ADOPT) == HELD

    @property
    def scheduler_name(self) -> str:
        """The scheduler job's name: readable, and no other job's, nor another attempt's."""
        return f"{self.name}-{self.id}-{self.tag}" + ("" if self.attempt == 1 else f"-{self.attempt}")

    @property
    def output_path(self) -> str:
        """Where standard output goes, relative to the job's directory."""
        return self.stdout_path or f"{self.name}.out"

    @property
    def error_path(self) -> str:
        """Where standard error goes, relative to the job's directory."""
        return self.stderr_path or f"{self.name}.err"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What the scheduler is to be asked for, or has been; None: as it is. ``duration`` is seconds."""

    duration: int | None = None
    queue_name: str | None = None
    account: str | None = None
    node_count: int | None = None
    process_count: int | None = None

    def but(self, **other: Any) -> Change:
        """The change with other values for some."""
        return replace(self, **other)

    def also(self, more: Change) -> Change:
        """Both changes; the later one's values count."""
        return replace(self, **_given(more))

    def to_wire(self) -> dict[str, dict[str, Any]]:
        """The merge patch of a document, or of a lease, that makes it so."""
        found = _given(self)
        parts = {
            "attributes": {name: value for name, value in found.items() if name in _OF_ATTRIBUTES},
            "resources": {name: value for name, value in found.items() if name not in _OF_ATTRIBUTES},
        }
        return {name: part for name, part in parts.items() if part}


_TEXTS = frozenset({"queue_name", "account"})
_OF_ATTRIBUTES = frozenset({"duration", *_TEXTS})


def _given(change: Change) -> dict[str, Any]:
    return {each.name: value for each in fields(change) if (value := getattr(change, each.name)) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Something the service asks for, again and again until a report answers it.

    ``unless_ran``: leave a job alone that has begun to run. A cleanup is then of what was staged for a job that was
    canceled, which may never have been leased; a cancel, of one that has waited too long for nodes.
    """

    job: str
    id: int
    epoch: int
    command: CommandWord
    native_id: str | None
    directory: str | None
    paths: tuple[str, ...] | None
    unless_ran: bool = False
    attempt: int = 1
    order: int | None = None
    """Which of the job's orders to the scheduler this is; the report that answers it says so."""
    change: Change = Change()
    """Of an alteration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a report."""

    job: str
    event: str
    result: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundOutput:
    """What was found where a job's output should be; ``links`` (at most 20) were not followed."""

    item: int
    kind: Kind
    files: int = 0
    bytes: int = 0
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One thing that happened to a job. ``at`` is ISO 8601 UTC; the rest as the event has it."""

    job: str
    epoch: int
    event: Event
    at: str
    native_id: str | None = None
    exit_code: int | None = None
    outcome: Outcome | None = None
    tail: str | None = None
    outputs: tuple[FoundOutput, ...] = ()
    detail: str | None = None
    command: CommandWord | None = None
    """The command that this answers, if it does."""
    order: int | None = None
    change: Mapping[str, Any] | None = None
    """Of an alteration, what the scheduler has changed, as ``Change.to_wire`` has it."""
    starts_at: str | None = None
    """The start that the scheduler expects of a job that it holds. ISO 8601 UTC."""

    def to_wire(self) -> dict[str, Any]:
        """The report as the service reads it: members without a value are left out."""
        body: dict[str, Any] = {"job": self.job, "epoch": self.epoch, "event": self.event, "at": self.at}
        if self.native_id is not None:
            body["native_id"] = self.native_id
        if self.event == "exited":
            body |= {"outcome": self.outcome, "tail": self.tail or ""}
            if self.exit_code is not None:
                body["exit_code"] = self.exit_code
            body["outputs"] = [
                {"item": o.item, "kind": o.kind, "files": o.files, "bytes": o.bytes, "links": list(o.links)}
                for o in self.outputs
            ]
        if self.command is not None:
            body["command"] = self.command
        if self.order is not None:
            body["order"] = self.order
        if self.change is not None:
            body["change"] = self.change
        if self.starts_at is not None:
            body["starts_at"] = self.starts_at
        if self.detail is not None:
            body["detail"] = self.detail[:2000]
        return body

    @classmethod
    def from_wire(cls, raw: Mapping[str, Any]) -> Report:
        """Read back what ``to_wire`` wrote (the journal keeps reports in that form)."""
        plain = {f.name: raw[f.name] for f in fields(cls) if f.name in raw and f.name != "outputs"}
        found = tuple(FoundOutput(**{**output, "links": tuple(output["links"])}) for output in raw.get("outputs", ()))
        return cls(**plain, outputs=found)


def read_lease(raw: Mapping[str, Any]) -> Lease:
    """Read a lease. Raises ``BadLease`` naming the member that is wrong."""
    try:
        owner = _object(raw, "owner")
        return Lease(
            job=_text(raw, "job"),
            id=_whole(raw, "id"),
            epoch=_whole(raw, "epoch"),
            leased_until=_maybe_text(raw, "leased_until"),
            owner_id=_text(owner, "id"),
            owner=_text(owner, "username"),
            tag=_matching(raw, "tag", _TAG),
            name=_matching(raw, "name", _NAME),
            directory=_text(raw, "directory"),
            executable=_text(raw, "executable"),
            arguments=tuple(_no_nul("arguments", text) for text in raw.get("arguments") or ()),
            environment=_environment(raw.get("environment") or {}),
            inherit_environment=raw.get("inherit_environment") is True,
            files=_each(raw, "files", _file),
            links=_each(raw, "links", lambda item: Link(path=_text(item, "path"), target=_text(item, "target"))),
            staged_modes=_each(
                raw, "staged_modes", lambda item: StagedMode(path=_text(item, "path"), mode=_mode(item))
            ),
            resources=_resources(raw.get("resources") or {}),
            attributes=_attributes(raw.get("attributes") or {}),
            outputs=_each(
                raw, "outputs", lambda item: Output(item=_whole(item, "item"), source=_no_nul("source", item["source"]))
            ),
            attempt=_attempt(raw),
            staged=raw.get("staged") is not False,
            held=raw.get("held") is True,
            submitted=raw.get("submitted") is True,
            native_id=_maybe_text(raw, "native_id"),
            stdin_path=_maybe_text(raw, "stdin_path"),
            stdout_path=_maybe_text(raw, "stdout_path"),
            stderr_path=_maybe_text(raw, "stderr_path"),
            raw=raw,
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise BadLease(f"the lease cannot be read: {error}") from None


def read_command(raw: Mapping[str, Any]) -> Command:
    """Read a command. Raises ``BadLease`` for a word this agent does not know."""
    word = raw.get("command")
    if word not in get_args(CommandWord):
        raise BadLease(f"unknown command {word!r}: this agent may be older than the service")
    paths = raw.get("paths")
    return Command(
        job=_text(raw, "job"),
        id=_whole(raw, "id"),
        epoch=_whole(raw, "epoch"),
        command=cast(CommandWord, word),
        native_id=_maybe_text(raw, "native_id"),
        directory=_maybe_text(raw, "directory"),
        paths=None if paths is None else tuple(_no_nul("paths", path) for path in paths),
        unless_ran=raw.get("unless_ran") is True,
        attempt=_attempt(raw),
        order=_whole(raw, "order") if word in ORDERS else None,
        change=_change(raw) if word == "alter" else Change(),
    )


def _change(raw: Mapping[str, Any]) -> Change:
    """Read what an alteration wants. One that is not understood whole is not carried out in part."""
    parts = [dict(_object(_object(raw, "change"), name)) for name in raw["change"]]
    wanted = {name: value for part in parts for name, value in part.items()}
    known = {each.name for each in fields(Change)}
    strange = set(wanted) - known
    if strange or not wanted:
        words = ", ".join(sorted(strange)) or "nothing"
        raise BadLease(f"the alteration is of {words}: this agent may be older than the service")
    read: dict[str, Any] = {name: (_text if name in _TEXTS else _whole)(wanted, name) for name in wanted}
    return Change(**read)


def altered_lease(lease: Lease, change: Change) -> Lease:
    """The lease of a job whose scheduler has been asked for something else."""
    raw = dict(lease.raw)
    for name, part in change.to_wire().items():
        raw[name] = {**(raw.get(name) or {}), **part}
    return read_lease(raw)


def read_answer(raw: Mapping[str, Any]) -> Answer:
    """Read the answer to one report."""
    return Answer(
        job=str(raw.get("job")),
        event=str(raw.get("event")),
        result=str(raw.get("result")),
        detail=str(raw.get("detail") or ""),
    )


def _each(raw: Mapping[str, Any], name: str, read: Callable[[Mapping[str, Any]], _T]) -> tuple[_T, ...]:
    return tuple(read(item) for item in raw.get(name) or ())


def _file(item: Mapping[str, Any]) -> FileToWrite:
    path, content = _text(item, "path"), item["content"]
    if not isinstance(content, str):
        raise BadLease(f"the content of {path} is not text")
    try:
        data = base64.b64decode(content, validate=True) if item.get("encoding") == "base64" else content.encode()
    except (binascii.Error, UnicodeError) as error:
        raise BadLease(f"the content of {path} cannot be decoded: {error}") from None
    return FileToWrite(path=path, content=data, mode=_mode(item))


def _mode(item: Mapping[str, Any]) -> int:
    text = item.get("mode", "0644")
    # Three digits only: set-user-id and its kin have no place in a staged job.
    if not isinstance(text, str) or not _MODE.fullmatch(text):
        raise BadLease(f"mode {text!r} is not three octal digits")
    return int(text, 8)


def _resources(raw: Mapping[str, Any]) -> Resources:
    known = {f.name for f in fields(Resources)}
    strange = set(raw) - known
    if strange:
        raise BadLease(f"unknown resources {', '.join(sorted(strange))}: this agent may be older than the service")
    for name, value in raw.items():
        wanted = bool if name == "exclusive_node_use" else int
        if value is not None and type(value) is not wanted:
            raise BadLease(f"resources.{name} is {value!r}")
    return Resources(**{name: value for name, value in raw.items() if value is not None})


def _attributes(raw: Mapping[str, Any]) -> Attributes:
    custom = raw.get("custom_attributes") or {}
    return Attributes(
        duration=_whole(raw, "duration") if raw.get("duration") is not None else 600,
        queue_name=_maybe_text(raw, "queue_name"),
        account=_maybe_text(raw, "account"),
        reservation_id=_maybe_text(raw, "reservation_id"),
        custom={_no_nul("custom_attributes", key): _no_nul(key, value) for key, value in custom.items()},
    )


def _environment(raw: Mapping[str, Any]) -> dict[str, str]:
    for name in raw:
        if not _VARIABLE.fullmatch(name):
            raise BadLease(f"{name!r} cannot be the name of an environment variable")
    return {name: _no_nul(name, value) for name, value in raw.items()}


def _object(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = raw[name]
    if not isinstance(value, Mapping):
        raise BadLease(f"{name} is not an object")
    return value


def _text(raw: Mapping[str, Any], name: str) -> str:
    text = _no_nul(name, raw[name])
    if not text:
        raise BadLease(f"{name} is empty")
    return text


def _maybe_text(raw: Mapping[str, Any], name: str) -> str | None:
    return None if raw.get(name) is None else _text(raw, name)


def _matching(raw: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    text = _text(raw, name)
    if not pattern.fullmatch(text):
        raise BadLease(f"{name} {text!r} holds characters that it must not")
    return text


def _whole(raw: Mapping[str, Any], name: str) -> int:
    value = raw[name]
    if type(value) is not int or value < 0:
        raise BadLease(f"{name} is {value!r}, not a whole number")
    return value


def _attempt(raw: Mapping[str, Any]) -> int:
    attempt = _whole(raw, "attempt") if "attempt" in raw else 1
    if attempt == 0:
        raise BadLease("attempt is 0: attempts are counted from 1")
    return attempt


def _no_nul(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadLease(f"{name} is not text")
    if "\0" in value:
        raise BadLease(f"{name} holds a NUL")
    return value
