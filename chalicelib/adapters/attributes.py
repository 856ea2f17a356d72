"""Plain Python values to DynamoDB attribute values and back. Knows types, no tables and no rules.

Text, whole numbers, booleans, bytes, lists and maps of these; None means that the attribute is absent. Moments
are text of one fixed width, so that they sort as they follow each other. (boto3's own serializer makes numbers
Decimals and hands bytes back in a wrapper.)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

Item: TypeAlias = dict[str, Any]
_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"


def stamp(moment: datetime) -> str:
    """An aware moment as text."""
    return moment.astimezone(UTC).strftime(_FORM)


def moment(text: str) -> datetime:
    """Read what ``stamp`` wrote."""
    return datetime.strptime(text, _FORM).replace(tzinfo=UTC)


def maybe_moment(text: str | None) -> datetime | None:
    """Read what ``stamp`` wrote, or nothing."""
    return None if text is None else moment(text)


def maybe_stamp(when: datetime | None) -> str | None:
    """A moment as text, or nothing."""
    return None if when is None else stamp(when)


def to_item(values: Mapping[str, Any]) -> Item:
    """The values as DynamoDB takes them, without those that are None."""
    return {name: to_attribute(value) for name, value in values.items() if value is not None}


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """The values of an item."""
    return {name: from_attribute(value) for name, value in item.items()}


def to_attribute(value: Any) -> Item:
    """One value."""
    match value:
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": str(value)}
        case bytes():
            return {"B": value}
        case dict():
            return {"M": to_item(value)}
        case list() | tuple():
            return {"L": [to_attribute(each) for each in value]}
    raise TypeError(f"DynamoDB holds no {type(value).__name__} here")


def from_attribute(attribute: Mapping[str, Any]) -> Any:
    """One value."""
    ((kind, value),) = attribute.items()
    match kind:
        case "N":
            return int(value)
        case "L":
            return [from_attribute(each) for each in value]
        case "M":
            return from_item(value)
        case _:
            return value
