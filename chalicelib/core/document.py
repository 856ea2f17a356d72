"""The job document: what a user submits.

Its words are those of PSI/J and of the DOE IRI Facility API's JobSpec, with ``stage_in``, ``stage_out`` and
``cleanup`` beside them. This file owns its shape, the rules across its fields, and nothing of any site: what
only a site can tell (roots, queues) is checked by ``core.sites``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from chalicelib.core import paths
from chalicelib.core.dependencies import MOST_PARENTS, Parent, When
from chalicelib.core.errors import Fault, Invalid
from chalicelib.core.holds import Hold, hold_of
from chalicelib.core.ids import CollectionId, JobNumber, SiteId
from chalicelib.core.paths import Location
from chalicelib.core.shape import (
    ABSENT,
    Choice,
    Either,
    Field,
    Flag,
    Integer,
    Json,
    ListOf,
    MapOf,
    Record,
    Schema,
    Text,
)
from chalicelib.core.transfer_options import MOST_PATTERNS, Options, check_exclude, check_include, filter_rules

LARGEST = 256 * 1024
"""Bytes of JSON that one document may have."""

MOST_ITEMS = 100
"""Items in ``stage_in``, and in ``stage_out``."""

EAGER, JUST_IN_TIME = "eager", "just_in_time"

WHEN = ("on_success", "on_error", "on_cancel", "always")

_NAME = Text(
    longest=64,
    pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    says="must begin with a letter or digit and have only letters, digits, dot, underscore and hyphen",
)
_SLUG = Text(
    longest=63,
    pattern=r"[a-z0-9][a-z0-9-]*",
    says="must have only lower-case letters, digits and hyphens",
)
_PATH = Text(longest=paths.LONGEST, shortest=1)
_WORD = Text(longest=256, shortest=1)
_COUNT = Integer(least=1, most=1_000_000)

_RESOURCES = Record(
    fields={
        "node_count": Field(shape=_COUNT, default=1),
        "process_count": Field(shape=_COUNT, default=None),
        "processes_per_node": Field(shape=_COUNT, default=None),
        "cpu_cores_per_process": Field(shape=_COUNT, default=None),
        "gpu_cores_per_process": Field(shape=_COUNT, default=None),
        "exclusive_node_use": Field(shape=Flag(), default=True),
        "memory": Field(shape=Integer(least=1, describe="bytes on each node"), default=None),
    }
)
_ATTRIBUTES = Record(
    fields={
        "duration": Field(shape=Integer(least=1, most=366 * 86400, describe="walltime in seconds"), default=600),
        "queue_name": Field(shape=_WORD, default=None),
        "account": Field(shape=_WORD, default=None),
        "reservation_id": Field(shape=_WORD, default=None),
        "custom_attributes": Field(shape=MapOf(key=_WORD, value=Text(), longest=50), default=None),
    }
)
_FILE = Record(
    fields={
        "path": Field(shape=_PATH, required=True),
        "content": Field(shape=Text(longest=LARGEST), required=True),
        "encoding": Field(shape=Choice(words=("utf-8", "base64")), default="utf-8"),
        "mode": Field(shape=Text(pattern=r"0?[0-7]{3}", says="must be an octal mode such as 0755"), default="0644"),
    }
)
_SYMLINKS = Field(
    shape=Choice(words=("fail", "ignore"), describe="what a symbolic link, which Globus skips, does to the item"),
    default="fail",
)
_PATTERNS = ListOf(item=Text(longest=256, shortest=1), longest=MOST_PATTERNS)
_OPTIONS = {
    "include": Field(
        shape=replace(_PATTERNS, describe="of a directory, only files with names that match one of these"), default=()
    ),
    "exclude": Field(
        shape=replace(_PATTERNS, describe="but none of these; one that ends in a slash leaves out directories"),
        default=(),
    ),
    "encrypt": Field(shape=Flag(describe="encrypt the data on their way"), default=False),
}
_STAGE_IN = Record(
    fields={
        "source": Field(shape=_PATH, required=True),
        "target": Field(shape=_PATH, default="./"),
        "mode": Field(shape=Choice(words=("copy", "link")), default="copy"),
        "optional": Field(shape=Flag(), default=False),
        "symlinks": Field(
            shape=Choice(words=("ignore",), describe="Globus skips symbolic links in a directory, and says nothing"),
            default="ignore",
        ),
        "executable": Field(shape=Flag(describe="give the file mode 0755 when it has arrived"), default=False),
        **_OPTIONS,
    }
)
_STAGE_OUT = Record(
    fields={
        "source": Field(shape=_PATH, required=True),
        "target": Field(shape=_PATH, required=True),
        "when": Field(shape=ListOf(item=Choice(words=WHEN), longest=4, shortest=1), default=("always",)),
        "optional": Field(shape=Flag(), default=False),
        "symlinks": _SYMLINKS,
        "merge": Field(shape=Flag(describe="other live jobs may write to the same place"), default=False),
        **_OPTIONS,
    }
)
_NOTIFY = Record(
    fields={
        "email": Field(
            shape=Text(longest=254, pattern=r"[^\s@<>]+@[^\s@<>]+", says="must be an e-mail address"), required=True
        )
    },
    describe="Whom news of the job are addressed to; they are sent where this deployment's operator says",
)
HOLD = Field(
    shape=Either(
        first=Flag(),
        first_type=bool,
        second=Choice(words=(Hold.STAGING.value,)),
        describe="true keeps the job from the scheduler while its inputs move; staging keeps back both",
    ),
    default=False,
)
_DEADLINES = Record(
    fields={
        name: Field(shape=Integer(least=60, most=30 * 86400, describe="seconds"), default=None)
        for name in ("stage_in", "queue", "stage_out")
    },
    describe="How long a stage may take before the job fails; no limit where none is given",
)
_RETRY = Record(
    fields={
        "attempts": Field(shape=Integer(least=1, most=10, describe="tries in all"), required=True),
        "delay": Field(shape=Integer(most=86400, describe="seconds from a failure to the next try"), default=60),
    },
    describe="How often a run, a submission or a move that failed is tried again",
)
_DEPENDS_ON = ListOf(
    item=Either(
        first=Integer(least=1, most=10**10 - 1),
        first_type=int,
        second=Record(
            fields={
                "job": Field(shape=Integer(least=1, most=10**10 - 1), required=True),
                "when": Field(shape=Choice(words=tuple(When)), default=When.OK.value),
            }
        ),
    ),
    longest=MOST_PARENTS,
    describe="Jobs of yours that must end before this one starts; a number alone means afterok",
)
_VARIABLE = Text(longest=256, pattern=r"[A-Za-z_][A-Za-z0-9_]*", says="must be a shell variable's name")

SHAPE = Record(
    describe="A qstage job document",
    fields={
        "name": Field(shape=_NAME, default="job"),
        "site": Field(shape=_SLUG, required=True),
        "executable": Field(shape=_PATH, required=True),
        "arguments": Field(shape=ListOf(item=Text(longest=32768), longest=10_000), default=()),
        "environment": Field(shape=MapOf(key=_VARIABLE, value=Text(longest=32768), longest=1000), default=None),
        "inherit_environment": Field(shape=Flag(), default=False),
        "files": Field(shape=ListOf(item=_FILE, longest=100), default=()),
        "stdin_path": Field(shape=_PATH, default=None),
        "stdout_path": Field(shape=_PATH, default=None),
        "stderr_path": Field(shape=_PATH, default=None),
        "resources": Field(shape=_RESOURCES, default=None),
        "attributes": Field(shape=_ATTRIBUTES, default=None),
        "stage_in": Field(shape=ListOf(item=_STAGE_IN, longest=MOST_ITEMS), default=()),
        "stage_out": Field(shape=ListOf(item=_STAGE_OUT, longest=MOST_ITEMS), default=()),
        "cleanup": Field(
            shape=Either(first=Flag(), first_type=bool, second=ListOf(item=_PATH, longest=100)), default=False
        ),
        "deadlines": Field(shape=_DEADLINES, default=None),
        "retry": Field(shape=_RETRY, default=None),
        "depends_on": Field(shape=_DEPENDS_ON, default=()),
        "hold": HOLD,
        "staging": Field(
            shape=Choice(
                words=(EAGER, JUST_IN_TIME),
                describe="just_in_time submits the job held, and moves its inputs when its start is near",
            ),
            default=EAGER,
        ),
        "tags": Field(shape=MapOf(key=_NAME, value=Text(longest=256), longest=20), default=None),
        "notify": Field(shape=_NOTIFY, default=None),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageIn:
    """One input: a place on a collection, or for ``link`` an absolute path at the site."""

    source: Location | None
    site_path: str | None
    target: str
    optional: bool
    executable: bool
    options: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOut:
    """One output: a path in the job's directory, and the template of where it goes."""

    source: str
    template: str
    when: frozenset[str]
    optional: bool
    symlinks: str
    merge: bool
    options: Options

    @property
    def collection(self) -> CollectionId:
        """The collection that it goes to; only the path of a target may have placeholders."""
        return _probe(self.template).collection


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A checked document. ``raw`` is what the user sent, word for word."""

    raw: Mapping[str, Any]
    name: str
    site: SiteId
    executable: str
    deadlines: Mapping[str, int | None]
    """``stage_in`` and ``stage_out`` in seconds; None or absent for no limit."""
    retry: Mapping[str, int]
    """``attempts`` and ``delay``; empty if there is one try."""
    depends_on: tuple[Parent, ...]
    hold: Hold | None
    staging: str
    """EAGER or JUST_IN_TIME."""
    stage_in: tuple[StageIn, ...]
    stage_out: tuple[StageOut, ...]
    cleanup: bool | tuple[str, ...]
    tags: Mapping[str, str]
    values: Mapping[str, Any]
    """Every field with its default, as read: what the site is handed comes from here."""
    size: int = 0
    """Bytes of ``raw`` as it is stored, where they have been counted."""

    def targets(self, number: JobNumber, index: int) -> tuple[Location, ...]:
        """Where the outputs go, one for each ``stage_out`` item, templates filled."""
        return tuple(
            paths.parse_location(paths.fill(item.template, number=number, name=self.name, index=index, tags=self.tags))
            for item in self.stage_out
        )

    def collections(self) -> frozenset[str]:
        """The collections that the document names; the site adds its own."""
        named = {str(item.source.collection) for item in self.stage_in if item.source is not None}
        return frozenset(named | {_probe(item.template).collection for item in self.stage_out})


def schema() -> Schema:
    """The document's JSON Schema (2020-12)."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **SHAPE.schema()}


