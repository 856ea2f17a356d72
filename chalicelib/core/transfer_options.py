"""How an item of a job is to be moved: which of a directory's files go, and whether they are encrypted on the way.

Globus knows one list of rules for a whole task, of which the first that matches a name decides; a name that none
matches goes. What users write is two lists: a file goes if ``exclude`` does not name it and ``include`` does, or
is empty. Items with different options never share a task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

MOST_PATTERNS = 20
"""Patterns in each list."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One of Globus's filter rules: ``method`` is include or exclude, ``kind`` file or dir."""

    method: Literal["include", "exclude"]
    name: str
    kind: Literal["file", "dir"] = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the items of one task have in common besides their collections."""

    rules: tuple[Rule, ...] = ()
    encrypt: bool = False


PLAIN = Options()


def filter_rules(include: Sequence[str], exclude: Sequence[str]) -> tuple[Rule, ...]:
    """The rules for two lists of patterns.

    A pattern of ``exclude`` with a slash at its end leaves out directories of that name, with all that is in them.
    """
    rules = [
        Rule("exclude", pattern[:-1], "dir") if pattern.endswith("/") else Rule("exclude", pattern)
        for pattern in exclude
    ]
    rules += [Rule("include", pattern) for pattern in include]
    return (*rules, *((Rule("exclude", "*"),) if include else ()))


def check_include(pattern: str) -> str:
    """Return the pattern; ValueError says what is wrong with it."""
    if "/" in pattern:
        raise ValueError("matches the names of files, in every directory: it may not have a slash")
    return pattern


def check_exclude(pattern: str) -> str:
    """Return the pattern; ValueError says what is wrong with it."""
    if "/" in pattern[:-1] or pattern == "/":
        raise ValueError("matches names, not paths: it may have a slash only at its end, where it means a directory")
    return pattern
