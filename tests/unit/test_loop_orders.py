"""What a user wants of a job that its scheduler has: ordered, answered, refused, overtaken."""

from __future__ import annotations

from typing import Any

import pytest
from loop_house import ADA, House, a_document

from chalicelib.api import render
from chalicelib.core.errors import Conflict
from chalicelib.core.ids import JobNumber
from chalicelib.core.job import Job, State
from chalicelib.service.sync import Synced


def report(number: int, event: str, **fields: Any) -> dict[str, Any]:
    named = {"native_id": f"7{number}"} if event in ("queued", "active", "exited") else {}
    return {"job": f"{ADA.user}/{number}", "epoch": 1, "event": event, **named, **fields}


def orders(answer: Synced) -> list[tuple[str, int]]:
    return [(each.word, each.order.number) for each in answer.commands if each.order is not None]


def queued(house: House, **fields: Any) -> JobNumber:
    """A job that the scheduler has, and that waits there."""
    (number,) = house.post(a_document(source=None, results=False, **fields))
    house.answer_rings()
    house.agent.call()
    house.agent.call(report(number, "queued"), take=0)
    assert house.job(number).state is State.QUEUED
    return number


def say(house: House, *reports: dict[str, Any]) -> list[tuple[str, int]]:
    """A sync with these reports, each of which is recorded; the orders that it answers with."""
    answer = house.agent.call(*reports, take=0)
    assert {each.result for each in answer.answers} <= {"recorded"}
    return orders(answer)


def held(job: Job) -> bool:
    return job.hold is not None and "hold" in job.waiting_for


def test_a_hold_of_a_queued_job_is_ordered_until_the_site_has_answered_and_then_it_is_held() -> None:
    house = House()
    number = queued(house)
    house.manage.hold(ADA, number)
    house.manage.hold(ADA, number)
    ((verb, order),) = say(house)
    assert (verb, say(house)) == ("hold", [("hold", order)])
    seen = house.manage.show(ADA, number)
    body = render.job(seen, "http://q", None, house.clock.now())
    assert (body["hold"], body["pending"]) == (False, [{"command": "hold", "order": order}])
    assert say(house, report(number, "held", command="hold", order=order)) == []
    assert held(house.job(number))
    assert say(house, report(number, "held", command="hold", order=order)) == []
    house.manage.release(ADA, number)
    ((verb, second),) = say(house)
    assert (verb, second > order) == ("release", True)
    assert say(house, report(number, "released", command="release", order=second)) == []
    job = house.job(number)
    assert (job.state, job.hold, job.waiting_for, job.orders) == (State.QUEUED, None, frozenset(), ())
    assert [mark.code for mark in job.trail][-4:] == ["hold_placed", "held_there", "hold_released", "released_there"]


def test_an_answer_to_an_order_that_is_no_longer_wanted_tells_what_is_so_and_ends_nothing() -> None:
    house = House()
    number = queued(house)
    house.manage.hold(ADA, number)
    ((_, first),) = say(house)
    house.manage.release(ADA, number)
    ((verb, second),) = say(house)
    assert verb == "release"
    assert say(house, report(number, "held", command="hold", order=first)) == [("release", second)]
    assert held(house.job(number)), "the scheduler holds it, whatever is wanted now"
    say(house, report(number, "released", command="release", order=second))
    assert not held(house.job(number))


def test_a_release_of_a_job_that_is_not_held_orders_nothing() -> None:
    house = House()
    number = queued(house)
    before = house.job(number)
    house.manage.release(ADA, number)
    assert house.job(number) == before
    assert say(house) == []


def test_what_the_scheduler_would_not_is_told_in_its_words_and_forgotten_at_the_next_order() -> None:
    house = House()
    number = queued(house)
    house.manage.hold(ADA, number)
    ((_, order),) = say(house)
    refusal = report(number, "refused", command="hold", order=order, detail="job 71001 not found")
    assert say(house, refusal, refusal) == []
    seen = house.manage.show(ADA, number)
    body = render.job(seen, "http://q", None, house.clock.now())
    assert body["error"] == {"code": "hold_refused", "detail": "job 71001 not found"}
    assert (body["hold"], body["pending"], body["state"]) == (False, [], "queued")
    (entry,) = [each for each in render.story(house.manage.story(ADA, number))["entries"] if "refused" in each["event"]]
    assert entry["detail"] == {"command": "hold", "words": ["job 71001 not found"]}
    house.manage.hold(ADA, number)
    assert house.job(number).error is None
    ended = report(number, "exited", outcome="ok", exit_code=0)
    say(house, ended)
    house.live_on()
    assert house.job(number).state is State.COMPLETED


@pytest.mark.parametrize("answers", ["held", "refused"])
def test_a_job_that_starts_before_the_order_comes_is_not_held_and_keeps_the_order_until_it_is_answered(
    answers: str,
) -> None:
    house = House()
    number = queued(house)
    house.manage.hold(ADA, number)
    ((_, order),) = say(house)
    assert say(house, report(number, "active")) == [("hold", order)]
    assert say(house, report(number, answers, command="hold", order=order, detail="is already active")) == []
    job = house.job(number)
    assert (job.state, job.hold, job.orders) == (State.ACTIVE, None, ())
    with pytest.raises(Conflict, match="its run has begun"):
        house.manage.hold(ADA, number)


def test_a_job_that_ends_takes_its_orders_with_it() -> None:
    house = House()
    number = queued(house, retry={"attempts": 2, "delay": 0})
    house.manage.hold(ADA, number)
    ((_, order),) = say(house)
    assert say(house, report(number, "exited", outcome="error", exit_code=1)) == []
    assert say(house, report(number, "held", command="hold", order=order)) == []
    house.answer_rings()
    assert (house.job(number).state, house.job(number).hold) == (State.STAGED, None), "it is tried again"


def test_a_cancel_takes_the_place_of_every_order_and_no_hold_comes_after_it() -> None:
    house = House()
    number = queued(house)
    house.manage.hold(ADA, number)
    house.manage.cancel(ADA, number)
    answer = house.agent.call(take=0)
    assert [each.word for each in answer.commands] == ["cancel"]
    with pytest.raises(Conflict, match="is being ended"):
        house.manage.hold(ADA, number)


def test_a_job_that_was_held_on_its_way_to_the_scheduler_is_held_there() -> None:
    house = House()
    (number,) = house.post(a_document(source=None, results=False))
    house.answer_rings()
    house.agent.call()
    house.manage.hold(ADA, number)
    ((verb, order),) = say(house, report(number, "queued"))
    assert (verb, house.job(number).hold) == ("hold", None), "nobody has held it yet"
    say(house, report(number, "held", command="hold", order=order))
    assert held(house.job(number))
    say(house, report(number, "active"))
    assert not held(house.job(number)), "somebody let it go at the scheduler"


def test_an_agent_s_answer_without_the_order_s_number_is_named_as_the_fault_that_it_is() -> None:
    house = House()
    number = queued(house)
    with pytest.raises(Exception, match="is required in an answer to an order"):
        house.agent.call(report(number, "held"))
