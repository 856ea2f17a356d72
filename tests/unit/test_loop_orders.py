"""What a user wants of a job that its scheduler has: ordered, answered, refused, overtaken."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from loop_house import ADA, START, House, a_document

from chalicelib.api import render
from chalicelib.core.errors import Conflict
from chalicelib.core.ids import JobNumber
from chalicelib.core.job import Ahead, Job, State
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


LONGER: dict[str, Any] = {"attributes": {"duration": 2700}}


def asks(house: House, number: JobNumber) -> Any:
    """What the job's document asks of the scheduler."""
    document = house.manage.show(ADA, number).document
    assert document is not None
    return document["attributes"]


def altered(number: int, order: int, change: Any = None) -> dict[str, Any]:
    return report(number, "altered", command="alter", order=order, change=LONGER if change is None else change)


def test_the_walltime_of_a_queued_job_is_what_it_was_until_its_scheduler_has_changed_it() -> None:
    house = House()
    number = queued(house, attributes={"duration": 600, "account": "chem"})
    before = house.manage.show(ADA, number)
    seen = house.manage.alter(ADA, number, LONGER)
    assert (seen.document, seen.job.journey, seen.job.revision) == (before.document, before.job.journey, 1)
    answer = house.agent.call(take=0)
    (command,) = render.synced(answer)["commands"]
    assert (command["command"], command["change"]) == ("alter", LONGER)
    body = render.job(house.manage.show(ADA, number), "http://q", None, house.clock.now())
    assert body["pending"] == [{"command": "alter", "order": command["order"], **LONGER}]
    assert say(house, altered(number, command["order"])) == []
    assert asks(house, number) == {"duration": 2700, "account": "chem"}
    job = house.job(number)
    assert (job.revision, job.orders, job.journey and job.journey.walltime) == (2, (), 2700)
    assert say(house, altered(number, command["order"])) == []
    assert house.job(number) == job, "told twice, it is altered once"
    entries = render.story(house.manage.story(ADA, number))["entries"]
    told = [(each["event"], each["detail"]) for each in entries if each["event"].startswith("alter")]
    assert told == [("alter_ordered", {"duration": 2700}), ("altered_there", {"duration": 2700})]


def test_an_alteration_of_the_same_is_no_order_and_one_back_to_what_was_is() -> None:
    house = House()
    number = queued(house, attributes={"duration": 600})
    house.manage.alter(ADA, number, {"attributes": {"duration": 600}})
    assert house.job(number).orders == ()
    house.manage.alter(ADA, number, LONGER)
    ((_, first),) = say(house)
    house.manage.alter(ADA, number, LONGER)
    assert say(house) == [("alter", first)], "the same wish is no newer one"
    house.manage.alter(ADA, number, {"attributes": {"duration": 600}})
    ((_, second),) = say(house)
    assert second > first, "the site may have carried out the first"
    say(house, altered(number, second, {"attributes": {"duration": 600}}))
    assert (house.job(number).revision, house.job(number).orders) == (1, ())


def test_a_newer_alteration_has_in_it_what_was_asked_before_and_an_older_answer_tells_what_is_so() -> None:
    house = House()
    number = queued(house, attributes={"duration": 600})
    house.manage.alter(ADA, number, LONGER)
    ((_, first),) = say(house)
    house.manage.alter(ADA, number, {"attributes": {"queue_name": "long"}})
    answer = house.agent.call(altered(number, first), take=0)
    ((_, second),) = orders(answer)
    assert asks(house, number) == {"duration": 2700}
    both = {"attributes": {"duration": 2700, "queue_name": "long"}}
    assert render.synced(answer)["commands"][0]["change"] == both
    refusal = report(number, "refused", command="alter", order=second, detail="queue 'long' does not exist")
    say(house, refusal)
    assert asks(house, number) == {"duration": 2700}, "what is true stays"
    assert (house.job(number).error, house.job(number).orders) == ("alter_refused", ())


