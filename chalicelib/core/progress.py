"""What a job is in for, told from its status alone: whether its data should move, and what keeps it back."""

from __future__ import annotations

from chalicelib.core.holds import Hold
from chalicelib.core.job import Ahead, Job, LegStatus, Outcome, Stage, State


def plannable(job: Job) -> bool:
    """Whether the job's pending legs should go into a batch."""
    return stage_of(job) is not None and bool(job.pending) and not _gives_up(job) and not rests(job)


def rests(job: Job) -> bool:
    """Whether the job's pending legs are kept back: by their user's wish, until the next try or for its start."""
    held = job.hold is Hold.STAGING and stage_of(job) is Stage.STAGE_IN
    return (held or waits_to_try(job) or job.awaits_start) and not _gives_up(job)


def is_timed(job: Job) -> bool:
    """Whether the stage that moves data for it now has a deadline."""
    stage = stage_of(job)
    limit = job.deadlines.stage_in if stage is Stage.STAGE_IN else job.deadlines.stage_out
    return stage is not None and limit is not None


def waits_for_nodes(job: Job) -> bool:
    """Whether its inputs are there and it has not begun to run."""
    return job.state in (State.STAGED, State.QUEUED)


def waits_for_start(job: Job) -> bool:
    """Whether its data sets out when its start is near, and its scheduler has told what is known of that."""
    return job.awaits_start and job.ahead is Ahead.HELD and not _gives_up(job)


def waits_to_try(job: Job) -> bool:
    """Whether its data moves again at ``not_before`` and not sooner."""
    return job.not_before is not None and stage_of(job) is not None


def stage_of(job: Job) -> Stage | None:
    """The stage that moves data for the job now, if one does."""
    if job.before_data:
        return Stage.STAGE_IN
    return Stage.STAGE_OUT if job.state is State.STAGE_OUT else None


def abandoned_by(job: Job) -> bool:
    """Whether the job no longer wants what of it is in flight."""
    over = job.cancel_requested or job.broken is not None or job.overdue or job.ahead_in_vain
    return bool(job.in_flight) and over and _gives_up(job)


def _gives_up(job: Job) -> bool:
    """A cancelled job moves nothing more, but for the outputs that its cancelled run is to leave."""
    if job.overdue:
        return True
    if job.cancel_requested:
        return not (job.state is State.STAGE_OUT and job.outcome is Outcome.CANCELED)
    in_vain = job.broken is not None or job.ahead_in_vain
    return job.before_data and (in_vain or any(leg.status is LegStatus.FAILED for leg in job.legs))


def needs_globus(job: Job) -> bool:
    """Whether Globus has something left to move for the job, as far as is known before it ends."""
    if job.state.final:
        return False
    if job.pending or job.in_flight:
        return True
    ahead = job.state in (State.NEW, State.STAGE_IN, State.STAGED, State.QUEUED, State.ACTIVE)
    return ahead and (job.journey is None or bool(job.journey.outputs))
