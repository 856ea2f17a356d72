"""What a simulator is told once, when it is made."""

from __future__ import annotations

from dataclasses import dataclass

from emulators.cobalt.policy import Backfill, Drain
from emulators.cobalt.queues import Queue
from emulators.cobalt.scores import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The machine and its rules. Times are seconds, but ``min_walltime``, which is minutes as Cobalt has it.

    ``interval`` is the pause between scheduler passes when nothing happens; every event starts one at once.
    ``kill_delay`` lies between SIGTERM and SIGKILL. ``qdel_pause`` is how long qdel sleeps, one second in
    Cobalt. ``prologue`` and ``epilogue`` are how long a job stays in each of its two prologues and
    epilogues. ``policy`` scores the jobs of queues that name none. ``filters`` are programs that see, and may
    change, each job before the queue manager does. The four tuples of scripts are those of ``hooks``.
    """

    nodes: int
    first_job_id: int = 1
    interval: float = 0.2
    min_walltime: int = 5
    kill_delay: float = 300.0
    qdel_pause: float = 0.0
    prologue: float = 0.0
    epilogue: float = 0.0
    drain: Drain = Drain.BACKFILL
    backfill: Backfill = Backfill.FIRST
    policy: Policy = Policy.DEFAULT
    queues: tuple[Queue, ...] = (Queue(name="default"),)
    filters: tuple[str, ...] = ()
    job_prescripts: tuple[str, ...] = ()
    resource_prescripts: tuple[str, ...] = ()
    resource_postscripts: tuple[str, ...] = ()
    job_postscripts: tuple[str, ...] = ()

    @property
    def node_names(self) -> tuple[str, ...]:
        return tuple(f"node{number}" for number in range(1, self.nodes + 1))
