"""Passes: what one does of all that is due, what it leaves to the next, and who makes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from loop_house import ADA, OTHER, CrashNow, House, a_document

from chalicelib.core.ids import CollectionId, JobNumber, TaskId
from chalicelib.core.job import Stage, State


def test_at_most_three_tasks_of_a_user_are_live_and_nothing_waits_for_ever() -> None:
    house = House()
    labs = [CollectionId(f"eeeeeeee-0000-4000-8000-00000000000{digit}") for digit in range(7)]
    for lab in labs:
        house.globus.put(lab, "/in/a")
    most: list[int] = []

    def count(call: str, moment: str) -> None:
        if call == "globus.submit":
            most.append(len(house.globus.live()))

    house.gate = count
    numbers = house.post(*(a_document(lab=lab) for lab in labs))
    house.live_on()
    assert max(most) == 3
    assert {house.job(number).state for number in numbers} == {State.COMPLETED}


def test_results_go_out_before_inputs_come_in() -> None:
    house = House()
    labs = [CollectionId(f"eeeeeeee-0000-4000-8000-00000000000{digit}") for digit in range(4)]
    for lab in labs:
        house.globus.put(lab, "/in/a")
    house.post(a_document(source=None))
    house.answer_rings()
    house.access.refused = True
    house.agent.work()
    house.post(*(a_document(lab=lab) for lab in labs))
    house.live_on(3)
    assert not house.globus.tasks
    house.sign_in()
    house.wake()
    stages = [task.batch.route.stage for task in house.globus.tasks.values()]
    assert stages == [Stage.STAGE_OUT, Stage.STAGE_IN, Stage.STAGE_IN]


def test_what_gathers_while_a_task_runs_goes_in_one_task_after_it() -> None:
    house = House()
    first = house.post(a_document(results=False))
    house.answer_rings()
    later = [house.post(a_document(results=False))[0] for _ in range(20)]
    house.live_on()
    assert {house.job(number).state for number in (*first, *later)} == {State.COMPLETED}
    assert len(house.globus.tasks) == 2


def test_many_inbox_items_become_few_and_then_stay_as_they_are() -> None:
    house = House()
    house.access.refused = True
    for _ in range(30):
        house.post(a_document())
    for _ in range(3):
        house.live_on(1)
    assert house.inbox() == [tuple(range(1001, 1031))]
    house.live_on(3)
    assert house.inbox() == [tuple(range(1001, 1031))]
    assert house.globus.calls == [], "nobody asks Globus for a user who has to sign in"


def test_an_inbox_longer_than_a_pass_reads_is_read_to_its_end() -> None:
    house = House()
    numbers = [house.post(a_document(source=None, results=False))[0] for _ in range(1100)]
    house.rung.take()
    for _ in range(4):
        house.clock.turn(minutes=1)
        house.by_sweep_alone()
    assert {house.job(number).state for number in numbers} == {State.STAGED}
    assert house.desk().wake_at is None


def test_a_pass_without_time_begins_nothing_and_the_next_goes_on_at_once() -> None:
    house = House()
    house.globus.put(OTHER, "/in/a")
    numbers = house.post(a_document(), a_document(lab=OTHER))

    def left() -> timedelta:
        """Enough for one batch."""
        return timedelta(seconds=60 if "submit" not in house.globus.calls else 19)

    house.time_left = left
    assert house.wake()
    assert house.globus.calls.count("submit") == 1
    assert house.desk().wake_at == house.clock.now()
    assert house.rung.take()[-1] == (ADA.user, 0)
    calls = len(house.globus.calls)
    assert house.wake()
    assert len(house.globus.calls) == calls, "nothing is begun in the reserve"
    house.time_left = lambda: timedelta(seconds=60)
    house.live_on()
    assert {house.job(number).state for number in numbers} == {State.COMPLETED}
    assert house.faults() == []


def test_a_wake_that_is_for_nothing_changes_nothing() -> None:
    house = House()
    house.post(a_document())
    house.answer_rings()
    before = (house.desk(), dict(house.rows.jobs), house.globus.calls[:])
    assert not house.wake()
    assert (house.desk(), dict(house.rows.jobs), house.globus.calls) == before


def test_of_two_planners_that_read_the_same_desk_one_gets_it() -> None:
    house = House()
    house.post(a_document())
    made: list[str] = []

    def second(call: str, moment: str) -> None:
        if call == "desks.keep_plan" and moment == "before" and not made:
            made.append("begun")
            made.append(str(house.wake()))

    house.gate = second
    assert not house.wake()
    assert made == ["begun", "True"]
    assert len(house.globus.tasks) == 1


def test_a_dead_planners_claim_is_taken_over_when_it_has_run_out_and_not_before() -> None:
    house = House()
    house.post(a_document())

    def dies(call: str, moment: str) -> None:
        if call == "desks.inbox":
            raise CrashNow

    house.gate = dies
    with pytest.raises(CrashNow):
        house.wake()
    house.gate = lambda call, moment: None
    house.clock.turn(seconds=(house.life + timedelta(seconds=29)).total_seconds())
    assert not house.wake()
    house.clock.turn(seconds=1)
    assert house.wake()
    assert len(house.globus.tasks) == 1


def test_a_pass_that_breaks_rests_longer_each_time_and_loses_nothing() -> None:
    house = House()
    (number,) = house.post(a_document())
    broken = True

    def breaks(call: str, moment: str) -> None:
        if broken and call == "jobs.get_many":
            raise RuntimeError

    house.gate = breaks
    rests = []
    for _ in range(4):
        with pytest.raises(RuntimeError):
            house.wake()
        wake_at = house.desk().wake_at
        assert wake_at is not None
        rests.append(wake_at - house.clock.now())
        house.clock.turn(seconds=rests[-1].total_seconds())
    assert rests == [timedelta(seconds=5 * 2**doubled) for doubled in range(4)]
    broken = False
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    assert house.desk().plan.failures == 0


def test_a_fact_recorded_during_a_pass_is_looked_at_at_once() -> None:
    house = House()
    house.post(a_document())
    posted: list[JobNumber] = []

    def meanwhile(call: str, moment: str) -> None:
        if call == "desks.close" and moment == "before" and not posted:
            posted.extend(house.post(a_document(source=None)))

    house.gate = meanwhile
    house.wake()
    assert house.desk().wake_at == house.clock.now()
    assert (ADA.user, 0) in house.rung.take()
    house.wake()
    assert house.job(posted[0]).state is State.STAGED


def test_a_job_cancelled_as_its_batch_is_made_drops_out_of_it() -> None:
    house = House()
    gone, stays = house.post(a_document(), a_document())
    done: list[str] = []

    def meanwhile(call: str, moment: str) -> None:
        if call == "desks.keep_plan" and moment == "after" and house.desk().plan.batches and not done:
            done.append("canceled")
            house.manage.cancel(ADA, gone)

    house.gate = meanwhile
    house.wake()
    (task,) = house.globus.tasks.values()
    assert task.batch.numbers() == (stays,)
    house.live_on()
    assert house.job(gone).state is State.CANCELED
    assert house.job(stays).state is State.COMPLETED


def test_a_wake_between_two_looks_asks_globus_for_nothing() -> None:
    house = House()
    house.post(a_document())
    house.answer_rings()
    house.clock.turn(seconds=3)
    house.wake()
    calls = house.globus.calls[:]
    house.post(a_document(source=None, results=False))
    house.answer_rings()
    assert house.globus.calls == calls


def test_a_route_s_second_task_is_looked_at_no_more_than_three_times() -> None:
    house = House()
    for _ in range(3):
        before = house.globus.calls.count("look")
        (number,) = house.post(a_document(results=False))
        while house.job(number).state is not State.STAGED:
            house.answer_rings()
            wake_at = house.desk().wake_at
            assert wake_at is not None
            house.clock.turn(seconds=(wake_at - house.clock.now()).total_seconds())
            house.wake()
        looked = house.globus.calls.count("look") - before
    assert looked <= 3


def test_the_user_s_own_tasks_leave_less_room_and_are_no_batch_s() -> None:
    house = House()
    labs = [CollectionId(f"eeeeeeee-0000-4000-8000-00000000000{digit}") for digit in range(3)]
    for lab in labs:
        house.globus.put(lab, "/in/a")
    house.post(a_document(results=False))
    house.answer_rings()
    (own,) = house.globus.tasks.values()
    house.globus.foreign = [replace(own, id=TaskId(f"foreign-{index}")) for index in range(2)]
    house.clock.turn(seconds=3)
    house.wake()
    house.post(*(a_document(lab=lab, results=False) for lab in labs))
    house.answer_rings()
    assert len(house.globus.live()) == 1
    house.globus.foreign = []
    house.live_on()
    assert {job.state for job in house.committed()} == {State.COMPLETED}


def test_outputs_of_jobs_that_end_one_after_the_other_share_tasks_and_the_last_is_not_left_waiting() -> None:
    house = House()
    house.post(*(a_document(source=None) for _ in range(100)))
    house.answer_rings()
    house.agent.take = 1
    while not all(job.state.final for job in house.committed()):
        house.clock.turn(seconds=5)
        house.by_sweep_alone()
        house.agent.work(3)
        house.answer_rings()
    jobs = house.committed()
    assert {job.state for job in jobs} == {State.COMPLETED}
    assert len(house.globus.tasks) <= 20
    assert len(house.globus.calls) <= 0.8 * len(jobs)
    waits = [job.trail[-1].at - next(mark.at for mark in job.trail if mark.code == "exited") for job in jobs]
    assert max(waits) < timedelta(seconds=120)


def test_the_outputs_of_a_lone_job_wait_for_nobody() -> None:
    house = House()
    house.post(a_document(source=None))
    house.answer_rings()
    house.agent.work()
    house.answer_rings()
    assert len(house.globus.live()) == 1
