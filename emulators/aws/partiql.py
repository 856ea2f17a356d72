"""PartiQL as far as it is spoken here: the two statements that write one item under a condition.

    INSERT INTO "table" VALUE {'name': ?, ...}
    UPDATE "table" SET "name"=? ... REMOVE "name" ... WHERE "name"=? AND ...

Owns this grammar, for whoever must know what a statement does: the gate, the meter, and what stands in for moto's own
reading of PartiQL, which fails on such updates. Every other statement, literal or operator is refused by name.
Source: the developer guide's pages on PartiQL insert and update statements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Attribute = Mapping[str, Any]

_INSERT = re.compile(r'INSERT INTO "([\w.-]+)" VALUE \{(.*)\}')
_UPDATE = re.compile(r'UPDATE "([\w.-]+)" (.*) WHERE (.*)')
_FIELD = re.compile(r"'([^']+)': \?")
_CHANGE = re.compile(r'SET "([^"]+)"=\?|REMOVE "([^"]+)"')
_EQUAL = re.compile(r'"([^"]+)"=\?')


class UnknownStatementError(Exception):
    """A statement outside the grammar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert:
    """Put ``item`` unless one of its key is there."""

    table: str
    item: Mapping[str, Attribute]

    @property
    def named(self) -> Mapping[str, Attribute]:
        """Attributes among which is the item's key."""
        return self.item


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Set and remove attributes of the item that has all that ``where`` says, its key among it."""

    table: str
    changes: Mapping[str, Attribute]
    removed: tuple[str, ...]
    where: Mapping[str, Attribute]

    @property
    def named(self) -> Mapping[str, Attribute]:
        """Attributes among which is the item's key."""
        return self.where


def read(text: str, parameters: Sequence[Attribute]) -> Insert | Update:
    """What the statement does.

    :raises UnknownStatementError: naming the statement's beginning, if it is none of the two.
    """
    left = list(parameters)
    if found := _INSERT.fullmatch(text):
        names = [field[1] for field in _parts(_FIELD, ", ", found[2], text)]
        made: Insert | Update = Insert(table=found[1], item=_taken(names, left, text))
    elif found := _UPDATE.fullmatch(text):
        changes = _parts(_CHANGE, " ", found[2], text)
        equals = [equal[1] for equal in _parts(_EQUAL, " AND ", found[3], text)]
        made = Update(
            table=found[1],
            changes=_taken([change[1] for change in changes if change[1]], left, text),
            removed=tuple(change[2] for change in changes if change[2]),
            where=_taken(equals, left, text),
        )
    else:
        raise UnknownStatementError(f"a statement that is not read here: {text[:60]}")
    if left:
        raise UnknownStatementError(f"more parameters than places: {text[:60]}")
    return made


def _parts(pattern: re.Pattern[str], between: str, whole: str, text: str) -> list[re.Match[str]]:
    """The parts of a list, every one of which the pattern must take."""
    found, at = [], 0
    while part := pattern.match(whole, at):
        found.append(part)
        at = part.end()
        if at == len(whole):
            return found
        if not whole.startswith(between, at):
            break
        at += len(between)
    raise UnknownStatementError(f"not read here, at {whole[at : at + 20]!r}: {text[:60]}")


def _taken(names: Sequence[str], left: list[Attribute], text: str) -> Mapping[str, Attribute]:
    """The next parameters by these names."""
    if len(set(names)) < len(names) or len(names) > len(left):
        raise UnknownStatementError(f"a name stands twice, or has no parameter: {text[:60]}")
    taken = dict(zip(names, left, strict=False))
    del left[: len(names)]
    return taken
