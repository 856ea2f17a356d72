"""What happens to one job of a replay with data, written down as it does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from emulators.cobalt.replay.jobs import TraceJob
from emulators.cobalt.staging.sizes import Sizes


@dataclass(slots=True, kw_only=True)
class Trip:
    """A job and its data. Sizes are bytes; times are seconds since the epoch, None while they lie ahead.

    ``nodes_from`` and ``nodes_until`` are when the job has its nodes, ``begins`` and ``ends`` when its own program
    runs: these differ only where the job moves its data itself.
    """

    job: TraceJob
    inputs: int
    outputs: int
    staged: float | None = None
    """Its inputs are at the machine."""
    eligible: float | None = None
    """The scheduler may start it."""
    nodes_from: float | None = None
    begins: float | None = None
    ends: float | None = None
    nodes_until: float | None = None
    delivered: float | None = None
    """Its outputs are where they belong."""


def trips_of(jobs: Iterable[TraceJob], seed: int) -> Sequence[Trip]:
    """Give each job its data. What it gets depends on the seed and on its place, and on nothing else."""
    sizes = Sizes(seed)
    return [Trip(job=job, inputs=sizes.draw(), outputs=sizes.draw()) for job in jobs]
