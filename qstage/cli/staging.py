"""The words of staging, on a command line, in ``#QSTAGE`` lines and in list files, as parts of a document. Pure.

    <collection>:<path>[=<target>]                  an input
    <source>=<collection>:<path>[?<when>[,<when>]]  an output
    eager | just_in_time                            when inputs set out

A collection is an id or a name of the user's. A backslash takes the meaning from the next character, so that a
path may hold ``=`` or ``?``. ``when``: on_success, on_error, on_cancel, always.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

WHEN = ("on_success", "on_error", "on_cancel", "always")
STAGING = ("eager", "just_in_time")
DIRECTIVES = ("site", "stage-in", "stage-out", "staging", "tag", "cleanup")
_EQUALS = re.compile(r"(?<!\\)(?:\\\\)*=")


class BadStaging(ValueError):
    """Words that cannot be read; the message names them and the form that is right."""


def read_stage_in(text: str, collection: Callable[[str], str]) -> dict[str, Any]:
    """Read an input; ``collection`` turns an id or a name into an id."""
    place, target = _cut(text)
    item: dict[str, Any] = {"source": _location(place, collection, text)}
    if target is not None:
        if not target:
            raise BadStaging(f"stage-in {text!r}: nothing after the =")
        item["target"] = _plain(target)
    return item


def read_stage_out(text: str, collection: Callable[[str], str]) -> dict[str, Any]:
    """Read an output."""
    source, place = _cut(text)
    if place is None or not source:
        raise BadStaging(f"stage-out {text!r} is not <source>=<collection>:<path>[?when]")
    place, when = _cut_when(place)
    item: dict[str, Any] = {"source": _plain(source), "target": _location(place, collection, text)}
    if when is not None:
        item["when"] = when
    return item


def read_staging(texts: Sequence[str]) -> str | None:
    """Read when inputs set out: the last word counts; None where there is none."""
    for text in texts:
        if text not in STAGING:
            raise BadStaging(f"staging {text!r} is not {' or '.join(STAGING)}")
    return texts[-1] if texts else None


def read_list(text: str, collection: Callable[[str], str]) -> list[dict[str, Any]]:
    """Read a file of inputs, one a line; blank lines and lines that begin with # are left out."""
    lines = (line.strip() for line in text.splitlines())
    return [read_stage_in(line, collection) for line in lines if line and not line.startswith("#")]


def read_directive(line: str) -> tuple[str, str | None]:
    """Read what follows ``#QSTAGE``: an option without its dashes, quoted as in a shell."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise BadStaging(f"#QSTAGE {line}: {error}") from None
    name = words[0].removeprefix("--") if words else ""
    if name not in DIRECTIVES:
        raise BadStaging(f"#QSTAGE {line}: must begin with one of {', '.join(DIRECTIVES)}")
    if name == "cleanup":
        if len(words) > 1:
            raise BadStaging(f"#QSTAGE {line}: cleanup takes no value")
        return name, None
    if len(words) != 2:
        raise BadStaging(f"#QSTAGE {line}: {name} takes one value (quote it where it holds blanks)")
    return name, words[1]


def read_tags(texts: Sequence[str]) -> dict[str, str]:
    """Read ``key=value`` or ``key:value``."""
    tags = {}
    for text in texts:
        name, cut, value = text.partition("=")
        if not cut:
            name, cut, value = text.partition(":")
        if not cut or not name:
            raise BadStaging(f"tag {text!r} is not <name>=<value>")
        tags[name] = value
    return tags


def _cut(text: str) -> tuple[str, str | None]:
    """Split at the first = that no backslash covers."""
    found = _EQUALS.search(text)
    return (text[: found.end() - 1], text[found.end() :]) if found else (text, None)


def _cut_when(text: str) -> tuple[str, list[str] | None]:
    head, mark, tail = text.rpartition("?")
    covers = len(head) - len(head.rstrip("\\"))  # an even number of backslashes is backslashes, and covers nothing
    if not mark or covers % 2:
        return text, None
    words = tail.split(",")
    wrong = [word for word in words if word not in WHEN]
    if wrong:
        raise BadStaging(f"{text!r}: after the ? comes one of {', '.join(WHEN)} (a ? in a path is written \\?)")
    return head, words


def _location(text: str, collection: Callable[[str], str], whole: str) -> str:
    name, colon, path = text.partition(":")
    if not colon or not name or not path:
        raise BadStaging(f"{whole!r}: a place on a collection is <collection>:<path>")
    return f"globus://{collection(name)}/{_plain(path).lstrip('/')}"


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