def read_document(raw: Json, pointer: str = "") -> Document:
    """Check a document and return it; ``Invalid`` names every fault at once."""
    faults: list[Fault] = []
    values = SHAPE.read(raw, pointer, faults)
    if values is ABSENT:
        raise Invalid(tuple(faults))
    stage_in = _each(values["stage_in"], f"{pointer}/stage_in", faults, _read_stage_in)
    stage_out = _each(values["stage_out"], f"{pointer}/stage_out", faults, _read_stage_out)
    files = _each(values["files"], f"{pointer}/files", faults, _read_file)
    parents = _each(values["depends_on"], f"{pointer}/depends_on", faults, _read_parent)
    _check_parents(parents, f"{pointer}/depends_on", faults)
    _check_targets(stage_out, values, f"{pointer}/stage_out", faults)
    _check_paths(values, pointer, faults)
    _check_processes(values["resources"], f"{pointer}/resources", faults)
    _check_landings(files, stage_in, pointer, faults)
    if faults:
        raise Invalid(tuple(faults))
    assert isinstance(raw, dict)
    return Document(
        raw=raw,
        name=values["name"],
        site=SiteId(values["site"]),
        executable=values["executable"],
        deadlines=values["deadlines"] or {},
        retry=values["retry"] or {},
        depends_on=tuple(parents.values()),
        hold=hold_of(values["hold"]),
        staging=values["staging"],
        stage_in=tuple(stage_in.values()),
        stage_out=tuple(stage_out.values()),
        cleanup=values["cleanup"],
        tags=values["tags"] or {},
        values=values,
    )


