"""The commit of a POST: whole or nothing, once for each key, and never two writers of one place."""

from __future__ import annotations

from typing import Any

import pytest
from loop_actors import Stage as Theatre
from loop_house import ADA, ARCHIVE, BOB, LIFE, CrashNow, House, a_document

from chalicelib.core.errors import Conflict, InFlight, Invalid, NotFound
from chalicelib.core.ids import JobNumber, JobRef
from chalicelib.core.job import State
from chalicelib.core.ports.jobs import Wanted

THREE = [a_document("one"), a_document("two"), a_document("three", source=None)]


def a_house() -> House:
    return House()


def to_place(path: str, **fields: Any) -> dict[str, Any]:
    """A job whose output goes to a place that others can name as well."""
    output = {"source": "results/", "target": f"globus://{ARCHIVE}{path}", **fields}
    return a_document(source=None, stage_out=[output])


def listed(house: House) -> list[int]:
    return [seen.job.ref.number for seen in house.manage.page(ADA, Wanted(), 100, None)[0]]


def die_at(house: House, place: int) -> list[str]:
    """End the process before call number ``place``; returns the calls that were made."""
    calls: list[str] = []

    def gate(call: str, moment: str) -> None:
        if moment == "before":
            if len(calls) == place:
                raise CrashNow
            calls.append(call)

    house.gate = gate
    return calls


def live(house: House) -> None:
    house.gate = lambda call, moment: None


def test_a_request_makes_all_of_its_jobs_with_numbers_in_a_row() -> None:
    house = a_house()
    assert house.post(*THREE, key="k") == [1001, 1002, 1003]
    assert listed(house) == [1003, 1002, 1001]
    assert house.inbox() == [(1001, 1002, 1003)]
    assert house.desk().wake_at == house.clock.now()
    assert house.rung.take() == [(ADA.user, 0)]


def calls_of_a_post() -> list[str]:
    house = a_house()
    calls = die_at(house, 1000)
    house.post(*THREE, key="k")
    return calls


CALLS = calls_of_a_post()
COMMIT = CALLS.index("postings.commit")


@pytest.mark.parametrize("place", range(len(CALLS)), ids=CALLS)
def test_a_post_cut_off_anywhere_is_completed_by_its_repeat_with_the_same_numbers(place: int) -> None:
    house = a_house()
    die_at(house, place)
    with pytest.raises(CrashNow):
        house.post(*THREE, key="k")
    live(house)
    committed = len(house.committed())
    assert committed in (0, 3), "a request is whole or nothing"
    before = [posting.numbers for posting in house.rows.postings.values()]
    house.clock.turn(seconds=46)
    numbers = house.post(*THREE, key="k")
    assert not before or tuple(numbers) == before[0]
    assert len(numbers) == 3
    assert len(house.rows.postings) == 1
    house.live_on()
    assert {house.job(number).state for number in numbers} == {State.COMPLETED}
    assert house.faults() == []


def test_jobs_that_were_never_committed_are_nobodys_and_are_never_planned() -> None:
    house = a_house()
    die_at(house, COMMIT)
    with pytest.raises(CrashNow):
        house.post(*THREE, key="k")
    live(house)
    assert len(house.rows.jobs) == 3, "the rows are there"
    assert listed(house) == []
    for verb in (house.manage.show, house.manage.story, house.manage.cancel, house.manage.hold):
        with pytest.raises(NotFound):
            verb(ADA, JobNumber(1001))
    (later,) = house.post(a_document())
    house.live_on()
    assert house.job(later).state is State.COMPLETED
    assert {house.job(number).state for number in (1001, 1002, 1003)} == {State.NEW}
    assert not any(house.globus.of_job(number) for number in (1001, 1002, 1003))


def test_a_site_cannot_report_on_a_job_that_was_never_committed() -> None:
    house = a_house()
    calls = die_at(house, COMMIT)
    with pytest.raises(CrashNow):
        house.post(*THREE, key="k")
    assert calls[-1] == "postings.put_rows"
    live(house)
    answer = house.agent.call({"job": f"{ADA.user}/1001", "epoch": 1, "event": "queued", "native_id": "7"})
    assert [each.result for each in answer.answers] == ["unknown"]


def test_a_repeat_under_its_key_has_the_same_answer_and_makes_nothing() -> None:
    house = a_house()
    first = house.post_jobs.post(ADA, a_document(), "k")
    house.live_on()
    before = (dict(house.rows.jobs), house.desk(), dict(house.rows.inbox))
    again = house.post_jobs.post(ADA, a_document(), "k")
    assert (again.jobs, again.replayed, first.replayed) == (first.jobs, True, False)
    assert (dict(house.rows.jobs), house.desk(), dict(house.rows.inbox)) == before


