"""How often to look at what is under way at Globus.

A task of a second is not seen a minute late, and one of a day is not asked about every second: the interval
is a tenth of the task's age, between one second and five minutes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(minutes=5)


def interval(age: timedelta) -> timedelta:
    """How long to wait before the next look at a task of this age."""
    return min(LONGEST, max(SHORTEST, age / 10))


def next_look(opened: Iterable[datetime], now: datetime) -> datetime | None:
    """When to look again at tasks that began at these times: by the youngest; None if there are none."""
    ages = [now - each for each in opened]
    return now + interval(min(ages)) if ages else None
