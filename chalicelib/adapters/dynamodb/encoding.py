"""Moments, keys, number lists and JSON text as the items hold them. Knows no record and no table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.core.ids import JobNumber, UserId

SCHEMA = 1
"""The version of the form of every item (attribute ``v``)."""

LONGEST_LIFE = timedelta(days=3 * 365)
"""How long a job can live for its words to outlive it; see ``words_expire``."""

DESK = "DESK"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEP = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """A moment as stored: exact, so that what is read equals what was written."""
    return (at - _EPOCH) // _STEP


def moment(stored: int) -> datetime:
    return _EPOCH + timedelta(microseconds=stored)


def maybe_micros(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def maybe_moment(stored: int | None) -> datetime | None:
    return None if stored is None else moment(stored)


def expiry(at: datetime) -> int:
    """The ``expires`` attribute for an item that is good until ``at``: not a moment sooner."""
    return -((_EPOCH - at) // timedelta(seconds=1))


def words_expire(written: datetime, retention: timedelta) -> int:
    """When documents, tales and the notes of a POST may go.

    They are written long before their job's end is known, and nobody asks for them once its status has gone. So
    they are given, when written, the longest life and the retention after it: no second write to tidy them.
    """
    return expiry(written + LONGEST_LIFE + retention)


def key(user: UserId, sk: str) -> dict[str, Any]:
    return {"user": user, "sk": sk}


def job_sk(number: int) -> str:
    return f"J#{number:010d}"


def document_sk(number: int, revision: int) -> str:
    return f"D#{number:010d}#{revision:04d}"


def tale_sk(number: int, version: int) -> str:
    return f"T#{number:010d}#{version:08d}"


def edge_sk(parent: int, child: int | None) -> str:
    """The key of an edge; without a child, what all of the parent's begin with."""
    return f"E#{parent:010d}#" + ("" if child is None else f"{child:010d}")


def number_of(sk: str) -> JobNumber:
    """The job's number in a J#, D# or T# key."""
    return JobNumber(int(sk.split("#", 2)[1]))


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def json_text(value: Mapping[str, Any] | list[Any]) -> str:
    """JSON in as few bytes as it has: not escaped, or a document of the largest size would not fit an item."""
    return _encode(value)


def write_numbers(numbers: Iterable[int]) -> str:
    """Job numbers as text, runs joined (``1001-2000,2005``), in the order they came in."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] + 1 == number:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def read_numbers(text: str) -> tuple[JobNumber, ...]:
    """Read what ``write_numbers`` wrote."""
    found: list[JobNumber] = []
    for run in text.split(",") if text else ():
        first, _, last = run.partition("-")
        found += (JobNumber(number) for number in range(int(first), int(last or first) + 1))
    return tuple(found)
