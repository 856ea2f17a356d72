"""How much one user may hold: refused only if it is truly too much, and counted only when it looks so."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from loop_house import ADA, BOB, CrashNow, House, a_document

from chalicelib.adapters.memory.rows import JobRow
from chalicelib.core.errors import Conflict, TooMany
from chalicelib.core.holdings import RECOUNT, Caps, Holding
from chalicelib.core.job import Stage, State
from chalicelib.core.posting import document_size


def a_house(jobs: int = 5, size: int = 10**6) -> House:
    return House(caps=Caps(jobs=jobs, bytes=size))


def counting(house: House) -> list[str]:
    """The calls that count a user's jobs, as they are made."""
    calls: list[str] = []

    def gate(call: str, moment: str) -> None:
        if moment == "before" and call in ("holdings.live", "holdings.committed"):
            calls.append(call)

    house.gate = gate
    return calls


def end(house: House, *numbers: int) -> None:
    """Have jobs end without anything else being written, as the end of a job does."""
    for number in numbers:
        job = house.job(number)
        ended = replace(job, state=State.COMPLETED, posted=None, version=job.version + 1)
        with house.rows.writing():
            house.rows.put_job(JobRow(ended, None))


def held(house: House) -> Holding:
    return house.desk().held


def test_a_user_below_the_caps_is_never_counted() -> None:
    house = a_house()
    calls = counting(house)
    house.post(a_document("one"), a_document("two"))
    assert held(house).jobs == 2
    assert calls == []


def test_the_tally_is_of_the_documents_as_they_are_stored() -> None:
    house = a_house()
    document = a_document(arguments=["größe"])
    (number,) = house.post(document)
    size = len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())
    assert held(house) == Holding(jobs=1, bytes=size)
    assert house.job(number).size == size == document_size(document)


def test_too_many_live_jobs_are_refused_with_the_figures_and_nothing_of_the_request_is_kept() -> None:
    house = a_house(jobs=3)
    house.post(*[a_document(f"j{n}") for n in range(3)])
    with pytest.raises(TooMany, match="You have 3 live jobs and this request brings 2 more; 3 are the most") as refused:
        house.post(a_document(), a_document(), key="k")
    assert refused.value.code == "too-many-live-jobs"
    assert refused.value.retry_after == RECOUNT.total_seconds()
    assert len(house.rows.jobs) == 3
    assert len(house.rows.postings) == 1


def test_documents_that_are_too_large_together_are_refused_with_the_figures() -> None:
    house = a_house(size=3000)
    house.post(a_document("one"))
    before = held(house).bytes
    big = a_document("two", environment={"BIG": "x" * 2500})
    more = document_size(big)
    with pytest.raises(TooMany, match=f"have {before} bytes and this request brings {more} more; 3000") as refused:
        house.post(big)
    assert refused.value.code == "too-many-stored-bytes"


def test_a_request_that_no_user_may_make_is_refused_on_a_fresh_desk_too() -> None:
    house = a_house(jobs=2)
    with pytest.raises(TooMany, match="You have 0 live jobs"):
        house.post(*[a_document(f"j{n}") for n in range(3)])
    assert len(house.post(a_document(), a_document())) == 2


def test_jobs_that_have_ended_make_room_when_it_is_needed_by_one_count() -> None:
    house = a_house(jobs=5)
    numbers = house.post(*[a_document(f"j{n}") for n in range(5)])
    end(house, *numbers[:3])
    assert held(house).jobs == 5, "an end writes nothing on the desk"
    calls = counting(house)
    house.post(a_document("six"))
    assert calls.count("holdings.live") == 1
    assert held(house).jobs == 3
    house.post(a_document("seven"), a_document("eight"))
    assert calls.count("holdings.live") == 1


def test_a_count_begins_at_the_first_job_that_is_live() -> None:
    house = a_house(jobs=4)
    numbers = house.post(*[a_document(f"j{n}") for n in range(4)])
    end(house, numbers[0], numbers[1], numbers[3])
    house.post(a_document("five"))
    assert house.desk().first_live == numbers[2]
    end(house, numbers[2], 1005)
    house.clock.turn(minutes=2)
    house.post(*[a_document(f"k{n}") for n in range(4)])
    assert house.desk().first_live > numbers[2]
    assert held(house).jobs == 4


def test_a_user_at_the_cap_is_counted_once_a_minute_however_often_they_ask() -> None:
    house = a_house(jobs=1)
    (number,) = house.post(a_document())
    calls = counting(house)
    for _ in range(5):
        with pytest.raises(TooMany):
            house.post(a_document())
    assert calls.count("holdings.live") == 1
    end(house, number)
    with pytest.raises(TooMany) as refused:
        house.post(a_document())
    house.clock.turn(seconds=refused.value.retry_after)
    house.post(a_document())
    assert calls.count("holdings.live") == 2


def test_a_repeat_of_a_post_that_was_taken_is_answered_even_beyond_the_cap() -> None:
    house = a_house(jobs=1)
    first = house.post(a_document(), key="k")
    assert house.post(a_document(), key="k") == first
    assert held(house).jobs == 1


