"""When to look at what is under way: seen soon, asked about seldom."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from core_examples import ARCHIVE, LAB, NOON, THETA
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.batch import MOST_LIVE, MOST_ON_DESK, OTHERS_KNOWN, room
from chalicelib.core.desk import MOST_ROUTES, LiveBatch, Look, Plan, Route
from chalicelib.core.ids import BatchId, CollectionId, SubmissionId, TaskId
from chalicelib.core.job import Stage
from chalicelib.core.polling import LONGEST, is_due, look_at, next_look

ROUTE = Route(stage=Stage.STAGE_IN, source=LAB, destination=THETA)
SECOND = timedelta(seconds=1)


def a_batch(name: str = "b", route: Route = ROUTE, **fields: object) -> LiveBatch:
    live = LiveBatch(batch=BatchId(name), submission=SubmissionId("s"), route=route, opened_at=NOON)
    return replace(live, **{"task": TaskId("t"), "sent_at": NOON, **fields})  # type: ignore[arg-type]


def looks(takes: timedelta, usual: timedelta | None) -> list[timedelta]:
    """The ages at which a task is looked at until it is seen to have ended."""
    plan = Plan(batches=(a_batch(),))
    if usual is not None:
        plan = plan.with_usual(ROUTE, usual)
    found: list[timedelta] = []
    while not found or found[-1] < takes:
        at = next_look(plan)
        assert at is not None
        assert is_due(plan, at)
        assert not is_due(plan, at - SECOND)
        found.append(at - NOON)
        plan = replace(plan, looked_at=at)
    return found


def test_a_task_of_a_route_never_seen_is_looked_at_every_second_and_then_by_its_age() -> None:
    ages = [age.total_seconds() for age in looks(timedelta(seconds=10), None)]
    assert ages == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    gaps = [later - sooner for sooner, later in pairwise(ages)]
    assert gaps == sorted(gaps)


def test_a_task_that_takes_as_long_as_the_last_is_looked_at_twice() -> None:
    assert looks(timedelta(seconds=10), timedelta(seconds=10)) == [8 * SECOND, 10.5 * SECOND]


@given(st.integers(1, 86_400), st.one_of(st.none(), st.integers(1, 86_400)))
def test_an_end_is_seen_within_half_of_what_the_task_took_and_a_long_one_within_minutes(
    takes: int, usual: int | None
) -> None:
    found = looks(takes * SECOND, None if usual is None else usual * SECOND)
    late = found[-1] - takes * SECOND
    assert late <= min(LONGEST, max(8 * SECOND, takes * SECOND / 2))
    assert len(found) < 400


def test_a_large_task_of_a_route_never_seen_is_looked_at_first_when_it_may_be_over() -> None:
    firsts = [next_look(Plan(batches=(a_batch(items=items),))) for items in (1, 400, 1000, 2000, 9000)]
    assert firsts == [NOON + each * SECOND for each in (2, 2, 5, 8, 8)]


def test_one_look_serves_all_and_comes_when_the_first_of_them_needs_it() -> None:
    old, young = a_batch("old"), a_batch("young", sent_at=NOON + 60 * SECOND)
    plan = Plan(batches=(old, young), looked_at=NOON + 59 * SECOND)
    assert next_look(plan) == look_at(young, plan) == NOON + 62 * SECOND


def test_nobody_with_nothing_running_is_looked_at() -> None:
    assert next_look(Plan(looked_at=NOON)) is None
    assert not is_due(Plan(looked_at=NOON), NOON + 3600 * SECOND)


def test_a_batch_that_was_put_off_is_not_looked_at_before_its_time() -> None:
    plan = Plan(batches=(a_batch(retry_at=NOON + 90 * SECOND),))
    assert next_look(plan) == NOON + 90 * SECOND


def test_a_task_whose_end_was_asked_for_is_looked_at_often_however_old_it_is() -> None:
    hour = 3600 * SECOND
    plan = Plan(batches=(a_batch(canceling="PERMISSION_DENIED"),), looked_at=NOON + hour)
    assert next_look(plan) == NOON + hour + 10 * SECOND


def test_what_is_remembered_of_routes_is_bounded_and_the_latest_is_kept() -> None:
    plan = Plan()
    routes = [replace(ROUTE, source=CollectionId(f"c{index}")) for index in range(MOST_ROUTES + 3)]
    for route in routes:
        plan = plan.with_usual(route, 5 * SECOND).with_usual(route, 7 * SECOND)
    assert len(plan.usual) == MOST_ROUTES
    assert [plan.usual_time(route) for route in (routes[0], routes[-1])] == [None, 7 * SECOND]


@pytest.mark.parametrize(("others", "ours", "free"), [(0, 0, 3), (1, 0, 2), (2, 1, 0), (3, 0, 1), (9, 0, 1), (9, 1, 0)])
def test_the_user_s_own_tasks_take_room_but_never_all_of_it(others: int, ours: int, free: int) -> None:
    batches = tuple(a_batch(str(index)) for index in range(ours))
    plan = Plan(batches=batches, others=others, looked_at=NOON)
    assert room(plan, NOON + SECOND) == free
    assert room(plan, NOON + OTHERS_KNOWN) == MOST_LIVE - ours, "what was seen long ago says nothing"


def test_what_globus_does_not_work_on_takes_no_room_but_a_desk_has_an_end() -> None:
    idle = [a_batch("p", look=Look(paused=True)), a_batch("s", look=Look(suspended=True))]
    idle.append(replace(a_batch("r"), task=None, retry_at=NOON))
    assert room(Plan(batches=tuple(idle)), NOON) == MOST_LIVE
    many = tuple(
        a_batch(str(index), Route(stage=Stage.STAGE_OUT, source=THETA, destination=ARCHIVE)) for index in range(6)
    )
    assert room(Plan(batches=tuple(replace(each, look=Look(paused=True)) for each in many)), NOON) == MOST_ON_DESK - 6
