"""Staging inside the allocation: the job brings its inputs and takes its outputs away itself, while it has its nodes.

It asks for as much more time, by the same factor as for its own run. Its transfers meet no limit of Globus: they are
taken to be as fast as a task of its own would be at best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from emulators.cobalt.replay.machine import Rules
from emulators.cobalt.replay.run import replay
from emulators.cobalt.replay.shaping import requested
from emulators.cobalt.staging.trips import Trip
from emulators.globus.pace import Link


def run_inside(trips: Sequence[Trip], rules: Rules, link: Link, factor: float) -> None:
    """Take every job to its end; ``factor`` is by how much more time is asked for than is needed."""
    by_id = {trip.job.jobid: trip for trip in trips}
    longer = []
    for trip in trips:
        job, moving = trip.job, link.seconds(trip.inputs) + link.seconds(trip.outputs)
        assert job.walltime is not None, "a job to be run has a walltime"
        own = min(job.runtime, job.walltime)
        longer.append(replace(job, runtime=own + moving, walltime=job.walltime + requested(moving, factor)))
    for run in replay(longer, rules):
        trip = by_id[run.job.jobid]
        trip.nodes_from = run.start
        trip.eligible = trip.job.submitted
        trip.begins = trip.staged = run.start + link.seconds(trip.inputs)
        trip.nodes_until = trip.delivered = run.end
        trip.ends = run.end - link.seconds(trip.outputs)
