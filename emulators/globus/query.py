"""Transfer's query language: ``filter``, ``orderby``, ``fields``, ``limit`` and ``offset``.

A filter is clauses joined by ``/``, each ``key:value,value``. Values of names and labels may begin with ``=``, ``~``
(a pattern ignoring case), ``!`` or ``!~``. A range is ``from,to`` with an empty side for open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from werkzeug.datastructures import MultiDict

from emulators.globus.errors import Document, bad_request
from emulators.globus.people import glob_matches
from emulators.globus.times import parse as parse_time

Clause = tuple[str, list[str]]
Test = Callable[[list[str], Any], bool]
T = TypeVar("T")


def clauses(text: str) -> list[Clause]:
    """Split a filter. Raises ``TransferRefusal`` 400 for a clause without a key."""
    found = []
    for part in text.split("/"):
        if not part:
            continue
        key, colon, values = part.partition(":")
        if not colon:
            raise bad_request(f"Invalid filter clause '{part}'")
        found.append((key.strip(), values.split(",")))
    return found


def one_of(values: list[str], value: Any) -> bool:
    """Whether the value is any of those listed, ignoring case; an empty list lets all pass."""
    wanted = {each.strip().casefold() for each in values if each.strip()}
    return not wanted or str(value).casefold() in wanted


def named(values: list[str], value: Any) -> bool:
    """Any of the positive patterns, if there are some, and none of the negative ones."""
    text = "" if value is None else str(value)
    negative = [each[1:] for each in values if each.startswith("!")]
    positive = [each for each in values if each and not each.startswith("!")]
    if any(_matches(each, text) for each in negative):
        return False
    return not positive or any(_matches(each, text) for each in positive)


def _matches(pattern: str, text: str) -> bool:
    if pattern.startswith("~"):
        return glob_matches(pattern[1:], text)
    return text == pattern.removeprefix("=")


def in_time(values: list[str], value: Any) -> bool:
    """Whether a time (text or None) lies in ``from,to``; one value alone means from then on."""
    if value is None:
        return False
    try:
        moment = parse_time(str(value))
        low, high = [parse_time(each) if each.strip() else None for each in [*values, ""][:2]]
    except ValueError as error:
        raise bad_request(f"Invalid time range {','.join(values)}") from error
    return (low is None or moment >= low) and (high is None or moment <= high)


def in_numbers(values: list[str], value: Any) -> bool:
    """Whether a number lies in ``from,to``; a single one must be equal."""
    try:
        bounds = [float(each) if each.strip() else None for each in values]
    except ValueError as error:
        raise bad_request(f"Invalid number range {','.join(values)}") from error
    if len(bounds) == 1:
        return bounds[0] is None or float(value) == bounds[0]
    low, high = bounds[:2]
    return (low is None or float(value) >= low) and (high is None or float(value) <= high)


def passes(document: Document, wanted: Iterable[Clause], tests: dict[str, Test]) -> bool:
    """Whether a document meets every clause. Raises ``TransferRefusal`` 400 for a key that cannot be filtered."""
    for key, values in wanted:
        test = tests.get(key)
        if test is None:
            raise bad_request(f"Invalid filter field '{key}'")
        if not test(values, document.get(key)):
            return False
    return True


def ordered(documents: list[Document], orderby: str, allowed: Iterable[str]) -> list[Document]:
    """Sort by ``field [ASC|DESC],…``; nulls first. Raises ``TransferRefusal`` 400 for a field that is not allowed."""
    known = set(allowed)
    for part in reversed([each.split() for each in orderby.split(",") if each.strip()]):
        name, direction = part[0], part[1].upper() if len(part) > 1 else "ASC"
        if name not in known or direction not in ("ASC", "DESC") or len(part) > 2:
            raise bad_request(f"Invalid orderby '{' '.join(part)}'")
        documents = sorted(documents, key=lambda each: _key(each.get(name)), reverse=direction == "DESC")
    return documents


def _key(value: Any) -> tuple[int, Any]:
    return (0, 0) if value is None else (1, value)


def trimmed(document: Document, fields: str | None) -> Document:
    """Only the fields asked for, and the document's type."""
    if not fields:
        return document
    names = {each.strip() for each in fields.split(",")} | {"DATA_TYPE"}
    return {name: value for name, value in document.items() if name in names}


def number(args: MultiDict[str, str], name: str, default: int, most: int | None = None) -> int:
    """A whole number of the query, at least zero and at most ``most``."""
    try:
        value = int(args.get(name, default))
    except ValueError as error:
        raise bad_request(f"{name} must be an integer") from error
    if value < 0:
        raise bad_request(f"{name} must not be negative")
    return value if most is None else min(value, most)


def _as_it_is(document: Any) -> Document:
    assert isinstance(document, dict)
    return document


def page(
    documents: Sequence[T],
    args: MultiDict[str, str],
    kind: str,
    most: int,
    written: Callable[[T], Document] = _as_it_is,
) -> Document:
    """One page by limit and offset, with the total; ``written`` gives each document on it its final form."""
    limit, offset = number(args, "limit", min(most, 1000), most), number(args, "offset", 0)
    found = [trimmed(written(each), args.get("fields")) for each in documents[offset : offset + limit]]
    return {
        "DATA_TYPE": kind,
        "DATA": found,
        "length": len(found),
        "limit": limit,
        "offset": offset,
        "total": len(documents),
    }


def marked(things: Sequence[T], args: MultiDict[str, str], kind: str, written: Callable[[T], Document]) -> Document:
    """One page by marker, each thing on it ``written``: ``next_marker`` is null at the end."""
    start = number(args, "marker", 0)
    limit = number(args, "limit", 100, 1000) or 100
    after = start + limit
    return {
        "DATA_TYPE": kind,
        "DATA": [written(each) for each in things[start:after]],
        "marker": start,
        "next_marker": after if after < len(things) else None,
    }
