"""Which lines of a script are directives, by the rule that Slurm and PBS share.

They count from the second line on until the first line that is a command: blank lines and other comments in between
are passed over. Values are quoted as in a shell; a # that stands apart begins a comment.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

TAGS = {"slurm": "#SBATCH", "pbs": "#PBS"}
OWN = "#QSTAGE"


class BadDirective(ValueError):
    """A directive that cannot be read or carried; the message names it and the cure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """The words of one line, and the line as it stands for messages."""

    line: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """What a script says of itself, by scheduler, and what it says to qstage (without the tag, unsplit)."""

    of: dict[str, tuple[Directive, ...]]
    own: tuple[str, ...]


def read_lines(text: str) -> Lines:
    """Read the directives of a script. Raises ``BadDirective`` for one whose quotes do not end."""
    found: dict[str, list[Directive]] = {name: [] for name in TAGS}
    own: list[str] = []
    lines = text.splitlines()
    if not lines or not lines[0].startswith("#!"):
        raise BadDirective("the script's first line does not name its interpreter: #!/bin/bash")
    for line in lines[1:]:
        if line.strip() and not line.startswith("#"):
            break
        if line.startswith(f"{OWN} "):
            own.append(line[len(OWN) + 1 :])
        for name, tag in TAGS.items():
            if line.startswith((f"{tag} ", f"{tag}\t")):
                found[name].append(Directive(line=line.strip(), words=_split(line, tag)))
    return Lines(of={name: tuple(directives) for name, directives in found.items()}, own=tuple(own))


def _split(line: str, tag: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(line[len(tag) :], comments=True))
    except ValueError as error:
        raise BadDirective(f"{line.strip()}: {error}") from None
