"""How Cobalt's commands read a command line: the rules of Python's ``optparse``, interspersed arguments off.

This file owns the splitting of words into options, values and the rest: attached and separate values, unique
prefixes, clusters of short options, ``--``, and the integer grammar. It knows no particular option and checks
no value beyond "is an integer". The wording of its refusals is that of Python 2.7's optparse, which is what
a Cobalt user sees.

Options that Cobalt does not have can be added to a table. They never shadow Cobalt: a prefix that fits any of
Cobalt's options means Cobalt's, whatever was added, and so does a letter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

Takes = Literal["nothing", "text", "int"]


class WordError(Exception):
    """The words break the grammar; the text is optparse's, without the ``prog: error:`` before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One row of an option table.

    ``dest`` is the name its value goes by; ``names`` are all its spellings, short and long; ``help`` is one
    line.
    """

    dest: str
    names: tuple[str, ...]
    takes: Takes = "text"
    help: str = ""

    @property
    def longs(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name.startswith("--"))

    @property
    def shorts(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if not name.startswith("--"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One option as it was met: ``name`` is the full spelling it resolved to, ``added`` if it is not
    Cobalt's."""

    option: Option
    name: str
    value: str | int | None
    added: bool


@dataclass(frozen=True, slots=True)
class Table:
    """The options of one command, and those added to it."""

    options: tuple[Option, ...]
    added: tuple[Option, ...] = ()
    short: dict[str, Option] = field(init=False)
    long: dict[str, Option] = field(init=False)
    added_short: dict[str, Option] = field(init=False)
    added_long: dict[str, Option] = field(init=False)

    def __post_init__(self) -> None:
        long = {name: option for option in self.options for name in option.longs}
        added_long = {name: option for option in self.added for name in option.longs}
        short = {name: option for option in self.options for name in option.shorts}
        added_short = {name: option for option in self.added for name in option.shorts}
        for name in added_short:
            if name in short:
                raise ValueError(f"added option {name} is Cobalt's")
        for name in added_long:
            hidden = next((other for other in long if other.startswith(name)), None)
            if hidden is not None:
                raise ValueError(f"added option {name} could never be typed: it abbreviates Cobalt's {hidden}")
        object.__setattr__(self, "short", short)
        object.__setattr__(self, "added_short", added_short)
        object.__setattr__(self, "long", long)
        object.__setattr__(self, "added_long", added_long)

    def match_long(self, word: str) -> tuple[str, Option, bool]:
        """Resolve a long option, whole or abbreviated, to (full name, option, added)."""
        for names, added in ((self.long, False), (self.added_long, True)):
            if word in names:
                return word, names[word], added
            possible = sorted(name for name in names if name.startswith(word))
            if len(possible) > 1:
                raise WordError(f"ambiguous option: {word} ({', '.join(possible)}?)")
            if possible:
                return possible[0], names[possible[0]], added
        raise WordError(f"no such option: {word}")


_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)


def plain_int(text: str) -> int:
    """Read a decimal integer as Python 2's ``int`` does: blanks and a sign allowed, ``1_000`` not."""
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"invalid literal for int(): {text!r}")
    return int(text)


def option_int(text: str) -> int:
    """Read an integer option: ``0x`` is hexadecimal, ``0b`` binary, any other leading zero octal."""
    head = text[:2].lower()
    if "_" in text or not text.isascii():
        raise ValueError(f"invalid literal for int(): {text!r}")
    if head == "0x":
        return int(text, 16)
    if head == "0b":
        return int(text[2:] or "0", 2)
    if text[:1] == "0":
        return int(text, 8)
    return plain_int(text)


def scan(argv: Sequence[str], table: Table, meet: Callable[[Given], None]) -> tuple[str, ...]:
    """Read options from the left, calling ``meet`` for each at once; return the words left over.

    The first word that is not an option ends it, as ``--`` does. What ``meet`` raises passes through, so that
    the first fault in the order of the words is the one reported.
    """
    words = list(argv)
    while words:
        word = words[0]
        if word == "--":
            return tuple(words[1:])
        if word.startswith("--"):
            _take_long(words, table, meet)
        elif word.startswith("-") and len(word) > 1:
            _take_short(words, table, meet)
        else:
            break
    return tuple(words)


def _take_long(words: list[str], table: Table, meet: Callable[[Given], None]) -> None:
    spelled, has_value, attached = words.pop(0).partition("=")
    name, option, added = table.match_long(spelled)
    if option.takes == "nothing":
        if has_value:
            raise WordError(f"{name} option does not take a value")
        meet(Given(option=option, name=name, value=None, added=added))
        return
    if has_value:
        words.insert(0, attached)
    meet(Given(option=option, name=name, value=_value(words, option, name), added=added))


def _take_short(words: list[str], table: Table, meet: Callable[[Given], None]) -> None:
    cluster = words.pop(0)
    for place, letter in enumerate(cluster[1:], start=2):
        name = "-" + letter
        added = name in table.added_short
        option = table.added_short.get(name) or table.short.get(name)
        if option is None:
            raise WordError(f"no such option: {name}")
        if option.takes == "nothing":
            meet(Given(option=option, name=name, value=None, added=added))
            continue
        if place < len(cluster):
            words.insert(0, cluster[place:])
        meet(Given(option=option, name=name, value=_value(words, option, name), added=added))
        return


def _value(words: list[str], option: Option, name: str) -> str | int:
    if not words:
        raise WordError(f"{name} option requires an argument")
    text = words.pop(0)
    if option.takes == "text":
        return text
    try:
        return option_int(text)
    except ValueError:
        raise WordError(f"option {name}: invalid integer value: {text!r}") from None
