"""The check of stories notices each way in which one can be broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from loop_house import House, a_document
from whole_story import all_story_faults, story_faults

from chalicelib.core.job import Job, State
from chalicelib.core.ports.jobs import Tale

Told = tuple[Job, list[Tale]]


def lived() -> Told:
    """A job that was altered, tried twice and failed, and the words of that."""
    house = House()
    (number,) = house.post(a_document(retry={"attempts": 2, "delay": 0}, deadlines={"queue": 86400}))
    house.agent.ends[number] = {"outcome": "error", "exit_code": 3}
    house.live_on()
    job = house.job(number)
    assert (job.state, job.attempt) == (State.FAILED, 2)
    assert all_story_faults(house.jobs, [job]) == []
    return job, list(house.jobs.tales(job.ref))


def trail(job: Job, place: int, **changes: object) -> Job:
    marks = list(job.trail)
    marks[place] = replace(marks[place], **changes)  # type: ignore[arg-type]
    return replace(job, trail=tuple(marks))


def exits(job: Job) -> list[int]:
    return [place for place, mark in enumerate(job.trail) if mark.code == "exited"]


def _with_again(job: Job, code: str) -> Job:
    mark = next(mark for mark in job.trail if mark.code == code)
    return replace(job, trail=(*job.trail, mark))


BREAKS: dict[str, Callable[[Job, list[Tale]], Told]] = {
    "does not begin": lambda job, tales: (replace(job, trail=job.trail[1:]), tales),
    "it ends at": lambda job, tales: (replace(job, trail=job.trail[:-1]), tales),
    "versions are missing": lambda job, tales: (replace(job, trail=job.trail[:2] + job.trail[3:]), tales),
    "time goes backward": lambda job, tales: (trail(job, 1, at=job.trail[0].at - timedelta(seconds=1)), tales),
    "leads from": lambda job, tales: (trail(job, exits(job)[0], state=State.QUEUED), tales),
    "exited has no words": lambda job, tales: (job, tales[:-1]),
    "is settled 2 times": lambda job, tales: (_with_again(job, "settled"), tales),
    "2 tries have 3 ends": lambda job, tales: (_with_again(job, "exited"), tales),
    "of 3 tries": lambda job, tales: (replace(job, attempt=3), tales),
}


@pytest.mark.parametrize("fault", BREAKS)
def test_a_story_that_is_not_whole_is_noticed(fault: str) -> None:
    broken = story_faults(*BREAKS[fault](*lived()))
    assert any(fault in each for each in broken), broken


def test_words_of_a_race_that_was_lost_are_no_fault_and_no_words() -> None:
    job, tales = lived()
    stray = Tale(version=job.version + 1, detail={"words": ["never happened"]}, code="overdue")
    assert story_faults(job, [*tales, stray]) == []
    other = [replace(tale, code="settled") if tale.code == "exited" else tale for tale in tales]
    assert story_faults(job, other), "words of another event are not this one's"
