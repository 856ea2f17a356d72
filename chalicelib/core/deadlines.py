"""When a stage has taken longer than its user allows, and what was in its way.

``deadlines: {stage_in, stage_out}`` are seconds, and there is none unless the document says so (each Globus task has
one of its own). The clock of a stage runs from the submission or the exit, and anew from each try, from a release and
from a login that was needed: what waits for its user never fails for that. It stands while any login is needed, while
staging is held, and between two tries.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from chalicelib.core.desk import LiveBatch, Plan
from chalicelib.core.globus_codes import waits_for_user
from chalicelib.core.job import Job, Stage
from chalicelib.core.progress import rests, stage_of

_STARTS = {
    Stage.STAGE_IN: frozenset({"submitted", "stage_in_retried", "delay_over", "hold_released"}),
    Stage.STAGE_OUT: frozenset({"exited", "stage_out_retried", "delay_over"}),
}
"""The events from which a stage's clock runs: the latest of them counts."""


def runs_out(job: Job, plan: Plan) -> datetime | None:
    """When the job's present stage is over its deadline; None while no clock runs for it."""
    stage = stage_of(job)
    if stage is None or job.overdue or job.cancel_requested or rests(job) or _waits_for_login(job, plan):
        return None
    seconds = job.deadlines.stage_in if stage is Stage.STAGE_IN else job.deadlines.stage_out
    if seconds is None:
        return None
    starts = [mark.at for mark in job.trail if mark.code in _STARTS[stage]] or [job.updated_at]
    return max(starts[-1], plan.resumed_at or starts[-1]) + timedelta(seconds=seconds)


def in_the_way(job: Job, plan: Plan) -> str:
    """The last trouble seen of what moves for the job, for its user."""
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


def _waits_for_login(job: Job, plan: Plan) -> bool:
    own = (live.look.trouble for live in _its(job, plan))
    return plan.need is not None or any(code is not None and waits_for_user(code) for code in own)


def _its(job: Job, plan: Plan) -> Iterable[LiveBatch]:
    return [live for live in plan.batches if live.batch in job.moving_in()]
