"""What a user's live jobs amount to: one suite over every store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from store_samples import NOON, a_fact, a_job, at_once, new_user, ref

from chalicelib.core.holdings import Caps, Holding, Tally
from chalicelib.core.ids import JobNumber, UserId
from chalicelib.core.job import State
from chalicelib.core.ports.holdings import LiveRow
from chalicelib.core.ports.jobs import Commit, Posting

if TYPE_CHECKING:
    from conftest import Stores

CAPS = Caps(jobs=10, bytes=1000)


def begun(stores: Stores, user: UserId, key: str, *numbers: int) -> Posting:
    posting = Posting(
        user=user, key=key, body="b", numbers=tuple(JobNumber(number) for number in numbers), started_at=NOON
    )
    return stores.postings.begin(posting)


def commit(stores: Stores, user: UserId, number: int, jobs: int = 1, size: int = 10) -> Commit:
    posting = begun(stores, user, f"k{number}", *range(number, number + jobs))
    fact = a_fact(number, numbers=posting.numbers)
    return stores.postings.commit(posting, fact, NOON, Holding(jobs=jobs, bytes=size), CAPS)


def test_a_user_without_a_desk_holds_nothing(stores: Stores) -> None:
    user = new_user()
    assert stores.holdings.tally(user) == Tally()
    assert list(stores.holdings.live(user, JobNumber(1001))) == []
    assert stores.holdings.committed(user, ["k"]) == frozenset()


def test_each_commit_raises_the_tally_up_to_the_caps_and_not_beyond(stores: Stores) -> None:
    user = new_user()
    taken = stores.postings.numbers(user, 20)
    assert taken.tally == Tally(next=JobNumber(1021))
    assert commit(stores, user, 1001, jobs=9, size=900) is Commit.DONE
    assert commit(stores, user, 1010, jobs=2) is Commit.FULL
    assert commit(stores, user, 1012, size=101) is Commit.FULL
    assert stores.holdings.tally(user).holding == Holding(jobs=9, bytes=900)
    assert commit(stores, user, 1013, size=100) is Commit.DONE
    assert stores.holdings.tally(user).holding == Holding(jobs=10, bytes=1000)
    assert stores.holdings.committed(user, ["k1001", "k1010", "k1013", "other"]) == {"k1001", "k1013"}


def test_a_commit_that_is_refused_leaves_nothing_of_itself(stores: Stores) -> None:
    user = new_user()
    assert commit(stores, user, 1001, jobs=11) is Commit.FULL
    assert stores.desks.read(user) is None
    assert list(stores.desks.inbox(user, 10)) == []
    posting = stores.postings.find(user, "k1001")
    assert posting is not None
    assert not posting.committed


def test_of_many_posts_at_once_no_more_slip_in_than_there_is_room_for(stores: Stores) -> None:
    user = new_user()
    answers = at_once([lambda n=n: commit(stores, user, n, jobs=3) for n in range(1001, 1031, 3)])  # type: ignore[misc]
    assert answers.count(Commit.DONE) == 3
    assert stores.holdings.tally(user).holding == Holding(jobs=9, bytes=30)


def test_live_rows_are_those_that_have_not_ended_from_the_first_number_on(stores: Stores) -> None:
    user = new_user()
    rows = [(a_job(ref(user, number), size=number), {"n": number}) for number in range(1001, 1007)]
    stores.postings.put_rows(rows)
    for (job, _), state in zip(rows, (State.COMPLETED, State.ACTIVE, State.FAILED, State.CANCELED), strict=False):
        assert stores.jobs.save(replace(job, state=state, version=2, posted=None), was=1)
    stores.postings.put_rows([(a_job(ref(new_user(), 1003)), {})])
    live = list(stores.holdings.live(user, JobNumber(1001)))
    assert live[0] == LiveRow(number=JobNumber(1002), bytes=1002, posted=None, created_at=NOON)
    assert live[1] == LiveRow(number=JobNumber(1005), bytes=1005, posted="d1g3st", created_at=NOON)
    assert [row.number for row in live] == [1002, 1005, 1006]
    assert [row.number for row in stores.holdings.live(user, JobNumber(1006))] == [1006]


def test_a_tally_is_replaced_only_as_it_was_read(stores: Stores) -> None:
    user = new_user()
    assert commit(stores, user, 1001, jobs=5, size=50) is Commit.DONE
    before = stores.holdings.tally(user)
    counted = Tally(holding=Holding(jobs=2, bytes=20), counted_at=NOON, first=JobNumber(1004), next=before.next)
    assert stores.holdings.keep(user, counted, was=before)
    assert stores.holdings.tally(user) == counted
    assert not stores.holdings.keep(user, counted, was=before)
    later = replace(counted, counted_at=NOON + timedelta(minutes=1))
    assert stores.holdings.keep(user, later, was=counted)
    assert commit(stores, user, 1006) is Commit.DONE
    assert not stores.holdings.keep(user, counted, was=later), "a job was committed meanwhile"
    assert stores.holdings.tally(user).holding == Holding(jobs=3, bytes=30)


def test_a_tally_can_be_raised_before_anybody_has_counted(stores: Stores) -> None:
    user = new_user()
    assert commit(stores, user, 1001) is Commit.DONE
    was = stores.holdings.tally(user)
    more = replace(was, holding=was.holding + Holding(jobs=1, bytes=5))
    assert stores.holdings.keep(user, more, was=was)
    assert stores.holdings.tally(user) == more
    assert not stores.holdings.keep(user, more, was=was)


def test_jobs_that_a_count_passed_over_are_not_committed_unseen(stores: Stores) -> None:
    user = new_user()
    assert commit(stores, user, 1005) is Commit.DONE
    was = stores.holdings.tally(user)
    counted = Tally(holding=Holding(jobs=1, bytes=10), counted_at=NOON, first=JobNumber(1005))
    assert stores.holdings.keep(user, counted, was=was)
    assert commit(stores, user, 1004) is Commit.FULL
    assert stores.holdings.keep(user, replace(counted, first=JobNumber(1004)), was=counted)
    assert commit(stores, user, 1004) is Commit.DONE
