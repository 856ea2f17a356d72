"""How often to look at what is under way at Globus.

A task of a second is not seen a minute late, and one of a day is not asked about every second. Of a route that has
had a task before it is known how long one takes there: the look comes when it is expected to be over, and once or
twice before, because it may be a smaller one. Of any other the interval is a tenth of the task's age, between one
second and five minutes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from chalicelib.core.desk import SKEW, LiveBatch, Plan

FIRST_RETRY = timedelta(seconds=5)
"""How soon a far side that failed is tried again; the wait grows with how long it has been failing."""

SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(minutes=5)
FIRST = timedelta(seconds=2)
"""When a task is looked at first: Globus itself needs a while to begin one."""

EACH = timedelta(milliseconds=5)
"""How much later the first look is for each item: a quarter of what Globus spends on one."""

EXPECTANT = timedelta(seconds=8)
"""The shortest wait for a task that is expected to take longer."""

MARGIN = timedelta(milliseconds=500)
"""How much later than expected the look comes: one that comes too early is wasted."""

ENDING = timedelta(seconds=10)
"""The longest wait for a task whose end was asked for."""

LONGEST_PATIENCE = timedelta(days=3)
"""How long a full disk is waited for: as long as a task may take."""

FIRST_SPACE, LONGEST_SPACE = timedelta(minutes=1), timedelta(minutes=30)
LONGEST_ASKED = timedelta(hours=1)
FIRST_HEARING, LAST_HEARING = timedelta(minutes=1), timedelta(hours=6)


def try_for_space(since: datetime, now: datetime) -> datetime:
    """When to send to a full disk again: after half the time that it has been full, from a minute to half an hour."""
    return now + min(LONGEST_SPACE, max(FIRST_SPACE, (now - since) / 2))


def ask_for_login(since: datetime, now: datetime) -> datetime:
    """When to find out by the stored token whether a login that is needed has come: its ring can have been lost."""
    return now + min(LAST_HEARING, max(FIRST_HEARING, (now - since) / 4))


def rest(retry_after: int | None, now: datetime) -> datetime | None:
    """Until when a service that asked for it is left alone; one that asks for more than an hour is asked sooner."""
    return None if retry_after is None else now + min(LONGEST_ASKED, timedelta(seconds=retry_after))


def interval(age: timedelta) -> timedelta:
    """How long to wait before the next look at a task of this age."""
    return min(LONGEST, max(SHORTEST, age / 10))


def wait(age: timedelta, usual: timedelta | None, items: int = 0) -> timedelta:
    """How long to wait after a look at a task of this age and so many items.

    ``usual`` is how long one of its route takes, None if none has been seen.
    """
    if usual is not None and age < usual:
        return min(LONGEST, max(SHORTEST, min(usual + MARGIN - age, max(EXPECTANT, age / 2))))
    return interval(age) if age else max(FIRST, min(EXPECTANT, items * EACH))


def look_at(live: LiveBatch, plan: Plan) -> datetime:
    """When to look at a batch that has a task."""
    began = live.sent_at or live.opened_at
    last = began if plan.looked_at is None else max(began, plan.looked_at)
    after = wait(last - began, plan.usual_time(live.route), live.items)
    due = last + (min(after, ENDING) if live.canceling is not None else after)
    return due if live.retry_at is None else max(due, live.retry_at)


def next_look(plan: Plan) -> datetime | None:
    """When to look at what is under way: one look sees all of it. None if nothing is."""
    return min(_looks(plan), default=None)


def is_due(plan: Plan, now: datetime) -> bool:
    """Whether a pass that was woken by something else should look at what is under way."""
    return any(at <= now + SKEW for at in _looks(plan))


def _looks(plan: Plan) -> Iterable[datetime]:
    return (look_at(live, plan) for live in plan.batches if live.task is not None)