def _each(entries: Any, pointer: str, faults: list[Fault], read: Any) -> dict[int, Any]:
    """What could be read of a list, each entry under its own index: a fault must not move the others."""
    found = {}
    for index, entry in enumerate(entries if isinstance(entries, tuple) else ()):
        made = None if entry is ABSENT else read(entry, f"{pointer}/{index}", faults)
        if made is not None:
            found[index] = made
    return found


def _checked(faults: list[Fault], pointer: str, rule: Any, *given: Any) -> Any:
    """Apply a rule of ``core.paths``; its refusal becomes a fault and ABSENT. What has a fault stays ABSENT."""
    if ABSENT in given:
        return ABSENT
    try:
        return rule(*given)
    except ValueError as refused:
        faults.append(Fault(pointer=pointer, detail=str(refused)))
        return ABSENT


def _read_stage_in(entry: Mapping[str, Any], pointer: str, faults: list[Fault]) -> StageIn | None:
    """Read one input. A field with a fault is ABSENT, and the rules for the others are applied all the same."""
    link = entry["mode"] == "link"
    rule = paths.absolute if link else paths.parse_location
    written = ABSENT if entry["mode"] is ABSENT else entry["source"]
    source = _checked(faults, f"{pointer}/source", rule, written)
    target = _checked(faults, f"{pointer}/target", paths.relative, entry["target"])
    if source is ABSENT or target is ABSENT:
        return None
    # Checked again: a file brings its own name, which may be one that is not free.
    lands = _checked(
        faults, f"{pointer}/target", paths.relative, paths.landing(source if link else source.path, target)
    )
    if lands is ABSENT:
        return None
    if entry["executable"] is True and (lands == "" or lands.endswith("/")):
        faults.append(Fault(pointer=f"{pointer}/executable", detail="is for one file; the source is a directory"))
    if link and (entry["include"] or entry["exclude"] or entry["encrypt"]):
        faults.append(
            Fault(pointer=f"{pointer}/mode", detail="a link moves nothing: leave out include, exclude, encrypt")
        )
    return StageIn(
        source=None if link else source,
        site_path=source if link else None,
        target=lands,
        optional=entry["optional"],
        executable=entry["executable"],
        options=_read_options(entry, lands, pointer, faults),
    )


