"""What Globus refuses, and for how long: rate limits, full disks, collections that are gone, files that never match."""

from __future__ import annotations

from datetime import timedelta

import pytest
from loop_house import ADA, ARCHIVE, LAB, OTHER, SCRATCH, House, a_document
from transfer_twin import Mishap

from chalicelib.api.render import waiting_for
from chalicelib.core.errors import FarSide
from chalicelib.core.ids import JobNumber
from chalicelib.core.job import State
from chalicelib.core.paths import Location


def shown_wait(house: House, number: int) -> frozenset[str]:
    return waiting_for(house.manage.show(ADA, JobNumber(number)), house.clock.now())


def words_of(house: House, number: int) -> str:
    told = house.manage.show(ADA, JobNumber(number)).told
    assert told is not None
    return " ".join(told.detail["words"])


def limited(seconds: int) -> FarSide:
    words = "Too many requests, slow down"
    return FarSide("transfer", "TooManyRequests", words, transient=True, status=429, retry_after=seconds)


def test_nothing_is_asked_before_a_retry_after_is_over_whatever_comes_in_meanwhile() -> None:
    house = House()
    house.globus.mishaps.append(Mishap("submit", lambda: limited(90)))
    house.post(a_document())
    house.answer_rings()
    calls, until = len(house.globus.calls), house.clock.now() + timedelta(seconds=90)
    assert house.desk().wake_at == until
    for _ in range(5):
        house.clock.turn(seconds=10)
        house.post(a_document())
        house.answer_rings()
        assert house.desk().wake_at == until
    assert len(house.globus.calls) == calls
    house.clock.turn(seconds=40)
    house.wake()
    assert len(house.globus.calls) > calls
    house.live_on()
    assert {job.state for job in house.committed()} == {State.COMPLETED}


def test_a_trouble_that_holds_nothing_up_any_more_is_forgotten_and_nobody_looks_again() -> None:
    house = House()
    house.globus.mishaps.append(Mishap("submission", lambda: limited(30)))
    (number,) = house.post(a_document())
    house.answer_rings()
    house.manage.cancel(ADA, number)
    house.clock.turn(seconds=31)
    assert house.answer_rings() <= 2
    house.by_sweep_alone()
    assert house.job(number).state is State.CANCELED
    assert house.desk().plan.trouble is None
    assert house.desk().wake_at is None


def test_a_service_that_asks_for_a_day_of_rest_is_asked_again_within_the_hour() -> None:
    house = House()
    house.globus.mishaps.append(Mishap("submission", lambda: limited(86_400)))
    house.post(a_document())
    house.wake()
    assert house.desk().wake_at == house.clock.now() + timedelta(hours=1)


def test_what_meets_a_full_disk_waits_for_space_and_goes_on_by_itself() -> None:
    house = House()
    house.globus.put(OTHER, "/in/a")
    (home,) = {house.sites.list()[0].job_place(ADA.user, "job-1002").path}
    house.globus.bad_paths[home] = "QUOTA_EXCEEDED"
    first, full, last = house.post(*(a_document(results=False, source="/x") for _ in range(3)))
    house.live_on(3, agent=False)
    assert house.job(first).state is State.STAGED, "what had arrived is not held up"
    assert [shown_wait(house, number) for number in (full, last)] == [{"space"}, {"space"}]
    assert house.job(full).state is State.STAGE_IN
    (elsewhere,) = house.post(a_document(lab=OTHER, results=False))
    house.answer_rings()
    assert shown_wait(house, elsewhere) == {"space"}, "the site is full for everybody"
    tasks = len(house.globus.tasks)
    house.live_on(120, agent=False)
    assert tasks < len(house.globus.tasks) <= tasks + 20, "asked again and again, but less and less often"
    house.globus.bad_paths.clear()
    house.live_on(60)
    assert {job.state for job in house.committed()} == {State.COMPLETED}
    assert house.desk().plan.full == ()
    assert house.faults() == []