def test_rows_of_a_post_that_was_never_committed_count_for_nothing_once_it_is_over() -> None:
    house = a_house(jobs=2)
    dies = Dies("postings.commit")
    house.gate = dies
    with pytest.raises(CrashNow):
        house.post(a_document("a"), a_document("b"), key="k")
    house.gate = lambda call, moment: None
    house.post(a_document("c"), a_document("d"))
    house.clock.turn(seconds=46)
    with pytest.raises(TooMany, match="You have 2 live jobs"):
        house.post(a_document("e"))
    end(house, 1003, 1004)
    house.clock.turn(minutes=2)
    assert len(house.post(a_document("e"), a_document("f"))) == 2
    assert held(house).jobs == 2


def test_a_post_that_is_completed_late_is_counted_though_a_count_had_passed_it_over() -> None:
    house = a_house(jobs=3)
    house.gate = Dies("postings.commit")
    with pytest.raises(CrashNow):
        house.post(a_document("a"), key="k")
    house.gate = lambda call, moment: None
    numbers = house.post(*[a_document(f"j{n}") for n in range(3)])
    end(house, *numbers[:2])
    house.clock.turn(minutes=2)
    house.post(a_document("b"))
    assert house.desk().first_live == numbers[2], "the row of the cut-off POST was passed over"
    assert house.post(a_document("a"), key="k") == [1001]
    assert house.desk().first_live == 1001
    assert held(house).jobs == 3


def test_a_job_that_comes_alive_again_is_counted_and_later_counts_see_it() -> None:
    house = a_house(jobs=3)
    numbers = house.post(*[a_document(f"j{n}") for n in range(3)])
    end(house, *numbers[:2])
    house.clock.turn(minutes=2)
    house.post(a_document("four"))
    assert (held(house).jobs, house.desk().first_live) == (2, numbers[2])
    allowance = house.post_jobs.allowance
    allowance.take(ADA.user, Holding(jobs=1, bytes=10), numbers[0])
    assert (held(house).jobs, house.desk().first_live) == (3, numbers[0])
    again = replace(house.job(numbers[0]), state=State.STAGED)
    with house.rows.writing():
        house.rows.put_job(JobRow(again, None))
    house.clock.turn(minutes=2)
    with pytest.raises(TooMany, match="You have 3 live jobs"):
        allowance.take(ADA.user, Holding(jobs=1, bytes=10), numbers[1])


def test_jobs_that_are_tried_again_by_hand_do_not_go_past_the_cap_together() -> None:
    house = a_house(jobs=2)
    failed = house.post(a_document("a"), a_document("b"))
    for number in failed:
        job = house.job(number)
        ended = replace(
            job, state=State.FAILED, failed_stage=Stage.STAGE_IN, error="x", posted=None, version=job.version + 1
        )
        with house.rows.writing():
            house.rows.put_job(JobRow(ended, None))
    house.post(a_document("c"))
    assert held(house).jobs == 1
    house.manage.retry(ADA, failed[0])
    assert held(house).jobs == 2
    house.clock.turn(minutes=2)
    with pytest.raises(TooMany, match="You have 2 live jobs and this request brings 1 more"):
        house.manage.retry(ADA, failed[1])


def test_one_users_jobs_are_not_anothers() -> None:
    house = a_house(jobs=1)
    house.post(a_document())
    house.post_jobs.post(BOB, a_document(), None)
    with pytest.raises(TooMany):
        house.post_jobs.post(ADA, a_document(), None)


def test_posts_at_once_do_not_slip_past_the_cap_together() -> None:
    house = a_house(jobs=7)

    def post(number: int) -> str:
        try:
            house.post_jobs.post(ADA, {"jobs": [a_document(f"a{number}"), a_document(f"b{number}")]}, None)
        except TooMany:
            return "refused"
        return "taken"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(8)))
    assert answers.count("taken") == 3
    assert len([job for job in house.committed() if not job.state.final]) == 6


def test_a_request_whose_output_is_taken_leaves_nothing_behind_however_often_it_is_sent() -> None:
    house = a_house()
    target = {"source": "out/", "target": a_document()["stage_out"][0]["target"].replace("{id}", "same")}
    house.post(a_document("one", stage_out=[target]))
    kept = (len(house.rows.jobs), len(house.rows.documents), len(house.rows.postings), len(house.rows.targets))
    for documents in ([a_document("two", stage_out=[target])], [a_document("x"), a_document("y", stage_out=[target])]):
        for key in (None, "k"):
            with pytest.raises(Conflict, match="output of job 1001"):
                house.post(*documents, key=key)
    other = {**target, "target": target["target"].replace("same", "other")}
    with pytest.raises(Conflict, match="output of job"):
        house.post(a_document("a", stage_out=[other]), a_document("b", stage_out=[other]))
    left = (len(house.rows.jobs), len(house.rows.documents), len(house.rows.postings), len(house.rows.targets))
    assert left == kept


def test_an_output_that_is_taken_does_not_use_up_the_cap() -> None:
    house = a_house(jobs=3)
    target = {"source": "out/", "target": a_document()["stage_out"][0]["target"].replace("{id}", "same")}
    house.post(a_document("one", stage_out=[target]))
    for _ in range(5):
        with pytest.raises(Conflict):
            house.post(a_document("two", stage_out=[target]))
    house.clock.turn(minutes=2)
    assert len(house.post(a_document("three"), a_document("four"))) == 2


class Dies:
    """A gate that ends the process before a call."""

    def __init__(self, call: str) -> None:
        self.call = call

    def __call__(self, call: str, moment: str) -> None:
        if call == self.call and moment == "before":
            raise CrashNow
