"""Cobalt's qalter: its command line, what it makes of each job, and what it says of that.

    request = parse_qalter(argv, user=..., checks=..., added=())
    refuse_running(request)                 if any of the jobs is active
    change = change_of(request, job)        for each job, in turn
    told(before, change)                    once the queue manager has taken it

``added`` are options that Cobalt's qalter does not have; one with a value sets the field that it is named for. Changing
a job is done elsewhere. Its oddities are Cobalt's: a walltime that would fall below zero is complained of and then
taken for an absolute one; a change of the project of a running job is refused without a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qstage.cobalt.errors import UsageError
from qstage.cobalt.job import Checks
from qstage.cobalt.jobids import read_ids
from qstage.cobalt.options import QALTER
from qstage.cobalt.reading import Reading, refused
from qstage.cobalt.usage import usage_text
from qstage.cobalt.values import read_walltime
from qstage.cobalt.words import Given, Option, Table

_RUNNING = {
    "nodes": "cannot change node count of a running job",
    "procs": "cannot change processor count of a running job",
    "project": None,
    "notify": None,
    "mode": "cannot change mode of a running job",
    "walltime": "cannot change wall time of a running job",
    "errorpath": "cannot change the error path of a running job",
    "outputpath": "cannot change the output path of a running job",
    "dependencies": None,
    "attrs": "cannot change the attributes of a running job",
    "geometry": "cannot change the node geometry of a running job",
    "defer": "cannot change the score of a running job",
}
"""Why an option cannot be used on a running job; None is refused all the same, silently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Qalter:
    """A qalter command line. ``changes`` are fields and values in the table's order; ``given`` the options' dests.

    ``walltime`` is minutes and ``sign`` what stood before it: "+", "-" or "". ``stdout`` and ``stderr`` are what was
    said while it was read.
    """

    ids: tuple[int, ...]
    given: frozenset[str]
    changes: Mapping[str, Any]
    walltime: int | None
    sign: str
    stdout: str
    stderr: str
    added: frozenset[str] = frozenset()
    """Those of the added flags that were given."""

    @property
    def defers(self) -> bool:
        return "defer" in self.given

    @property
    def only_defers(self) -> bool:
        return self.given == {"defer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The fields of one job as they are to be, and what was complained of on the way."""

    fields: Mapping[str, Any]
    stderr: str = ""


class _Altering(Reading):
    """qalter's options: a relative walltime is allowed, and paths are taken as they are typed."""

    command = "qalter"
    sign = ""

    def meet(self, given: Given) -> None:
        super().meet(given)
        if given.added and given.value is None:
            self.flagged.add(given.option.dest)
        elif given.added:
            self.given.add(given.option.dest)
            self.more[given.option.dest] = str(given.value)

    def _forget(self) -> None:
        super()._forget()
        self.more: dict[str, str] = {}
        self.flagged: set[str] = set()

    def _take_text(self, dest: str, value: str) -> None:
        if dest in ("errorpath", "outputpath"):
            self.texts[dest] = value
        elif dest == "walltime" and value[:1] in ("+", "-"):
            self.sign = value[0]
            self.numbers[dest] = read_walltime(value[1:])
        else:
            super()._take_text(dest, value)


def parse_qalter(
    argv: Sequence[str],
    *,
    user: str,
    checks: Checks | None = None,
    added: tuple[Option, ...] = (),
    prog: str = "qalter",
) -> Qalter:
    """Read a qalter command line. Raises UsageError."""
    reading = _Altering(Table(QALTER, added), user, checks or Checks(), prog)
    try:
        reading.read(argv)
        given = _given(reading, prog)
        ids = read_ids("qalter", reading.rest, prog)
    except UsageError as end:
        raise UsageError(end.exit_code, reading.out + end.stdout, reading.err + end.stderr) from None
    return Qalter(
        ids=ids,
        given=given,
        changes=_changes(reading, user),
        walltime=reading.numbers.get("walltime"),
        sign=reading.sign,
        stdout=reading.out,
        stderr=reading.err,
        added=frozenset(reading.flagged),
    )


def _given(reading: Reading, prog: str) -> frozenset[str]:
    given = frozenset(reading.given - {"debug", "verbose"})
    if not given:
        raise UsageError(1, stdout=usage_text("qalter", prog), stderr="No required options provided\n\n")
    return given


def _changes(reading: _Altering, user: str) -> dict[str, Any]:
    flags = reading.flags
    values: dict[str, Any] = {name: True for name in ("user_hold", "run_project", "defer") if name in flags}
    if flags & {"enable_preboot", "disable_preboot"}:
        values["script_preboot"] = "disable_preboot" not in flags
    values |= {name: reading.numbers[name] for name in ("nodes", "procs") if name in reading.numbers}
    names = ("project", "notify", "errorpath", "outputpath")
    values |= {name: reading.texts[name] for name in names if name in reading.texts}
    depends = reading.texts.get("dependencies")
    if depends is not None:
        words = depends.split(":")
        values["dependencies"] = [] if words[0].lower() == "none" else words
    if reading.attrs is not None:
        values["attrs"] = reading.attrs
    if reading.user_list is not None or "run_project" in flags:
        values["user_list"] = [user] if "run_project" in flags else list(reading.user_list or ())
    if reading.mode is not None:
        values["mode"] = reading.mode
    return values | reading.more


def refuse_running(request: Qalter) -> UsageError:
    """Return the end of a qalter that named a running job, among others or alone."""
    why = [words for dest, words in _RUNNING.items() if dest in request.given]
    if not why:
        why = ["Modifying a job while running is currently not supported"]
    return refused("\n".join(words for words in why if words)) if any(why) else UsageError(1)


def change_of(request: Qalter, job: Mapping[str, Any]) -> Change:
    """Return what becomes of a job, of which ``walltime`` (minutes) and ``nodes`` are known. Raises UsageError."""
    fields = dict(request.changes)
    complaint = ""
    if request.walltime is not None:
        fields["walltime"] = str(request.walltime)
        if request.sign:
            wanted = float(job["walltime"]) + float(f"{request.sign}{request.walltime}")
            if request.sign == "-" and wanted <= 0:
                complaint = f"invalid wall time: {wanted}\n"
            else:
                fields["walltime"] = str(wanted)
    if {"nodes", "mode"} & request.given and "procs" not in request.given:
        if fields.get("mode") == "vn":
            raise refused("Unknown bgtype bgl")
        fields["procs"] = fields.get("nodes", job["nodes"])
    if "geometry" in request.given:
        raise refused("Invalid Geometry")
    return Change(fields=fields, stderr=complaint)


def told(before: Mapping[str, Any], fields: Mapping[str, Any]) -> str:
    """Return what qalter prints of a changed job. ``before`` holds the fields that it had asked for."""
    lines = []
    for name, value in fields.items():
        if name == "dependencies":
            lines.append(f"dependencies set to {':'.join(value)}")
        elif name not in before:
            lines.append(f"{name} set to {value}")
        elif before[name] != value:
            lines.append(f"{name} changed from {before[name]} to {value}")
    return "".join(f"{line}\n" for line in lines)
