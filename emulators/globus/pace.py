"""How fast tasks go. The copying is always real; the pace says when the service admits that it is done.

- at once: a task is as fast as the disk, and whoever reads a task waits until it has come to rest;
- by clock: overhead plus bytes over bandwidth, by the emulator's clock, divided by ``scale``;
- by poll: the copying is done at once and the task ends at the n-th time that someone asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a task's two collections are capable of: seconds that it takes besides its bytes, and bytes a second."""

    overhead: float
    bandwidth: float

    def moving(self, count: float) -> float:
        """How long so many bytes are on their way."""
        return count / self.bandwidth

    def seconds(self, count: float) -> float:
        """How long a task of so many bytes takes, once Globus works on it."""
        return self.overhead + self.moving(count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    kind: Literal["once", "clock", "poll"]
    scale: float = 1.0
    polls: int = 0

    @classmethod
    def at_once(cls) -> Pace:
        return cls(kind="once")

    @classmethod
    def by_clock(cls, scale: float = 1.0) -> Pace:
        if scale <= 0:
            raise ValueError("a time scale is above zero")
        return cls(kind="clock", scale=scale)

    @classmethod
    def by_poll(cls, polls: int) -> Pace:
        if polls < 1:
            raise ValueError("a task ends at the first poll or later")
        return cls(kind="poll", polls=polls)

    def seconds(self, modelled: float) -> float:
        """How long, by the clock, a modelled duration takes at this pace."""
        return modelled / self.scale if self.kind == "clock" else 0.0
