"""Writes with a condition that go in batches, each for itself: PartiQL statements.

``BatchWriteItem`` takes no conditions, a transaction costs twice the write units and fails as one, and a call for each
write is what a thousand jobs wait for. A batch of statements costs what its writes cost alone, and answers each.
Statements differ by which attributes are there, not by what is in them: values are always parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from chalicelib.adapters.attributes import to_item

Values = Mapping[str, Any]

MOST_TOGETHER = 25
"""Statements in one call, by DynamoDB's rule; no two of them may be about one item."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One conditional write of an item, as ``BatchExecuteStatement`` takes it."""

    text: str
    parameters: list[Any]

    def request(self) -> dict[str, Any]:
        return {"Statement": self.text, "Parameters": self.parameters}


def insert(table: str, item: Values) -> Statement:
    """Put an item, unless one is there."""
    attributes = to_item(item)
    return Statement(_insert(table, tuple(attributes)), list(attributes.values()))


def amend(table: str, key: Values, item: Values, was: Values) -> Statement:
    """Make the item that is there what ``item`` says, which names every attribute it can have (None: it has it not);
    unless it is not there or is not as ``was`` says."""
    attributes = to_item({name: value for name, value in item.items() if name not in key})
    gone = tuple(name for name, value in item.items() if value is None)
    found = to_item({**key, **was})
    text = _amend(table, tuple(attributes), gone, tuple(found))
    return Statement(text, [*attributes.values(), *found.values()])


@lru_cache(maxsize=256)
def _insert(table: str, names: tuple[str, ...]) -> str:
    return f'INSERT INTO "{table}" VALUE {{' + ", ".join(f"'{name}': ?" for name in names) + "}"


@lru_cache(maxsize=256)
def _amend(table: str, names: tuple[str, ...], gone: tuple[str, ...], found: tuple[str, ...]) -> str:
    changes = [*(f'SET "{name}"=?' for name in names), *(f'REMOVE "{name}"' for name in gone)]
    where = " AND ".join(f'"{name}"=?' for name in found)
    return f'UPDATE "{table}" {" ".join(changes)} WHERE {where}'
