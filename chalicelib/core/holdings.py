"""What a user's live jobs amount to, and the most that it may be.

The tally on the desk is an upper bound: each POST raises it in its own commit, and nothing is written when a job
ends. Only when a POST would go beyond a cap the live jobs are counted, and the tally becomes the true figure; so a
user well below their caps costs nothing, and one at a cap one count a minute.

Bytes are those of the live jobs' documents as they are stored. Documents of ended jobs are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chalicelib.core.errors import TooMany
from chalicelib.core.ids import FIRST_NUMBER, JobNumber

RECOUNT = timedelta(minutes=1)
"""How long a count is good: a user at a cap who asks again and again is counted once in this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Some live jobs: how many, and the bytes of their documents."""

    jobs: int = 0
    bytes: int = 0

    def __add__(self, other: Holding) -> Holding:
        return Holding(jobs=self.jobs + other.jobs, bytes=self.bytes + other.bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The most that one user may hold."""

    jobs: int
    bytes: int

    def allow(self, holding: Holding) -> bool:
        return holding.jobs <= self.jobs and holding.bytes <= self.bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What the desk says that its user holds, at most. No job with a number below ``first`` is live, and none
    has a number from ``next`` on."""

    holding: Holding = field(default_factory=Holding)
    counted_at: datetime | None = None
    first: JobNumber = FIRST_NUMBER
    next: JobNumber = FIRST_NUMBER

    def same(self, other: Tally) -> bool:
        """Whether nobody counted, and no POST was committed, between the one and the other."""
        return (self.holding, self.counted_at, self.first) == (other.holding, other.counted_at, other.first)

    def fresh(self, now: datetime) -> bool:
        """Whether it was counted a moment ago."""
        return self.counted_at is not None and now - self.counted_at < RECOUNT


def refusal(caps: Caps, held: Holding, adds: Holding, wait: int) -> TooMany:
    """The words for a POST that goes beyond a cap: which one, and the figures."""
    if held.jobs + adds.jobs > caps.jobs:
        return TooMany(
            f"You have {held.jobs} live jobs and this request brings {adds.jobs} more; {caps.jobs} are the most. "
            "Wait until some have ended, or cancel some.",
            wait,
            code="too-many-live-jobs",
        )
    return TooMany(
        f"The documents of your live jobs have {held.bytes} bytes and this request brings {adds.bytes} more; "
        f"{caps.bytes} are the most. Wait until some have ended, or stage large files instead of sending them.",
        wait,
        code="too-many-stored-bytes",
    )
