"""When the inputs of a job that its scheduler has already, held, set out: just in time for its start.

A job with ``staging: just_in_time`` waits in the scheduler's queue, under a hold, from the beginning. Its inputs move
when the scheduler's estimate of its start is no further away than the move is expected to take, and a margin; then the
hold is released. What is brought late delays a start; what is brought early only lies there longer. So whatever is not
known counts as soon: without an estimate the move begins at once, and a route by which nothing has gone yet is expected
to take an hour.

Pure rules, shared by the planner and the trace replay. An estimate is the scheduler's own, made as if the hold were
released now.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.desk import Plan, Route
from chalicelib.core.ids import CollectionId
from chalicelib.core.job import Job, Stage

UNSEEN = timedelta(hours=1)
"""How long a move is expected to take by a route of which no task has ended yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """How much sooner than expected a move begins: a share of the time that it should take, and no less than
    ``least``, which covers the rounds of planner and agent."""

    share: float = 1.0
    least: timedelta = timedelta(minutes=5)

    def over(self, takes: timedelta) -> timedelta:
        return max(takes * self.share, self.least)


PLAIN = Margin()


def begin_at(starts_at: datetime | None, takes: timedelta | None, now: datetime, margin: Margin = PLAIN) -> datetime:
    """When the inputs are to set out; ``now`` if that time has come.

    :param starts_at: the start that the scheduler expects; None: it does not say.
    :param takes: how long the inputs should be on their way; None: nothing like them has been seen.
    """
    if starts_at is None:
        return now
    expected = UNSEEN if takes is None else takes
    return max(now, starts_at - expected - margin.over(expected))


def ways_in(job: Job, home: CollectionId) -> frozenset[Route]:
    """The routes by which the job's inputs come to its site, whose own collection is ``home``."""
    far = () if job.journey is None else job.journey.inputs
    ends = {far[leg.item] for leg in job.pending if leg.item < len(far)}
    return frozenset(Route(stage=Stage.STAGE_IN, source=end, destination=home) for end in ends if end is not None)


def usual_time(plan: Plan, routes: Iterable[Route]) -> timedelta | None:
    """How long inputs that come by these routes should be on their way: as long as the slowest. None: one of them is
    new."""
    found = [plan.usual_time(route) for route in routes]
    known = [each for each in found if each is not None]
    return max(known, default=timedelta(0)) if len(known) == len(found) else None
