"""When a scheduler expects a waiting job to start: two ways of telling, both pure, both by walltimes.

Cobalt's own (``starts``) knows nothing of idle nodes, nor of what fits where.
The other plans: each better job is given the nodes that are free soonest, for its walltime, and then this one, unless
it could slip in now. So do schedulers that plan ahead, as Slurm's backfill does. Neither foresees what slips in later,
nor that jobs end before their walltime.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from emulators.cobalt.policy import Busy, Waiting
from emulators.cobalt.starts import by_formula


class Estimate(StrEnum):
    """How a start is estimated."""

    COBALT = "cobalt"
    PLANNED = "planned"


def estimated(
    how: Estimate,
    ranked: Sequence[Waiting],
    asked: frozenset[int],
    busy: Iterable[Busy],
    nodes: int,
    now: float,
) -> Mapping[int, float]:
    """Return when each of the jobs that are asked for would start if it waited as the others do.

    ``ranked`` are all jobs, these among them, the best first; none of those asked for is in another's way.
    """
    if how is Estimate.COBALT:
        found = by_formula(ranked, busy, nodes, now, apart=asked)
        return {jobid: found[jobid] for jobid in asked}
    return _by_plan(ranked, asked, busy, nodes, now)


def _by_plan(
    ranked: Sequence[Waiting], asked: frozenset[int], busy: Iterable[Busy], nodes: int, now: float
) -> dict[int, float]:
    found = {}
    free = sorted(use.until for use in busy for _ in use.nodes)
    idle = nodes - len(free)
    free[:0] = [now] * idle
    drain: float | None = None
    for job in ranked:
        start = free[job.nodes - 1]
        if job.jobid in asked:
            slips_in = drain is not None and job.nodes <= idle and now + job.walltime < drain
            found[job.jobid] = now if slips_in else start
        else:
            if start <= now:
                idle -= job.nodes
            elif drain is None:
                drain = start
            del free[: job.nodes]
            at = bisect_right(free, start + job.walltime)
            free[at:at] = [start + job.walltime] * job.nodes
    return found
