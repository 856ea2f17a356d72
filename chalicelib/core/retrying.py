"""Which failures are tried again, by the document's policy and by hand.

``retry: {attempts, delay}`` allows a job so many tries in all, ``delay`` seconds apart. By policy another try is made

* of a stage-in or stage-out that failed for good: only what failed is planned again, and compared by checksum;
* of a submission that the scheduler rejected, and of a run that ended with an exit code, over its walltime or
  lost: the same inputs, the same directory, a new lease epoch and a run marker of its own. It runs once.

and none of what another try cannot change, or nobody asked for: an output that the run did not leave, a refusal by
the site's own policy, a stage over its deadline, a dependency that was not met, whatever was cancelled; nor, before
its data was there, of a submission that the scheduler rejected or somebody deleted there.

By hand any failed job is tried again from the stage that failed; one whose run did not leave its outputs, from the run.
One that failed before its data was there goes to the scheduler after its data, whatever its document says.
"""

from __future__ import annotations

from datetime import timedelta

from chalicelib.core.events import Failed, RunRetried, StageInRetried, StageOutRetried
from chalicelib.core.job import DEADLINE, Job, LegStatus, Stage
from chalicelib.core.outputs import OUTPUT_WORDS

Retried = StageInRetried | RunRetried | StageOutRetried

FINAL_ERRORS = frozenset({DEADLINE, "refused", "gone"})
"""Failures that the policy never tries again."""


def next_try(job: Job, failure: Failed) -> Retried | None:
    """The try that the job's policy allows instead of this failure."""
    if job.attempt >= job.retry.attempts or job.cancel_requested or failure.error in FINAL_ERRORS:
        return None
    delay = timedelta(seconds=job.retry.delay)
    match failure.stage:
        case Stage.STAGE_IN:
            return StageInRetried(attempt=job.attempt, delay=delay, error=failure.error)
        case Stage.SUBMIT | Stage.RUN:
            return RunRetried(attempt=job.attempt, delay=delay, error=failure.error)
        case Stage.STAGE_OUT if not _left_nothing(job):
            return StageOutRetried(attempt=job.attempt, delay=delay, error=failure.error)
    return None


def try_by_hand(job: Job, *, cleanup: bool) -> Retried:
    """The try of a failed job that its user asks for. ``cleanup`` is what its document says of that."""
    error, none = job.error or "unknown", timedelta(0)
    before_data = job.failed_stage is Stage.SUBMIT and bool(job.legs)
    if job.failed_stage in (Stage.DEPENDENCY, Stage.STAGE_IN) or before_data:
        return StageInRetried(attempt=job.attempt, delay=none, error=error, cleanup=cleanup)
    if job.failed_stage is Stage.STAGE_OUT and not _left_nothing(job):
        return StageOutRetried(attempt=job.attempt, delay=none, error=error, cleanup=cleanup)
    return RunRetried(attempt=job.attempt, delay=none, error=error, cleanup=cleanup)


def _left_nothing(job: Job) -> bool:
    """Whether an output failed before it was ever moved: the run did not leave it as the document says."""
    return any(leg.status is LegStatus.FAILED and leg.error in OUTPUT_WORDS for leg in job.legs)
