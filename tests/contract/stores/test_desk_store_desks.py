"""Desks and inboxes: one suite over every store, and over indexes that lag."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from store_samples import NOON, a_fact, a_full_plan, at_once, new_user

from chalicelib.core.desk import Desk, InboxItem, Plan, Route
from chalicelib.core.ids import CollectionId, JobNumber, UserId
from chalicelib.core.job import Stage
from chalicelib.core.shards import WAKE_SHARDS, wake_shard

if TYPE_CHECKING:
    from conftest import Stores

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
A_ROUTE = Route(stage=Stage.STAGE_IN, source=CollectionId("lab"), destination=CollectionId("theta"))


def desk_of(stores: Stores, user: UserId) -> Desk:
    desk = stores.desks.read(user)
    assert desk is not None
    return desk


def due(stores: Stores, user: UserId, after: int = 0, limit: int = 10) -> list[UserId]:
    return list(stores.desks.due(wake_shard(user), NOON + after * SECOND, limit))


def test_nobody_has_a_desk_before_something_is_recorded(stores: Stores) -> None:
    user = new_user()
    assert stores.desks.read(user) is None
    assert not stores.desks.keep_plan(user, Plan(version=1), was=0)
    assert not stores.desks.close(user, Plan(version=1), was=0, seq=None, wake_at=NOON)
    assert stores.desks.read(user) is None


def test_a_recorded_fact_lies_in_the_inbox_and_wakes_the_desk(stores: Stores) -> None:
    user = new_user()
    stores.desks.record(user, a_fact(), NOON)
    assert stores.desks.read(user) == Desk(user=user, seq=1, wake_at=NOON)
    assert list(stores.desks.inbox(user, 10)) == [a_fact()]
    announced = a_fact(until=NOON + SECOND)
    stores.desks.record(user, announced, NOON)
    assert list(stores.desks.inbox(user, 10)) == [announced]
    stores.desks.record(user, a_fact(), NOON)
    assert due(stores, user) == [user]


def test_a_fact_recorded_twice_is_one_item_and_one_more_wake(stores: Stores) -> None:
    user = new_user()
    stores.desks.record(user, a_fact(), NOON)
    stores.desks.record(user, a_fact(), NOON + SECOND)
    assert stores.desks.read(user) == Desk(user=user, seq=2, wake_at=NOON + SECOND)
    assert list(stores.desks.inbox(user, 10)) == [a_fact()]


def test_facts_recorded_at_once_are_all_counted_and_all_kept(stores: Stores) -> None:
    user = new_user()
    facts = [a_fact(number) for number in range(1001, 1013)]
    at_once([lambda fact=fact: stores.desks.record(user, fact, NOON) for fact in facts])  # type: ignore[misc]
    assert desk_of(stores, user).seq == len(facts)
    assert list(stores.desks.inbox(user, 100)) == facts


def test_the_inbox_gives_the_oldest_first_and_loses_only_what_is_discarded(stores: Stores) -> None:
    user, other = new_user(), new_user()
    facts = [a_fact(number) for number in range(1001, 1061)]
    for fact in reversed(facts):
        stores.desks.record(user, fact, NOON)
    stores.desks.record(other, facts[0], NOON)
    assert list(stores.desks.inbox(user, 3)) == facts[:3]
    gone = [fact.id for fact in facts[:55]]
    stores.desks.discard(user, [*gone, gone[0], "never"])
    stores.desks.discard(user, gone)
    stores.desks.discard(user, [])
    assert list(stores.desks.inbox(user, 100)) == facts[55:]
    assert list(stores.desks.inbox(other, 100)) == facts[:1]


@pytest.mark.parametrize(
    "fact",
    [
        InboxItem(id="1", login=True),
        InboxItem(id="1", logout=NOON),
        InboxItem(id="1", numbers=(JobNumber(1001),), after=NOON),
        InboxItem(id="1", numbers=(JobNumber(1001),), stage=Stage.STAGE_OUT),
        InboxItem(id="1", numbers=(JobNumber(1001),), stage=Stage.STAGE_IN, routes=(A_ROUTE, A_ROUTE)),
        InboxItem(id="1", numbers=tuple(JobNumber(number) for number in range(1001, 2001))),
        InboxItem(id="1", numbers=(JobNumber(1005), JobNumber(1001), JobNumber(1002))),
    ],
    ids=["a login", "a departure", "a deadline", "outputs", "inputs by routes", "a thousand jobs", "jobs in any order"],
)
def test_a_fact_comes_back_as_it_was_recorded(stores: Stores, fact: InboxItem) -> None:
    user = new_user()
    stores.desks.record(user, fact, NOON)
    assert list(stores.desks.inbox(user, 1)) == [fact]


def test_a_plan_comes_back_exactly_as_it_was_kept_and_nothing_else_changes(stores: Stores) -> None:
    user = new_user()
    stores.postings.numbers(user, 5)
    stores.desks.record(user, a_fact(), NOON)
    before = desk_of(stores, user)
    assert stores.desks.keep_plan(user, a_full_plan(1), was=0)
    assert desk_of(stores, user) == replace(before, plan=a_full_plan(1))


def test_a_plan_is_replaced_only_in_the_version_that_was_read(stores: Stores) -> None:
    user = new_user()
    stores.desks.record(user, a_fact(), NOON)
    assert stores.desks.keep_plan(user, Plan(version=1), was=0)
    assert not stores.desks.keep_plan(user, Plan(version=2, failures=9), was=0)
    assert not stores.desks.close(user, Plan(version=2, failures=9), was=2, seq=None, wake_at=NOON)
    assert desk_of(stores, user).plan == Plan(version=1)


def test_writers_never_disturb_a_claim(stores: Stores) -> None:
    user = new_user()
    stores.desks.record(user, a_fact(), NOON)
    assert stores.desks.keep_plan(user, a_full_plan(1), was=0)
    stores.desks.record(user, a_fact(1002), NOON)
    stores.postings.numbers(user, 3)
    assert desk_of(stores, user).plan == a_full_plan(1)
    assert stores.desks.keep_plan(user, Plan(version=2), was=1)


def test_closing_puts_the_next_look_off_if_nothing_came_in(stores: Stores) -> None:
    user = new_user()
    stores.desks.record(user, a_fact(), NOON)
    assert stores.desks.close(user, Plan(version=1), was=0, seq=1, wake_at=NOON + 60 * SECOND)
    assert desk_of(stores, user) == Desk(user=user, seq=1, wake_at=NOON + 60 * SECOND, plan=Plan(version=1))
    assert due(stores, user, after=59) == []
    assert due(stores, user, after=60) == [user]


def test_closing_with_a_seq_fails_if_a_fact_came_in_and_then_changes_nothing(stores: Stores) -> None:
    user = new_user()
    stores.desks.record(user, a_fact(), NOON)
    stores.desks.record(user, a_fact(1002), NOON + SECOND)
    before = desk_of(stores, user)
    assert not stores.desks.close(user, Plan(version=1), was=0, seq=1, wake_at=None)
    assert desk_of(stores, user) == before
    assert stores.desks.close(user, Plan(version=1), was=0, seq=None, wake_at=NOON + 2 * SECOND)
    assert desk_of(stores, user).wake_at == NOON + 2 * SECOND


def test_a_desk_that_no_fact_was_recorded_on_has_the_seq_0(stores: Stores) -> None:
    user = new_user()
    stores.postings.numbers(user, 1)
    assert not stores.desks.close(user, Plan(version=1), was=0, seq=1, wake_at=None)
    assert stores.desks.close(user, Plan(version=1), was=0, seq=0, wake_at=None)


def test_a_desk_without_a_next_look_is_never_due(stores: Stores) -> None:
    user = new_user()
    stores.desks.record(user, a_fact(), NOON)
    assert stores.desks.close(user, Plan(version=1), was=0, seq=1, wake_at=None)
    assert desk_of(stores, user).wake_at is None
    assert due(stores, user, after=10**6) == []
    stores.desks.record(user, a_fact(1002), NOON)
    assert due(stores, user) == [user]


def test_desks_are_due_in_the_order_in_which_they_are_overdue(stores: Stores) -> None:
    shard = wake_shard(new_user())
    users = [user for user in (new_user() for _ in range(60)) if wake_shard(user) == shard]
    for late, user in enumerate(users):
        stores.desks.record(user, a_fact(), NOON - late * MINUTE)
    assert list(stores.desks.due(shard, NOON, 100)) == users[::-1]
    assert list(stores.desks.due(shard, NOON, 2)) == users[::-1][:2]


def test_a_desk_is_found_from_the_beginning_of_its_minute_and_its_exact_time_is_kept(stores: Stores) -> None:
    user, at = new_user(), NOON + MINUTE + 40 * SECOND
    stores.desks.record(user, a_fact(), at)
    shard = wake_shard(user)
    assert user not in stores.desks.due(shard, NOON + MINUTE - SECOND, 100)
    assert user in stores.desks.due(shard, NOON + MINUTE, 100)
    assert desk_of(stores, user).wake_at == at


def test_every_desk_is_found_in_exactly_one_shard(stores: Stores) -> None:
    users = [new_user() for _ in range(40)]
    for user in users:
        stores.desks.record(user, a_fact(), NOON)
    found = [user for shard in range(WAKE_SHARDS) for user in stores.desks.due(shard, NOON, 100)]
    assert sorted(found) == sorted(users)


def test_of_many_who_claim_a_desk_at_once_one_does(stores: Stores) -> None:
    user = new_user()
    stores.desks.record(user, a_fact(), NOON)
    for was in range(5):
        plans = [Plan(version=was + 1, failures=planner) for planner in range(6)]
        answers = at_once([lambda plan=plan, was=was: stores.desks.keep_plan(user, plan, was=was) for plan in plans])  # type: ignore[misc]
        assert answers.count(True) == 1
        assert desk_of(stores, user).plan == plans[answers.index(True)]


def test_a_fact_recorded_while_a_desk_is_closed_always_leaves_a_look_behind(stores: Stores) -> None:
    user = new_user()
    stores.desks.record(user, a_fact(), NOON)
    for version in range(12):
        desk = desk_of(stores, user)
        fact, plan = a_fact(2000 + version), Plan(version=version + 1)

        def record(fact: InboxItem = fact) -> bool:
            stores.desks.record(user, fact, NOON)
            return True

        def close(desk: Desk = desk, plan: Plan = plan) -> bool:
            return stores.desks.close(user, plan, was=desk.plan.version, seq=desk.seq, wake_at=None)

        _, closed = at_once([record, close])
        assert desk_of(stores, user).wake_at == NOON
        if not closed:
            assert stores.desks.close(user, plan, was=desk.plan.version, seq=None, wake_at=NOON)


def test_an_index_that_lags_shows_desks_that_are_closed_and_not_yet_those_that_woke(lagging: Stores) -> None:
    user = new_user()
    stores = lagging
    stores.desks.record(user, a_fact(), NOON)
    assert due(stores, user) == []
    stores.catch_up()
    assert stores.desks.close(user, Plan(version=1), was=0, seq=1, wake_at=None)
    assert due(stores, user) == [user]
    assert desk_of(stores, user).wake_at is None
    stores.catch_up()
    assert due(stores, user) == []