def _read_stage_out(entry: Mapping[str, Any], pointer: str, faults: list[Fault]) -> StageOut | None:
    source = _checked(faults, f"{pointer}/source", paths.relative, entry["source"])
    place = _checked(faults, f"{pointer}/target", _probe, entry["target"])
    if source is ABSENT or place is ABSENT:
        return None
    path = _checked(
        faults, f"{pointer}/target", paths.absolute, entry["target"][len(f"{paths.SCHEME}{place.collection}") :]
    )
    if path is ABSENT:
        return None
    lands = paths.landing(source.replace("{", "{{").replace("}", "}}"), path[1:])
    return StageOut(
        source=source,
        template=f"{paths.SCHEME}{place.collection}/{lands}",
        when=frozenset(entry["when"] if isinstance(entry["when"], tuple) else ()),
        optional=entry["optional"],
        symlinks=entry["symlinks"],
        merge=entry["merge"],
        options=_read_options(entry, source, pointer, faults),
    )


def _read_options(entry: Mapping[str, Any], place: str, pointer: str, faults: list[Fault]) -> Options:
    """How the item is moved; ``place`` is one end of it, by which a directory is known."""
    lists: dict[str, list[str]] = {"include": [], "exclude": []}
    for name, rule in (("include", check_include), ("exclude", check_exclude)):
        for index, pattern in enumerate(entry[name] if isinstance(entry[name], tuple) else ()):
            checked = _checked(faults, f"{pointer}/{name}/{index}", rule, pattern)
            lists[name] += [] if checked is ABSENT else [checked]
        if lists[name] and not (place == "" or place.endswith("/")):
            detail = "is for a directory: end the source with a slash, or leave this out"
            faults.append(Fault(pointer=f"{pointer}/{name}", detail=detail))
    return Options(rules=filter_rules(lists["include"], lists["exclude"]), encrypt=entry["encrypt"] is True)


def _read_file(entry: Mapping[str, Any], pointer: str, faults: list[Fault]) -> str | None:
    """Check one of ``files`` and return its plain path."""
    if entry["encoding"] == "base64" and isinstance(entry["content"], str) and not _is_base64(entry["content"]):
        faults.append(Fault(pointer=f"{pointer}/content", detail="is not base64"))
    plain = _checked(faults, f"{pointer}/path", _file_path, entry["path"])
    return plain if isinstance(plain, str) else None


