"""Deadlines on the wait for nodes: who is ended by it and how, whose clock stands, and that nobody else pays for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from loop_house import ADA, AGENT, THETA, House, a_document
from test_loop_deadlines import pass_by, words

from chalicelib.core.ids import JobNumber, UserId
from chalicelib.core.job import Stage, State
from chalicelib.core.sessions import Authentication, Session
from chalicelib.core.site_demands import Demands

HOUR = 3600


def limited(seconds: int = HOUR, **fields: Any) -> dict[str, Any]:
    return a_document(source=None, results=False, deadlines={"queue": seconds}, **fields)


def ended(house: House, number: JobNumber) -> tuple[State, Stage | None, str | None]:
    job = house.job(number)
    return job.state, job.failed_stage, job.error


LATE = (State.FAILED, Stage.QUEUE, "deadline")


def until(house: House, number: JobNumber, state: State) -> None:
    """Let the agent work, minute by minute, until the job is in this state."""
    for _ in range(20):
        if house.job(number).state is state:
            return
        house.clock.turn(minutes=1)
        house.by_sweep_alone()
        house.agent.work(1)
    raise AssertionError(house.job(number))


def queued(**fields: Any) -> tuple[House, JobNumber]:
    """A job that the scheduler has, and has no nodes for."""
    house = House()
    (number,) = house.post(limited(**fields))
    house.agent.waiting.add(number)
    until(house, number, State.QUEUED)
    return house, number


def test_a_job_that_waits_for_nodes_beyond_its_deadline_is_ended_at_the_scheduler_and_fails() -> None:
    house, number = queued()
    pass_by(house, 50, agent=True)
    assert house.job(number).state is State.QUEUED
    pass_by(house, 12, agent=True)
    assert ended(house, number) == LATE
    assert "it waited in the queue of theta's scheduler as 71001" in words(house, number)
    assert "2026-11-22T18:0" in words(house, number)
    assert house.agent.held == {}
    assert house.inbox() == []
    assert house.desk().wake_at is None


def test_a_job_that_no_site_takes_fails_by_itself() -> None:
    house = House()
    (number,) = house.post(limited())
    pass_by(house, 59)
    assert house.job(number).state is State.STAGED
    pass_by(house, 3)
    assert ended(house, number) == LATE
    assert "it waited for theta to take it" in words(house, number)
    house.agent.work()
    assert house.agent.ran == []


def test_a_job_that_was_leased_and_never_submitted_is_told_back_by_its_site() -> None:
    house = House()
    (number,) = house.post(limited())
    house.answer_rings()
    house.agent.call()
    pass_by(house, 62)
    assert (house.job(number).state, house.job(number).overdue) == (State.STAGED, True)
    house.agent.work()
    pass_by(house, 2)
    assert ended(house, number) == LATE
    assert "theta had taken it" in words(house, number)
    assert house.agent.ran == []


@pytest.mark.parametrize("late", ["active", "exited"])
def test_a_job_that_has_begun_meanwhile_runs_on(late: str) -> None:
    """The planner says that it is late, and its site does not hear of it before it runs."""
    house, number = queued()
    pass_by(house, 60)
    assert house.job(number).overdue
    house.agent.waiting.clear()
    (held,) = house.agent.held.values()
    if late == "exited":
        held["reports"] = held["reports"][1:]
    house.agent.work(1)
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    assert not house.job(number).overdue
    assert house.agent.ran == [f"{ADA.user}/{number}"]


def test_a_job_that_runs_when_the_command_comes_is_left_alone() -> None:
    house, number = queued()
    pass_by(house, 60)
    house.agent.waiting.clear()
    (command,) = house.agent.call(holding=[{"job": f"{ADA.user}/{number}", "epoch": 1}]).commands
    assert (command.word, command.unless_ran) == ("cancel", True)
    house.agent.work(1)
    assert house.job(number).state is State.ACTIVE
    house.live_on()
    assert house.job(number).state is State.COMPLETED


def test_a_cancel_of_a_job_that_is_late_is_a_cancel_and_spares_no_run() -> None:
    house, number = queued()
    pass_by(house, 60)
    house.manage.cancel(ADA, number)
    (command,) = house.agent.call(holding=[{"job": f"{ADA.user}/{number}", "epoch": 1}]).commands
    assert (command.word, command.unless_ran) == ("cancel", False)
    house.live_on()
    assert house.job(number).state is State.CANCELED


def test_an_answer_that_comes_days_late_ends_it_all_the_same() -> None:
    house, number = queued()
    pass_by(house, 60)
    house.clock.turn(days=3)
    house.by_sweep_alone()
    assert (house.job(number).state, house.desk().wake_at) == (State.QUEUED, None)
    house.live_on()
    assert ended(house, number) == LATE


def test_a_site_that_will_not_end_it_is_asked_again_and_says_why() -> None:
    house, number = queued()
    pass_by(house, 60)
    ref = f"{ADA.user}/{number}"
    refusal = {"job": ref, "epoch": 1, "command": "cancel", "event": "refused", "detail": "not mine"}
    house.agent.call(refusal)
    assert (house.job(number).state, house.job(number).error) == (State.QUEUED, "cancel_refused")
    house.live_on()
    assert ended(house, number) == LATE
    assert "it waited in the queue" in words(house, number)


def test_a_hold_stops_the_clock_and_its_release_starts_it_anew() -> None:
    house = House()
    (number,) = house.post(limited(hold=True))
    pass_by(house, 300)
    assert house.job(number).state is State.STAGED
    house.manage.release(ADA, number)
    pass_by(house, 58)
    assert house.job(number).state is State.STAGED
    pass_by(house, 5)
    assert ended(house, number) == LATE


def test_a_hold_in_the_scheduler_s_queue_stops_the_clock_too() -> None:
    house, number = queued()
    pass_by(house, 30, agent=True)
    house.manage.hold(ADA, number)
    pass_by(house, 300, agent=True)
    assert house.job(number).state is State.QUEUED
    house.manage.release(ADA, number)
    pass_by(house, 55, agent=True)
    assert house.job(number).state is State.QUEUED
    pass_by(house, 10, agent=True)
    assert ended(house, number) == LATE


def test_a_hold_that_the_site_refuses_stops_the_clock_no_longer_than_that() -> None:
    house, number = queued()
    pass_by(house, 30)
    house.manage.hold(ADA, number)
    pass_by(house, 90)
    assert house.job(number).state is State.QUEUED
    (command,) = house.agent.call(holding=[{"job": f"{ADA.user}/{number}", "epoch": 1}]).commands
    answer = {"job": f"{ADA.user}/{number}", "epoch": 1, "command": "hold", "order": command.order.number}
    house.agent.call({**answer, "event": "refused", "detail": "not allowed here"})
    pass_by(house, 65, agent=True)
    assert ended(house, number) == LATE


def test_the_wait_for_another_job_does_not_count() -> None:
    house = House()
    (parent,) = house.post(a_document(source=None, results=False))
    (child,) = house.post(limited(depends_on=[parent]))
    pass_by(house, 120)
    assert house.job(child).state is State.STAGED
    until(house, parent, State.COMPLETED)
    house.agent.held.clear()
    began = house.clock.now()
    while house.job(child).parents:
        pass_by(house, 1)
    pass_by(house, 50)
    assert house.job(child).state is State.STAGED
    pass_by(house, 15, agent=False)
    assert ended(house, child) == LATE
    assert house.clock.now() - began < timedelta(minutes=75)


def test_a_sign_in_that_the_site_demands_does_not_count_and_starts_the_clock_anew() -> None:
    house = House()
    (number,) = house.post(limited())
    (site,) = house.sites.list()
    assert house.sites.change(replace(site, demands=Demands(domains=("anl.gov",))), was=site)
    pass_by(house, 150)
    assert house.job(number).state is State.STAGED
    signed = Authentication(
        identity=UserId(ADA.user),
        username="ada@anl.gov",
        auth_time=house.clock.now(),
        mfa=False,
        provider="anl",
    )
    house.access.session = Session(authentications=(signed,))
    house.sign_in()
    pass_by(house, 55)
    assert house.job(number).state is State.STAGED
    pass_by(house, 70)
    assert ended(house, number) == LATE


def test_a_dead_token_does_not_keep_a_deadline_from_being_kept() -> None:
    """What waits for nodes waits for no login at Globus, though another job of its user does."""
    house, number = queued()
    house.access.refused = True
    house.post(a_document())
    pass_by(house, 70, agent=True)
    assert ended(house, number) == LATE


def test_a_deadline_given_later_and_one_that_is_taken_back() -> None:
    house = House()
    given, taken = house.post(a_document(source=None, results=False), limited())
    house.answer_rings()
    house.manage.alter(ADA, given, {"deadlines": {"queue": HOUR}})
    house.manage.alter(ADA, taken, {"deadlines": None})
    pass_by(house, 65)
    assert ended(house, given) == LATE
    assert house.job(taken).state is State.STAGED
    assert house.inbox() == []


def test_another_try_has_the_whole_time_again_and_the_pause_before_it_does_not_count() -> None:
    house = House()
    (number,) = house.post(limited(retry={"attempts": 2, "delay": 7200}))
    house.agent.ends[number] = {"outcome": "error", "exit_code": 3}
    while house.job(number).attempt == 1:
        pass_by(house, 1, agent=True)
    pass_by(house, 170)
    assert house.job(number).state is State.STAGED
    pass_by(house, 15)
    assert house.job(number).overdue
    house.agent.work()
    pass_by(house, 2)
    assert ended(house, number) == LATE


def test_one_that_was_late_may_be_tried_again_by_hand() -> None:
    house, number = queued()
    pass_by(house, 65, agent=True)
    assert ended(house, number) == LATE
    house.agent.waiting.clear()
    house.manage.retry(ADA, number)
    house.live_on()
    assert (house.job(number).state, house.job(number).attempt) == (State.COMPLETED, 2)


def test_a_thousand_that_wait_are_noted_in_a_few_items_and_no_pass_reads_them() -> None:
    house = House()
    for _ in range(4):
        house.post(*(limited() for _ in range(250)))
        house.answer_rings()
    house.clock.turn(minutes=2)
    house.by_sweep_alone()
    assert len(house.inbox()) == 4
    assert house.desk().wake_at == house.job(1001).updated_at + timedelta(hours=1)
    one, none = calls_of_a_pass(house), calls_of_a_pass(House())
    assert one == none


def test_many_small_notes_become_few_and_each_job_keeps_its_own_deadline() -> None:
    house = House()
    numbers = []
    for _ in range(50):
        numbers += house.post(limited())
        pass_by(house, 1)
        assert len(house.inbox()) <= 22
    pass_by(house, 12)
    late = [number for number in numbers if house.job(number).state is State.FAILED]
    assert late == numbers[: len(late)]
    assert 1 <= len(late) <= 3
    pass_by(house, 25)
    assert sum(house.job(number).state is State.FAILED for number in numbers) == len(late) + 25
    pass_by(house, 40)
    assert {ended(house, number) for number in numbers} == {LATE}
    assert (house.inbox(), house.desk().wake_at) == ([], None)


def calls_of_a_pass(house: House) -> list[str]:
    """What a pass for a new job asks of its ports."""
    house.post(a_document(source=None, results=False))
    asked: list[str] = []
    house.gate = lambda call, moment: asked.append(call) if moment == "before" else None
    house.answer_rings()
    return asked


def test_a_job_without_a_deadline_is_noted_nowhere() -> None:
    house = House()
    house.post(a_document())
    house.agent.waiting.add(1001)
    pass_by(house, 10, agent=True)
    assert house.job(1001).state is State.QUEUED
    assert (house.inbox(), house.desk().wake_at) == ([], None)


def test_a_job_that_starts_in_time_notices_nothing() -> None:
    house = House()
    (number,) = house.post(limited())
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    pass_by(house, 70)
    assert (house.inbox(), house.desk().wake_at) == ([], None)
    assert house.syncing.sync(AGENT, THETA, house.agent.request()).commands == []
