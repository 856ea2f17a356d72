"""The queue manager: holds the jobs, applies events to them, and carries out what ``life`` says must follow.

It decides nothing that a pure file decides: ``life`` knows the states, ``queues`` who is let in, ``policy``
who runs. Every change is on disk before the caller is told of it. All of it happens under one lock;
``step`` is the pass that the daemon's thread makes at each event and each interval.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from string import Template
from typing import Any

from emulators.clock import Clock
from emulators.cobalt import altering, hooks, life, policy, scores
from emulators.cobalt.jobs import ON_NODES, Job, Spec, State, row_of
from emulators.cobalt.journal import Journal
from emulators.cobalt.queues import RefusalError, blocked, check_limits, check_queue, check_system
from emulators.cobalt.records import CobaltLog, Record
from emulators.cobalt.settings import Settings
from emulators.cobalt.starts import expected_starts
from emulators.cobalt.store import Store
from emulators.cobalt.tasks import LaunchError, Tasks
from qstage.cobalt.jobids import HoldOutcome
from qstage.cobalt.rows import JobRow

_DEPENDENCY_SWEEP = 60.0
_FORCED_STATUS = 137


class QueueManager:
    """The jobs of one simulator. Public methods may be called from any thread."""

    def __init__(self, settings: Settings, store: Store, tasks: Tasks, journal: Journal, clock: Clock) -> None:
        self.settings = settings
        self.queues = {queue.name: queue for queue in settings.queues}
        self._store, self._tasks, self._journal, self._clock = store, tasks, journal, clock
        self._lock = threading.RLock()
        self._jobs = store.load()
        self._scored_at = self._swept_at = clock.now()
        self._closing = False

    def now(self) -> float:
        return self._clock.now()

    # What the commands ask for.

    def submit(self, spec: Spec) -> int:
        """Take a job and return its id. Raises queues.RefusalError, and then nothing was taken."""
        with self._lock:
            check_system(spec, self.settings.nodes, self.settings.min_walltime)
            check_queue(spec, self.queues, self._jobs.values())
            jobid = self._store.take_id()
            self._apply(life.submit(jobid, self._completed(spec, jobid), self.now()))
            return jobid

    def validate(self, spec: Spec) -> None:
        """Refuse what the system cannot run, before any filter sees it. Raises queues.RefusalError."""
        check_system(spec, self.settings.nodes, self.settings.min_walltime)

    def alter(self, jobid: int, changes: Mapping[str, Any], user: str) -> None:
        """Change fields of the user's job, ``queue`` among them. Raises queues.RefusalError; then nothing changed.

        A job that is gone, or another's, is left alone: its command looked a moment ago.
        """
        with self._lock:
            for job in self._mine([jobid], user):
                name = changes.get("queue", job.spec.queue)
                if name not in self.queues:
                    raise RefusalError(f"Error: queue '{name}' does not exist")
                if job.state not in (State.READY, State.HOLD):
                    raise RefusalError(f"job {jobid} is running; it cannot be moved")
                step = altering.alter(job, changes, self.now())
                check_limits(step[0].spec, self.queues[name], self._jobs.values())
                self._apply(step)
                self._sweep_dependencies()

    def defer(self, ids: Sequence[int]) -> list[int]:
        """Take the score from these jobs, whosever they are: so it is in Cobalt. Returns those that are there."""
        with self._lock:
            found = [self._jobs[one] for one in ids if one in self._jobs]
            for job in found:
                self._apply(altering.defer(job))
            return [job.jobid for job in found]

    def rows(self) -> list[JobRow]:
        """Return what qstat may show of every job."""
        with self._lock:
            now, jobs = self.now(), self._jobs.values()
            waiting = [_waiting(job) for job in jobs if job.state in (State.READY, State.HOLD)]
            starts = expected_starts(waiting, self._busy(now), len(self.settings.node_names), now)
            return [replace(row_of(job), est_start_time=starts.get(job.jobid)) for job in jobs]

    def _busy(self, now: float) -> list[policy.Busy]:
        return [
            policy.Busy(
                nodes=job.location,
                until=policy.expected_end(job.started or now, job.walltime_seconds, now),
            )
            for job in self._jobs.values()
            if job.state in ON_NODES
        ]

    def known(self, ids: Iterable[str]) -> list[str]:
        """Return those of the ids that are in the queue, as they were written."""
        with self._lock:
            return [one for one in ids if one in {str(jobid) for jobid in self._jobs}]

    def delete(self, ids: Sequence[int], user: str) -> list[tuple[int, str]]:
        """Delete the user's jobs among these; return (id, user) of each that was told to end."""
        with self._lock:
            mine = self._mine(ids, user)
            for job in mine:
                self._apply(life.delete(job, user, self.now()))
                self._advance(job.jobid, self.now())
            return [(job.jobid, job.spec.user) for job in mine]

    def hold(self, ids: Sequence[int], user: str) -> dict[int, HoldOutcome]:
        """Place a user hold on the user's jobs among these."""
        with self._lock:
            return {job.jobid: self._outcome(job, life.hold(job, self.now())) for job in self._mine(ids, user)}

    def release(self, ids: Sequence[int], user: str) -> dict[int, HoldOutcome]:
        """Take the user hold from the user's jobs among these."""
        with self._lock:
            return {job.jobid: self._outcome(job, life.release(job, self.now())) for job in self._mine(ids, user)}

    def free_dependencies(self, ids: Sequence[int], user: str) -> list[int]:
        """Let the user's jobs among these depend on nothing."""
        with self._lock:
            mine = self._mine(ids, user)
            for job in mine:
                self._apply(life.free_dependencies(job, self.now()))
            return [job.jobid for job in mine]

    # The pass.

    def step(self) -> None:
        """Bring every job as far as it can go now."""
        with self._lock:
            now = self.now()
            self._journal.flush()
            for jobid in list(self._jobs):
                self._advance(jobid, now)
            if now - self._swept_at >= _DEPENDENCY_SWEEP:
                self._swept_at = now
                self._sweep_dependencies()
            self._score(now)
            while not self._closing and self._start_one(now):
                pass

    def close(self, grace: float) -> None:
        """Start nothing more, end every task, and note how each ended."""
        with self._lock:
            self._closing = True
            running = [job.jobid for job in self._jobs.values() if job.state in (State.RUNNING, State.KILLING)]
            preparing = [
                hooks.room(job) for job in self._jobs.values() if job.state in hooks.PROLOGUES | hooks.EPILOGUES
            ]
        self._tasks.end_all([*running, *preparing], grace)
        for room in preparing:
            self._tasks.undo(room)  # the next simulator runs these scripts from their beginning
        self.step()

    def _advance(self, jobid: int, now: float) -> None:
        """Take one job through all that is due, until it waits for something."""
        while (job := self._jobs.get(jobid)) is not None:
            before = job.state
            self._due(job, now)
            after = self._jobs.get(jobid)
            if after is None or after.state is before:
                return

    def _due(self, job: Job, now: float) -> None:
        settings = self.settings
        match job.state:
            case State.JOB_PROLOGUE | State.RESOURCE_PROLOGUE:
                self._prepare(job, now)
            case State.RUNNING | State.KILLING:
                self._watch(job, now)
            case State.RESOURCE_EPILOGUE | State.JOB_EPILOGUE:
                if self._scripts_end(job) is not None and now >= job.entered + settings.epilogue:
                    self._apply(life.progress(job, now))
            case _:
                return

    def _prepare(self, job: Job, now: float) -> None:
        """Take a job on through a prologue: when its scripts are over, and its time."""
        failed = self._scripts_end(job)
        if failed is None:
            return
        if failed or job.killed_for is not None:
            why = f"{job.state}: {'; '.join(failed)}" if failed and job.killed_for is None else None
            self._apply(life.give_up(job, why, now))
        elif now < job.entered + self.settings.prologue:
            return
        elif job.state is State.JOB_PROLOGUE:
            self._apply(life.progress(job, now))
        elif not self._closing:
            self._launch(job, now)

    def _scripts_end(self, job: Job) -> list[str] | None:
        """Run the site's scripts of the job's state; None until they are over, then what failed, in lines."""
        programs, room = hooks.scripts(self.settings, job.state), hooks.room(job)
        if not programs:
            return []
        if not self._tasks.begun(room):
            if job.killed_for is not None and job.state in hooks.PROLOGUES:
                return []  # nothing is begun for a job that is to go
            if not self._closing:
                self._tasks.run(room, hooks.command(job, programs))
            return None
        ended = self._tasks.poll(room)
        if ended is None:
            return None
        return [] if ended.exit_status == 0 else self._tasks.said(room) or ["its scripts were killed"]

    def _launch(self, job: Job, now: float) -> None:
        pid = self._tasks.found(job.jobid)  # started just before this simulator's predecessor died
        if pid is None:
            try:
                pid = self._tasks.start(job, lambda text: self._say(job, CobaltLog(text, dated=True), now))
            except LaunchError as fault:
                self._say(job, CobaltLog(str(fault), dated=True), now)
                started, effects = life.task_started(job, 0, now)
                self._apply((started, effects))
                self._apply(life.task_ended(started, fault.exit_status, now))
                return
        self._apply(life.task_started(job, pid, now))

    def _watch(self, job: Job, now: float) -> None:
        ended = self._tasks.poll(job.jobid)
        if ended is not None:
            unknown = ended.exit_status is None and job.forced
            self._apply(life.task_ended(job, _FORCED_STATUS if unknown else ended.exit_status, now))
        elif job.state is State.RUNNING and now >= (job.task_started or now) + job.walltime_seconds:
            self._apply(life.expire(job, now))
        elif job.state is State.KILLING and not job.forced and now >= job.entered + self.settings.kill_delay:
            self._apply(life.force(job, now))

    def _sweep_dependencies(self) -> None:
        """Mark the jobs whose parents are gone and did not satisfy them: they wait for ever."""
        for job in list(self._jobs.values()):
            missing = set(job.spec.dependencies) - job.satisfied - {str(jobid) for jobid in self._jobs}
            if job.state is State.HOLD and missing and not job.dep_failed:
                self._keep(replace(job, dep_failed=True))

    def _score(self, now: float) -> None:
        ready = [job for job in self._jobs.values() if job.state is State.READY]
        for scored_by, jobs in self._by_policy(ready).items():
            known = [self._scored(job) for job in jobs]
            for job, score in zip(jobs, scores.rescored(scored_by, known, now), strict=True):
                queue = self.queues.get(job.spec.queue)
                waits = queue is not None and blocked(job, queue, self._jobs.values())
                self._jobs[job.jobid] = replace(job, score=score, max_running=waits)
        self._scored_at = now

    def _scored(self, job: Job) -> scores.Scored:
        queue = self.queues.get(job.spec.queue)
        return scores.Scored(
            score=job.score,
            since=self._scored_at,
            submitted=job.submitted,
            walltime=job.walltime_seconds,
            nodes=job.spec.nodes,
            priority=queue.priority if queue else 0.0,
        )

    def _policy_of(self, job: Job) -> scores.Policy:
        queue = self.queues.get(job.spec.queue)
        return (queue.policy if queue else None) or self.settings.policy

    def _by_policy(self, jobs: Iterable[Job]) -> dict[scores.Policy, list[Job]]:
        found: dict[scores.Policy, list[Job]] = {}
        for job in jobs:
            found.setdefault(self._policy_of(job), []).append(job)
        return found

    def _start_one(self, now: float) -> bool:
        jobs = self._jobs.values()
        candidates = self._by_policy(job for job in jobs if self._may_start(job))
        waiting = [
            _waiting(job)
            for scored_by, theirs in candidates.items()
            if not scores.kept_back(scored_by, candidates)
            for job in theirs
        ]
        settings = self.settings
        start = policy.next_start(waiting, settings.node_names, self._busy(now), now, settings.drain, settings.backfill)
        if start is None:
            return False
        self._apply(life.run(self._jobs[start.jobid], start.nodes, now))
        self._advance(start.jobid, now)
        return True

    def _may_start(self, job: Job) -> bool:
        queue = self.queues.get(job.spec.queue)
        return (
            job.state is State.READY
            and queue is not None
            and queue.starts
            and not blocked(job, queue, self._jobs.values())
        )

    # What follows from an event.

    def _apply(self, step: life.Step) -> None:
        """Keep the next job, then tell the world, in the order ``life`` gave."""
        job, effects = step
        now = self.now()
        self._keep(job)
        for effect in effects:
            match effect:
                case CobaltLog():
                    self._say(job, effect, now)
                case Record():
                    self._journal.record(job, effect, now)
                case life.Signal():
                    self._tasks.signal(job.jobid, effect.number)
        if job.state is State.TERMINAL:
            self._bury(job, now)

    def _keep(self, job: Job) -> None:
        self._store.save(job)
        self._jobs[job.jobid] = job

    def _say(self, job: Job, line: CobaltLog, now: float) -> None:
        self._journal.say(job, line, now)

    def _bury(self, job: Job, now: float) -> None:
        """Let go of a finished job. Only one that ended well satisfies the jobs that wait for it."""
        if job.exit_status == 0:
            for other in list(self._jobs.values()):
                if str(job.jobid) in other.spec.dependencies and other.state is State.HOLD:
                    same = other.spec.project == job.spec.project
                    self._apply(life.satisfy(other, str(job.jobid), job.score / 2 if same else 0.0, now))
        del self._jobs[job.jobid]
        self._store.remove(job.jobid)
        self._tasks.forget(job.jobid)

    def _outcome(self, before: Job, step: life.Step) -> HoldOutcome:
        self._apply(step)
        active = before.state not in (State.READY, State.HOLD)
        return HoldOutcome(before=before.user_hold, after=step[0].user_hold, active=active)

    def _mine(self, ids: Sequence[int], user: str) -> list[Job]:
        return [self._jobs[one] for one in ids if one in self._jobs and self._jobs[one].spec.user == user]

    def _completed(self, spec: Spec, jobid: int) -> Spec:
        """Return the spec with what only the queue manager knows: the id in paths, the default names."""

        def expand(text: str) -> str:
            return Template(text).safe_substitute(jobid=jobid, COBALT_JOBID=jobid)

        def path(given: str | None, ending: str) -> str:
            return expand(given) if given else f"{spec.outputdir}/{jobid}.{ending}"

        queue = self.queues[spec.queue]
        name = spec.jobname
        if name is None and spec.outputpath:
            name = spec.outputpath.split("/")[-1].split(".output")[0]
        return replace(
            spec,
            walltime=queue.maxtime if spec.walltime <= 0 and queue.maxtime is not None else spec.walltime,
            procs=spec.procs or spec.nodes,
            mode="script",
            jobname=expand(name) if name and expand(name) != str(jobid) else None,
            outputpath=path(spec.outputpath, "output"),
            errorpath=path(spec.errorpath, "error"),
            cobalt_log_file=path(spec.cobalt_log_file, "cobaltlog"),
            envs={key: expand(value) for key, value in spec.envs.items()},
        )


def _waiting(job: Job) -> policy.Waiting:
    wanted = job.spec.attrs.get("location", "")
    return policy.Waiting(
        jobid=job.jobid,
        queue=job.spec.queue,
        nodes=job.spec.nodes,
        walltime=job.walltime_seconds,
        score=job.score,
        wanted=frozenset(wanted.split(",")) if wanted else frozenset(),
    )