def test_a_disk_that_stays_full_fails_what_waits_for_it_in_the_end() -> None:
    house = House()
    house.globus.bad_paths["/runs"] = "NO_SPACE"
    (number,) = house.post(a_document(source=None))
    house.live_on(5)
    assert house.job(number).state is State.STAGE_OUT
    for _ in range(80):
        house.clock.turn(hours=1)
        house.by_sweep_alone()
    job = house.job(number)
    assert (job.state, job.error) == (State.FAILED, "no_space")
    assert "NO_SPACE" in words_of(house, number)


def test_a_full_archive_holds_up_no_input() -> None:
    house = House()
    house.globus.bad_paths["/runs"] = "NO_SPACE"
    (full,) = house.post(a_document(source=None))
    house.live_on(5)
    assert shown_wait(house, full) == {"space"}
    (other,) = house.post(a_document(results=False))
    house.live_on(5)
    assert house.job(other).state is State.COMPLETED


@pytest.mark.parametrize("code", ["EndpointDeleted", "EndpointNotFound"])
def test_a_collection_that_is_gone_fails_all_that_comes_from_it_at_once_and_nothing_else(code: str) -> None:
    house = House()
    house.globus.put(OTHER, "/in/a")
    house.globus.refused[LAB] = FarSide("transfer", code, "No such collection", transient=False, status=404)
    lost = house.post(*(a_document() for _ in range(8)))
    kept = house.post(a_document(lab=OTHER))
    house.live_on()
    assert {house.job(number).error for number in lost} == {code}
    assert house.globus.calls.count("submit") == 3, "no halves: one refusal, and the two tasks of the other job"
    assert house.job(kept[0]).state is State.COMPLETED


def test_a_paused_collection_that_takes_no_submission_is_shown_and_holds_up_no_other() -> None:
    house = House()
    house.globus.put(OTHER, "/in/a")
    words = "Paused for maintenance"
    house.globus.refused[LAB] = FarSide("transfer", "OperationPaused", words, transient=False, status=409)
    held, free = house.post(a_document(), a_document(lab=OTHER))
    house.live_on(10)
    assert house.job(free).state is State.COMPLETED
    assert shown_wait(house, held) == {"paused_collection"}
    house.globus.refused.clear()
    house.live_on()
    assert house.job(held).state is State.COMPLETED


def test_a_file_that_never_matches_its_checksum_fails_by_name_and_its_neighbours_are_staged() -> None:
    house = House()
    house.globus.put(LAB, "/bad", "/good")
    house.globus.bad_paths["/bad"] = "VERIFY_CHECKSUM"
    bad, good = house.post(a_document(source="/bad", results=False), a_document(source="/good", results=False))
    house.live_on(3)
    assert house.job(bad).state is State.STAGE_IN, "a mismatch or two are Globus's own to cure"
    house.globus.repeats = 5
    house.live_on()
    assert house.job(bad).error == "verify_checksum"
    assert "/bad" in words_of(house, bad)
    assert house.job(good).state is State.COMPLETED


def test_what_a_cancelled_task_had_delivered_is_not_sent_again() -> None:
    house = House()
    names = [f"/f{index}" for index in range(9)]
    house.globus.put(LAB, *names)
    (home,) = {house.sites.list()[0].job_place(ADA.user, "job-1005").path}
    house.globus.bad_paths[home] = "PERMISSION_DENIED"
    numbers = house.post(*(a_document(source=name, results=False) for name in names))
    house.live_on()
    assert house.job(1005).error == "permission_denied"
    assert {house.job(number).state for number in numbers if number != 1005} == {State.COMPLETED}
    sent = [str(move.destination) for task in house.globus.tasks.values() for move in task.movements]
    assert len(sent) >= 9
    assert house.globus.doubles == []
    delivered = [name for task in house.globus.tasks.values() for name in task.moved]
    assert len(delivered) == len(set(delivered)) == 8
    assert Location(SCRATCH, f"{home}inputs/f4") not in house.globus.files[ARCHIVE]
