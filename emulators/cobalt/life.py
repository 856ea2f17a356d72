"""A job's life, in one place: which event leads from which state to which, and what must be done about it.

The rules, in prose. A job is Ready or held; the last hold that goes makes it Ready. Running it gives it
nodes and takes it through two prologues to its task. A prologue whose scripts fail gives the job up, and so
does one that a delete came into, as soon as what runs in it is over: the epilogue of its kind follows. A task
ends by itself, or is told to: a delete or the walltime sends SIGTERM and makes it Killing, and if it will not
go SIGKILL follows. Whatever ended it, the nodes are its own until the resource epilogue is over; the job
epilogue is the last thing, and then the job is gone. Deleting a job that has no nodes ends it at once. A
delete of a job that is already going changes nothing, nor does holding one that runs.

Every function is pure: it returns the next job and, in order, what the world must be told (``Effect``). A
pair of state and event that the table does not hold raises ``IllegalEventError`` and changes nothing.
Preemption is left out.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from emulators.cobalt.jobs import Job, Spec, State
from emulators.cobalt.records import CobaltLog, Record, end_fields, resource_list, start_fields


class Event(StrEnum):
    HOLD = "Hold"
    RELEASE = "Release"
    RUN = "Run"
    PROGRESS = "Progress"
    TASK_START = "Task_Start"
    KILL = "Kill"
    EXPIRE = "Expire"
    FORCE = "Force"
    TASK_END = "Task_End"
    GIVE_UP = "Give_Up"


TABLE: Mapping[tuple[State, Event], State] = {
    (State.READY, Event.HOLD): State.HOLD,
    (State.READY, Event.RUN): State.JOB_PROLOGUE,
    (State.READY, Event.KILL): State.TERMINAL,
    (State.HOLD, Event.RELEASE): State.READY,
    (State.HOLD, Event.KILL): State.TERMINAL,
    (State.JOB_PROLOGUE, Event.PROGRESS): State.RESOURCE_PROLOGUE,
    (State.JOB_PROLOGUE, Event.KILL): State.JOB_PROLOGUE,
    (State.JOB_PROLOGUE, Event.GIVE_UP): State.JOB_EPILOGUE,
    (State.RESOURCE_PROLOGUE, Event.TASK_START): State.RUNNING,
    (State.RESOURCE_PROLOGUE, Event.KILL): State.RESOURCE_PROLOGUE,
    (State.RESOURCE_PROLOGUE, Event.GIVE_UP): State.RESOURCE_EPILOGUE,
    (State.RUNNING, Event.KILL): State.KILLING,
    (State.RUNNING, Event.EXPIRE): State.KILLING,
    (State.RUNNING, Event.TASK_END): State.RESOURCE_EPILOGUE,
    (State.KILLING, Event.FORCE): State.KILLING,
    (State.KILLING, Event.TASK_END): State.RESOURCE_EPILOGUE,
    (State.RESOURCE_EPILOGUE, Event.PROGRESS): State.JOB_EPILOGUE,
    (State.JOB_EPILOGUE, Event.PROGRESS): State.TERMINAL,
}

TIME_LIMIT = "time limit"
DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Signal:
    """Send this signal to the job's process group."""

    number: int


Effect = CobaltLog | Record | Signal
Step = tuple[Job, tuple[Effect, ...]]


class IllegalEventError(Exception):
    """A state and an event that do not go together: a fault of the simulator, not of its user."""

    def __init__(self, job: Job, event: Event) -> None:
        super().__init__(f"job {job.jobid}: no {event} in state {job.state}")


def _move(job: Job, event: Event, now: float) -> Job:
    state = TABLE.get((job.state, event))
    if state is None:
        raise IllegalEventError(job, event)
    return replace(job, state=state, entered=now)


