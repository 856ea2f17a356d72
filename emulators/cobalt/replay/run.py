"""A replay without data: the clock jumps from one submission or end to the next, and the policy decides at each.

All that happens at one instant is done before anything is started: nodes are freed, then jobs are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from emulators.cobalt.replay.jobs import TraceJob
from emulators.cobalt.replay.machine import Machine, Rules, Run


def replay(jobs: Sequence[TraceJob], rules: Rules) -> list[Run]:
    """Return what became of each job, in the order of their starts. ``jobs`` are in the order of submission."""
    machine, runs = Machine(rules), list[Run]()
    for at, batch in groupby(jobs, key=lambda job: job.submitted):
        _run_until(machine, at, runs)
        machine.end_due(at)
        for job in batch:
            machine.submit(job, at)
        runs += machine.start_due(at)
    _run_until(machine, float("inf"), runs)
    return runs


def _run_until(machine: Machine, time: float, runs: list[Run]) -> None:
    """Let jobs end, and others start, until that time, but not at it."""
    while machine.next_end is not None and machine.next_end < time:
        now = machine.next_end
        machine.end_due(now)
        runs += machine.start_due(now)
