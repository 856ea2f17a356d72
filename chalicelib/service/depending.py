"""What the end of a job means for those that wait for it."""

from __future__ import annotations

from collections.abc import Sequence

from chalicelib.core.dependencies import Parent, When, broken_words
from chalicelib.core.events import DependencyBroken, DependencyMet
from chalicelib.core.ids import JobNumber, JobRef, UserId
from chalicelib.core.job import Job, State
from chalicelib.core.ports.jobs import Dependants, Jobs
from chalicelib.service.board import Turn
from chalicelib.service.changing import Step


def settle_dependencies(turn: Turn, jobs: Jobs, dependants: Dependants) -> None:
    """Judge every job in hand by what its parents have become, and so the children of every job that has ended.

    A child that fails by this may have children of its own: they are judged in the same pass.
    """
    told: set[JobNumber] = set()
    judged = [job for job in turn.shelf.jobs.values() if _waits(job)]
    while True:
        _judge(turn, jobs, judged)
        ended = [job for number, job in turn.shelf.jobs.items() if job.awaited and _is_over(job) and number not in told]
        if not ended:
            return
        told |= {job.ref.number for job in ended}
        judged = [child for parent in ended for child in _children(turn, jobs, dependants, parent)]


def _is_over(job: Job) -> bool:
    """Whether it is known how the job ends: it has, or it waits in vain and will fail."""
    return job.state.final or job.broken is not None


def _waits(job: Job) -> bool:
    return bool(job.parents) and not _is_over(job)


def _children(turn: Turn, jobs: Jobs, dependants: Dependants, parent: Job) -> Sequence[Job]:
    """The children of a job that still wait."""
    turn.check_time()
    numbers = dependants.of(parent.ref)
    missing = [_ref(parent.ref.user, number) for number in numbers if number not in turn.shelf.jobs]
    # What was never changed may belong to no committed POST. If it does, its own first look judges it. One that
    # waits in vain already may do so since a pass that was cut off: its own children are still to be told.
    read = [job for job in jobs.get_many(missing).values() if job.posted is None and job.parents]
    turn.shelf.admit([job for job in read if not job.state.final], turn.board.live())
    held = (turn.shelf.jobs.get(number) for number in numbers)
    return [job for job in held if job is not None and _waits(job)]


def _judge(turn: Turn, jobs: Jobs, waiting: Sequence[Job]) -> None:
    numbers = {parent.number for job in waiting for parent in job.parents}
    known = {number: turn.shelf.jobs[number] for number in numbers if number in turn.shelf.jobs}
    missing = [_ref(turn.shelf.user, number) for number in sorted(numbers - set(known))]
    known.update({ref.number: job for ref, job in jobs.get_many(missing).items()})
    for job in waiting:
        steps = [step for parent in job.parents if (step := _step(parent, known.get(parent.number))) is not None]
        if steps:
            turn.check_time()
            turn.shelf.apply(job, *steps)


def _step(parent: Parent, job: Job | None) -> Step | None:
    """What the child is told of this parent, if it has ended. One that is no longer kept has, nobody knows how."""
    if job is not None and not job.state.final:
        # One that will fail is no end yet, but those that need it to complete need not wait for that.
        if job.broken is None or parent.when is not When.OK:
            return None
        words = broken_words(parent, f"will not start, for want of job {job.broken}")
        return Step(event=DependencyBroken(parent=parent.number), detail={"words": [words]})
    completed = job is not None and job.state is State.COMPLETED
    if parent.met_by(completed):
        return Step(event=DependencyMet(parent=parent.number))
    ended = "is no longer kept" if job is None else f"is {job.state}"
    return Step(event=DependencyBroken(parent=parent.number), detail={"words": [broken_words(parent, ended)]})


def _ref(user: UserId, number: JobNumber) -> JobRef:
    return JobRef(user=user, number=number)
