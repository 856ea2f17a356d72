"""A workload trace: what was submitted when, and how long it ran.

``read_trace`` takes the Standard Workload Format and Cobalt's accounting log, plain or compressed, and tells them
apart by their first line. A line that is not what its format says is refused, with its number; a job that the trace
does not say enough of to be run again is left out, and counted under the reason.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from emulators.cobalt.replay import accounting, swf
from emulators.cobalt.replay.jobs import Found, TraceError, TraceJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The jobs in the order of their submission. ``nodes`` is the size of the machine, where the trace says."""

    jobs: tuple[TraceJob, ...]
    nodes: int | None
    left_out: Counter[str]


def read_trace(path: Path, *, procs_per_node: int = 1) -> Trace:
    """Read a trace. ``procs_per_node`` is for SWF, which counts processors.

    :raises TraceError: for the first line that cannot be read.
    :raises OSError: if the file cannot be.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        found = _find(enumerate(_lines(file), start=1), procs_per_node)
    if not found.jobs:
        raise TraceError(0, "the trace has no job that can be run again")
    jobs = sorted(found.jobs, key=lambda job: (job.submitted, job.jobid))
    return Trace(jobs=tuple(jobs), nodes=found.nodes, left_out=found.left_out)


def _find(lines: Iterator[tuple[int, str]], procs_per_node: int) -> Found:
    for number, line in lines:
        if not line.strip():
            continue
        if accounting.is_line(line):
            return accounting.read(_all(number, line, lines))
        if swf.is_line(line):
            return swf.read(_all(number, line, lines), procs_per_node)
        raise TraceError(number, "neither the Standard Workload Format nor Cobalt's accounting log")
    return Found()


def _lines(file: Iterable[str]) -> Iterator[str]:
    try:
        yield from file
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as fault:
        raise TraceError(0, f"not text: {fault}") from fault


def _all(number: int, line: str, rest: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    yield number, line
    yield from rest
