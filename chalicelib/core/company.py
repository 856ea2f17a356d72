"""When outputs wait for company: others of their route that are expected to end soon go in the same task.

What is expected is told by what came before. Jobs of a user that end one after the other are a stream; while one
flows, and another end is due by its pace, what is there waits for it, a minute at the most. A job that ends alone,
or with all its like at the same time, or after the stream has dried up, waits for nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.core.desk import Route, Stream

LONGEST = timedelta(seconds=60)
"""How long the first of a batch waits for the last."""

DRIED_UP = timedelta(minutes=3)
"""Ends further apart than this do not belong together."""

FEWEST = 3
"""Ends that make a stream: of two nobody knows whether there will be a third."""

LATE = 3
"""How many times its usual gap the next end may be late before it is not expected any more."""

ENOUGH = 500
"""Jobs that are company enough."""

_NEWEST = 0.3


def joined(stream: Stream | None, route: Route, ends: Iterable[datetime]) -> Stream | None:
    """The stream after these ends; those that it knows of, or that came before its last, tell it nothing."""
    for at in sorted(ends):
        if stream is None or at - stream.last_at > DRIED_UP:
            stream = Stream(route=route, last_at=at)
        elif at > stream.last_at:
            gap = (at - stream.last_at) // timedelta(milliseconds=1)
            pace = gap if stream.count == 1 else round(stream.gap * (1 - _NEWEST) + gap * _NEWEST)
            stream = replace(stream, last_at=at, gap=pace, count=stream.count + 1)
    return stream


def waits_until(stream: Stream | None, route: Route, ends: Sequence[datetime]) -> datetime | None:
    """Until when jobs that ended at these times wait for company; None or a time gone by: not any longer."""
    flowing = joined(stream, route, ends)
    if flowing is None or flowing.count < FEWEST or len(ends) >= ENOUGH:
        return None
    expected = flowing.last_at + LATE * timedelta(milliseconds=flowing.gap)
    return min(min(ends) + LONGEST, expected)
