"""``#PBS``: qsub's own options, of PBS Professional, OpenPBS and Torque."""

from __future__ import annotations

import re
from collections.abc import Iterable

from qstage.cli.dialects.lines import BadDirective, Directive
from qstage.cli.dialects.wanted import EMAIL, Wanted, job_name, own_path, parents, size, variables, whole
from qstage.cobalt.values import read_umask

_VALUED = frozenset("AaCcdDeJjklMmNopqrSuvWw")
_REFUSED = {
    "a": "qstage starts a job when its data is there; hold it with -h and release it later",
    "C": "directives begin with #PBS",
    "D": "a root directory of its own is not for a staged job",
    "I": "a staged job cannot be interactive, for it starts when its data is there",
    "J": "an array is several documents: qstage submit takes up to 1,000 in one file",
    "k": "every job has output files in a directory of its own",
    "t": "an array is several documents: qstage submit takes up to 1,000 in one file",
    "u": "a job runs as the site's agent does",
    "V": "a staged job has an environment of its own: say its variables with -v NAME=value",
    "X": "a staged job has no display",
    "z": "qstage prints the id and nothing else",
}
_TIME = re.compile(r"(?:(\d+):)?(?:(\d+):)?(\d+)")
_CHUNK = {"ncpus": "cpus", "mpiprocs": "ranks", "mem": "mem", "ngpus": "gpus"}


def read_pbs(directives: Iterable[Directive]) -> Wanted:
    """What the lines ask for. Raises ``BadDirective`` for what has no place in a document and none at the scheduler."""
    wanted = Wanted()
    joined = mail = ""
    for directive in directives:
        for letter, value in _options(directive):
            if letter == "j":
                joined = value
            elif letter == "m":
                mail = _mail(value, directive.line)
            else:
                _take(wanted, letter, value, directive.line)
    _join(wanted, joined)
    if mail == "n":
        wanted.email = None
    elif mail and wanted.email is None:
        raise BadDirective("-m needs an -M: qstage does not know an address of yours")
    return wanted


def _options(directive: Directive) -> Iterable[tuple[str, str]]:
    words = list(directive.words)
    while words:
        word = words.pop(0)
        if not word.startswith("-") or len(word) < 2 or not word[1].isalpha():
            raise BadDirective(f"{directive.line}: {word!r} is not an option")
        letter, value = word[1], word[2:]
        if letter in _VALUED:
            if not value and not words:
                raise BadDirective(f"{directive.line}: -{letter} needs a value")
            yield letter, value or words.pop(0)
        elif value:
            raise BadDirective(f"{directive.line}: -{letter} stands without a value")
        else:
            yield letter, ""


def _take(wanted: Wanted, letter: str, value: str, line: str) -> None:
    if letter in _REFUSED:
        raise BadDirective(f"{line}: {_REFUSED[letter]}")
    match letter:
        case "N":
            wanted.name = job_name(value, line)
        case "A":
            wanted.attributes["account"] = value
        case "q":
            if "@" in value:
                raise BadDirective(f"{line}: say the site with --site, and the queue alone")
            wanted.attributes["queue_name"] = value
        case "l":
            _resources(wanted, value, line)
        case "o" | "e":
            if ":" in value:
                raise BadDirective(f"{line}: another host's path: stage it out with #QSTAGE stage-out")
            wanted.paths["stdout_path" if letter == "o" else "stderr_path"] = own_path(value, line)
        case "M":
            if not EMAIL.fullmatch(value):
                raise BadDirective(f"{line}: must be one e-mail address")
            wanted.email = value
        case "h":
            wanted.hold = True
        case "v":
            wanted.environment |= variables(value, line)
        case "d" | "w":
            wanted.cwd = value
        case "S":
            if value.rpartition("/")[2] not in {"bash", "sh"}:
                raise BadDirective(f"{line}: the script's first line names its interpreter")
        case "W":
            _more(wanted, value, line)
        case "c" | "p" | "r":
            wanted.custom[f"pbs.{letter}"] = value
        case "n":
            wanted.resources["exclusive_node_use"] = True
        case _:
            raise BadDirective(f"{line}: qsub has no option -{letter}")


