"""When ``qstat`` says that a waiting job will start (``Est_Start_Time``), by Cobalt's own rough formula. Pure.

The longest time that any running job has left, and then the node time of every waiting job of a better score, spread
over the whole machine. A held job is told one as any that waits: its score does not grow while it is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from emulators.cobalt.policy import Busy, Waiting


def expected_starts(waiting: Sequence[Waiting], busy: Iterable[Busy], nodes: int, now: float) -> Mapping[int, float]:
    """Return the start of each of these jobs, in seconds since the epoch."""
    return by_formula(sorted(waiting, key=lambda each: (-each.score, each.jobid)), busy, nodes, now)


def by_formula(
    ranked: Iterable[Waiting], busy: Iterable[Busy], nodes: int, now: float, apart: Set[int] = frozenset()
) -> Mapping[int, float]:
    """Return the same of jobs that are in the order of their scores; those ``apart`` are in no other's way."""
    at = max((use.until for use in busy), default=now)
    found = {}
    for job in ranked:
        found[job.jobid] = at
        if job.jobid not in apart:
            at += job.walltime * job.nodes / nodes
    return found
