"""Expressions of DynamoDB, put together from pieces that say why they are there.

In a piece ``#name`` stands for the attribute ``name``, so that no reserved word can be in the way, and ``:name``
for a value that the piece brings along.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.adapters.attributes import to_attribute

_NAME = re.compile(r"#(\w+)")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an expression: a condition, a key condition, or a change."""

    text: str
    values: Mapping[str, Any] = field(default_factory=dict)


def arguments(**expressions: Piece | tuple[Piece, ...]) -> dict[str, Any]:
    """The arguments of a call that these expressions make; a tuple of pieces must hold all at once.

    Two pieces may not bring different values under one name.
    """
    made: dict[str, Any] = {}
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    for argument, found in expressions.items():
        pieces = (found,) if isinstance(found, Piece) else found
        if not pieces:
            continue
        joined = f"({') AND ('.join(p.text for p in pieces)})" if len(pieces) > 1 else pieces[0].text
        made[argument] = joined
        names |= {f"#{name}": name for name in _NAME.findall(joined)}
        for piece in pieces:
            fresh = {f":{name}": to_attribute(value) for name, value in piece.values.items()}
            clash = {name for name in fresh if name in values and values[name] != fresh[name]}
            assert not clash, f"two values for {clash}"
            values |= fresh
    if names:
        made["ExpressionAttributeNames"] = names
    if values:
        made["ExpressionAttributeValues"] = values
    return made
