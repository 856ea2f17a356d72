"""Jobs that the scheduler holds before their data is there: how they get there, when data moves, how they end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from loop_house import ADA, LAB, SCRATCH, START, THETA, House, a_document

from chalicelib.api import render
from chalicelib.core.errors import Conflict, Invalid
from chalicelib.core.ids import JobNumber
from chalicelib.core.job import Ahead, Stage, State

FILED = {"attributes": {"custom_attributes": {"cobalt.adopt": "held"}}}
HOUR = timedelta(hours=1)


def late(**fields: Any) -> dict[str, Any]:
    return a_document(staging="just_in_time", **fields)


def minute(house: House, times: int = 1, *, agent: bool = True) -> None:
    for _ in range(times):
        house.clock.turn(minutes=1)
        house.by_sweep_alone()
        if agent:
            house.agent.work(1)


def held(house: House, starts_in: timedelta | None = None, **fields: Any) -> None:
    """Job 1001 is at the scheduler, and its start expected after so long."""
    house.agent.starts_at = None if starts_in is None else START + starts_in
    house.post(late(**fields))
    minute(house, 3)
    assert house.job(1001).ahead is Ahead.HELD


def codes(house: House, number: int = 1001) -> list[str]:
    return [mark.code for mark in house.job(number).trail]


def shown(house: House) -> dict[str, Any]:
    seen = house.manage.show(ADA, JobNumber(1001))
    return render.job(seen, "https://qstage.test", None, house.clock.now())


def test_an_eager_job_is_written_no_more_often_than_before() -> None:
    house = House()
    house.post(a_document())
    house.live_on()
    run = ["leased", "queued", "active", "exited", "claimed", "settled", "completed"]
    assert codes(house) == ["submitted", "claimed", "settled", "staged_in", *run]


def test_inputs_wait_until_the_start_is_as_near_as_they_may_take() -> None:
    house = House()
    held(house, 10 * HOUR)
    assert shown(house)["waiting_for"] == ["start"]
    assert shown(house)["native_id"] == "71001"
    assert shown(house)["starts_at"] == "2026-11-23T03:00:00Z"
    assert shown(house)["stage_in_at"] == "2026-11-23T01:00:00Z", "an unseen way may take an hour, and as much again"
    assert house.desk().wake_at == START + 8 * HOUR, "the desk sleeps until then"
    house.clock.at = START + 8 * HOUR - timedelta(minutes=2)
    minute(house)
    assert house.job(1001).state is State.NEW
    minute(house, 2)
    assert house.job(1001).state in (State.STAGE_IN, State.STAGED)
    house.live_on()
    assert house.job(1001).state is State.COMPLETED
    assert not house.agent.waits


def test_a_way_that_is_known_to_be_short_lets_them_wait_for_longer() -> None:
    house = House()
    house.post(a_document())
    house.live_on()
    house.agent.starts_at = house.clock.now() + 10 * HOUR
    house.post(late())
    minute(house, 3)
    job = house.job(1002)
    assert job.starts_at is not None
    assert house.desk().wake_at == job.starts_at - timedelta(minutes=5) - house.globus.takes


def test_without_an_estimate_they_set_out_at_once() -> None:
    house = House()
    house.post(late())
    minute(house, 4)
    assert codes(house)[:6] == ["submitted", "offered", "leased", "held_ahead", "staging_due", "claimed"]


def test_a_new_estimate_moves_their_time() -> None:
    house = House()
    held(house, 10 * HOUR)
    report = {"job": str(house.job(1001).ref), "epoch": 1, "event": "held_ahead", "native_id": "71001"}
    house.agent.call({**report, "starts_at": (START + 2 * HOUR).isoformat()}, holds=True)
    minute(house)
    assert house.job(1001).state is State.STAGE_IN


def test_a_row_whose_post_may_never_be_committed_is_leased_to_nobody() -> None:
    house = House()
    house.post(late())
    assert house.job(1001).posted is not None
    assert house.agent.call(holds=True).leases == []
    minute(house, agent=False)
    assert codes(house) == ["submitted", "offered"]
    (lease,) = house.agent.call(holds=True).leases
    assert lease.job.state is State.NEW


def test_an_agent_that_cannot_hold_is_given_what_is_staged_and_no_more() -> None:
    house = House()
    house.post(late(), late(), a_document(source=None))
    minute(house, agent=False)
    house.agent.take = 1
    (lease,) = house.agent.call().leases
    assert lease.job.ref.number == 1003


@pytest.mark.parametrize("fields", [{"hold": True}, {"depends_on": [1001]}])
def test_a_hold_or_another_job_keeps_it_from_the_scheduler(fields: dict[str, Any]) -> None:
    house = House()
    house.post(a_document(source=None, hold=True))
    house.post(late(**fields))
    minute(house, 3)
    assert (house.job(1002).epoch, house.job(1002).ahead) == (0, Ahead.WANTED)


def test_what_a_filter_left_is_found_whatever_it_waits_for() -> None:
    house = House()
    house.post(a_document(hold="staging", **FILED))
    minute(house, 3)
    assert house.job(1001).ahead is Ahead.HELD
    house.manage.cancel(ADA, JobNumber(1001))
    minute(house, 4)
    assert (house.job(1001).state, house.agent.waits) == (State.CANCELED, {})


def held_by_its_user_and_staged_before_its_site_looked() -> House:
    """Job 1001, which a filter left at the scheduler, and whose data was there before the agent's first call."""
    house = House()
    house.post(a_document(hold=True, **FILED))
    minute(house, 4, agent=False)
    assert (house.job(1001).state, house.job(1001).ahead) == (State.STAGED, Ahead.FILED)
    return house


