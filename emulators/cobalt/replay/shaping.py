"""Changes a load before it is replayed, and says what was changed.

A trace whose machine was half idle queues nothing: its arrivals can be compressed. One that does not say what was
asked for is given walltimes: the run time times a factor, in whole minutes as Cobalt counts, five at least, which is
the shortest that Cobalt's clusters take.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from emulators.cobalt.replay.jobs import TraceJob

MINIMUM_WALLTIME = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """``compress`` is how many times faster jobs arrive; ``first`` how many are taken, None for all."""

    compress: float = 1.0
    requested_factor: float = 2.0
    first: int | None = None


def shaped(jobs: Sequence[TraceJob], shape: Shape, nodes: int) -> tuple[tuple[TraceJob, ...], Counter[str]]:
    """Return the jobs to replay, and what was left out and why. Jobs wider than the machine are."""
    begin = jobs[0].submitted
    fitting = [job for job in jobs if job.nodes <= nodes]
    made = tuple(
        replace(
            job,
            submitted=begin + (job.submitted - begin) / shape.compress,
            walltime=job.walltime if job.walltime is not None else requested(job.runtime, shape.requested_factor),
        )
        for job in fitting[: shape.first]
    )
    wide = len(jobs) - len(fitting)
    return made, Counter({f"wider than {nodes} nodes": wide} if wide else {})


def requested(runtime: float, factor: float) -> float:
    """Return the walltime that somebody would have asked for, in seconds."""
    return max(MINIMUM_WALLTIME, math.ceil(runtime * factor / 60) * 60.0)


def offered_load(jobs: Sequence[TraceJob], nodes: int) -> float:
    """Return the node time that is asked for, as a share of what there is while jobs arrive."""
    span = jobs[-1].submitted - jobs[0].submitted
    return sum(job.runtime * job.nodes for job in jobs) / (nodes * span) if span else math.inf
