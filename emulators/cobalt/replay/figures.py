"""What a replay comes to: waits, slowdowns, utilisation.

Percentiles are of the nearest rank. The bounded slowdown of a job is (wait + run) / run, where a run counts as ten
seconds at least, and 1 at least. Utilisation is the node time of the jobs over that of the machine, from the first
submission to the last end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from emulators.cobalt.replay.machine import Run

BOUND = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How a quantity is spread over jobs."""

    mean: float
    median: float
    p90: float
    p99: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """``wait`` is seconds."""

    jobs: int
    killed: int
    wait: Spread
    slowdown: Spread
    utilisation: float


def figures(runs: Sequence[Run], nodes: int) -> Figures:
    """Count. ``runs`` are not none."""
    begin = min(run.job.submitted for run in runs)
    span = max(run.end for run in runs) - begin
    work = sum((run.end - run.start) * len(run.nodes) for run in runs)
    return Figures(
        jobs=len(runs),
        killed=sum(run.killed for run in runs),
        wait=spread([run.start - run.job.submitted for run in runs]),
        slowdown=spread([slowdown(run) for run in runs]),
        utilisation=work / (nodes * span) if span else 0.0,
    )


def slowdown(run: Run) -> float:
    """Return the bounded slowdown."""
    took = run.end - run.start
    return max(1.0, (run.start - run.job.submitted + took) / max(took, BOUND))


def spread(values: Sequence[float]) -> Spread:
    ordered = sorted(values)
    return Spread(
        mean=math.fsum(ordered) / len(ordered),
        median=percentile(ordered, 50),
        p90=percentile(ordered, 90),
        p99=percentile(ordered, 99),
        most=ordered[-1],
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value of the nearest rank: the smallest that so many per cent do not exceed."""
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)]
