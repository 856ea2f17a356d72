"""The machine of a replay: nodes that are idle or busy, a queue, and Cobalt's policies over both.

No clock: whoever has one says what time it is. ``submit``, ``release`` and ``end_due`` change what there is;
``start_due`` then starts what may start at that time, one job a pass, until a pass starts nothing. A job ends when it
has run as long as it did in its trace, or is killed when its walltime is over.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from emulators.cobalt import scores
from emulators.cobalt.estimates import Estimate, estimated
from emulators.cobalt.policy import Backfill, Busy, Drain, Waiting, expected_end, first_start
from emulators.cobalt.replay.jobs import TraceJob
from emulators.cobalt.scores import Policy, Scored


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How the machine decides. ``priorities`` and ``policies`` are of single queues; ``policy`` is all others'."""

    nodes: int
    policy: Policy = Policy.DEFAULT
    drain: Drain = Drain.BACKFILL
    backfill: Backfill = Backfill.FIRST
    priorities: Mapping[str, float] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)

    def policy_of(self, queue: str) -> Policy:
        return self.policies.get(queue, self.policy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A job on its nodes: ``end`` is when it will leave them, ``killed`` whether its walltime ends it."""

    job: TraceJob
    start: float
    end: float
    nodes: tuple[str, ...]
    killed: bool


_Queued = tuple[Scored, Waiting]


class Machine:
    """Empty and idle at first."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._nodes = tuple(f"node{number}" for number in range(1, rules.nodes + 1))
        self._jobs: dict[int, TraceJob] = {}
        self._submitted: dict[int, float] = {}
        self._queued: dict[Policy, dict[int, _Queued]] = {}
        self._running: dict[int, Run] = {}
        self._ends: list[tuple[float, int]] = []
        self._held: set[int] = set()
        self._idle = rules.nodes
        self._changed = False

    @property
    def next_end(self) -> float | None:
        return self._ends[0][0] if self._ends else None

    def submit(self, job: TraceJob, now: float, *, held: bool = False) -> None:
        """Take a job. A held one waits for its release, and gathers no score until then."""
        self._jobs[job.jobid] = job
        self._submitted[job.jobid] = now
        if held:
            self._held.add(job.jobid)
        else:
            self.release(job.jobid, now)

    def release(self, jobid: int, now: float) -> None:
        """Let a held job wait for nodes."""
        self._held.discard(jobid)
        policy, known = self._waiting(jobid, now)
        self._queued.setdefault(policy, {})[jobid] = known
        self._changed = True

    def expected_starts(self, how: Estimate, now: float) -> Mapping[int, float]:
        """Return when each held job would start if it were released now."""
        queued = {policy: list(jobs.values()) for policy, jobs in self._queued.items()}
        for jobid in self._held:
            policy, known = self._waiting(jobid, now)
            queued.setdefault(policy, []).append(known)
        ranked = _ranked(queued, queued, now)
        return estimated(how, ranked, frozenset(self._held), list(self._busy(now)), self.rules.nodes, now)

    def _waiting(self, jobid: int, now: float) -> tuple[Policy, _Queued]:
        """A job as it begins to wait now."""
        job, rules = self._jobs[jobid], self.rules
        assert job.walltime is not None, "a job to be run has a walltime"
        known = Scored(
            score=0.0,
            since=now,
            submitted=self._submitted[jobid],
            walltime=job.walltime,
            nodes=job.nodes,
            priority=rules.priorities.get(job.queue, 0.0),
        )
        waiting = Waiting(jobid=jobid, queue=job.queue, nodes=job.nodes, walltime=job.walltime, score=0.0)
        return rules.policy_of(job.queue), (known, waiting)

    def end_due(self, now: float) -> list[Run]:
        """Free the nodes of the jobs that are over by now, and return these."""
        ended = []
        while self._ends and self._ends[0][0] <= now:
            run = self._running.pop(heapq.heappop(self._ends)[1])
            self._idle += len(run.nodes)
            del self._jobs[run.job.jobid], self._submitted[run.job.jobid]
            ended.append(run)
        self._changed = self._changed or bool(ended)
        return ended

    def start_due(self, now: float) -> list[Run]:
        """Start what may start now, and return it. Nothing does where nothing has changed since the last pass."""
        changed, self._changed = self._changed, False
        if not changed or not self._idle or not any(self._queued.values()):
            return []
        started: list[Run] = []
        present = {policy: list(jobs.values()) for policy, jobs in self._queued.items() if jobs}
        first = [policy for policy in present if not scores.kept_back(policy, present)]
        ranked = _ranked(present, first, now)
        while self._idle and ranked:
            rules = self.rules
            found = first_start(ranked, self._nodes, self._busy(now), now, rules.drain, rules.backfill)
            if found is None:
                break
            started.append(self._start(found.jobid, found.nodes, now))
            ranked = [each for each in ranked if each.jobid != found.jobid]
        return started

    def _busy(self, now: float) -> Iterable[Busy]:
        for run in self._running.values():
            assert run.job.walltime is not None, "a job that runs has a walltime"
            yield Busy(nodes=run.nodes, until=expected_end(run.start, run.job.walltime, now))

    def _start(self, jobid: int, nodes: tuple[str, ...], now: float) -> Run:
        job = self._jobs[jobid]
        assert job.walltime is not None, "a job that runs has a walltime"
        lasts = min(job.runtime, job.walltime)
        run = Run(job=job, start=now, end=now + lasts, nodes=nodes, killed=job.runtime > job.walltime)
        del self._queued[self.rules.policy_of(job.queue)][jobid]
        self._running[jobid] = run
        heapq.heappush(self._ends, (run.end, jobid))
        self._idle -= len(nodes)
        return run


def _ranked(jobs: Mapping[Policy, Sequence[_Queued]], policies: Iterable[Policy], now: float) -> list[Waiting]:
    """The jobs of these policies, the best score first, the lower id first of equals."""
    ranked: list[tuple[float, int, Waiting]] = []
    for policy in policies:
        values = scores.rescored(policy, [known for known, _ in jobs[policy]], now)
        ranked += [(-value, each.jobid, each) for value, (_, each) in zip(values, jobs[policy], strict=True)]
    ranked.sort(key=lambda each: each[:2])
    return [each for _, _, each in ranked]