def test_what_a_filter_left_is_found_though_its_data_came_first_and_its_user_holds_it() -> None:
    house = held_by_its_user_and_staged_before_its_site_looked()
    house.agent.work(2)
    assert (house.job(1001).ahead, house.job(1001).native_id, house.agent.ran) == (Ahead.HELD, "71001", [])
    house.manage.release(ADA, JobNumber(1001))
    house.live_on()
    assert (house.job(1001).state, house.agent.ran) == (State.COMPLETED, [str(house.job(1001).ref)])


def test_what_is_deleted_at_the_scheduler_is_told_though_its_data_came_first() -> None:
    house = held_by_its_user_and_staged_before_its_site_looked()
    house.agent.work(2)
    house.agent.deleted.add(1001)
    house.agent.work(2)
    assert (house.job(1001).state, house.job(1001).failed_stage) == (State.FAILED, Stage.SUBMIT)


def test_what_waits_for_another_job_is_not_let_go_by_a_lease_that_finds_it() -> None:
    house = House()
    house.agent.waiting.add(1001)
    house.post(a_document())
    house.post(a_document(depends_on=[1001], **FILED))
    minute(house, 4, agent=False)
    assert house.job(1002).state is State.STAGED
    minute(house, 2)
    child = house.job(1002)
    assert (child.state, child.ahead, bool(child.parents)) == (State.STAGED, Ahead.HELD, True)
    house.agent.waiting.clear()
    house.live_on()
    assert (house.job(1001).state, house.job(1002).state) == (State.COMPLETED, State.COMPLETED)


def test_a_failure_is_told_at_once_and_the_removal_commanded_until_it_is_answered() -> None:
    house = House()
    house.post(late(source="/nowhere/"))
    minute(house, 3)
    minute(house, 4, agent=False)
    assert (house.job(1001).state, house.job(1001).failed_stage) == (State.FAILED, Stage.STAGE_IN)
    assert [command.word for command in house.agent.call(holds=True).commands] == ["cancel"]
    with pytest.raises(Conflict) as refused:
        house.manage.retry(ADA, JobNumber(1001))
    assert refused.value.code == "removal-open"
    house.agent.work(3)
    assert house.agent.waits == {}
    assert house.agent.call(holds=True).commands == []
    house.globus.put(LAB, "/nowhere/a")
    house.manage.retry(ADA, JobNumber(1001))
    house.live_on()
    assert house.job(1001).state is State.COMPLETED, "by hand it is tried again, its data first"
    assert codes(house).count("held_ahead") == 1


def test_a_submission_that_was_rejected_may_have_taken_place_and_is_looked_for() -> None:
    house = House()
    house.post(late())
    minute(house, agent=False)
    (lease,) = house.agent.call(holds=True).leases
    words = {"job": str(lease.job.ref), "epoch": lease.job.epoch, "detail": "Stale file handle"}
    house.agent.call({**words, "event": "rejected"}, take=0, holds=True)
    minute(house, agent=False)
    assert (house.job(1001).state, house.job(1001).error) == (State.FAILED, "rejected")
    assert [command.word for command in house.agent.call(take=0, holds=True).commands] == ["cancel"]
    gone = {**words, "event": "exited", "outcome": "canceled", "command": "cancel"}
    assert house.agent.call(gone, take=0, holds=True).commands == []
    assert house.job(1001).state is State.FAILED


def test_a_job_that_its_site_s_policy_refuses_at_once_was_never_submitted() -> None:
    house = House()
    house.post(late())
    minute(house, agent=False)
    (lease,) = house.agent.call(holds=True).leases
    refused = {"job": str(lease.job.ref), "epoch": 1, "event": "refused", "detail": "the owner is not one of ours"}
    house.agent.call(refused, take=0, holds=True)
    minute(house, agent=False)
    assert house.job(1001).state is State.FAILED
    assert house.agent.call(take=0, holds=True).commands == []


def held_and_staged(house: House) -> None:
    """A job that its scheduler holds, and whose data has come meanwhile: its agent has not heard of it."""
    held(house)
    for _ in range(10):
        if house.job(1001).state is State.STAGED:
            break
        minute(house, agent=False)


