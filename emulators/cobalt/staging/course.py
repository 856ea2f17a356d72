"""The clock of a replay with data: the machine on one side, a way of staging on the other.

At each instant, in this order: jobs leave their nodes; jobs are submitted by their users; the staging does what is
due, which may give jobs to the machine; the machine starts what may start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from emulators.cobalt.replay.machine import Machine, Rules
from emulators.cobalt.staging.trips import Trip


class Staging(Protocol):
    """A way of getting data to jobs. Times are seconds since the epoch; none goes back."""

    def post(self, trip: Trip, now: float) -> None:
        """The user wants this job run. Called in the order of submission."""
        ...

    def ended(self, trip: Trip, now: float) -> None:
        """The job has left its nodes, and its outputs are there."""
        ...

    def next_at(self) -> float | None:
        """When there is something to do that nobody calls for; None if nothing."""
        ...

    def work(self, machine: Machine, now: float) -> None:
        """Do what is due: move, give jobs to the machine or release them, write down what has arrived."""
        ...


def run(trips: Sequence[Trip], rules: Rules, staging: Staging) -> None:
    """Take every job to its end. ``trips`` are in the order of submission."""
    machine = Machine(rules)
    by_id = {trip.job.jobid: trip for trip in trips}
    arrivals = iter(trips)
    coming = next(arrivals, None)
    while True:
        times = [staging.next_at(), machine.next_end, None if coming is None else coming.job.submitted]
        now = min((at for at in times if at is not None), default=None)
        if now is None:
            break
        for run in machine.end_due(now):
            trip = by_id[run.job.jobid]
            trip.ends = trip.nodes_until = now
            staging.ended(trip, now)
        while coming is not None and coming.job.submitted <= now:
            staging.post(coming, now)
            coming = next(arrivals, None)
        staging.work(machine, now)
        for run in machine.start_due(now):
            trip = by_id[run.job.jobid]
            trip.nodes_from = trip.begins = now
    for trip in trips:
        assert trip.delivered is not None, f"job {trip.job.jobid} never ended: {trip}"
