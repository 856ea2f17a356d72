"""The event that is due for a job by what is stored, if any. The planner applies events until there is none."""

from __future__ import annotations

from chalicelib.core.events import Canceled, Completed, Event, Failed, Offered, StagedIn
from chalicelib.core.job import DEADLINE, Job, LegStatus, Outcome, Stage, State
from chalicelib.core.outputs import succeeded
from chalicelib.core.progress import plannable, rests
from chalicelib.core.retrying import next_try

RUN_ERRORS = {
    Outcome.ERROR: "exit_code",
    Outcome.OK: "exit_code",
    Outcome.WALLTIME: "walltime",
    Outcome.LOST: "lost",
}

_DEPENDENCY = Failed(stage=Stage.DEPENDENCY, error="dependency")


def due(job: Job) -> Event | None:
    """The event that is due now by what is stored, if any."""
    match job.state:
        case State.NEW | State.STAGE_IN:
            return _due_before_run(job)
        case State.STAGED:
            return _due_at_site(job)
        case State.STAGE_OUT:
            return _due_after_run(job)
        case _:
            return None


def _due_at_site(job: Job) -> Event | None:
    if job.cancel_requested:
        return Canceled() if job.epoch == 0 and not job.may_be_held else None
    if job.overdue:
        return Failed(stage=Stage.QUEUE, error=DEADLINE) if job.epoch == 0 else None
    return _DEPENDENCY if job.broken is not None else None


def _due_before_run(job: Job) -> Event | None:
    if job.in_flight:
        return None
    if job.cancel_requested:
        return None if job.may_be_held else Canceled()
    if job.broken is not None:
        return _DEPENDENCY
    if job.ahead_in_vain:
        return Failed(stage=Stage.SUBMIT, error=job.error or "gone")
    if job.ahead is not None and job.posted is not None:
        return Offered()
    failed = next((leg for leg in job.legs if leg.status is LegStatus.FAILED), None)
    if failed is not None:
        return _fail(job, Stage.STAGE_IN, failed.error)
    if job.overdue and job.pending:
        return _fail(job, Stage.STAGE_IN, DEADLINE)
    return None if job.pending else StagedIn()


def _due_after_run(job: Job) -> Event | None:
    if job.in_flight or plannable(job) or (job.pending and rests(job)):
        return None
    assert job.outcome is not None
    if job.outcome is Outcome.CANCELED and job.error == DEADLINE and not job.cancel_requested:
        return Failed(stage=Stage.QUEUE, error=DEADLINE)
    if job.outcome is Outcome.CANCELED or (job.cancel_requested and job.pending):
        return Canceled()
    if not succeeded(job.outcome, job.exit_code):
        return _fail(job, Stage.RUN, RUN_ERRORS[job.outcome])
    failed = next((leg for leg in job.legs if leg.status is LegStatus.FAILED), None)
    if failed is not None:
        return _fail(job, Stage.STAGE_OUT, failed.error)
    return _fail(job, Stage.STAGE_OUT, DEADLINE) if job.pending else Completed()


def _fail(job: Job, stage: Stage, error: str | None) -> Event:
    failure = Failed(stage=stage, error=error or "unknown")
    return next_try(job, failure) or failure