def _resources(wanted: Wanted, text: str, line: str) -> None:
    rest = []
    for item in text.split(","):
        name, _, value = item.partition("=")
        if name == "walltime":
            wanted.attributes["duration"] = _seconds(value, line)
        elif name == "select":
            _select(wanted, value, line)
        elif name == "nodes":
            _nodes(wanted, value, line)
        elif name == "mem":
            wanted.resources["memory"] = size(value, line, unit="")
        elif name == "place" and value in {"excl", "scatter:excl", "exclhost"}:
            wanted.resources["exclusive_node_use"] = True
        elif name == "ncpus":
            wanted.resources["cpu_cores_per_process"] = whole(value, line)
        else:
            rest.append(item)
    if rest:
        before = [wanted.custom["pbs.l"]] if "pbs.l" in wanted.custom else []
        wanted.custom["pbs.l"] = ",".join([*before, *rest])


def _select(wanted: Wanted, text: str, line: str) -> None:
    if "+" in text:
        raise BadDirective(f"{line}: chunks that differ cannot be carried: all nodes of a document are alike")
    count, *chunk = text.split(":")
    wanted.resources["node_count"] = whole(count, line)
    asked = dict(part.partition("=")[::2] for part in chunk)
    strange = sorted(set(asked) - set(_CHUNK))
    if strange:
        raise BadDirective(f"{line}: {strange[0]} cannot be carried in a chunk: {', '.join(_CHUNK)} can")
    ranks = whole(asked["mpiprocs"], line) if "mpiprocs" in asked else 1
    if "mpiprocs" in asked:
        wanted.resources["processes_per_node"] = ranks
    for name, member in (("ncpus", "cpu_cores_per_process"), ("ngpus", "gpu_cores_per_process")):
        if name in asked:
            wanted.resources[member] = _share(whole(asked[name], line), ranks, name, line)
    if "mem" in asked:
        wanted.resources["memory"] = size(asked["mem"], line, unit="")


def _share(number: int, ranks: int, name: str, line: str) -> int:
    if number % ranks:
        raise BadDirective(f"{line}: {number} {name} cannot be shared evenly by {ranks} processes")
    return number // ranks


def _nodes(wanted: Wanted, text: str, line: str) -> None:
    count, *more = text.split(":")
    wanted.resources["node_count"] = whole(count, line)
    for part in more:
        name, _, value = part.partition("=")
        if name != "ppn":
            raise BadDirective(f"{line}: {part} cannot be carried: say nodes=N:ppn=M")
        wanted.resources["processes_per_node"] = whole(value, line)


def _more(wanted: Wanted, text: str, line: str) -> None:
    name, _, value = text.partition("=")
    if name == "depend":
        wanted.depends_on = parents(value, line)
        return
    if name in {"stagein", "stageout"}:
        raise BadDirective(f"{line}: say #QSTAGE {'stage-in' if name == 'stagein' else 'stage-out'}")
    if name == "umask":
        try:
            wanted.umask = read_umask(value)
        except ValueError as error:
            raise BadDirective(f"{line}: {error}") from None
    else:
        wanted.custom["pbs.W"] = ",".join(filter(None, (wanted.custom.get("pbs.W"), text)))


def _join(wanted: Wanted, joined: str) -> None:
    if joined in {"", "n"}:
        return
    if joined not in {"oe", "eo"}:
        raise BadDirective(f"#PBS -j {joined}: oe, eo or n")
    ends = ("stdout_path", "stderr_path") if joined == "oe" else ("stderr_path", "stdout_path")
    into = wanted.paths.get(ends[0]) or f"{wanted.name or 'job'}.out"
    wanted.paths |= {ends[0]: into, ends[1]: into}


def _mail(value: str, line: str) -> str:
    if value not in {"n", "abe", "aeb", "bea", "bae", "eab", "eba"}:
        raise BadDirective(f"{line}: what news are sent cannot be chosen: abe or n")
    return value


def _seconds(text: str, line: str) -> int:
    found = _TIME.fullmatch(text)
    if found is None:
        raise BadDirective(f"{line}: {text!r} is not a time: write hours:minutes:seconds")
    total = 0
    for part in text.split(":"):
        total = total * 60 + int(part)
    if total < 1:
        raise BadDirective(f"{line}: say how long the job may run")
    return total