def submit(jobid: int, spec: Spec, now: float) -> Step:
    """Return the new job: held if its user or its dependencies hold it, else ready."""
    job = Job(
        jobid=jobid,
        spec=spec,
        state=State.READY,
        submitted=now,
        entered=now,
        eligible_since=now,
        user_hold=spec.user_hold,
        score=float(spec.extra.get("score", 0.0)),
    )
    fields: dict[str, object] = {"queue": spec.queue, "Resource_List": resource_list(spec), "user": spec.user}
    effects: list[Effect] = [Record("Q", _with_account(fields, spec))]
    for kind, holds in (("user", job.user_hold), ("dep", job.dep_hold)):
        if holds:
            effects.append(CobaltLog(f"Info: {kind} hold placed on job"))
            who = spec.user if kind == "user" else None
            effects.append(Record("HA", {"hold_type": f"{kind}_hold", "start": now, "user": who}))
    return (replace(job, state=State.HOLD) if job.held else job), tuple(effects)


def hold(job: Job, now: float) -> Step:
    """Place a user hold. A job that runs, or is on its way out, is left alone."""
    if job.state not in (State.READY, State.HOLD):
        return job, (CobaltLog(f"Info: {_busy(job)}; hold request ignored"),)
    if job.user_hold:
        return job, (CobaltLog("Info: user hold already present; ignoring hold request"),)
    record = Record("HA", {"hold_type": "user_hold", "start": now, "user": job.spec.user})
    if job.state is State.HOLD:
        return replace(job, user_hold=True), (CobaltLog("Info: user hold set"), record)
    held = replace(_move(job, Event.HOLD, now), user_hold=True)
    return held, (CobaltLog("Info: user hold placed on job"), record)


def release(job: Job, now: float) -> Step:
    """Take the user hold away."""
    if job.state is State.READY:
        return job, (CobaltLog("Info: job is not being held; ignoring release request"),)
    if job.state is not State.HOLD:
        return job, (CobaltLog(f"Info: {_busy(job)}; release request ignored"),)
    if not job.user_hold:
        return job, (CobaltLog("Info: user hold not present; ignoring release request"),)
    return _release(replace(job, user_hold=False), "user", now)


def satisfy(job: Job, parent: str, score: float, now: float) -> Step:
    """Mark one dependency as satisfied; when all are, the dependency hold goes and the score is inherited."""
    before = job.dep_hold
    if job.state not in (State.READY, State.HOLD):
        return job, ()
    job = replace(job, satisfied=job.satisfied | {parent})
    if not before or job.dep_hold or job.state is not State.HOLD:
        return job, ()
    return _release(replace(job, score=max(job.score, score)), "dep", now)


def free_dependencies(job: Job, now: float) -> Step:
    """Forget what the job depends on (``qrls --dependencies``)."""
    before = job.dep_hold
    if job.state not in (State.READY, State.HOLD):
        return job, ()
    job = replace(job, spec=replace(job.spec, dependencies=()), dep_failed=False)
    if not before or job.state is not State.HOLD:
        return job, ()
    return _release(job, "dep", now)


def depend(job: Job, dependencies: tuple[str, ...], now: float) -> Step:
    """Let a waiting job wait for these and no others (``qalter --dependencies``)."""
    before = job.dep_hold
    job = replace(job, spec=replace(job.spec, dependencies=dependencies), dep_failed=False)
    if before and not job.dep_hold:
        return _release(job, "dep", now)
    if before or not job.dep_hold:
        return job, ()
    effects = (
        CobaltLog("Info: dep hold placed on job"),
        Record("HA", {"hold_type": "dep_hold", "start": now, "user": None}),
    )
    return (job if job.state is State.HOLD else _move(job, Event.HOLD, now)), effects


def _release(job: Job, kind: str, now: float) -> Step:
    effects: list[Effect] = [CobaltLog(f"Info: {kind} hold released")]
    effects.append(Record("HR", {"hold_type": f"{kind}_hold", "end": now, "user": None}))
    if job.held:
        return job, tuple(effects)
    effects.append(Record("HR", {"hold_type": "all_holds_clear", "end": now, "user": None}))
    effects.append(CobaltLog("Info: no holds remain; releasing job"))
    return replace(_move(job, Event.RELEASE, now), eligible_since=now), tuple(effects)


def run(job: Job, location: tuple[str, ...], now: float) -> Step:
    """Give the job its nodes: from here it is charged for them."""
    job = replace(_move(job, Event.RUN, now), location=location, started=now)
    return job, (Record("S", start_fields(job)),)


