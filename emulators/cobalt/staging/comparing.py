"""The ways of staging side by side: the same jobs with the same data through each, and through none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from emulators.cobalt.estimates import Estimate
from emulators.cobalt.replay.jobs import TraceJob
from emulators.cobalt.replay.machine import Rules
from emulators.cobalt.replay.run import replay
from emulators.cobalt.staging.ahead import Ahead
from emulators.cobalt.staging.by_hand import ByHand
from emulators.cobalt.staging.course import Staging, run
from emulators.cobalt.staging.inside import run_inside
from emulators.cobalt.staging.ledger import Account, account
from emulators.cobalt.staging.planner import Planner
from emulators.cobalt.staging.transfers import Transfers
from emulators.cobalt.staging.trips import trips_of
from emulators.globus.pace import Link

INSIDE = "inside the allocation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is assumed. ``reaction`` is seconds; ``factor`` is how much more walltime is asked for than is needed."""

    link: Link
    reaction: float
    factor: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one way comes to; ``tasks`` at Globus."""

    way: str
    account: Account
    tasks: int


def ways(terms: Terms) -> Mapping[str, Callable[[Transfers], Staging] | None]:
    """The ways by their names; None moves inside the allocation."""
    minutes = terms.reaction / 60
    return {
        "by hand, at once": lambda transfers: ByHand(transfers, 0),
        f"by hand, {minutes:g} min later": lambda transfers: ByHand(transfers, terms.reaction),
        INSIDE: None,
        "qstage, eager": Planner,
        "qstage, just in time": lambda transfers: Ahead(transfers, Estimate.PLANNED),
        "the same, Cobalt's estimate": lambda transfers: Ahead(transfers, Estimate.COBALT),
    }


def compare(jobs: Sequence[TraceJob], rules: Rules, terms: Terms) -> Iterator[Line]:
    """Take the jobs through each way in turn."""
    undelayed = {run.job.jobid: run.start for run in replay(jobs, rules)}
    for name, make in ways(terms).items():
        trips, transfers = trips_of(jobs, terms.seed), Transfers(terms.link)
        if make is None:
            run_inside(trips, rules, terms.link, terms.factor)
        else:
            run(trips, rules, make(transfers))
        yield Line(way=name, account=account(trips, undelayed), tasks=transfers.count or 2 * len(trips))