def test_a_key_that_was_used_for_another_request_is_refused() -> None:
    house = a_house()
    house.post(a_document(), key="k")
    with pytest.raises(Invalid) as refused:
        house.post(a_document("other"), key="k")
    assert refused.value.code == "idempotency-mismatch"
    assert listed(house) == [1001]


def test_a_repeat_while_the_first_is_being_answered_is_told_to_wait() -> None:
    house = a_house()
    theatre = Theatre(house)
    theatre.begin("post", lambda: house.post(a_document(), key="k"), LIFE)
    while "postings.begin" not in theatre.actors[0].calls:
        theatre.step(0)
    with pytest.raises(InFlight) as waits:
        house.post(a_document(), key="k")
    assert waits.value.retry_after is not None
    while theatre.actors:
        theatre.step(0)
    assert house.post(a_document(), key="k") == [1001]
    assert listed(house) == [1001]


def test_another_users_key_is_another_key() -> None:
    house = a_house()
    house.post(a_document(), key="k")
    house.post(a_document("of-bob"), key="k", caller=BOB)
    assert JobRef(user=BOB.user, number=JobNumber(1001)) in house.rows.jobs
    assert house.job(1001, BOB).name == "of-bob"


def test_requests_without_a_key_are_each_their_own() -> None:
    house = a_house()
    assert house.post(a_document()) == [1001]
    assert house.post(a_document()) == [1002]


def test_a_site_that_the_caller_may_not_use_does_not_exist() -> None:
    house = a_house()
    with pytest.raises(Invalid) as refused:
        house.post(a_document(), {**a_document(), "site": "secret"})
    assert [fault.pointer for fault in refused.value.faults] == ["/jobs/1/site"]
    assert not house.rows.jobs
    assert ADA.user not in house.rows.desks


def test_two_live_jobs_may_not_write_to_one_place_and_the_refusal_names_both() -> None:
    house = a_house()
    house.post(to_place("/shared/"))
    with pytest.raises(Conflict) as refused:
        house.post(to_place("/shared/"))
    assert refused.value.code == "output-conflict"
    assert "job 1002" in str(refused.value)
    assert "job 1001" in str(refused.value)
    assert listed(house) == [1001]


def test_two_jobs_of_one_request_may_not_write_to_one_place() -> None:
    house = a_house()
    with pytest.raises(Conflict):
        house.post(to_place("/shared/"), to_place("/shared/"))
    assert listed(house) == []
    house.post(to_place("/shared/{index}/"), to_place("/shared/{index}/"))


def test_a_place_is_free_again_when_its_job_has_ended() -> None:
    house = a_house()
    house.post(to_place("/shared/"))
    house.live_on()
    (second,) = house.post(to_place("/shared/"))
    house.live_on()
    assert house.job(second).state is State.COMPLETED


def test_a_place_is_free_when_the_request_that_noted_it_died_and_its_time_is_over() -> None:
    house = a_house()
    calls = die_at(house, 1000)
    house.post(to_place("/shared/"), key="counted")
    at = calls.index("postings.commit")
    house = a_house()
    die_at(house, at)
    with pytest.raises(CrashNow):
        house.post(to_place("/shared/"), key="dead")
    live(house)
    with pytest.raises(Conflict):
        house.post(to_place("/shared/"))
    house.clock.turn(seconds=46)
    house.post(to_place("/shared/"))
    with pytest.raises(Conflict):
        house.post(to_place("/shared/"), key="dead")


def test_merge_lets_two_jobs_write_to_one_place() -> None:
    house = a_house()
    one, two = house.post(to_place("/shared/", merge=True), to_place("/shared/", merge=True))
    house.live_on()
    assert {house.job(one).state, house.job(two).state} == {State.COMPLETED}
    assert house.faults() == []


@pytest.mark.parametrize("steps", range(12))
def test_of_two_requests_for_one_place_at_once_at_most_one_is_taken_on(steps: int) -> None:
    """The second request runs whole when the first has made ``steps`` calls; then the first goes on."""
    house = a_house()
    theatre = Theatre(house)
    answers: list[str] = []

    def post() -> None:
        try:
            house.post(to_place("/shared/"))
        except Conflict:
            answers.append("conflict")
        else:
            answers.append("taken")

    theatre.begin("first", post, LIFE)
    for _ in range(steps):
        if theatre.actors:
            theatre.step(0)
    post()
    while theatre.actors:
        theatre.step(0)
    assert answers.count("taken") == len(house.committed()) == 1
