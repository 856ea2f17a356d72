"""When a stage has taken longer than its user allows, and what was in its way.

``deadlines: {stage_in, queue, stage_out}`` are seconds, and there is none unless the document says so (each Globus task
has one of its own). ``queue`` is the wait for nodes, from the last input to the start. The clock of a stage runs from
the submission, the last input or the exit, and anew from each try, from a release, from a login that was needed, and
from when inputs that come just in time may set out: what waits for its user, or so that its data need not wait, never
fails for that. It stands while a login is needed, while a hold keeps the stage back, while inputs await the start of
their job, between two tries, and, of the wait for nodes, while another job is waited for.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from chalicelib.core.desk import LiveBatch, Plan
from chalicelib.core.globus_codes import waits_for_user
from chalicelib.core.job import Job, Stage, State
from chalicelib.core.orders import Verb, standing
from chalicelib.core.progress import rests, stage_of, waits_for_nodes

_STARTS = {
    Stage.STAGE_IN: frozenset({"submitted", "staging_due", "stage_in_retried", "delay_over", "hold_released"}),
    Stage.QUEUE: frozenset({"staged_in", "run_retried", "hold_released", "released_there", "dependency_met"}),
    Stage.STAGE_OUT: frozenset({"exited", "stage_out_retried", "delay_over"}),
}
"""The events from which a stage's clock runs: the latest of them counts."""


def timed_stage(job: Job) -> Stage | None:
    """The stage that the job is in, of those that may have a deadline."""
    return Stage.QUEUE if waits_for_nodes(job) else stage_of(job)


def runs_out(job: Job, plan: Plan) -> datetime | None:
    """When the job's present stage is over its deadline; None while no clock runs for it."""
    stage = timed_stage(job)
    if stage is None or job.overdue or job.cancel_requested:
        return None
    if stage is Stage.QUEUE:
        return _queue_runs_out(job)
    if rests(job) or _waits_for_login(job, plan):
        return None
    seconds = job.deadlines.stage_in if stage is Stage.STAGE_IN else job.deadlines.stage_out
    if seconds is None:
        return None
    started = _started(job, stage)
    return max(started, plan.resumed_at or started) + timedelta(seconds=seconds)


def needs_door(job: Job) -> bool:
    """Whether the job still has to pass its site's door, which may be shut until its user signs in."""
    return job.state is State.STAGED and job.leased_until is None


def hangs(job: Job) -> bool:
    """Whether it is its site that will tell whether a clock runs for the job's wait for nodes: a hold was asked for."""
    timed = waits_for_nodes(job) and job.deadlines.queue is not None and not (job.overdue or job.cancel_requested)
    return timed and bool(job.orders) and _is_held(job)


def _queue_runs_out(job: Job) -> datetime | None:
    """No login at Globus holds up what is at its site, so none counts here."""
    if job.deadlines.queue is None or _is_held(job) or job.parents or job.broken is not None:
        return None
    by_policy = job.trail[-1:] and job.attempt > 1 and job.attempt <= job.retry.attempts
    last = next((mark.code for mark in reversed(job.trail) if mark.code in _STARTS[Stage.QUEUE]), "")
    pause = timedelta(seconds=job.retry.delay) if by_policy and last == "run_retried" else timedelta(0)
    return _started(job, Stage.QUEUE) + pause + timedelta(seconds=job.deadlines.queue)


def _is_held(job: Job) -> bool:
    """Whether its user keeps it back: what they last asked of its scheduler counts, done or not."""
    asked = standing(job.orders, Verb.HOLD, Verb.RELEASE)
    return job.hold is not None if asked is None else asked.verb is Verb.HOLD


def _started(job: Job, stage: Stage) -> datetime:
    starts = [mark.at for mark in job.trail if mark.code in _STARTS[stage]] or [job.updated_at]
    return starts[-1]


def in_the_way(job: Job, plan: Plan) -> str:
    """What the job waited for, for its user: at its site, or the last trouble seen of what moves for it."""
    if waits_for_nodes(job):
        return _waited_at(job)
    for live in _its(job, plan):
        if live.look.trouble is not None:
            return f"Globus task {live.task}: {live.look.trouble}: {live.look.words or ''}".rstrip(": ")
    if plan.trouble is not None:
        return f"{plan.trouble.code}: {plan.trouble.words}"
    if plan.full:
        return f"no space at collection {plan.full[-1].collection}: {plan.full[-1].words}"
    tasks = ", ".join(str(live.task) for live in _its(job, plan))
    return (
        f"no trouble was seen; Globus was still working on {tasks}" if tasks else "no trouble was seen; it had to wait"
    )


def _waited_at(job: Job) -> str:
    if job.state is State.QUEUED:
        return f"it waited in the queue of {job.site}'s scheduler as {job.native_id}"
    if job.leased_until is not None:
        return f"{job.site} had taken it, and its scheduler did not have it yet"
    return f"it waited for {job.site} to take it"


def _waits_for_login(job: Job, plan: Plan) -> bool:
    own = (live.look.trouble for live in _its(job, plan))
    return plan.need is not None or any(code is not None and waits_for_user(code) for code in own)


def _its(job: Job, plan: Plan) -> Iterable[LiveBatch]:
    return [live for live in plan.batches if live.batch in job.moving_in()]
