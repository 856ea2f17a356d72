"""Reads the Standard Workload Format of the Parallel Workloads Archive: 18 numbers a line, -1 for what is not known.

Of the header only the time of the start and the size of the machine are read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from emulators.cobalt.replay.jobs import Found, TraceError, TraceJob

_FIELDS = 18
_HEADER = re.compile(r";\s*(UnixStartTime|MaxNodes|MaxProcs):\s*(\d+)\s*$")
_JOB, _SUBMIT, _RUN, _ALLOCATED, _REQUESTED, _WALLTIME, _USER, _QUEUE = 0, 1, 3, 4, 7, 8, 11, 14


def is_line(line: str) -> bool:
    """Whether a trace that begins with this line is in the format."""
    words = line.split()
    return line.startswith(";") or (len(words) == _FIELDS and all(_is_number(word) for word in words))


def read(lines: Iterable[tuple[int, str]], procs_per_node: int) -> Found:
    """Read numbered lines. Raises TraceError."""
    found, header, seen = Found(), dict[str, int](), set[int]()
    for number, line in lines:
        if line.startswith(";"):
            if match := _HEADER.match(line):
                header[match[1]] = int(match[2])
        elif line.strip():
            values = _values(number, line)
            if (jobid := int(values[_JOB])) in seen:
                raise TraceError(number, f"job {jobid} was there before")
            seen.add(jobid)
            _add(found, values, header.get("UnixStartTime", 0), procs_per_node)
    found.nodes = _machine(header, procs_per_node)
    return found


def _values(number: int, line: str) -> Sequence[float]:
    words = line.split()
    if len(words) != _FIELDS:
        raise TraceError(number, f"{len(words)} fields where the Standard Workload Format has {_FIELDS}")
    for place, word in enumerate(words, start=1):
        if not _is_number(word):
            raise TraceError(number, f"field {place} is no number: {word!r}")
    values = [float(word) for word in words]
    if values[_SUBMIT] < 0:
        raise TraceError(number, f"submitted before the trace begins: {words[_SUBMIT]}")
    return values


def _add(found: Found, values: Sequence[float], start: int, procs_per_node: int) -> None:
    procs = values[_REQUESTED] if values[_REQUESTED] > 0 else values[_ALLOCATED]
    if values[_RUN] < 0:
        found.left_out["no run time"] += 1
    elif procs <= 0:
        found.left_out["no processors"] += 1
    else:
        found.jobs.append(
            TraceJob(
                jobid=int(values[_JOB]),
                submitted=start + values[_SUBMIT],
                runtime=values[_RUN],
                walltime=values[_WALLTIME] if values[_WALLTIME] > 0 else None,
                nodes=math.ceil(procs / procs_per_node),
                user=f"user{values[_USER]:.0f}" if values[_USER] >= 0 else "unknown",
                queue=f"queue{values[_QUEUE]:.0f}" if values[_QUEUE] >= 0 else "default",
            )
        )


def _machine(header: dict[str, int], procs_per_node: int) -> int | None:
    procs = header.get("MaxProcs") or header.get("MaxNodes")
    return math.ceil(procs / procs_per_node) if procs else None


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False