def test_what_the_scheduler_has_no_part_in_is_changed_at_once_beside_an_order() -> None:
    house = House()
    number = queued(house, attributes={"duration": 600})
    house.manage.alter(ADA, number, {**LONGER, "tags": {"run": "8"}})
    job = house.job(number)
    assert (dict(job.tags), job.revision, [each.verb.value for each in job.orders]) == ({"run": "8"}, 2, ["alter"])
    house.manage.alter(ADA, number, {"tags": {"run": "9"}})
    ((_, order),) = say(house)
    say(house, altered(number, order))
    found = house.manage.show(ADA, number).document
    assert found is not None
    assert (found["tags"], found["attributes"]) == ({"run": "9"}, {"duration": 2700})


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        (
            {"attributes": {"reservation_id": "r"}},
            "attributes.reservation_id cannot be changed while job 1001 is queued",
        ),
        ({"resources": {"memory": 1}}, "resources.memory cannot be changed"),
        ({"attributes": {"account": None}}, "can be changed and not taken back"),
        ({"arguments": ["-x"], "attributes": {"duration": 9}}, "arguments cannot be changed while job 1001 is queued"),
    ],
)
def test_what_no_scheduler_can_change_is_refused_by_its_name(patch: dict[str, Any], words: str) -> None:
    house = House()
    number = queued(house, attributes={"duration": 600, "account": "chem"})
    before = house.job(number)
    with pytest.raises(Conflict, match=words):
        house.manage.alter(ADA, number, patch)
    assert house.job(number) == before


def test_a_hold_and_an_alteration_stand_side_by_side_and_are_sent_in_the_order_they_were_asked_in() -> None:
    house = House()
    number = queued(house)
    house.manage.alter(ADA, number, LONGER)
    house.manage.hold(ADA, number)
    (alter, hold) = say(house)
    assert (alter[0], hold[0]) == ("alter", "hold")
    assert say(house, report(number, "held", command="hold", order=hold[1])) == [alter]
    assert say(house, altered(number, alter[1])) == [], "an answer is not late because a newer order was answered first"
    assert (asks(house, number)["duration"], held(house.job(number)), house.job(number).orders) == (2700, True, ())


def test_answer_start_and_end_in_one_call_are_read_one_after_the_other() -> None:
    house = House()
    (number,) = house.post(a_document(source=None, attributes={"duration": 600}))
    house.answer_rings()
    house.agent.call()
    say(house, report(number, "queued"))
    house.manage.alter(ADA, number, LONGER)
    ((_, order),) = say(house)
    outputs = [{"item": 0, "kind": "directory", "files": 2, "bytes": 10}]
    end = report(number, "exited", outcome="ok", exit_code=0, outputs=outputs)
    assert say(house, altered(number, order), report(number, "active"), end) == []
    job = house.job(number)
    assert (job.state, job.revision, len(job.legs), asks(house, number)["duration"]) == (State.STAGE_OUT, 2, 1, 2700)


def test_a_run_after_an_alteration_asks_for_what_was_altered() -> None:
    house = House()
    number = queued(house, attributes={"duration": 600}, retry={"attempts": 2, "delay": 0})
    house.manage.alter(ADA, number, LONGER)
    ((_, order),) = say(house)
    say(house, altered(number, order), report(number, "exited", outcome="walltime", exit_code=None))
    house.answer_rings()
    (lease,) = house.agent.call().leases
    assert (lease.job.attempt, lease.document.values["attributes"]["duration"]) == (2, 2700)


def test_an_alteration_that_lost_a_race_with_a_change_of_the_document_keeps_both() -> None:
    house = House()
    number = queued(house, attributes={"duration": 600})
    house.manage.alter(ADA, number, LONGER)
    ((_, order),) = say(house)

    def meanwhile(call: str, moment: str) -> None:
        if call == "jobs.save" and moment == "before":
            house.gate = lambda call, moment: None
            house.manage.alter(ADA, number, {"tags": {"run": "8"}})

    house.gate = meanwhile
    say(house, altered(number, order))
    found = house.manage.show(ADA, number)
    assert found.document is not None
    assert (found.document["tags"], found.document["attributes"]) == ({"run": "8"}, {"duration": 2700})
    assert found.job.revision == 3


