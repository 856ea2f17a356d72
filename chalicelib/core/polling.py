"""How often to look at what is under way at Globus.

A task of a second is not seen a minute late, and one of a day is not asked about every second: the interval
is a tenth of the task's age, between one second and five minutes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

FIRST_RETRY = timedelta(seconds=5)
"""How soon a far side that failed is tried again; the wait grows with how long it has been failing."""

SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(minutes=5)


def interval(age: timedelta) -> timedelta:
    """How long to wait before the next look at a task of this age."""
    return min(LONGEST, max(SHORTEST, age / 10))


LONGEST_PATIENCE = timedelta(days=3)
"""How long a full disk is waited for: as long as a task may take."""

FIRST_SPACE, LONGEST_SPACE = timedelta(minutes=1), timedelta(minutes=30)
LONGEST_ASKED = timedelta(hours=1)


def try_for_space(since: datetime, now: datetime) -> datetime:
    """When to send to a full disk again: after half the time that it has been full, from a minute to half an hour."""
    return now + min(LONGEST_SPACE, max(FIRST_SPACE, (now - since) / 2))


def rest(retry_after: int | None, now: datetime) -> datetime | None:
    """Until when a service that asked for it is left alone; one that asks for more than an hour is asked sooner."""
    return None if retry_after is None else now + min(LONGEST_ASKED, timedelta(seconds=retry_after))


def next_look(opened: Iterable[datetime], now: datetime) -> datetime | None:
    """When to look again at tasks that began at these times: by the youngest; None if there are none."""
    ages = [now - each for each in opened]
    return now + interval(min(ages)) if ages else None
