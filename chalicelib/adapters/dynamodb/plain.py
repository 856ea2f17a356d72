"""Records whose fields are stored under their own names, as plain JSON values and back.

For the records that are nested and of which there are few (plans, routes, sites): their field names are the stored
form, and ``tests/unit/test_items_desks.py`` holds samples that must stay readable. What is None is not stored, so
that a field with a default can be added; a stored field that the record does not have is an error, because to
overlook it would be to lose it at the next write.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, cast

from chalicelib.adapters.dynamodb.encoding import micros, moment

Kept = TypeVar("Kept")


def to_plain(value: Any) -> Any:
    """A record, or a part of one, as what JSON knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((each.name, getattr(value, each.name)) for each in dataclasses.fields(value))
        return {name: to_plain(part) for name, part in pairs if part is not None}
    match value:
        case datetime():
            return micros(value)
        case StrEnum():
            return value.value
        case frozenset():
            return sorted(to_plain(part) for part in value)
        case tuple():
            return [to_plain(part) for part in value]
        case Mapping():
            return {str(name): to_plain(part) for name, part in value.items()}
        case str() | int() | bool():
            return value
    raise TypeError(f"a record cannot hold a {type(value).__name__}")


def to_record(kind: type[Kept], stored: Mapping[str, Any]) -> Kept:
    """Read what ``to_plain`` made of a record of this kind.

    :raises TypeError: for a stored field that the record does not have, or one that it lacks.
    """
    hints = _hints(cast(Any, kind))
    return kind(**{name: _read(hints.get(name), value) for name, value in stored.items()})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _read(hint: Any, value: Any) -> Any:
    hint = getattr(hint, "__supertype__", hint)
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        (hint,) = (part for part in parts if part is not types.NoneType)
        return _read(hint, value)
    if origin in (tuple, frozenset):
        return origin(_read(parts[0], part) for part in value)
    if hint is datetime:
        return moment(value)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return to_record(hint, value)
    return value
