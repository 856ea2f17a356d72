"""The commit of a POST: one suite over every store of postings."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from store_samples import NOON, a_fact, a_job, at_once, new_user, ref

from chalicelib.core.holdings import Caps, Holding
from chalicelib.core.ids import JobNumber, UserId
from chalicelib.core.job import State
from chalicelib.core.ports.jobs import Commit, Posting

if TYPE_CHECKING:
    from conftest import Stores

TWO = Holding(jobs=2, bytes=200)
ROOM = Caps(jobs=50_000, bytes=2**30)


def a_posting(user: UserId, **fields: Any) -> Posting:
    plain: dict[str, Any] = {"key": "k1", "body": "b0dy", "numbers": (JobNumber(1001),), "started_at": NOON}
    return Posting(user=user, **{**plain, **fields})


def test_numbers_begin_at_1001_and_go_on_without_a_gap(stores: Stores) -> None:
    user = new_user()
    assert list(stores.postings.numbers(user, 1).numbers) == [1001]
    assert list(stores.postings.numbers(user, 3).numbers) == [1002, 1003, 1004]
    desk = stores.desks.read(user)
    assert desk is not None
    assert (desk.next_number, desk.seq, desk.wake_at, desk.plan.version) == (1005, 0, None, 0)
    assert list(stores.postings.numbers(new_user(), 2).numbers) == [1001, 1002]


def test_numbers_taken_at_once_are_never_the_same(stores: Stores) -> None:
    user = new_user()
    taken = at_once([lambda size=size: list(stores.postings.numbers(user, size).numbers) for size in range(1, 11)])  # type: ignore[misc]
    assert sorted(number for numbers in taken for number in numbers) == list(range(1001, 1056))


@pytest.mark.parametrize("numbers", [(1001,), tuple(range(1001, 2001)), (1001, 1003, 1004, 1007)])
def test_a_posting_comes_back_as_it_was_put(stores: Stores, numbers: tuple[int, ...]) -> None:
    posting = a_posting(new_user(), numbers=numbers)
    assert stores.postings.begin(posting) == posting
    assert stores.postings.find(posting.user, "k1") == posting
    assert stores.postings.find(posting.user, "k2") is None
    assert stores.postings.find(new_user(), "k1") is None


def test_of_two_postings_under_one_key_the_first_is_what_both_are_told(stores: Stores) -> None:
    first = a_posting(new_user())
    stores.postings.begin(first)
    assert stores.postings.begin(replace(first, numbers=(JobNumber(1002),), body="other")) == first


def test_of_many_who_begin_at_once_all_go_on_with_the_same(stores: Stores) -> None:
    user = new_user()
    tries = [a_posting(user, numbers=(JobNumber(number),)) for number in range(1001, 1009)]
    told = at_once([lambda one=one: stores.postings.begin(one) for one in tries])  # type: ignore[misc]
    assert len(set(told)) == 1
    assert stores.postings.find(user, "k1") == told[0]


def test_rows_are_put_in_any_number_and_a_repeat_puts_only_what_is_missing(stores: Stores) -> None:
    user = new_user()
    rows = [(a_job(ref(user, number)), {"n": number}) for number in range(1001, 1251)]
    stores.postings.put_rows(rows[40:120])
    gone_on = replace(rows[50][0], version=2, state=State.STAGED)
    assert stores.jobs.save(gone_on, was=1)
    stores.postings.put_rows(rows)
    stores.postings.put_rows(rows)
    found = stores.jobs.get_many([job.ref for job, _ in rows])
    assert found == {job.ref: job for job, _ in rows} | {gone_on.ref: gone_on}
    assert stores.jobs.documents([(job.ref, 1) for job, _ in rows]) == {job.ref: sent for job, sent in rows}


def test_a_single_row_that_is_there_stays_as_it_is(stores: Stores) -> None:
    job = a_job(ref(new_user()))
    stores.postings.put_rows([(job, {"n": 1})])
    assert stores.jobs.save(replace(job, version=2), was=1)
    stores.postings.put_rows([(job, {"n": 1})])
    assert stores.jobs.get(job.ref) == replace(job, version=2)


def test_a_commit_wakes_the_desk_and_tells_the_planner_once(stores: Stores) -> None:
    posting = a_posting(new_user(), numbers=(JobNumber(1001), JobNumber(1002)))
    stores.postings.begin(posting)
    later = NOON + timedelta(seconds=2)
    fact = a_fact(numbers=posting.numbers)
    assert stores.postings.commit(posting, fact, later, TWO, ROOM) is Commit.DONE
    assert stores.postings.commit(posting, a_fact(1002), later + timedelta(seconds=1), TWO, ROOM) is Commit.ALREADY
    desk = stores.desks.read(posting.user)
    assert desk is not None
    assert (desk.seq, desk.wake_at) == (1, later)
    assert list(stores.desks.inbox(posting.user, 10)) == [fact]
    assert stores.postings.find(posting.user, posting.key) == replace(posting, committed=True)


def test_a_posting_that_was_never_begun_cannot_be_committed(stores: Stores) -> None:
    posting = a_posting(new_user())
    assert stores.postings.commit(posting, a_fact(), NOON, TWO, ROOM) is Commit.ALREADY
    assert stores.desks.read(posting.user) is None
    assert list(stores.desks.inbox(posting.user, 10)) == []


def test_of_many_who_commit_at_once_one_does(stores: Stores) -> None:
    posting = a_posting(new_user())
    stores.postings.begin(posting)
    facts = [a_fact(number) for number in range(1001, 1007)]
    answers = at_once([lambda fact=fact: stores.postings.commit(posting, fact, NOON, TWO, ROOM) for fact in facts])  # type: ignore[misc]
    desk = stores.desks.read(posting.user)
    assert answers.count(Commit.DONE) == 1
    assert desk is not None
    assert desk.seq == 1
    assert list(stores.desks.inbox(posting.user, 10)) == [facts[answers.index(Commit.DONE)]]


def test_a_target_belongs_to_the_job_that_is_noted_until_another_is_named_instead(stores: Stores) -> None:
    user = new_user()
    first, second, third = JobNumber(1001), JobNumber(1002), JobNumber(1003)
    assert stores.postings.claim_target(user, "t", first, None) == first
    assert stores.postings.claim_target(user, "t", first, None) == first
    assert stores.postings.claim_target(user, "t", second, None) == first
    assert stores.postings.claim_target(user, "t", second, third) == first
    assert stores.postings.claim_target(user, "t", second, first) == second
    assert stores.postings.claim_target(user, "t", first, None) == second
    assert stores.postings.claim_target(user, "other", first, None) == first
    assert stores.postings.claim_target(new_user(), "t", third, None) == third


def test_the_noted_writers_of_targets_are_told_and_looking_notes_nobody(stores: Stores) -> None:
    user, targets = new_user(), [f"t{n}" for n in range(120)]
    assert stores.postings.noted(user, targets) == {}
    for number, target in enumerate(targets[:110], start=1001):
        stores.postings.claim_target(user, target, JobNumber(number), None)
    noted = stores.postings.noted(user, targets)
    assert noted == {target: JobNumber(number) for number, target in enumerate(targets[:110], start=1001)}
    assert stores.postings.noted(new_user(), targets) == {}


def test_of_many_who_claim_a_target_at_once_all_are_told_the_same(stores: Stores) -> None:
    user = new_user()
    claims = [JobNumber(number) for number in range(1001, 1009)]
    told = at_once([lambda n=n: stores.postings.claim_target(user, "t", n, None) for n in claims])  # type: ignore[misc]
    assert len(set(told)) == 1
