"""When inputs set out just in time: by the start, the time of the way, and the margin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.desk import Plan, Route
from chalicelib.core.ids import CollectionId
from chalicelib.core.job import Stage
from chalicelib.core.just_in_time import UNSEEN, Margin, begin_at, usual_time

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
LAB, ARCHIVE = (
    Route(stage=Stage.STAGE_IN, source=CollectionId(name), destination=CollectionId("site")) for name in ("lab", "far")
)
spans = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=30))


def test_inputs_set_out_twice_their_usual_time_before_the_start() -> None:
    assert begin_at(NOW + 10 * HOUR, HOUR, NOW) == NOW + 8 * HOUR


def test_a_short_way_has_a_margin_of_minutes() -> None:
    assert begin_at(NOW + HOUR, MINUTE, NOW) == NOW + HOUR - MINUTE - 5 * MINUTE


def test_an_unknown_start_means_at_once() -> None:
    assert begin_at(None, MINUTE, NOW) == NOW


def test_a_way_that_nothing_has_gone_is_expected_to_be_long() -> None:
    assert begin_at(NOW + 24 * HOUR, None, NOW) == NOW + 24 * HOUR - 2 * UNSEEN


def test_the_margin_can_be_another() -> None:
    none = Margin(share=0, least=timedelta(0))
    assert begin_at(NOW + 10 * HOUR, HOUR, NOW, none) == NOW + 9 * HOUR


@given(start=spans, takes=spans, later=spans)
def test_it_is_never_in_the_past_and_never_later_than_the_way_is_long(
    start: timedelta, takes: timedelta, later: timedelta
) -> None:
    at = begin_at(NOW + start, takes, NOW)
    assert at == NOW or NOW < at <= NOW + start - takes
    assert begin_at(NOW + start + later, takes, NOW) >= at, "a later start is no reason to hurry"


def test_several_ways_take_as_long_as_the_slowest() -> None:
    plan = Plan().with_usual(LAB, MINUTE).with_usual(ARCHIVE, HOUR)
    assert usual_time(plan, [LAB, ARCHIVE]) == HOUR
    assert usual_time(plan, [LAB]) == MINUTE


def test_one_new_way_makes_the_time_unknown_and_none_takes_no_time() -> None:
    assert usual_time(Plan().with_usual(LAB, MINUTE), [LAB, ARCHIVE]) is None
    assert usual_time(Plan(), []) == timedelta(0)
