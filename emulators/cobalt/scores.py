"""How a waiting job's score comes about, by the utility functions that Cobalt and qsim name.

Pure. The highest score is looked at first; ``policy`` says what then runs. Two of the functions add to what a job
has, once in ten seconds, as Cobalt's queue manager does; the others assign it anew at every pass, as qsim does.
A held job's score does not grow. A queue has one policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

SCORE_PERIOD = 10.0
"""Cobalt adds to every score once in this many seconds."""
BALANCE = 0.5
"""What ``balanced`` gives to a job's age; the rest goes to its being short."""


class Policy(StrEnum):
    """A utility function, by Cobalt's name where it has one."""

    DEFAULT = "default"
    """Adds the queue's priority + 0.1: first come first served, weighted by the queue."""
    HIGH_PRIO = "high_prio"
    """Adds 1.0; while a queue of this policy has a job, only such queues' jobs start."""
    FCFS = "fcfs"
    """The time since the submission, whatever the queue: what qsim calls default."""
    WFP = "wfp"
    """(time since the submission / walltime)³ x nodes: wide jobs, and those that waited long for their length."""
    BALANCED = "balanced"
    """Age and shortness, each as a share of the largest there is: qsim's metric-aware policy."""


GROWING = frozenset({Policy.DEFAULT, Policy.HIGH_PRIO})
"""The policies whose scores are added to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What a policy knows of a waiting job. Times are seconds; ``since`` is when ``score`` was what it is."""

    score: float
    since: float
    submitted: float
    walltime: float
    nodes: int
    priority: float = 0.0


def gain(policy: Policy, priority: float) -> float:
    """Return what a waiting job's score gains each period; 0 where the policy assigns it."""
    if policy is Policy.DEFAULT:
        return priority + 0.1
    return 1.0 if policy is Policy.HIGH_PRIO else 0.0


def rescored(policy: Policy, jobs: Sequence[Scored], now: float) -> list[float]:
    """Return the scores of the waiting jobs of one policy, in their order."""
    match policy:
        case Policy.DEFAULT | Policy.HIGH_PRIO:
            return [job.score + gain(policy, job.priority) * (now - job.since) / SCORE_PERIOD for job in jobs]
        case Policy.FCFS:
            return [now - job.submitted for job in jobs]
        case Policy.WFP:
            return [((now - job.submitted) / max(job.walltime, 1.0)) ** 3 * job.nodes for job in jobs]
        case Policy.BALANCED:
            return _balanced(jobs, now)


def _balanced(jobs: Sequence[Scored], now: float) -> list[float]:
    if not jobs:
        return []
    oldest = max(now - job.submitted for job in jobs) or 1.0
    longest = max(job.walltime for job in jobs)
    span = longest - min(job.walltime for job in jobs) or 1.0
    age, brevity = 100 * BALANCE / oldest, 100 * (1 - BALANCE) / span
    return [age * (now - job.submitted) + brevity * (longest - job.walltime) for job in jobs]


def kept_back(policy: Policy, waiting: Iterable[Policy]) -> bool:
    """Whether jobs of this policy wait because others have a right to go first."""
    return policy is not Policy.HIGH_PRIO and Policy.HIGH_PRIO in waiting
