"""How Globus writes times: ISO with an offset in tasks, a blank instead of the T in listings. All UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(when: float) -> str:
    """``2021-09-02T18:04:47+00:00``, as in task documents."""
    return datetime.fromtimestamp(int(when), UTC).isoformat()


def fine_stamp(when: float) -> str:
    """The same with microseconds, as in consents and in the keys of administrators' lists."""
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="microseconds")


def listing_stamp(when: float) -> str:
    """``2021-01-15 01:45:50+00:00``, as in directory listings."""
    return datetime.fromtimestamp(int(when), UTC).isoformat(sep=" ")


def parse(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time, a bare date or a time without a zone (UTC).

    Raises ``ValueError`` for anything else.
    """
    moment = datetime.fromisoformat(text.strip())
    return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp()
