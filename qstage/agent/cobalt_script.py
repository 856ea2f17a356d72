"""The batch script that carries a PSI/J job to Cobalt, and the option words that go with it.

Cobalt reads directives strictly: only from the unbroken block of ``#COBALT `` lines below the first line,
cut at blanks, with no quoting. What has no blanks goes there; what has goes on qsub's command line, where a
word is a word. The job's environment is exported by the script itself: Cobalt's ``--env`` would cut some
values and show all of them in qstat.

Pure: text in, text out. All that came from outside is quoted for the shell.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_OURS = frozenset(
    {
        *("nodecount", "proccount", "time", "queue", "project", "jobname", "cwd"),
        *("output", "error", "outputprefix", "debuglog", "interactive", "help", "version"),
    }
)
"""Options that this script sets, or that would break what it promises."""


class UnfitError(ValueError):
    """The job asks for something that cannot be said to Cobalt. The message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What Cobalt is asked for. ``walltime`` is seconds; ``reservation`` is a queue that wins over
    ``queue``."""

    nodes: int
    processes: int
    walltime: float
    cwd: str | None = None
    name: str | None = None
    queue: str | None = None
    reservation: str | None = None
    project: str | None = None
    custom: Mapping[str, object] | None = None


def option_words(request: Request, log_path: str) -> list[str]:
    """Return Cobalt's options, one word each. Raises UnfitError.

    The walltime is rounded up to whole minutes: a part of a minute would be dropped, and 0 asks for the
    maximum.
    """
    if request.walltime <= 0:
        raise UnfitError("Cobalt needs a duration above zero: zero would ask it for the longest there is")
    words = [
        f"--nodecount={request.nodes}",
        f"--proccount={request.processes}",
        f"--time={-int(-request.walltime // 60)}",
        "--output=/dev/null",  # the script keeps its own output, by an id that Cobalt knows too late
        "--error=/dev/null",
        f"--debuglog={log_path}",
    ]
    named = {
        "queue": request.reservation or request.queue,
        "project": request.project,
        "jobname": request.name,
        "cwd": request.cwd,
    }
    words += [_word(option, value) for option, value in named.items() if value]
    return words + [_word(option, value) for option, value in (request.custom or {}).items() if _is_wanted(value)]


def _is_wanted(value: object) -> bool:
    return value is not False


def _word(option: str, value: object) -> str:
    if _OPTION.fullmatch(option) is None:
        raise UnfitError(f"{option!r} is not the name of a Cobalt option")
    if value is True or value is None or value == "":
        return f"--{option}"
    text = str(value)
    if "\n" in text or "\0" in text:
        raise UnfitError(f"Cobalt's --{option} cannot hold a line break")
    return f"--{option}={text}"


def custom_options(attributes: Mapping[str, object] | None) -> dict[str, object]:
    """Return the Cobalt options among PSI/J's custom attributes (``cobalt.<long option>``). Raises
    UnfitError."""
    chosen: dict[str, object] = {}
    for key, value in (attributes or {}).items():
        prefix, _, option = key.partition(".")
        if prefix.lower() != "cobalt" or not option:
            continue
        # An abbreviation would mean the option to Cobalt too.
        if any(ours.startswith(option) for ours in _OURS):
            raise UnfitError(f"the custom attribute {key} is not for a job to set")
        chosen[option] = value
    return chosen


def split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words that directives can carry, and those that only a command line can."""
    fits = [word for word in words if not re.search(r"\s", word)]
    return fits, [word for word in words if word not in fits]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What the script runs: the words of a command, where its streams go, and scripts to source around it."""

    command: Sequence[str]
    stdin: str = "/dev/null"
    stdout: str | None = None
    stderr: str | None = None
    before: str | None = None
    after: str | None = None

    def lines(self) -> list[str]:
        """Return the shell lines that run it. What is not redirected goes to the script's own output."""
        streams = [f"<{shlex.quote(self.stdin)}"]
        streams += [f">{shlex.quote(self.stdout)}"] if self.stdout else []
        streams += [f"2>{shlex.quote(self.stderr)}"] if self.stderr else []
        return [
            *([f". {shlex.quote(self.before)} || finish $?"] if self.before else []),
            f"{shlex.join(self.command)} {' '.join(streams)}",
            "code=$?",
            *([f". {shlex.quote(self.after)} || finish $?"] if self.after else []),
            'finish "$code"',
        ]


def render(
    directives: Sequence[str],
    *,
    launch: Launch,
    environment: Mapping[str, str | int],
    work: str,
    ticket: str,
) -> str:
    """Return the script. It leaves ``<id>.out`` and, last of all, ``<id>.ec`` with the exit status and the ticket.

    The ticket tells this job's files from those of an earlier job with the same id. A signal that Cobalt sends reaches
    the job's own processes; this shell outlives it, to let them end in their own way and to say how. Raises UnfitError.
    """
    for name in environment:
        if _VARIABLE.fullmatch(name) is None:
            raise UnfitError(f"{name!r} is not the name of an environment variable")
    note = f'printf "%s %s\\n" "$1" {shlex.quote(ticket)} >"$base.ec.new" && mv -f "$base.ec.new" "$base.ec"'
    lines = [
        "#!/bin/bash",
        *(f"#COBALT {word}" for word in directives),
        "",
        f'base={shlex.quote(work)}/"$COBALT_JOBID"',
        'rm -f "$base.ec"',
        'exec >"$base.out" 2>&1 </dev/null',
        f'finish() {{ {note}; exit "$1"; }}',
        "trap : TERM INT HUP USR1 USR2 XCPU",
        'export PSIJ_NODEFILE="$COBALT_NODEFILE"',
        *(f"export {name}={shlex.quote(str(value))}" for name, value in environment.items()),
        *launch.lines(),
    ]
    return "\n".join(lines) + "\n"
