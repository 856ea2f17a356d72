"""The ``#COBALT`` lines of a script: which lines count, and how they are cut into words.

Nothing here knows an option: the words go before those of the command line and are parsed with them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TAG = "#COBALT "
_WORDS = re.compile(r"[^ \t\n\r\x0b\x0c]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Directives:
    """What a script asks for itself.

    ``found`` tells a script that has a directive line, even one without words, from one that has none: the
    former runs in mode ``script``. ``own_lines`` are the lines of the second tag, without it, unsplit.
    """

    found: bool
    words: tuple[str, ...]
    own_lines: tuple[str, ...]


def read_directives(text: str, *, own_tag: str | None = None) -> Directives:
    """Read the directives of a script.

    They count only if the first line starts with ``#!``, and only on the lines immediately below it: the
    first that does not start exactly with ``#COBALT `` ends them. Words are split at blanks; quotes mean
    nothing. Lines that start with ``own_tag`` are collected apart and do not end the block.
    """
    lines = text.split("\n")
    words: list[str] = []
    own: list[str] = []
    found = False
    if lines[0].startswith("#!"):
        for place, line in enumerate(lines[1:], start=1):
            if own_tag is not None and line.startswith(own_tag):
                own.append(line[len(own_tag) :])
            elif line.startswith(TAG) and (len(line) > len(TAG) or place < len(lines) - 1):
                found = True
                words += _WORDS.findall(line[len(TAG) :])
            else:
                break
    return Directives(found=found, words=tuple(words), own_lines=tuple(own))
