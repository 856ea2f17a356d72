"""Which of a site's commands go into one answer: the oldest, until those are not answered; then they take turns.

A command is repeated until a report answers it. One that is never answered, because its site cannot carry it out,
keeps no other waiting for ever.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from chalicelib.core.ids import JobRef
from chalicelib.core.job import Job

MOST_COMMANDS = 100
"""Commands of one answer."""

PATIENCE = timedelta(minutes=10)
"""How long commands may be on their way before those behind them are not left to wait for them."""

MOST_STANDING = 1000
"""Commands among which turns are taken, where the oldest are not answered."""


def are_in_the_way(oldest: Sequence[Job], now: datetime) -> bool:
    """Whether most of the jobs, whose commands are all that goes into an answer, have not been answered for long."""
    late = [job for job in oldest if job.updated_at < now - PATIENCE]
    return 2 * len(late) > len(oldest)


def turn(refs: Sequence[JobRef], now: datetime) -> list[JobRef]:
    """As many as go into an answer, others at each moment: nobody has to remember whose turn it was."""
    return sorted(refs, key=lambda ref: zlib.crc32(f"{now.isoformat()} {ref}".encode()))[:MOST_COMMANDS]
