"""Whether a job's story is whole: what ``GET /v1/jobs/{n}/story`` is made of, judged by the table alone.

The trail must be a walk that ``core.lifecycle.TABLE`` allows, from the submission to where the job stands, each
version once, no time before the one before it; each try must be in it, and no task or run end twice; and what the
story points to must have its words. It looks at what is stored, and at nothing that the loop remembers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from chalicelib.core.events import Event, TriedAgain
from chalicelib.core.job import Job, Mark, State
from chalicelib.core.lifecycle import LONGEST_TRAIL, TABLE
from chalicelib.core.ports.jobs import Jobs, Tale

TOLD = frozenset({"exited", "overdue", "dependency_broken", "altered"})
"""Events that nobody can understand without words."""

CAUSES = TOLD | {"settled", "rejected", "cancel_refused", "not_released"}
"""Events whose words may be what a job failed for."""


def story_faults(job: Job, tales: Iterable[Tale]) -> list[str]:
    """What is missing from a job's story, or cannot have been so."""
    words = {(tale.version, tale.code) for tale in tales if tale.detail}
    found = [*_gaps(job), *_illegal(job.trail), *_untold(job, words), *_tries(job), *_twice(job)]
    return [f"the story of {job.ref.number}: {fault}" for fault in found]


def all_story_faults(jobs: Jobs, every: Sequence[Job]) -> list[str]:
    """The same of many jobs, with the words that are stored of them."""
    return [fault for job in every for fault in story_faults(job, jobs.tales(job.ref))]


def _gaps(job: Job) -> list[str]:
    trail = job.trail
    if not trail or (trail[0].version, trail[0].code, trail[0].state) != (1, "submitted", State.NEW):
        return ["it does not begin with the submission"]
    found = []
    if (trail[-1].version, trail[-1].state) != (job.version, job.state):
        found.append(f"it ends at {trail[-1].version}, {trail[-1].state}: the job is at {job.version}, {job.state}")
    if len(trail) < LONGEST_TRAIL and [mark.version for mark in trail] != list(range(1, job.version + 1)):
        found.append(f"versions are missing: {[mark.version for mark in trail]}")
    if any(later.at < mark.at for mark, later in pairwise(trail)):
        found.append("its time goes backward")
    return found


def _illegal(trail: Sequence[Mark]) -> list[str]:
    return [
        f"{later.code} leads from {mark.state} to {later.state}"
        for mark, later in pairwise(trail)
        if later.version == mark.version + 1 and _ways(mark.state).get(later.code) is not later.state
    ]


def _ways(state: State) -> Mapping[str, State]:
    """Where each event, by its code, leads from a state, if it leads anywhere."""
    return {event.code: target for event, target in TABLE[state].items() if isinstance(target, State)}


def _untold(job: Job, words: Iterable[tuple[int, str]]) -> list[str]:
    points = {job.told, job.exited}
    wanted = [mark for mark in job.trail if mark.code in TOLD or (mark.version in points and mark.code in CAUSES)]
    return [f"{mark.code} has no words" for mark in wanted if (mark.version, mark.code) not in words]


def _tries(job: Job) -> list[str]:
    marks = [mark for mark in job.trail if mark.code in _retries(TriedAgain)]
    numbers = [int(mark.note.split(" ")[0]) for mark in marks]
    wanted = list(range(2, job.attempt + 1))
    return (
        [] if numbers == wanted or len(job.trail) == LONGEST_TRAIL else [f"of {job.attempt} tries it tells {numbers}"]
    )


def _twice(job: Job) -> list[str]:
    """A Globus task settles a job's items once, and one run of a try ends once."""
    tasks = Counter(mark.note for mark in job.trail if mark.code == "settled" and mark.note)
    ends = sum(mark.code == "exited" for mark in job.trail)
    found = [f"task {task} is settled {times} times" for task, times in tasks.items() if times > 1]
    return found if ends <= job.attempt else [*found, f"{job.attempt} tries have {ends} ends"]


def _retries(kind: type[Event]) -> frozenset[str]:
    return frozenset(each.code for each in kind.__subclasses__())