def test_a_site_that_cannot_end_what_is_held_and_staged_says_why() -> None:
    house = House()
    held_and_staged(house)
    assert (house.job(1001).state, house.job(1001).ahead) == (State.STAGED, Ahead.HELD)
    house.manage.cancel(ADA, JobNumber(1001))
    job = house.job(1001)
    words = {"job": str(job.ref), "epoch": job.epoch, "event": "refused", "command": "cancel", "detail": "not its mark"}
    (answer,) = house.agent.call(words, take=0, holds=True).answers
    assert (answer.result, house.job(1001).state, house.job(1001).error) == ("recorded", State.STAGED, "cancel_refused")


def test_a_job_that_its_scheduler_does_not_release_says_so_in_its_words_until_it_does() -> None:
    house = House()
    held_and_staged(house)
    (lease,) = house.agent.call(holds=True).leases
    about = {"job": str(lease.job.ref), "epoch": lease.job.epoch, "native_id": "71001"}
    words = {**about, "event": "refused", "command": "release", "detail": "permission denied"}
    for _ in range(2):
        (answer,) = house.agent.call(words, take=0, holds=True).answers
        assert (answer.result, house.job(1001).state) == ("recorded", State.STAGED)
    assert shown(house)["error"] == {"code": "not_released", "detail": "permission denied"}
    assert codes(house).count("not_released") == 1
    house.agent.call({**about, "event": "queued"}, take=0, holds=True)
    assert (house.job(1001).state, shown(house)["error"]) == (State.QUEUED, None)
    (answer,) = house.agent.call(words, take=0, holds=True).answers
    assert (answer.result, shown(house)["error"]) == ("recorded", None), "it comes late"


def test_a_cancel_is_canceled_only_when_the_site_says_that_nothing_is_left() -> None:
    house = House()
    held(house, 10 * HOUR)
    house.manage.cancel(ADA, JobNumber(1001))
    minute(house, 5, agent=False)
    assert house.job(1001).state is State.NEW
    minute(house, 3)
    assert (house.job(1001).state, house.agent.waits) == (State.CANCELED, {})


def test_a_cancel_before_any_site_had_it_is_carried_out_at_once() -> None:
    house = House()
    house.post(late())
    minute(house, agent=False)
    house.manage.cancel(ADA, JobNumber(1001))
    minute(house, agent=False)
    assert house.job(1001).state is State.CANCELED


def test_one_deleted_at_the_scheduler_fails_and_its_data_is_called_back() -> None:
    house = House()
    house.globus.takes = 5 * HOUR
    held(house)
    minute(house, 2)
    assert house.job(1001).state is State.STAGE_IN
    house.agent.deleted = {1001}
    minute(house, 4)
    assert (house.job(1001).state, house.job(1001).error) == (State.FAILED, "gone")
    assert house.globus.live() == []
    assert shown(house)["error"]["detail"] == "somebody deleted it"


def test_a_deadline_runs_from_when_the_inputs_may_set_out() -> None:
    house = House()
    house.globus.takes = 5 * HOUR
    held(house, 10 * HOUR, deadlines={"stage_in": 3600})
    house.clock.at = START + 8 * HOUR
    minute(house, 30)
    assert house.job(1001).state is State.STAGE_IN
    minute(house, 40)
    assert (house.job(1001).state, house.job(1001).error) == (State.FAILED, "deadline")
    assert house.agent.waits == {}


def test_what_the_scheduler_was_told_and_cannot_change_is_not_altered_and_the_rest_is() -> None:
    house = House()
    held(house, 10 * HOUR)
    for patch in ({"attributes": {"reservation_id": "r"}}, {"resources": {"memory": 2}}, {"staging": "eager"}):
        with pytest.raises(Conflict):
            house.manage.alter(ADA, JobNumber(1001), patch)
    house.manage.alter(ADA, JobNumber(1001), {"environment": {"A": "1"}, "tags": {"run": "7"}})
    assert house.job(1001).revision == 2


def test_a_job_without_inputs_to_move_is_never_held() -> None:
    house = House()
    house.post(late(source=None))
    house.live_on()
    assert "offered" not in codes(house)
    assert house.job(1001).state is State.COMPLETED


def test_a_site_that_says_nothing_is_what_it_waits_for() -> None:
    house = House()
    house.post(late())
    minute(house, 20, agent=False)
    assert shown(house)["waiting_for"] == ["site"]


@pytest.mark.parametrize("scheduler", ["pbs", "lsf", "flux", "local"])
def test_a_scheduler_that_is_not_known_to_hold_is_named_in_the_refusal(scheduler: str) -> None:
    house = House()
    site = house.sites.get(THETA)
    assert site is not None
    house.rows.sites[THETA] = replace(site, scheduler=scheduler)
    with pytest.raises(Invalid) as refused:
        house.post(late())
    (fault,) = refused.value.faults
    assert fault.pointer == "/staging"
    assert scheduler in fault.detail
    assert "say eager" in fault.detail
    assert SCRATCH not in house.globus.files