def _read_parent(entry: Any, pointer: str, faults: list[Fault]) -> Parent | None:
    number, when = (entry["job"], entry["when"]) if isinstance(entry, dict) else (entry, When.OK)
    return None if ABSENT in (number, when) else Parent(number=JobNumber(number), when=When(when))


def _check_parents(parents: Mapping[int, Parent], pointer: str, faults: list[Fault]) -> None:
    seen: set[JobNumber] = set()
    for index, parent in parents.items():
        if parent.number in seen:
            faults.append(Fault(pointer=f"{pointer}/{index}", detail=f"names job {parent.number} a second time"))
        seen.add(parent.number)


def _file_path(text: str) -> str:
    plain = paths.relative(text)
    if plain == "" or plain.endswith("/"):
        raise ValueError("must name a file")
    return plain


@lru_cache(maxsize=1024)
def _probe(template: str) -> Location:
    """Check a template by the place it gives when every placeholder is filled with ``x``."""
    names = paths.placeholders(template)
    if paths.placeholders(template.removeprefix(paths.SCHEME).partition("/")[0]):
        raise ValueError("names a collection by placeholders; only the path may have some")
    tags = {name[len("tags.") :]: "x" for name in names if name.startswith("tags.")}
    return paths.parse_location(paths.fill(template, number=1, name="x", index=0, tags=tags))


def _check_targets(items: Mapping[int, StageOut], values: Any, pointer: str, faults: list[Fault]) -> None:
    """Fill each target as it will be filled: with the real tags and name, and the longest of numbers."""
    tags = {} if values["tags"] is None else values["tags"]
    name = values["name"] if isinstance(values["name"], str) else "x"

    def filled(template: str) -> Location:
        return paths.parse_location(paths.fill(template, number=10**10, name=name, index=10**4, tags=tags))

    for index, item in items.items():
        used = {each[len("tags.") :] for each in paths.placeholders(item.template) if each.startswith("tags.")}
        if not used or (isinstance(tags, dict) and all(tags.get(tag) is not ABSENT for tag in used)):
            _checked(faults, f"{pointer}/{index}/target", filled, item.template)


def _check_paths(values: Any, pointer: str, faults: list[Fault]) -> None:
    executable = values["executable"]
    if isinstance(executable, str) and not executable.startswith("/"):
        _checked(faults, f"{pointer}/executable", _file_path, executable)
    for name in ("stdin_path", "stdout_path", "stderr_path"):
        if isinstance(values[name], str):
            _checked(faults, f"{pointer}/{name}", _file_path, values[name])
    for index, path in enumerate(values["cleanup"] if isinstance(values["cleanup"], tuple) else ()):
        _checked(faults, f"{pointer}/cleanup/{index}", paths.relative, path)


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _check_processes(resources: Any, pointer: str, faults: list[Fault]) -> None:
    if not isinstance(resources, dict):
        return
    count, per_node, nodes = (resources[name] for name in ("process_count", "processes_per_node", "node_count"))
    if ABSENT in (count, per_node, nodes) or count is None or per_node is None:
        return
    product = per_node * nodes
    if count != product:
        detail = f"must be node_count x processes_per_node = {product}; give one of the two"
        faults.append(Fault(pointer=f"{pointer}/process_count", detail=detail))


def _check_landings(
    files: Mapping[int, str], stage_in: Mapping[int, StageIn], pointer: str, faults: list[Fault]
) -> None:
    """Two things that land on the same file would overwrite each other in no certain order."""
    landed = [(f"{pointer}/files/{index}", "path", plain) for index, plain in files.items()]
    landed += [(f"{pointer}/stage_in/{index}", "target", item.target) for index, item in stage_in.items()]
    seen: dict[str, str] = {}
    for owner, field, place in landed:
        if place == "" or place.endswith("/"):
            continue
        if place in seen:
            detail = f"lands on {place!r}, and so does {seen[place]}"
            faults.append(Fault(pointer=f"{owner}/{field}", detail=detail))
        seen[place] = owner
