"""Far sides that fail, and tasks that go astray."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from loop_house import ADA, ARCHIVE, LAB, SCRATCH, House, a_document
from transfer_twin import Mishap

from chalicelib.core.errors import FarSide
from chalicelib.core.ids import JobNumber
from chalicelib.core.job import Stage, State
from chalicelib.core.ports.transfer import TaskStatus


def busy() -> FarSide:
    return FarSide("transfer", "ServiceUnavailable", "try later", transient=True, status=503, retry_after=10)


def limited() -> FarSide:
    return FarSide("transfer", "TooManyRequests", "slow down", transient=True, status=429, retry_after=10)


@pytest.mark.parametrize("error", [busy, limited])
@pytest.mark.parametrize("method", ["submission", "submit", "look"])
@pytest.mark.parametrize("after", [False, True])
def test_a_far_side_that_fails_for_a_while_is_shown_and_tried_again(
    error: Callable[[], FarSide], method: str, after: bool
) -> None:
    house = House()
    house.globus.mishaps.append(Mishap(method, error, after=after, times=3))
    (number,) = house.post(a_document())
    house.wake()
    if method == "look":
        house.clock.turn(seconds=30)
        house.wake()
    trouble = house.desk().plan.trouble
    assert trouble is not None
    assert trouble.code == error().code
    assert house.desk().wake_at is not None
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    assert house.desk().plan.trouble is None
    assert len(house.globus.tasks) == 2
    assert house.faults() == []


def test_a_far_side_that_keeps_failing_is_asked_less_and_less_often() -> None:
    house = House()
    house.access.error = FarSide("transfer", "ServiceUnavailable", "down", transient=True, status=503)
    house.post(a_document())
    gaps = []
    for _ in range(60):
        house.wake()
        wake_at = house.desk().wake_at
        assert wake_at is not None
        gaps.append(wake_at - house.clock.now())
        house.clock.turn(seconds=gaps[-1].total_seconds())
    assert gaps == sorted(gaps)
    assert gaps[0] == timedelta(seconds=5)
    assert gaps[-1] == timedelta(minutes=5)


def test_a_task_that_a_list_leaves_out_is_asked_for_by_its_label() -> None:
    house = House()
    (number,) = house.post(a_document(results=False))
    house.answer_rings()
    house.globus.hidden = set(house.globus.tasks)
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    assert len(house.globus.tasks) == 1


def test_a_task_that_globus_has_forgotten_is_shown_and_sent_again_after_its_deadline() -> None:
    house = House()
    (number,) = house.post(a_document(results=False))
    house.answer_rings()
    house.globus.tasks.clear()
    house.live_on(30)
    assert house.job(number).state is State.STAGE_IN
    assert [live.look.trouble for live in house.desk().plan.batches] == ["TASK_UNKNOWN"]
    house.clock.turn(seconds=4 * 86400)
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    assert len(house.globus.tasks) == 1


def test_two_sources_for_one_directory_of_a_job_are_never_under_way_together() -> None:
    house = House()
    document = a_document(results=False)
    first = document["stage_in"][0]
    other = {**first, "source": first["source"].replace(LAB, ARCHIVE)}
    document["stage_in"] = [first, other]
    (number,) = house.post(document)
    house.wake()
    assert len(house.globus.live()) == 1
    house.live_on()
    assert house.job(number).state is not State.STAGE_IN
    assert len(house.globus.of_job(number)) == 2
    assert house.globus.doubles == []


def test_identical_paths_of_a_stranger_are_waited_out() -> None:
    house = House()
    number = JobNumber(1001)
    home = house.sites.list()[0].job_place(ADA.user, f"job-{number}")
    house.globus.strangers = {(f"globus://{LAB}/in/", f"globus://{SCRATCH}{home.path}inputs/")}
    house.post(a_document())
    house.live_on(10)
    assert house.job(number).state is State.STAGE_IN
    (live,) = house.desk().plan.batches
    assert live.look.trouble == "IdenticalPaths"
    (neighbour,) = house.post(a_document(source="/x"))
    house.live_on(5)
    assert house.job(neighbour).state is State.COMPLETED, "one route's stranger holds up nobody else"
    house.globus.strangers = set()
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    assert len(house.globus.of_job(number)) == 2


def test_a_submission_id_older_than_a_day_is_looked_up_before_it_is_posted_again() -> None:
    house = House()
    house.globus.mishaps.append(Mishap("submit", busy, after=True))
    (number,) = house.post(a_document(results=False))
    house.wake()
    (task,) = house.globus.tasks.values()
    task.submission = type(task.submission)("forgotten by Globus")
    house.clock.turn(hours=30)
    house.by_sweep_alone()
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    assert list(house.globus.tasks) == [task.id]


def test_a_task_ends_when_all_of_its_jobs_are_cancelled_and_not_before() -> None:
    house = House()
    house.globus.takes = timedelta(hours=1)
    numbers = house.post(*(a_document() for _ in range(3)))
    house.answer_rings()
    for number in numbers[:2]:
        house.manage.cancel(ADA, number)
        house.live_on(2)
    assert house.globus.cancels == []
    assert {house.job(number).state for number in numbers} == {State.STAGE_IN}
    house.manage.cancel(ADA, numbers[2])
    house.live_on(2)
    assert house.globus.cancels == [task.id for task in house.globus.tasks.values()]
    assert {house.job(number).state for number in numbers} == {State.CANCELED}
    assert len(house.globus.tasks) == 1


def test_a_cancelled_job_with_company_ends_with_the_task() -> None:
    house = House()
    gone, stays = house.post(a_document(), a_document())
    house.answer_rings()
    house.manage.cancel(ADA, gone)
    house.live_on()
    assert house.globus.cancels == []
    assert house.job(gone).state is State.CANCELED
    assert house.job(stays).state is State.COMPLETED


def test_a_paused_collection_is_shown_and_waited_for() -> None:
    house = House()
    house.globus.paused = {LAB}
    (number,) = house.post(a_document())
    house.live_on(5)
    (live,) = house.desk().plan.batches
    assert live.look.paused
    house.globus.paused = set()
    house.live_on()
    assert house.job(number).state is State.COMPLETED


@pytest.mark.parametrize("code", ["ENDPOINT_TOO_BUSY", "GC_NOT_CONNECTED", "NEVER_HEARD_OF"])
def test_a_passing_event_is_shown_and_ends_nothing(code: str) -> None:
    house = House()
    house.globus.bad_paths["/in"] = code
    house.post(a_document())
    house.live_on(5)
    (live,) = house.desk().plan.batches
    assert live.look.trouble == code
    assert house.globus.cancels == []


def test_a_task_past_its_deadline_fails_its_jobs_with_what_held_it_up() -> None:
    house = House()
    house.globus.bad_paths["/in"] = "ENDPOINT_TOO_BUSY"
    (number,) = house.post(a_document())
    for _ in range(4):
        house.clock.turn(days=1)
        house.by_sweep_alone()
    job = house.job(number)
    assert (job.state, job.failed_stage, job.error) == (State.FAILED, Stage.STAGE_IN, "deadline")
    told = house.manage.show(ADA, number).told
    assert told is not None
    assert "ENDPOINT_TOO_BUSY" in told.detail["words"][0]


def test_a_path_that_another_begins_with_is_not_blamed() -> None:
    house = House()
    house.globus.put(LAB, "/data/a", "/data/ab")
    house.globus.bad_paths["/data/ab"] = "PERMISSION_DENIED"
    good, bad = house.post(a_document(source="/data/a"), a_document(source="/data/ab"))
    house.live_on()
    assert house.job(good).state is State.COMPLETED
    assert house.job(bad).error == "permission_denied"


def test_a_user_who_ends_a_task_at_globus_fails_its_jobs_with_those_words() -> None:
    house = House()
    (number,) = house.post(a_document())
    house.answer_rings()
    (task,) = house.globus.tasks.values()
    task.status = TaskStatus.FAILED
    house.live_on(5)
    assert house.job(number).error == "task_failed"
    told = house.manage.show(ADA, number).told
    assert told is not None
    assert "canceled" in told.detail["words"][0]


def test_an_output_that_arrives_short_fails_the_job_and_cleans_nothing() -> None:
    house = House()
    (number,) = house.post(a_document(source=None, cleanup=True))
    house.answer_rings()
    house.agent.short = {number}
    house.live_on(20)
    job = house.job(number)
    assert (job.state, job.failed_stage, job.error, job.exit_code) == (
        State.FAILED,
        "stage_out",
        "output_incomplete",
        0,
    )
    assert house.agent.cleaned == []
