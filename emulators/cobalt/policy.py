"""Who runs next: the flat-node policy of Cobalt's cluster system, as a pure function.

A pass looks at the waiting jobs, best score first, and starts at most one; the caller repeats it at the
same instant until nothing starts. The best job of each queue gets idle nodes or, failing that, is given the
nodes that are free soonest: those drain, and nobody else may start on them. If nothing could start, a
second pass lets a lower job run on idle nodes, if it will be over before the nodes its queue waits for are
free. All queues share all nodes.

The score is not made here: see ``default_gain`` for how it grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

SHADOW_SECONDS = 300.0
"""A busy node is never expected sooner than this: running over, or being cleaned up."""
SCORE_PERIOD = 10.0
"""Cobalt adds to every score once in this many seconds."""


class Drain(StrEnum):
    """What happens when the best job does not fit."""

    FIRST_FIT = "first_fit"
    """The next that fits runs: a wide job may wait for ever."""
    DRAIN_ONLY = "drain_only"
    """Nodes are kept for it, idle ones too."""
    BACKFILL = "backfill"
    """Nodes are kept for it, but a short job may use them meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A job that may start. ``walltime`` is seconds; ``wanted`` are the only nodes it accepts, empty for
    any."""

    jobid: int
    queue: str
    nodes: int
    walltime: float
    score: float
    wanted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """Nodes in use, and when they should be free."""

    nodes: tuple[str, ...]
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    jobid: int
    nodes: tuple[str, ...]


def default_gain(priority: float) -> float:
    """Return what a waiting job's score gains each period: first come first served, weighted by the queue."""
    return priority + 0.1


def expected_end(start: float, walltime: float, now: float) -> float:
    """Return when a running job's nodes are expected to be free."""
    return max(start + walltime, now + SHADOW_SECONDS)


def next_start(
    waiting: Sequence[Waiting], nodes: Sequence[str], busy: Sequence[Busy], now: float, drain: Drain
) -> Start | None:
    """Return the job that starts now and on which nodes, or None. ``nodes`` are all nodes that are up, in
    order."""
    ranked = sorted(waiting, key=lambda job: (-job.score, job.jobid))
    free_at = dict.fromkeys(nodes, 0.0)
    for use in busy:
        free_at |= {node: use.until for node in use.nodes if node in free_at}
    drained: set[str] = set()
    drains: dict[str, float] = {}
    for job in ranked:
        if job.queue in drains:
            continue
        if drained and drained >= free_at.keys():
            drains[job.queue] = min(drains.values())
            continue
        eligible = [node for node in nodes if node not in drained and _accepts(job, node)]
        if len(eligible) < job.nodes:
            continue
        idle = [node for node in eligible if free_at[node] == 0.0]
        if len(idle) >= job.nodes:
            return Start(jobid=job.jobid, nodes=tuple(idle[: job.nodes]))
        if drain is not Drain.FIRST_FIT:
            kept = sorted(eligible, key=lambda node: free_at[node])[: job.nodes]
            drains[job.queue] = free_at[kept[-1]]
            drained |= set(kept)
    if drain is Drain.BACKFILL and drains:
        return _backfill(ranked, nodes, free_at, drains, now)
    return None


def _backfill(
    ranked: Sequence[Waiting],
    nodes: Sequence[str],
    free_at: dict[str, float],
    drains: dict[str, float],
    now: float,
) -> Start | None:
    """Return the first job that fits on idle nodes and ends before its queue's drain is due."""
    for job in ranked:
        due = drains.get(job.queue, max(drains.values()))
        idle = [node for node in nodes if free_at[node] == 0.0 and _accepts(job, node)]
        if len(idle) >= job.nodes and int(now) + job.walltime < int(due):
            return Start(jobid=job.jobid, nodes=tuple(idle[: job.nodes]))
    return None


def _accepts(job: Waiting, node: str) -> bool:
    return not job.wanted or node in job.wanted
