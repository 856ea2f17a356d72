"""Who runs next: the flat-node policy of Cobalt's cluster system, as a pure function.

A pass looks at the waiting jobs, best score first, and starts at most one; the caller repeats it at the
same instant until nothing starts. The best job of each queue gets idle nodes or, failing that, is given the
nodes that are free soonest: those drain, and nobody else may start on them. If nothing could start, a
second pass lets a lower job run on idle nodes, if it will be over before the nodes its queue waits for are
free. All queues share all nodes.

The score is not made here: see ``scores``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

SHADOW_SECONDS = 300.0
"""A busy node is never expected sooner than this: running over, or being cleaned up."""


class Drain(StrEnum):
    """What happens when the best job does not fit."""

    FIRST_FIT = "first_fit"
    """The next that fits runs: a wide job may wait for ever."""
    DRAIN_ONLY = "drain_only"
    """Nodes are kept for it, idle ones too."""
    BACKFILL = "backfill"
    """Nodes are kept for it, but a short job may use them meanwhile."""


class Backfill(StrEnum):
    """In what order jobs are tried for backfill. Cobalt's cluster system has the first; the others are qsim's."""

    FIRST = "ff"
    """The best score first."""
    LARGEST = "bf"
    """The most nodes times walltime first."""
    SHORTEST = "sjfb"
    """The shortest walltime first."""


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


def expected_end(start: float, walltime: float, now: float) -> float:
    """Return when a running job's nodes are expected to be free."""
    return max(start + walltime, now + SHADOW_SECONDS)


def next_start(
    waiting: Sequence[Waiting],
    nodes: Sequence[str],
    busy: Iterable[Busy],
    now: float,
    drain: Drain,
    order: Backfill = Backfill.FIRST,
) -> Start | None:
    """Return the job that starts now and on which nodes, or None. ``nodes`` are all nodes that are up, in
    order."""
    ranked = sorted(waiting, key=lambda job: (-job.score, job.jobid))
    return first_start(ranked, nodes, busy, now, drain, order)


def first_start(
    ranked: Sequence[Waiting],
    nodes: Sequence[str],
    busy: Iterable[Busy],
    now: float,
    drain: Drain,
    order: Backfill = Backfill.FIRST,
) -> Start | None:
    """Return the same of jobs that are in the order of their scores already, the best first; theirs are not read."""
    free_at = dict.fromkeys(nodes, 0.0)
    for use in busy:
        free_at |= {node: use.until for node in use.nodes if node in free_at}
    drained: set[str] = set()
    drains: dict[str, float] = {}
    left = _Left(free_at, drained)
    for job in ranked:
        if job.queue in drains:
            continue
        if drained and len(drained) == len(free_at):
            drains[job.queue] = min(drains.values())
            continue
        eligible, idle = left.to(job)
        if len(eligible) < job.nodes:
            continue
        if len(idle) >= job.nodes:
            return Start(jobid=job.jobid, nodes=tuple(idle[: job.nodes]))
        if drain is not Drain.FIRST_FIT:
            kept = sorted(eligible, key=free_at.__getitem__)[: job.nodes]
            drains[job.queue] = free_at[kept[-1]]
            drained |= set(kept)
            left = _Left(free_at, drained)
    if drain is Drain.BACKFILL and drains:
        return _backfill(_in_order(ranked, order), free_at, drains, now)
    return None


class _Left:
    """The nodes that do not drain, and which of them are idle. Most jobs take any: for those it is worked out once."""

    def __init__(self, free_at: Mapping[str, float], drained: Collection[str]) -> None:
        self._eligible = [node for node in free_at if node not in drained]
        self._idle = [node for node in self._eligible if free_at[node] == 0.0]

    def to(self, job: Waiting) -> tuple[list[str], list[str]]:
        """Return the nodes that the job may have in time, and those that it may have now."""
        if not job.wanted:
            return self._eligible, self._idle
        return [node for node in self._eligible if node in job.wanted], [
            node for node in self._idle if node in job.wanted
        ]


def _in_order(ranked: Sequence[Waiting], order: Backfill) -> Sequence[Waiting]:
    match order:
        case Backfill.FIRST:
            return ranked
        case Backfill.LARGEST:
            return sorted(ranked, key=lambda job: -job.nodes * job.walltime)
        case Backfill.SHORTEST:
            return sorted(ranked, key=lambda job: job.walltime)


def _backfill(
    tried: Sequence[Waiting], free_at: Mapping[str, float], drains: Mapping[str, float], now: float
) -> Start | None:
    """Return the first job that fits on idle nodes and ends before its queue's drain is due."""
    left, latest = _Left(free_at, ()), max(drains.values())
    for job in tried:
        _, idle = left.to(job)
        if len(idle) >= job.nodes and int(now) + job.walltime < int(drains.get(job.queue, latest)):
            return Start(jobid=job.jobid, nodes=tuple(idle[: job.nodes]))
    return None
