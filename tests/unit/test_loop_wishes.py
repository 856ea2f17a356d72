"""What users wish of jobs under way: holds of both kinds, and a cancel whatever the site answers to it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from loop_house import ADA, ARCHIVE, LAB, OTHER, SCRATCH, House, a_document

from chalicelib.api.render import waiting_for
from chalicelib.core.holds import Hold
from chalicelib.core.ids import JobNumber, user_tag
from chalicelib.core.job import State
from chalicelib.service.sync import Synced


def report(number: int, event: str, **fields: Any) -> dict[str, Any]:
    named = {"native_id": f"7{number}"} if event in ("queued", "active", "exited") else {}
    return {"job": f"{ADA.user}/{number}", "epoch": 1, "event": event, **named, **fields}


def commands(answer: Synced) -> list[tuple[int, str, bool]]:
    return [(command.job.ref.number, command.word, command.unless_ran) for command in answer.commands]


def leased(house: House, **fields: Any) -> JobNumber:
    """A job that the agent has just been given."""
    (number,) = house.post(a_document(source=None, results=False, **fields))
    house.answer_rings()
    assert [lease.job.ref.number for lease in house.agent.call().leases] == [number]
    return number


def waits(house: House, number: JobNumber) -> set[str]:
    return set(waiting_for(house.manage.show(ADA, number), house.clock.now())) - {"site"}


def codes(house: House, number: int) -> list[str]:
    return [mark.code for mark in house.job(number).trail]


@pytest.mark.parametrize(("hold", "state"), [(True, State.STAGED), ("staging", State.NEW)])
def test_a_hold_keeps_a_job_from_the_scheduler_and_one_of_staging_its_data_as_well(
    hold: bool | str, state: State
) -> None:
    house = House()
    (number,) = house.post(a_document(hold=hold))
    for _ in range(5):
        house.clock.turn(minutes=1)
        house.by_sweep_alone()
    assert house.job(number).state is state
    assert waits(house, number) == {"hold"}
    assert bool(house.globus.tasks) is (state is State.STAGED)
    assert house.agent.call().leases == []
    assert house.desk().wake_at is None, "nothing is looked at while it is held"
    house.manage.release(ADA, number)
    house.live_on()
    assert house.job(number).state is State.COMPLETED


def test_a_hold_of_staging_lets_arrive_what_is_under_way_and_sends_no_more() -> None:
    house = House()
    items = [{"source": f"globus://{lab}/in/", "target": f"{n}/"} for n, lab in enumerate((LAB, OTHER))]
    house.globus.put(OTHER, "/in/a")
    house.globus.without_consent = {OTHER}
    (number,) = house.post(a_document(source=None, stage_in=items))
    house.answer_rings()
    house.manage.hold(ADA, number, Hold.STAGING)
    house.globus.without_consent = set()
    house.sign_in()
    for _ in range(5):
        house.clock.turn(minutes=1)
        house.by_sweep_alone()
    job = house.job(number)
    assert (job.state, job.in_flight) == (State.STAGE_IN, ())
    sent = len(house.globus.tasks)
    house.clock.turn(hours=1)
    house.by_sweep_alone()
    assert len(house.globus.tasks) == sent
    house.manage.release(ADA, number)
    house.live_on()
    assert house.job(number).state is State.COMPLETED


def test_a_hold_of_staging_that_becomes_a_plain_one_lets_the_data_go() -> None:
    house = House()
    (number,) = house.post(a_document(hold="staging"))
    house.answer_rings()
    house.manage.hold(ADA, number)
    house.live_on(5)
    assert house.job(number).state is State.STAGED
    assert codes(house, number)[-1] == "staged_in"


@pytest.mark.parametrize("event", ["rejected", "refused"])
def test_a_cancel_that_meets_a_refused_submission_ends_the_job_canceled(event: str) -> None:
    house = House()
    number = leased(house)
    house.manage.cancel(ADA, number)
    answer = house.agent.call(report(number, event, detail="no such queue"), take=0)
    assert [each.result for each in answer.answers] == ["recorded"]
    job = house.job(number)
    assert (job.state, job.failed_stage, job.error) == (State.CANCELED, None, None)
    before = house.job(number)
    again = house.agent.call(report(number, event, detail="no such queue"), take=0)
    assert [each.result for each in again.answers] == ["recorded"]
    assert house.job(number) == before, "told twice, it is ended once"
    story = house.manage.story(ADA, number)
    assert story.tales[job.version].detail["words"] == ["no such queue"]


def test_a_cancel_between_the_refusal_s_reading_and_its_writing_still_ends_the_job_canceled() -> None:
    house = House()
    number = leased(house)

    def meanwhile(call: str, moment: str) -> None:
        if call == "jobs.save" and moment == "before":
            house.gate = lambda call, moment: None
            house.manage.cancel(ADA, number)

    house.gate = meanwhile
    house.agent.call(report(number, "rejected"), take=0)
    assert house.job(number).state is State.CANCELED


def test_a_site_that_will_not_end_a_running_job_is_told_so_until_the_job_has_ended() -> None:
    house = House()
    number = leased(house)
    house.agent.call(report(number, "active"), take=0)
    house.manage.cancel(ADA, number)
    for _ in range(2):
        refusal = report(number, "refused", command="cancel", detail="another account's directory")
        assert [each.result for each in house.agent.call(refusal, take=0).answers] == ["recorded"]
        job = house.job(number)
        assert (job.state, job.error) == (State.ACTIVE, "cancel_refused")
    assert codes(house, number).count("cancel_refused") == 1
    assert commands(house.agent.call(take=0)) == [(number, "cancel", False)]
    told = house.manage.show(ADA, number).told
    assert told is not None
    assert told.detail["words"] == ["another account's directory"]
    house.agent.call(report(number, "exited", outcome="canceled"), take=0)
    house.answer_rings()
    job = house.job(number)
    assert (job.state, job.error) == (State.CANCELED, None)


@pytest.mark.parametrize(
    ("when", "removed"),
    [
        (State.NEW, False),
        (State.STAGE_IN, True),
        (State.STAGED, True),
        (State.QUEUED, True),
        (State.ACTIVE, False),
        (State.STAGE_OUT, False),
    ],
)
def test_what_arrived_for_a_job_that_never_ran_is_removed_and_nothing_else(when: State, removed: bool) -> None:
    house = House()
    house.globus.takes = timedelta(minutes=3)
    (number,) = house.post(a_document(hold=when is State.STAGED))
    for _ in range(40):
        if house.job(number).state is when:
            break
        house.clock.turn(minutes=1)
        house.by_sweep_alone()
        house.agent.work(1)
    if when is State.QUEUED:
        house.agent.held.clear()  # what the agent has not said yet, it never sees: the job does not start
    house.manage.cancel(ADA, number)
    house.live_on()
    assert house.job(number).state is State.CANCELED
    house.agent.work(3)
    assert house.agent.cleaned == ([f"{ADA.user}/{number}"] if removed else [])
    assert not house.job(number).cleanup
    assert commands(house.agent.call()) == []


def test_a_cleanup_that_a_site_refuses_is_in_the_story_and_is_not_asked_for_again() -> None:
    house = House()
    (number,) = house.post(a_document(hold=True))
    house.live_on(4)
    house.manage.cancel(ADA, number)
    house.answer_rings()
    assert commands(house.agent.call()) == [(number, "cleanup", True)]
    refused = report(number, "refused", command="cleanup", detail="it is a link") | {"epoch": 0}
    assert commands(house.agent.call(refused)) == []
    job = house.job(number)
    assert (job.state, codes(house, number)[-1]) == (State.CANCELED, "cleanup_refused")
    assert house.manage.story(ADA, number).tales[job.version].detail["words"] == ["it is a link"]


def test_a_running_job_s_cancel_delivers_what_it_left_for_that_and_no_other_output() -> None:
    house = House()
    outputs = [
        {"source": f"{name}/", "target": f"globus://{ARCHIVE}/{name}/{{id}}/", "when": [when]}
        for name, when in (("good", "on_success"), ("bad", "on_error"), ("ended", "on_cancel"), ("any", "always"))
    ]
    (number,) = house.post(a_document(source=None, results=False, stage_out=outputs))
    house.answer_rings()
    house.agent.call()
    house.agent.call(report(number, "active"), take=0)
    house.manage.cancel(ADA, number)
    found = [{"item": item, "kind": "directory", "files": 1, "bytes": 3} for item in range(4)]
    for name in ("good", "bad", "ended", "any"):
        house.globus.put(SCRATCH, f"/scratch/{user_tag(ADA.user)}/job-{number}/{name}/x")
    house.agent.call(report(number, "exited", outcome="canceled", outputs=found), take=0)
    house.live_on(agent=False)
    assert house.job(number).state is State.CANCELED
    delivered = {path.split("/")[1] for path in house.globus.files[ARCHIVE]}
    assert delivered == {"ended", "any"}
