"""When a schedule is due: EventBridge's rate(...) and cron(...) expressions. Pure.

Times are UTC. Owns the grammar and refuses what it does not compute (L, W and # in a cron expression), by
name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from emulators.aws.errors import ScheduleError

_UNITS = {"minute": 60, "hour": 3600, "day": 86400}
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = {name: str(number) for number, name in enumerate(_MONTH_NAMES, 1)}
_DAYS = {name: str(number) for number, name in enumerate(_DAY_NAMES, 1)}
_FIELDS = (
    ("minutes", 0, 59),
    ("hours", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 1, 7),
    ("year", 1970, 2199),
)


class Schedule(Protocol):
    def after(self, now: float) -> float | None:
        """The first due time strictly after ``now``, seconds since the epoch; None if there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Every ``period`` seconds from ``start``, the moment the rule was made."""

    period: float
    start: float

    def after(self, now: float) -> float | None:
        return self.start + self.period * (int(max(0.0, now - self.start) // self.period) + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """Six fields, as sets of numbers; a day field that says ``?`` is None."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int] | None
    months: frozenset[int]
    weekdays: frozenset[int] | None
    years: frozenset[int]

    def after(self, now: float) -> float | None:
        first = datetime.fromtimestamp(now, UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        day = first.replace(hour=0, minute=0)
        for _ in range(366 * 8):  # the longest wait is for a 29 February
            if self._on(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        if (due := day.replace(hour=hour, minute=minute)) >= first:
                            return due.timestamp()
            day += timedelta(days=1)
        return None

    def _on(self, day: datetime) -> bool:
        return (
            day.year in self.years
            and day.month in self.months
            and (self.days is None or day.day in self.days)
            and (self.weekdays is None or day.isoweekday() % 7 + 1 in self.weekdays)
        )


def parse_schedule(expression: str, *, start: float) -> Schedule:
    """:raises ScheduleError: naming the expression and what is wrong with it."""
    found = re.fullmatch(r"(rate|cron)\((.+)\)", expression.strip())
    if found is None:
        raise ScheduleError(f"{expression!r} is neither rate(...) nor cron(...)")
    return _rate(expression, found[2], start) if found[1] == "rate" else _cron(expression, found[2])


def _rate(expression: str, text: str, start: float) -> Rate:
    found = re.fullmatch(r"(\d+) (minute|hour|day)(s?)", text)
    if found is None or int(found[1]) < 1 or (int(found[1]) == 1) == bool(found[3]):
        raise ScheduleError(f"{expression!r}: a rate is 'N minutes', 'N hours' or 'N days', singular for 1")
    return Rate(period=float(int(found[1]) * _UNITS[found[2]]), start=start)


def _cron(expression: str, text: str) -> Cron:
    fields = text.split()
    if len(fields) != 6:
        raise ScheduleError(f"{expression!r}: a cron expression has six fields")
    if (fields[2] == "?") == (fields[4] == "?"):
        raise ScheduleError(f"{expression!r}: exactly one of day of month and day of week is '?'")
    minutes, hours, days, months, weekdays, years = (
        None if field == "?" and name.startswith("day") else _numbers(expression, name, field, low, high)
        for field, (name, low, high) in zip(fields, _FIELDS, strict=True)
    )
    assert minutes is not None
    assert hours is not None
    assert months is not None
    assert years is not None
    return Cron(minutes=minutes, hours=hours, days=days, months=months, weekdays=weekdays, years=years)


def _numbers(expression: str, name: str, field: str, low: int, high: int) -> frozenset[int]:
    names = _MONTHS if name == "month" else _DAYS if name == "day of week" else {}
    found: set[int] = set()
    for part in field.upper().split(","):
        for word, number in names.items():
            part = part.replace(word, number)
        parsed = re.fullmatch(r"(\*|\d+)(?:-(\d+))?(?:/(\d+))?", part)
        if parsed is None:
            raise ScheduleError(f"{expression!r}: cannot compute {part!r} in {name}")
        first = low if parsed[1] == "*" else int(parsed[1])
        open_ended = parsed[1] == "*" or (parsed[3] and not parsed[2])
        last = int(parsed[2]) if parsed[2] else high if open_ended else first
        step = int(parsed[3] or 1)
        if step < 1 or not low <= first <= last <= high:
            raise ScheduleError(f"{expression!r}: {part!r} is out of range in {name}")
        found.update(range(first, last + 1, step))
    return frozenset(found)