def progress(job: Job, now: float) -> Step:
    """Go on from a prologue or an epilogue that is over; the last step writes the end record."""
    job = _move(job, Event.PROGRESS, now)
    if job.state is State.TERMINAL and job.started is not None:
        return job, (Record("E", end_fields(job, now)),)
    return job, ()


def task_started(job: Job, pid: int, now: float) -> Step:
    """Note that the task's processes run."""
    job = replace(_move(job, Event.TASK_START, now), pid=pid, task_started=now)
    return job, (Record("TS", {"task_id": job.jobid, "start": now, "location": list(job.location)}),)


def delete(job: Job, user: str, now: float) -> Step:
    """Delete a job: at once if it has no nodes, else by SIGTERM to its processes."""
    spec = job.spec
    fields = {"requester": user, "user": spec.user, "Resource_List": resource_list(spec), "force": False}
    record = Record("D", _with_account(fields, spec))
    match job.state:
        case State.READY | State.HOLD:
            said = "user delete requested; removing job from the queue"
            effects: tuple[Effect, ...] = ()
        case State.JOB_PROLOGUE | State.RESOURCE_PROLOGUE if job.killed_for is not None:
            return job, (record, CobaltLog(f"Info: {_already_going(job)}; ignoring user delete request"))
        case State.JOB_PROLOGUE | State.RESOURCE_PROLOGUE:
            said = f"user delete with signal SIGTERM requested by user {user}; initiating job cleanup and removal"
            effects = ()
        case State.RUNNING:
            said = f"user delete requested with signal SIGTERM by user {user}"
            effects = (Signal(signal.SIGTERM),)
        case State.KILLING:
            return job, (record, CobaltLog(f"Info: {_already_going(job)}; ignoring user delete request"))
        case _:
            return job, (
                record,
                CobaltLog("Info: job is in the process of exiting; user delete request ignored"),
            )
    job = replace(_move(job, Event.KILL, now), killed_for=DELETE)
    return job, (record, CobaltLog(f"Info: {said}"), *effects)


def give_up(job: Job, why: str | None, now: float) -> Step:
    """Leave a prologue without a task. ``why``: what failed in it; None for a delete, which was told of already."""
    effects = () if why is None else (CobaltLog(f"ERROR: {why}; initiating job cleanup and removal"),)
    return _move(job, Event.GIVE_UP, now), effects


def _already_going(job: Job) -> str:
    if job.killed_for == TIME_LIMIT:
        return "job is already being terminated for exceeding a time limit"
    if job.forced:
        return "job is already being forced to terminate"
    return "user delete request already pending with signal SIGTERM"


def expire(job: Job, now: float) -> Step:
    """End a job whose walltime is over."""
    spec = job.spec
    job = replace(_move(job, Event.EXPIRE, now), killed_for=TIME_LIMIT)
    fields = _with_account({"Resource_List": resource_list(spec), "user": spec.user}, spec)
    text = "Info: maximum execution time exceeded; initiating job termination"
    return job, (CobaltLog(text), Record("A", fields), Signal(signal.SIGTERM))


def force(job: Job, now: float) -> Step:
    """Send SIGKILL to a job that did not go when told to."""
    return replace(_move(job, Event.FORCE, now), forced=True), (Signal(signal.SIGKILL),)


def task_ended(job: Job, exit_status: int | None, now: float) -> Step:
    """Note that the task is over. None is a task whose exit status nobody knows."""
    began = job.task_started or now
    job = replace(_move(job, Event.TASK_END, now), exit_status=exit_status, pid=None)
    record = Record(
        "TE",
        {
            "task_id": job.jobid,
            "task_runtime": now - began,
            "start": began,
            "end": now,
            "location": list(job.location),
        },
    )
    said = f"task completed normally with an exit code of {exit_status}; initiating job cleanup and removal"
    return job, (record, CobaltLog(f"Info: {said}"))


def _busy(job: Job) -> str:
    if job.state is State.KILLING:
        return "job is in the process of being killed"
    if job.state in (State.RESOURCE_EPILOGUE, State.JOB_EPILOGUE):
        return "job is in the process of exiting"
    return "non-preemptable job has already started"


def _with_account(fields: dict[str, object], spec: Spec) -> dict[str, object]:
    return fields if spec.project is None else fields | {"account": spec.project}
