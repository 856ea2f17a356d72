"""Stages with a deadline: what fails by it and with which words, what its clock leaves out, and when the desk wakes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from loop_house import ADA, ARCHIVE, THETA, House, a_document

from chalicelib.core.document import read_document
from chalicelib.core.errors import Invalid
from chalicelib.core.ids import JobNumber, user_tag
from chalicelib.core.job import Stage, State

HOUR = 3600


def limited(stage: str = "stage_in", seconds: int = HOUR, **fields: Any) -> dict[str, Any]:
    return a_document(deadlines={stage: seconds}, **fields)


def slow(takes: timedelta = timedelta(days=1)) -> House:
    house = House()
    house.globus.takes = takes
    return house


def pass_by(house: House, minutes: int, *, agent: bool = False) -> None:
    for _ in range(minutes):
        house.clock.turn(minutes=1)
        house.by_sweep_alone()
        if agent:
            house.agent.work()


def words(house: House, number: JobNumber) -> str:
    told = house.manage.show(ADA, number).told
    assert told is not None
    return str(told.detail["words"][0])


def test_a_stage_in_that_is_not_done_by_then_fails_and_its_transfer_is_cancelled() -> None:
    house = slow()
    (number,) = house.post(limited())
    pass_by(house, 59)
    assert house.job(number).state is State.STAGE_IN
    pass_by(house, 4)
    job = house.job(number)
    assert (job.state, job.failed_stage, job.error) == (State.FAILED, Stage.STAGE_IN, "deadline")
    assert "no trouble was seen" in words(house, number)
    assert "2026-11-22T18:00:00Z" in words(house, number)
    assert house.globus.live() == []
    assert house.desk().wake_at is None


def test_what_was_in_the_way_is_told() -> None:
    house = slow()
    house.globus.paused = set()
    (number,) = house.post(limited())
    house.globus.bad_paths = {f"/scratch/{user_tag(ADA.user)}/job-{number}": "CONNECTION_RESET"}
    pass_by(house, 65)
    assert house.job(number).error == "deadline"
    assert "CONNECTION_RESET" in words(house, number)


def test_a_stage_out_has_a_deadline_of_its_own_that_runs_from_the_exit() -> None:
    house = House()
    (number,) = house.post(limited("stage_out"))
    while house.job(number).state is not State.STAGED:
        pass_by(house, 1)
    house.globus.takes = timedelta(days=1)
    while house.job(number).state is not State.STAGE_OUT:
        house.agent.work(1)
    pass_by(house, 58)
    assert house.job(number).state is State.STAGE_OUT
    pass_by(house, 6)
    job = house.job(number)
    assert (job.state, job.failed_stage, job.error, job.exit_code) == (State.FAILED, Stage.STAGE_OUT, "deadline", 0)


def test_the_desk_is_woken_at_the_deadline_of_what_nobody_looks_at() -> None:
    """Its input waits for room that never comes: no task of its own is looked at."""
    house = slow(timedelta(days=2))
    (number,) = house.post(limited(seconds=60))
    house.globus.mishaps.clear()
    house.answer_rings()
    wake = house.desk().wake_at
    assert wake is not None
    assert wake <= house.job(number).created_at + timedelta(seconds=60)
    house.clock.at = house.job(number).created_at + timedelta(seconds=59)
    house.by_sweep_alone()
    assert house.desk().wake_at == house.job(number).created_at + timedelta(seconds=60)


def test_a_neighbour_in_the_same_task_is_staged_all_the_same() -> None:
    house = slow(timedelta(minutes=90))
    one, other = house.post(limited(), a_document())
    assert len(house.globus.tasks) <= 1
    pass_by(house, 70)
    assert house.job(one).state is State.FAILED
    assert house.job(other).state is State.STAGE_IN
    house.live_on(200)
    assert house.job(other).state is State.COMPLETED
    assert [task.batch.careful for task in house.globus.of_job(other) if task.batch.route.stage is Stage.STAGE_IN] == [
        False,
        True,
    ]


def test_a_login_that_is_needed_stops_the_clock_and_the_login_starts_it_anew() -> None:
    house = House()
    house.access.refused = True
    (number,) = house.post(limited())
    pass_by(house, 300)
    assert house.job(number).state is State.NEW
    house.globus.takes = timedelta(minutes=50)
    house.sign_in()
    pass_by(house, 55)
    assert house.job(number).state is State.STAGED


@pytest.mark.parametrize("then", ["too slow", "in time"])
def test_a_hold_of_staging_stops_the_clock_and_its_release_starts_it_anew(then: str) -> None:
    house = slow(timedelta(minutes=50 if then == "in time" else 500))
    (number,) = house.post(limited(hold="staging"))
    pass_by(house, 300)
    assert house.job(number).state is State.NEW
    house.manage.release(ADA, number)
    pass_by(house, 65)
    assert house.job(number).state is (State.STAGED if then == "in time" else State.FAILED)


def test_a_deadline_is_not_tried_again_by_policy_but_by_hand() -> None:
    house = slow()
    (number,) = house.post(limited(retry={"attempts": 5, "delay": 0}))
    pass_by(house, 65)
    assert (house.job(number).state, house.job(number).attempt) == (State.FAILED, 1)
    house.globus.takes = timedelta(minutes=1)
    house.manage.retry(ADA, number)
    house.live_on()
    assert house.job(number).state is State.COMPLETED


def test_a_cancel_before_the_deadline_is_a_cancel() -> None:
    house = slow()
    (number,) = house.post(limited())
    pass_by(house, 30)
    house.manage.cancel(ADA, number)
    pass_by(house, 40)
    assert house.job(number).state is State.CANCELED


def test_a_job_in_time_notices_nothing() -> None:
    house = House()
    (number,) = house.post(a_document(deadlines={"stage_in": HOUR, "stage_out": HOUR}))
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    assert house.inbox() == []
    assert any(name.startswith(f"/runs/{number}/") for name in house.globus.files[ARCHIVE])


@pytest.mark.parametrize("deadlines", [{"stage_in": 59}, {"stage_out": 30 * 86400 + 1}, {"queue": 59}, {"run": 60}])
def test_a_deadline_out_of_bounds_is_refused(deadlines: dict[str, int]) -> None:
    with pytest.raises(Invalid) as refused:
        read_document({"site": THETA, "executable": "/bin/true", "deadlines": deadlines})
    assert [fault.pointer for fault in refused.value.faults] == [f"/deadlines/{name}" for name in deadlines]
