"""Cobalt's qmove and qselect: their command lines, and what they print of the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qstage.cobalt.errors import UsageError
from qstage.cobalt.jobids import Report, read_ids
from qstage.cobalt.options import QMOVE, QSELECT
from qstage.cobalt.reading import refused
from qstage.cobalt.rows import JobRow
from qstage.cobalt.usage import fatal, read_options, usage_text
from qstage.cobalt.values import read_walltime
from qstage.cobalt.words import Given, Table

NO_MATCH = "Failed to match any jobs or queues\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Qmove:
    """A qmove command line."""

    queue: str
    ids: tuple[int, ...]


def parse_qmove(argv: Sequence[str], *, prog: str = "qmove") -> Qmove:
    """Read a qmove command line. Raises UsageError."""
    words = read_options("qmove", Table(QMOVE), argv, lambda _: None, prog)
    if len(words) < 2:
        raise UsageError(1, stdout=usage_text("qmove", prog), stderr="No arguments or options provided\n\n")
    return Qmove(queue=words[0], ids=read_ids("qmove", words[1:], prog))


def moved_report(queue: str, moved: Sequence[int]) -> Report:
    """Return what qmove prints once every job has been moved."""
    if not moved:
        return Report(stdout="", stderr=NO_MATCH)
    return Report(stdout="".join(f"moved job {one} to queue '{queue}'\n" for one in moved))


@dataclass(frozen=True, slots=True, kw_only=True)
class Qselect:
    """A qselect command line; None asks for nothing. ``impossible``: -n or -t was given, which never match.

    Cobalt compares those two as texts with numbers.
    """

    state: str | None = None
    project: str | None = None
    queue: str | None = None
    mode: str | None = None
    impossible: bool = False


def parse_qselect(argv: Sequence[str], *, system_size: int = 1024, prog: str = "qselect") -> Qselect:
    """Read a qselect command line. Raises UsageError."""
    texts: dict[str, str] = {}

    def meet(given: Given) -> None:
        dest, value = given.option.dest, given.value
        if isinstance(value, int) and not 0 < value <= system_size:
            raise refused("node count out of realistic range")
        if dest == "walltime":
            _check_time(str(value))
        if value is not None:
            texts[dest] = str(value)

    if read_options("qselect", Table(QSELECT), argv, meet, prog):
        raise refused("qselect takes no arguments")
    impossible = bool({"nodes", "walltime"} & texts.keys())
    wanted = {name: texts.get(name) for name in ("state", "project", "queue", "mode")}
    return Qselect(impossible=impossible, **wanted)


def _check_time(text: str) -> None:
    if not text:
        raise fatal("string index out of range")
    try:
        read_walltime(text)
    except ValueError as refusal:
        raise refused(str(refusal)) from None


def selected_report(rows: Sequence[JobRow], request: Qselect) -> Report:
    """Return what qselect prints: the jobs of everybody that match all that was asked for."""
    chosen = [row for row in rows if not request.impossible and _matches(row, request)]
    if not chosen:
        return Report(stdout="", stderr="Failed to match any jobs\n")
    lines = ["   The following jobs matched your query:", *(f"      {row.jobid}" for row in chosen)]
    return Report(stdout="".join(f"{line}\n" for line in lines))


def _matches(row: JobRow, request: Qselect) -> bool:
    names = ("state", "project", "queue", "mode")
    # "*" asks for nothing: that is how Cobalt's own query says so.
    return all(getattr(request, name) in (None, "*", str(getattr(row, name))) for name in names)
