"""How large a batch may be, and that the small do not wait for the large."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from core_examples import ARCHIVE, LAB, NOON, THETA

from chalicelib.core.batch import Member, Movement
from chalicelib.core.desk import LiveBatch, Look, Plan, Route
from chalicelib.core.drafting import (
    ASSUMED_RATE,
    LARGE,
    MOST_BYTES,
    MOST_LONG,
    MOST_SECONDS,
    SMALL_ITEMS,
    SMALL_SECONDS,
    Draft,
    draft,
    long_slots,
    tells_rate,
)
from chalicelib.core.ids import BatchId, CollectionId, JobNumber, SubmissionId, TaskId
from chalicelib.core.job import Leg, Stage
from chalicelib.core.paths import Location

OUT = Route(stage=Stage.STAGE_OUT, source=THETA, destination=ARCHIVE)
Wanted = tuple[Leg, Movement, Stage]


def an_output(number: int, size: int | None = None, *, files: int | None = None, to: CollectionId = ARCHIVE) -> Wanted:
    """One output of a job, of so many bytes where the site has counted them."""
    move = Movement(
        member=Member(JobNumber(number), 0, 1),
        source=Location(THETA, f"/j/{number}/"),
        destination=Location(to, f"/runs/{number}/"),
    )
    return Leg(item=0, bytes=size, files=files), move, Stage.STAGE_OUT


def numbers(drafts: tuple[Draft, ...]) -> list[list[int]]:
    return [[move.member.number for move in each.movements] for each in drafts]


GIANT = 10 * int(ASSUMED_RATE * MOST_SECONDS)


def test_a_giant_goes_alone_and_the_small_ones_behind_it_at_once() -> None:
    drafts = draft([an_output(1001, GIANT), *(an_output(number, 1000) for number in range(1002, 1010))], (), 3)
    assert numbers(drafts) == [[1001], list(range(1002, 1010))]
    assert [each.long for each in drafts] == [True, False]


def test_a_giant_among_the_small_does_not_go_with_them() -> None:
    drafts = draft([an_output(1001, 1), an_output(1002, GIANT), an_output(1003, 1)], (), 3)
    assert numbers(drafts) == [[1001, 1003], [1002]]


def test_a_batch_is_expected_to_take_no_longer_than_its_cap() -> None:
    tenth = int(ASSUMED_RATE * MOST_SECONDS / 10)
    drafts = draft([an_output(number, tenth) for number in range(1001, 1026)], (), 3)
    assert [len(each.movements) for each in drafts][:2] == [10, 10]
    assert len(drafts) == MOST_LONG or not drafts[-1].long


def test_many_files_take_time_whatever_they_weigh() -> None:
    drafts = draft([an_output(1001, 10, files=80_000), an_output(1002, 10, files=80_000)], (), 3)
    assert numbers(drafts) == [[1001], [1002]]


def test_a_fast_route_takes_more_in_one_task_but_no_more_than_so_many_bytes() -> None:
    wanted = [an_output(number, MOST_BYTES // 10) for number in range(1001, 1016)]
    assert len(draft(wanted, (), 1)[0].movements) == 1
    assert len(draft(wanted, (), 1, rate=lambda route: 10**12)[0].movements) == 10


def test_what_nobody_counted_is_taken_for_small_but_for_its_number() -> None:
    few, many = ([an_output(1001 + index) for index in range(count)] for count in (SMALL_ITEMS, SMALL_ITEMS + 1))
    assert not draft(few, (), 1)[0].long
    assert draft(many, (), 1)[0].long


def test_one_of_the_three_is_kept_for_small_batches() -> None:
    wanted = [an_output(1001 + index, GIANT) for index in range(3)] + [an_output(2001, 5)]
    assert numbers(draft(wanted, (), 3)) == [[1001], [1002], [2001]]
    assert numbers(draft(wanted, (), 2, long=0)) == [[2001]]
    assert draft(wanted[:3], (), 2, long=0) == ()


def test_the_kept_one_takes_a_part_of_what_is_many() -> None:
    drafts = draft([an_output(1001 + index) for index in range(9000)], (), 3)
    assert [len(each.movements) for each in drafts] == [2000, 2000, SMALL_ITEMS]


def test_each_route_has_a_batch_before_any_has_two() -> None:
    wanted = [an_output(1001 + index, GIANT) for index in range(3)] + [an_output(2001, 5, to=LAB)]
    assert numbers(draft(wanted, (), 2)) == [[1001], [2001]]


@pytest.mark.parametrize(
    ("live", "left"),
    [
        ({"long": True}, 1),
        ({"long": False}, 2),
        ({"opened_at": NOON - timedelta(seconds=SMALL_SECONDS + 1)}, 1),
        ({"long": True, "look": Look(paused=True)}, 2),
    ],
)
def test_what_was_expected_to_be_long_or_has_become_so_counts_against_the_next(
    live: dict[str, object], left: int
) -> None:
    batch = LiveBatch(batch=BatchId("b"), submission=SubmissionId("s"), route=OUT, opened_at=NOON, task=TaskId("t"))
    assert long_slots(Plan(batches=(replace(batch, **live),)), NOON) == left  # type: ignore[arg-type]


def test_only_a_large_task_tells_the_rate_of_its_route_and_it_is_remembered() -> None:
    assert (tells_rate(LARGE, 7), tells_rate(LARGE - 1, 7)) == (7, 0)
    plan = Plan().with_usual(OUT, timedelta(seconds=5), 7).with_usual(OUT, timedelta(seconds=6), 0)
    assert plan.usual_rate(OUT) == 7
    assert plan.usual_rate(replace(OUT, source=LAB)) is None
