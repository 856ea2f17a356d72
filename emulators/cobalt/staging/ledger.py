"""What a way of staging comes to: how long users wait, what nodes and disks are used up by waiting, who was late.

- *turnaround*: from when the user wants the job run to when its outputs are where they belong.
- *node-hours waiting for data*: nodes held while the job's own program does not run.
- *scratch*: the inputs lie there from the end of their transfer to the end of the outputs', the outputs from the end of
  the job's program to the end of theirs. *Before the start* is what of it inputs lie there before the program begins.
- *delayed by data*: the program begins more than LATE after it does in the same replay without data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emulators.cobalt.replay.figures import Spread, spread
from emulators.cobalt.staging.trips import Trip

LATE = 300.0
HOUR = 3600.0
TERABYTE = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """``turnaround`` is seconds; ``delay`` the mean, in seconds, over all jobs of how much later they began."""

    turnaround: Spread
    node_hours_waiting: float
    scratch: float
    scratch_before_start: float
    """Both terabyte-hours."""
    delayed: int
    delay: float


def account(trips: Sequence[Trip], undelayed: Mapping[int, float]) -> Account:
    """Count. ``undelayed`` is when each job begins in the replay without data."""
    took, late = [], []
    waiting = lies = before = 0.0
    for trip in trips:
        job, staged, begins, ends, delivered = trip.job, *_times(trip)
        assert trip.nodes_from is not None, "it ran"
        assert trip.nodes_until is not None, "it ran"
        took.append(delivered - job.submitted)
        late.append(begins - undelayed[job.jobid])
        waiting += job.nodes * (begins - trip.nodes_from + trip.nodes_until - ends)
        lies += trip.inputs * (delivered - staged) + trip.outputs * (delivered - ends)
        before += trip.inputs * (begins - staged)
    return Account(
        turnaround=spread(took),
        node_hours_waiting=waiting / HOUR,
        scratch=lies / TERABYTE / HOUR,
        scratch_before_start=before / TERABYTE / HOUR,
        delayed=sum(each > LATE for each in late),
        delay=sum(late) / len(late),
    )


def _times(trip: Trip) -> tuple[float, float, float, float]:
    times = (trip.staged, trip.begins, trip.ends, trip.delivered)
    assert None not in times, trip
    return times  # type: ignore[return-value]
