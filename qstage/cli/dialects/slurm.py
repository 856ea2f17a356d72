"""``#SBATCH``: sbatch's own options. The table is sbatch 22.05's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from qstage.cli.dialects.lines import BadDirective, Directive
from qstage.cli.dialects.wanted import EMAIL, Wanted, job_name, own_path, parents, size, variables, whole

_SHORT = {
    "A": "account", "a": "array", "b": "begin", "B": "extra-node-info", "C": "constraint", "c": "cpus-per-task",
    "d": "dependency", "D": "chdir", "e": "error", "F": "nodefile", "G": "gpus", "H": "hold", "h": "help",
    "i": "input", "J": "job-name", "k": "no-kill", "L": "licenses", "M": "clusters", "m": "distribution",
    "N": "nodes", "n": "ntasks", "O": "overcommit", "o": "output", "p": "partition", "Q": "quiet", "q": "qos",
    "S": "core-spec", "s": "oversubscribe", "t": "time", "V": "version", "v": "verbose", "W": "wait",
    "w": "nodelist", "x": "exclude",
}  # fmt: skip
_FLAGS = frozenset(
    "contiguous exclusive get-user-env help hold ignore-pbs nice no-kill no-requeue overcommit oversubscribe "  # noqa: SIM905
    "parsable propagate quiet reboot requeue spread-job test-only usage use-min-nodes verbose version wait".split()
)
"""Options that stand without a value; some may have one, by an equals sign."""

_REFUSED = {
    "array": "an array is several documents: qstage submit takes up to 1,000 in one file",
    "begin": "qstage starts a job when its data is there; hold it with --hold and release it later",
    "clusters": "say the site with --site",
    "export-file": "the file is on this machine; say the variables with --export=NAME=value",
    "get-user-env": "a staged job has an environment of its own",
    "gid": "a job runs as the site's agent does",
    "uid": "a job runs as the site's agent does",
    "open-mode": "every job has new output files in a directory of its own",
    "propagate": "limits of this machine mean nothing at the site",
    "wrap": "write a script",
    "wait": "qstage wait ID waits for a job",
}
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")
_MAIL_ALL = frozenset({"ALL", "NONE"})


def read_sbatch(directives: Iterable[Directive]) -> Wanted:
    """What the lines ask for. Raises ``BadDirective`` for what has no place in a document and none at the scheduler."""
    wanted = Wanted()
    mail = ""
    for directive in directives:
        for name, value in _options(directive):
            if name == "mail-type":
                mail = _mail(value or "", directive.line)
            else:
                _take(wanted, name, value, directive.line)
    if mail == "ALL" and wanted.email is None:
        raise BadDirective("--mail-type needs a --mail-user: qstage does not know an address of yours")
    if mail == "NONE":
        wanted.email = None
    return wanted


def _options(directive: Directive) -> Iterable[tuple[str, str | None]]:
    words = list(directive.words)
    while words:
        word = words.pop(0)
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            attached = value if equals else None
        elif word.startswith("-") and len(word) > 1:
            if word[1] not in _SHORT:
                raise BadDirective(f"{directive.line}: sbatch has no option -{word[1]}")
            name, attached = _SHORT[word[1]], word[2:].removeprefix("=") or None
        else:
            raise BadDirective(f"{directive.line}: {word!r} is not an option")
        if attached is None and name not in _FLAGS:
            if not words:
                raise BadDirective(f"{directive.line}: --{name} needs a value")
            attached = words.pop(0)
        yield name, attached


def _take(wanted: Wanted, name: str, value: str | None, line: str) -> None:
    if name in _REFUSED:
        raise BadDirective(f"{line}: {_REFUSED[name]}")
    if name == "hold":
        wanted.hold = True
    elif name == "exclusive" and value is None:
        wanted.resources["exclusive_node_use"] = True
    elif value is None:
        raise BadDirective(f"{line}: --{name} stands without a value, and such an option cannot be passed on")
    elif name in _MAPPED:
        _MAPPED[name](wanted, value, line)
    else:
        wanted.custom[f"slurm.{name}"] = value


def _nodes(wanted: Wanted, value: str, line: str) -> None:
    if "-" in value:
        raise BadDirective(f"{line}: say one number of nodes, not from and to")
    wanted.resources["node_count"] = whole(value, line)


def _count(member: str) -> Callable[[Wanted, str, str], None]:
    def take(wanted: Wanted, value: str, line: str) -> None:
        wanted.resources[member] = whole(value, line)

    return take


def _attribute(member: str) -> Callable[[Wanted, str, str], None]:
    def take(wanted: Wanted, value: str, line: str) -> None:
        wanted.attributes[member] = value

    return take


def _path(member: str) -> Callable[[Wanted, str, str], None]:
    def take(wanted: Wanted, value: str, line: str) -> None:
        wanted.paths[member] = own_path(value, line)

    return take


def _gpus(wanted: Wanted, value: str, line: str) -> None:
    if value.isdigit():
        wanted.resources["gpu_cores_per_process"] = whole(value, line)
    else:
        wanted.custom["slurm.gpus-per-task"] = value  # a type and a number, which a document does not know


def _memory(wanted: Wanted, value: str, line: str) -> None:
    wanted.resources["memory"] = size(value, line, unit="M")


def _duration(wanted: Wanted, value: str, line: str) -> None:
    wanted.attributes["duration"] = read_time(value, line)


def _name(wanted: Wanted, value: str, line: str) -> None:
    wanted.name = job_name(value, line)


def _chdir(wanted: Wanted, value: str, line: str) -> None:
    wanted.cwd = value


def _export(wanted: Wanted, value: str, line: str) -> None:
    words = value.split(",")
    if words[0] in {"ALL", "NIL"}:
        raise BadDirective(f"{line}: a staged job has an environment of its own: --export=NONE or NAME=value")
    wanted.environment = variables(",".join(words[1:] if words[0] == "NONE" else words), line)


def _address(wanted: Wanted, value: str, line: str) -> None:
    if not EMAIL.fullmatch(value):
        raise BadDirective(f"{line}: must be one e-mail address")
    wanted.email = value


def _mail(value: str, line: str) -> str:
    if value not in _MAIL_ALL:
        raise BadDirective(f"{line}: what news are sent cannot be chosen: ALL or NONE")
    return value


def _dependency(wanted: Wanted, value: str, line: str) -> None:
    wanted.depends_on = parents(value, line)


def read_time(text: str, line: str) -> int:
    """Seconds of M, M:S, H:M:S, D-H, D-H:M or D-H:M:S."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise BadDirective(f"{line}: {text!r} is not a time: write hours:minutes:seconds")
    days, *rest = found.groups()
    numbers = [int(part) for part in rest if part is not None]
    if days is not None:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:
        hours, minutes, seconds = 0, *(*numbers, 0)[:2]
    total = ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
    if total < 1:
        raise BadDirective(f"{line}: say how long the job may run")
    return total


_MAPPED: dict[str, Callable[[Wanted, str, str], None]] = {
    "job-name": _name,
    "nodes": _nodes,
    "ntasks": _count("process_count"),
    "ntasks-per-node": _count("processes_per_node"),
    "cpus-per-task": _count("cpu_cores_per_process"),
    "gpus-per-task": _gpus,
    "mem": _memory,
    "time": _duration,
    "partition": _attribute("queue_name"),
    "account": _attribute("account"),
    "reservation": _attribute("reservation_id"),
    "input": _path("stdin_path"),
    "output": _path("stdout_path"),
    "error": _path("stderr_path"),
    "chdir": _chdir,
    "export": _export,
    "mail-user": _address,
    "dependency": _dependency,
}
