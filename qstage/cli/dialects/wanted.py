"""What a script of Slurm or PBS asks for, and the document made of it."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import Any

from qstage.cli.dialects.lines import BadDirective
from qstage.cli.document import STARTER, Extras, Script, shipped
from qstage.cobalt.starter import starter

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
EMAIL = re.compile(r"[^\s@<>]+@[^\s@<>]+")
_SIZE = re.compile(r"([0-9]+)([KMGT]?)(?:i?[Bb])?", re.IGNORECASE)
_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


@dataclass(slots=True, kw_only=True)
class Wanted:
    """Filled directive by directive; of two that say the same the later wins."""

    name: str | None = None
    resources: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    custom: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    depends_on: list[dict[str, Any]] = field(default_factory=list)
    hold: bool = False
    email: str | None = None
    cwd: str | None = None
    umask: int | None = None


def whole(text: str, line: str) -> int:
    """A whole number of at least 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise BadDirective(f"{line}: {text!r} is not a whole number of at least 1")
    return int(text)


def size(text: str, line: str, *, unit: str) -> int:
    """A size in bytes; ``unit`` (a letter, or nothing) where none is written."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise BadDirective(f"{line}: {text!r} is not a size")
    power: int = 1024 ** _UNITS[found[2].upper() or unit]
    return int(found[1]) * power


def own_path(text: str, line: str) -> str:
    """A path in the job's directory."""
    if "%" in text:
        raise BadDirective(f"{line}: {text}: a pattern cannot be filled in; every job has a directory of its own")
    plain = posixpath.normpath(text)
    if plain.startswith("/") or plain.split("/")[0] == ".." or plain == ".":
        raise BadDirective(f"{line}: {text} must lie in the job's own directory: name it relative to that")
    return plain


def job_name(text: str, line: str) -> str:
    """A name as a document takes it."""
    if not NAME.fullmatch(text):
        raise BadDirective(
            f"{line}: a name has letters, digits, dot, underscore and hyphen only, at most 64, first a letter or digit"
        )
    return text


def parents(text: str, line: str) -> list[dict[str, Any]]:
    """``afterok:1:2,afternotok:3``, of qstage's own ids: all must hold."""
    found: list[dict[str, Any]] = []
    for item in text.split(","):
        when, *ids = item.split(":")
        if when not in {"afterok", "afterany", "afternotok"} or not ids:
            raise BadDirective(f"{line}: a job can wait by afterok, afterany and afternotok, each with ids")
        if not all(one.isascii() and one.isdigit() for one in ids):
            raise BadDirective(f"{line}: {item}: a job is named by the number that qstage gave it")
        found += [{"job": int(one), "when": when} for one in ids]
    return found


def variables(text: str, line: str) -> dict[str, str]:
    """``A=1,B=2``; a name without a value would be taken from this machine, and is refused."""
    pairs = [item.partition("=") for item in text.split(",") if item]
    bare = [name for name, equals, _ in pairs if not equals]
    if bare:
        raise BadDirective(f"{line}: a staged job has an environment of its own: write {bare[0]}=value")
    return {name: value for name, _, value in pairs}


def script_document(wanted: Wanted, extras: Extras, script: Script, arguments: tuple[str, ...]) -> dict[str, Any]:
    """The document of a script and what it asks for."""
    if extras.site is None:
        raise BadDirective("no site: --site ID, or a default with: qstage site use ID")
    files, executable = [shipped(script)], script.name
    if wanted.cwd is not None or wanted.umask is not None:
        text = starter(script.name, umask=wanted.umask, cwd=wanted.cwd, log=None, argv=())
        files.append({"path": STARTER, "content": text, "mode": "0755"})
        executable = STARTER
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", script.name.rsplit(".", 1)[0]).lstrip("._-")[:64]
    attributes = {**wanted.attributes, **({"custom_attributes": wanted.custom} if wanted.custom else {})}
    optional: dict[str, Any] = {
        "resources": wanted.resources,
        "attributes": attributes,
        "environment": wanted.environment,
        **wanted.paths,
        "stage_in": list(extras.stage_in),
        "stage_out": list(extras.stage_out),
        "tags": extras.tags,
        "hold": wanted.hold,
        "cleanup": extras.cleanup,
        "staging": extras.staging,
        "notify": {"email": wanted.email} if wanted.email else None,
        "depends_on": wanted.depends_on,
    }
    return {
        "name": wanted.name or stem or "job",
        "site": extras.site,
        "executable": executable,
        "arguments": list(arguments),
        "files": files,
    } | {name: value for name, value in optional.items() if value}