def test_a_site_that_says_what_no_document_may_hold_or_answers_what_nobody_asked_is_refused() -> None:
    house = House()
    resources = {"node_count": 2, "processes_per_node": 2, "process_count": 4}
    number = queued(house, resources=resources)
    before = house.job(number)
    for order, change in ((1, {"resources": {"node_count": 3}}), (99, LONGER)):
        answer = house.agent.call(altered(number, order, change), take=0)
        assert [each.result for each in answer.answers] == ["refused"]
    assert house.job(number) == before


def test_what_a_scheduler_altered_in_part_is_written_down_beside_the_refusal_of_the_rest() -> None:
    house = House()
    number = queued(house, attributes={"duration": 600})
    house.manage.alter(ADA, number, {"attributes": {"duration": 2700, "queue_name": "nosuch"}})
    ((_, order),) = say(house)
    refusal = report(number, "refused", command="alter", order=order, detail="no such queue", change=LONGER)
    say(house, refusal, refusal)
    body = render.job(house.manage.show(ADA, number), "http://q", None, house.clock.now())
    assert (body["error"], body["revision"]) == ({"code": "alter_refused", "detail": "no such queue"}, 2)
    assert (asks(house, number), body["attributes"]["queue_name"]) == ({"duration": 2700}, None)


def test_an_alteration_of_a_job_that_is_being_ended_comes_too_late() -> None:
    house = House()
    number = queued(house)
    house.manage.alter(ADA, number, LONGER)
    house.manage.cancel(ADA, number)
    assert house.job(number).orders == ()
    with pytest.raises(Conflict, match="is being ended"):
        house.manage.alter(ADA, number, LONGER)


def held_ahead(house: House) -> JobNumber:
    """A job that its scheduler holds, whose data is not there and does not set out for hours."""
    house.agent.starts_at = START + timedelta(hours=10)
    (number,) = house.post(a_document(staging="just_in_time", attributes={"duration": 600}))
    for _ in range(3):
        house.clock.turn(minutes=1)
        house.by_sweep_alone()
        house.agent.work(1)
    assert house.job(number).ahead is Ahead.HELD
    return number


def test_a_job_that_its_scheduler_holds_until_its_data_is_there_is_altered_at_its_scheduler_too() -> None:
    house = House()
    number = held_ahead(house)
    house.manage.alter(ADA, number, LONGER)
    job = house.job(number)
    assert (job.state, job.revision, [each.verb.value for each in job.orders]) == (State.NEW, 1, ["alter"])
    house.agent.work(3)
    job = house.job(number)
    assert (job.state, job.revision, job.orders, asks(house, number)) == (State.NEW, 2, (), {"duration": 2700})
    with pytest.raises(Conflict, match="name cannot be changed"):
        house.manage.alter(ADA, number, {"name": "other"})
    house.live_on(60 * 11)
    assert house.job(number).state is State.COMPLETED


def test_a_job_that_ends_before_its_data_is_there_takes_its_orders_with_it() -> None:
    house = House()
    number = held_ahead(house)
    house.manage.alter(ADA, number, LONGER)
    house.agent.deleted = {number}
    house.agent._watch()
    house.agent.work(2)
    house.live_on(5)
    job = house.job(number)
    assert (job.state, job.orders) == (State.FAILED, ())


def test_words_of_a_refused_order_are_not_taken_for_those_of_a_failure_after_it() -> None:
    house = House()
    number = held_ahead(house)
    house.manage.alter(ADA, number, {"attributes": {"queue_name": "nosuch"}})
    order = house.job(number).orders[0].number
    house.agent.held.clear()
    say(house, report(number, "refused", command="alter", order=order, detail="no such queue"))
    assert house.job(number).error == "alter_refused"
    house.globus.bad_paths = {f"/scratch/{house.job(number).directory_name()}": "PERMISSION_DENIED"}
    house.globus.bad_paths |= {"/in": "PERMISSION_DENIED"}
    house.live_on(60 * 11)
    job = house.job(number)
    seen = house.manage.show(ADA, number)
    assert job.state is State.FAILED
    assert seen.told is None or "no such queue" not in str(seen.told.detail)
