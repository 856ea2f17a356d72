"""What the readers of traces make: jobs, and the fault of a line that cannot be read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


class TraceError(ValueError):
    """A trace cannot be read. ``line`` counts from 1; 0 is the file as a whole."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceJob:
    """A job of a trace. Times are seconds, ``submitted`` since the epoch.

    ``runtime`` is how long it ran; ``walltime`` what was asked for, None where the trace does not say.
    """

    jobid: int
    submitted: float
    runtime: float
    walltime: float | None
    nodes: int
    user: str = "unknown"
    queue: str = "default"
    project: str | None = None


@dataclass(slots=True, kw_only=True)
class Found:
    """What a reader found. ``left_out`` counts, by the reason, the jobs of which too little is known."""

    jobs: list[TraceJob] = field(default_factory=list)
    nodes: int | None = None
    left_out: Counter[str] = field(default_factory=Counter)
