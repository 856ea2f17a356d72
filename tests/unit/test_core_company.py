"""Who waits for company, and who never does."""

from __future__ import annotations

from datetime import datetime, timedelta

from core_examples import ARCHIVE, NOON, THETA
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.company import DRIED_UP, ENOUGH, LONGEST, joined, waits_until
from chalicelib.core.desk import Route, Stream
from chalicelib.core.job import Stage

OUT = Route(stage=Stage.STAGE_OUT, source=THETA, destination=ARCHIVE)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def flowing(gap: float, count: int = 5) -> Stream:
    """A stream of which the last end was at noon."""
    found = joined(None, OUT, [at(-gap * index) for index in range(count)])
    assert found is not None
    return found


def test_a_lone_job_and_the_second_of_a_pair_wait_for_nobody() -> None:
    assert waits_until(None, OUT, [at(0)]) is None
    assert waits_until(flowing(1, 1), OUT, [at(50)]) is None


def test_jobs_that_end_together_wait_for_nobody() -> None:
    until = waits_until(None, OUT, [at(0)] * 100)
    assert until is None or until <= at(0)


def test_a_job_of_a_stream_waits_while_the_next_is_due_and_no_longer() -> None:
    assert waits_until(flowing(4), OUT, [at(4)]) == at(16)
    assert waits_until(flowing(4), OUT, [at(4), at(8)]) == at(20)


def test_nobody_waits_longer_than_a_minute() -> None:
    ends = [at(4 * index) for index in range(1, 30)]
    assert waits_until(flowing(4), OUT, ends) == ends[0] + LONGEST
    assert waits_until(flowing(50), OUT, [at(50)]) == at(50) + LONGEST


def test_a_job_that_ends_after_the_stream_has_dried_up_waits_for_nobody() -> None:
    assert waits_until(flowing(4), OUT, [at(DRIED_UP.total_seconds() + 1)]) is None


def test_enough_is_enough() -> None:
    assert waits_until(flowing(4), OUT, [at(4)] * ENOUGH) is None


@given(st.lists(st.integers(0, 600), min_size=1), st.lists(st.integers(0, 600)))
def test_ends_in_any_order_make_one_stream_whose_last_is_the_latest(first: list[int], second: list[int]) -> None:
    stream = joined(joined(None, OUT, map(at, first)), OUT, map(at, second))
    assert stream is not None
    assert stream.last_at == at(max(first + second))
    assert stream.count >= 1
    assert 0 <= stream.gap <= DRIED_UP // timedelta(milliseconds=1)
