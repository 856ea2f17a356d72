"""Shapes: one description that both checks a JSON value and prints its JSON Schema.

A shape's ``read`` returns the parsed value and adds every fault it finds to a list; it never stops at the
first. What a shape cannot say (rules across fields) belongs to the reader of the whole document. pydantic or
msgspec would do the first half, but the one costs 80 ms of every cold start and the other stops at the first
fault.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from chalicelib.core.errors import Fault

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Schema: TypeAlias = dict[str, Any]


_SURROGATE = re.compile(r"[\ud800-\udfff]")


class _Absent:
    """Marks a field that was not given, where None would be a value."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Any = _Absent()
"""What ``read`` gives for a value that had faults, and for a missing field without default."""


class Shape(Protocol):
    """A kind of JSON value."""

    def read(self, value: Json, pointer: str, faults: list[Fault]) -> Any:
        """Return the parsed value; on a fault add it under ``pointer`` (RFC 6901) and return ABSENT."""
        ...

    def schema(self) -> Schema:
        """Return the JSON Schema (2020-12) of the same values."""
        ...


def _bad(faults: list[Fault], pointer: str, detail: str) -> Any:
    faults.append(Fault(pointer=pointer, detail=detail))
    return ABSENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A string. ``pattern`` must match the whole of it; ``says`` explains the pattern to a person."""

    longest: int = 4096
    shortest: int = 0
    pattern: str | None = None
    says: str = ""
    describe: str = ""

    def read(self, value: Json, pointer: str, faults: list[Fault]) -> Any:
        if not isinstance(value, str):
            return _bad(faults, pointer, f"must be text, not {_kind(value)}")
        if not self.shortest <= len(value) <= self.longest:
            return _bad(
                faults,
                pointer,
                f"must have {self.shortest} to {self.longest} characters; it has {len(value)}",
            )
        if "\0" in value:
            return _bad(faults, pointer, "must not contain a NUL character")
        if not value.isascii() and _SURROGATE.search(value):
            return _bad(faults, pointer, "must be Unicode text; it has half of a surrogate pair")
        if self.pattern is not None and re.fullmatch(self.pattern, value) is None:
            return _bad(faults, pointer, self.says or f"must match {self.pattern}")
        return value

    def schema(self) -> Schema:
        made: Schema = {"type": "string", "maxLength": self.longest}
        if self.shortest:
            made["minLength"] = self.shortest
        if self.pattern is not None:
            made["pattern"] = f"^(?:{self.pattern})$"
        return _described(made, self.describe or self.says)


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer:
    """A whole number within bounds. As in JSON Schema ``2.0`` is one; a boolean is not a number here."""

    least: int = 0
    most: int = 2**53
    describe: str = ""

    def read(self, value: Json, pointer: str, faults: list[Fault]) -> Any:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            return _bad(faults, pointer, f"must be a whole number, not {_kind(value)}")
        if not self.least <= value <= self.most:
            return _bad(faults, pointer, f"must be from {self.least} to {self.most}; it is {value}")
        return value

    def schema(self) -> Schema:
        return _described({"type": "integer", "minimum": self.least, "maximum": self.most}, self.describe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """True or false."""

    describe: str = ""

    def read(self, value: Json, pointer: str, faults: list[Fault]) -> Any:
        return value if isinstance(value, bool) else _bad(faults, pointer, f"must be true or false, not {_kind(value)}")

    def schema(self) -> Schema:
        return _described({"type": "boolean"}, self.describe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]
    describe: str = ""

    def read(self, value: Json, pointer: str, faults: list[Fault]) -> Any:
        if value not in self.words:
            return _bad(faults, pointer, f"must be one of: {', '.join(self.words)}")
        return value

    def schema(self) -> Schema:
        return _described({"enum": list(self.words)}, self.describe)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    """A list of one shape, read as a tuple."""

    item: Shape
    longest: int
    shortest: int = 0
    describe: str = ""

    def read(self, value: Json, pointer: str, faults: list[Fault]) -> Any:
        if not isinstance(value, list):
            return _bad(faults, pointer, f"must be a list, not {_kind(value)}")
        if not self.shortest <= len(value) <= self.longest:
            return _bad(faults, pointer, f"must have {self.shortest} to {self.longest} entries; it has {len(value)}")
        return tuple(self.item.read(entry, f"{pointer}/{index}", faults) for index, entry in enumerate(value))

    def schema(self) -> Schema:
        made: Schema = {"type": "array", "items": self.item.schema(), "maxItems": self.longest}
        if self.shortest:
            made["minItems"] = self.shortest
        return _described(made, self.describe)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf:
    """An object whose keys are one text shape and whose values are another shape."""

    key: Text
    value: Shape
    longest: int
    describe: str = ""

    def read(self, value: Json, pointer: str, faults: list[Fault]) -> Any:
        if not isinstance(value, dict):
            return _bad(faults, pointer, f"must be an object, not {_kind(value)}")
        if len(value) > self.longest:
            return _bad(faults, pointer, f"must have at most {self.longest} entries; it has {len(value)}")
        return {
            self.key.read(key, f"{pointer}/{_escape(key)}", faults): self.value.read(
                entry, f"{pointer}/{_escape(key)}", faults
            )
            for key, entry in value.items()
        }

    def schema(self) -> Schema:
        made: Schema = {
            "type": "object",
            "propertyNames": self.key.schema(),
            "additionalProperties": self.value.schema(),
            "maxProperties": self.longest,
        }
        return _described(made, self.describe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a record: its shape, and what stands for it when it is not given.

    Where that is None, null says the same as leaving the field out, as in PSI/J's and IRI's documents.
    """

    shape: Shape
    default: Any = ABSENT
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An object with named fields and no others, read as a dict that has every field."""

    fields: Mapping[str, Field]
    describe: str = ""
    defaults: Mapping[str, Any] = field(init=False, repr=False)
    required: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "defaults", {name: f.default for name, f in self.fields.items()})
        object.__setattr__(self, "required", tuple(name for name, f in self.fields.items() if f.required))

    def read(self, value: Json, pointer: str, faults: list[Fault]) -> Any:
        if not isinstance(value, dict):
            return _bad(faults, pointer, f"must be an object, not {_kind(value)}")
        for name in self.required:
            if name not in value:
                _bad(faults, f"{pointer}/{name}", "is required")
        read = dict(self.defaults)
        for name, given in value.items():
            known = self.fields.get(name)
            if known is None:
                names = ", ".join(self.fields)
                _bad(faults, f"{pointer}/{_escape(name)}", f"is not a known field; the fields here are: {names}")
            elif given is not None or known.default is not None:
                read[name] = known.shape.read(given, f"{pointer}/{name}", faults)
        return read

    def schema(self) -> Schema:
        properties = {}
        for name, f in self.fields.items():
            own = f.shape.schema()
            properties[name] = {"anyOf": [own, {"type": "null"}]} if f.default is None else own
            if f.default is not ABSENT and f.default is not None:
                properties[name]["default"] = list(f.default) if isinstance(f.default, tuple) else f.default
        made: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        if self.required:
            made["required"] = list(self.required)
        return _described(made, self.describe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Either:
    """One of two shapes, told apart by the JSON type of ``first``."""

    first: Shape
    first_type: type
    second: Shape
    describe: str = ""

    def read(self, value: Json, pointer: str, faults: list[Fault]) -> Any:
        shape = self.first if isinstance(value, self.first_type) else self.second
        return shape.read(value, pointer, faults)

    def schema(self) -> Schema:
        return _described({"anyOf": [self.first.schema(), self.second.schema()]}, self.describe)


def _described(schema: Schema, words: str) -> Schema:
    return {**schema, "description": words} if words else schema


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _kind(value: Json) -> str:
    if value is None:
        return "null"
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        dict: "an object",
        list: "a list",
    }
    return names.get(type(value), type(value).__name__)
