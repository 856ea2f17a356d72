"""When schedules are due."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulators.aws.errors import ScheduleError
from emulators.aws.schedules import parse_schedule


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("expression", "now", "due"),
    [
        ("rate(1 minute)", "2030-01-01T00:00:00", "2030-01-01T00:01:00"),
        ("rate(5 minutes)", "2030-01-01T00:07:00", "2030-01-01T00:10:00"),
        ("rate(1 day)", "2030-01-01T00:00:01", "2030-01-02T00:00:00"),
        ("cron(0 12 * * ? *)", "2030-01-01T12:00:00", "2030-01-02T12:00:00"),
        ("cron(0/15 * * * ? *)", "2030-01-01T12:16:00", "2030-01-01T12:30:00"),
        ("cron(5,50 8-10 ? * MON-FRI *)", "2030-01-04T10:50:30", "2030-01-07T08:05:00"),
        ("cron(0 0 1 JAN,jul ? *)", "2030-01-01T00:00:00", "2030-07-01T00:00:00"),
        ("cron(0 0 29 2 ? *)", "2030-01-01T00:00:00", "2032-02-29T00:00:00"),
        ("cron(0 0 ? * 1 *)", "2030-01-01T00:00:00", "2030-01-06T00:00:00"),
    ],
)
def test_the_next_due_time_is_eventbridges(expression: str, now: str, due: str) -> None:
    schedule = parse_schedule(expression, start=at("2030-01-01T00:00:00"))
    assert schedule.after(at(now)) == at(due)


def test_a_schedule_of_past_years_is_never_due() -> None:
    assert parse_schedule("cron(0 0 1 1 ? 2020)", start=0.0).after(at("2030-01-01T00:00:00")) is None


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("every minute", "neither"),
        ("rate(1 minutes)", "singular"),
        ("rate(0 minutes)", "rate"),
        ("rate(2 weeks)", "rate"),
        ("cron(0 12 * * *)", "six fields"),
        ("cron(0 12 * * * *)", "exactly one"),
        ("cron(0 12 ? * ? *)", "exactly one"),
        ("cron(0 12 L * ? *)", "'L' in day of month"),
        ("cron(0 12 ? * 6#3 *)", "'6#3' in day of week"),
        ("cron(61 12 * * ? *)", "out of range in minutes"),
        ("cron(0 12 * * ? 1900)", "out of range in year"),
        ("cron(30-10 12 * * ? *)", "out of range"),
    ],
)
def test_what_is_not_computed_is_refused_by_name(expression: str, named: str) -> None:
    with pytest.raises(ScheduleError, match=named):
        parse_schedule(expression, start=0.0)


@given(
    expression=st.sampled_from(["rate(7 minutes)", "cron(3/20 1-5 * * ? *)", "cron(0 6 ? * TUE *)"]),
    now=st.floats(min_value=at("2030-01-01T00:00:00"), max_value=at("2032-01-01T00:00:00")),
)
def test_a_due_time_lies_strictly_ahead_and_none_between(expression: str, now: float) -> None:
    schedule = parse_schedule(expression, start=at("2030-01-01T00:00:00"))
    due = schedule.after(now)
    assert due is not None
    assert due > now
    middle = schedule.after(now + (due - now) / 2)
    assert middle == due
