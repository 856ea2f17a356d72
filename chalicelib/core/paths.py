"""The rules of paths, which everything shares.

* ``globus://<collection>/<path>`` names a place on a collection. The path is taken as it is written: nothing
  is percent-decoded, so that each name that Globus can hold can be written.
* A path that ends in ``/`` is a directory, and its *contents* are meant; any other is one file.
* A file whose target ends in ``/`` lands in that directory under its own name. No target means ``./``.
* A relative path lies inside the job's own directory; one that would leave it is refused, and so is
  ``.qstage``, where the agent keeps its marks.
* The target of a stage-out is a template: ``{id} {name} {index} {tags.x}``; ``{{`` and ``}}`` are braces.

Nothing here touches a file system. A refusal is a ValueError whose words say what is wrong and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from chalicelib.core.ids import CollectionId

SCHEME = "globus://"
RESERVED = ".qstage"
LONGEST = 4096
_COLLECTION = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# The jobs of a bulk name the same places again and again; what passes the rules once need not be read each time.
_remembered = lru_cache(maxsize=1024)


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place on a Globus collection. ``path`` is absolute (or begins with ``/~/``)."""

    collection: CollectionId
    path: str

    @property
    def is_directory(self) -> bool:
        return self.path.endswith("/")

    def __str__(self) -> str:
        return f"{SCHEME}{self.collection}{self.path}"


@_remembered
def parse_location(text: str) -> Location:
    """Read ``globus://<collection>/<path>``."""
    if not text.startswith(SCHEME):
        raise ValueError(f"must begin with {SCHEME}<collection id>/")
    collection, slash, rest = text[len(SCHEME) :].partition("/")
    if not _COLLECTION.fullmatch(collection):
        raise ValueError(f"{collection!r} is not a collection id (a UUID in lower case)")
    if not slash:
        raise ValueError("names no path: add one after the collection id, at least /")
    return Location(CollectionId(collection), absolute(f"/{rest}"))


def absolute(text: str) -> str:
    """Check an absolute path and return it with doubled slashes and ``.`` steps taken out."""
    if not text.startswith("/"):
        raise ValueError("must be an absolute path")
    return "/" + _steps(text)


def relative(text: str) -> str:
    """Check a path inside the job's directory and return its plain form: ``""`` is the directory itself."""
    if text.startswith("/"):
        raise ValueError("must be relative to the job's directory, not absolute")
    if text == "~" or text.startswith("~/"):
        raise ValueError("must be inside the job's directory; ~ is not")
    plain = _steps(text)
    if plain.split("/", 1)[0] == RESERVED:
        raise ValueError(f"{RESERVED} belongs to qstage; choose another name")
    return plain


@_remembered
def _steps(text: str) -> str:
    if len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters")
    if _CONTROL.search(text):
        raise ValueError("must not contain control characters")
    steps = [step for step in text.split("/") if step not in ("", ".")]
    if ".." in steps:
        raise ValueError("must not contain '..'")
    tail = "/" if steps and (text.endswith(("/", "/.")) or text == ".") else ""
    return "/".join(steps) + tail


def landing(source: str, target: str) -> str:
    """Where an item comes to lie: both paths in plain form.

    A directory source lands as a directory (ends in ``/``, or is empty: the root of the target side); a file
    lands at a file path.
    """
    if source == "" or source.endswith("/"):
        return target if target == "" or target.endswith("/") else f"{target}/"
    if target == "" or target.endswith("/"):
        return target + source.rsplit("/", 1)[-1]
    return target


def join(root: str, inside: str) -> str:
    """Join a directory and a plain relative path; ``""`` gives the directory with its slash."""
    return f"{root.rstrip('/')}/{inside}"


def covers(outer: str, inner: str) -> bool:
    """Tell whether ``inner`` is ``outer`` itself or lies inside it, ``outer`` being a directory or a file."""
    return inner == outer or inner.startswith(outer if outer.endswith("/") else f"{outer}/") or inner == f"{outer}/"


def overlap(one: str, other: str) -> bool:
    """Tell whether one of two destinations is, or lies inside, the other."""
    return covers(one, other) or covers(other, one)


@_remembered
def placeholders(template: str) -> tuple[str, ...]:
    """List the placeholders of a template; refuse lone braces and unknown names."""
    found = []
    for match in _PLACEHOLDER.finditer(template):
        if match.group() in ("{{", "}}"):
            continue
        name = match.group(1)
        if name is None:
            raise ValueError("has a lone brace: write {{ or }} for a brace")
        if name not in ("id", "name", "index") and not name.startswith("tags."):
            raise ValueError(f"{{{name}}} is not known; use {{id}}, {{name}}, {{index}} or {{tags.<tag>}}")
        found.append(name)
    return tuple(found)


def fill(template: str, *, number: int, name: str, index: int, tags: Mapping[str, str]) -> str:
    """Fill a template that ``placeholders`` has passed. A tag may not add steps to the path."""
    values = {"id": str(number), "name": name, "index": str(index)}

    def one(match: re.Match[str]) -> str:
        if match.group() in ("{{", "}}"):
            return match.group()[0]
        key = match.group(1)
        if key.startswith("tags."):
            value = tags.get(key[len("tags.") :])
            if value is None:
                raise ValueError(f"uses {{{key}}}, but the job has no such tag")
            if value in ("", ".", "..") or "/" in value or _CONTROL.search(value):
                raise ValueError(f"uses {{{key}}}, whose value {value!r} cannot be one step of a path")
            return value
        return values[key]

    return _PLACEHOLDER.sub(one, template)
