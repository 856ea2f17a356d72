"""Globus in a replay: tasks that take their overhead and their bytes, three of a user at a time.

The formula and its figures are the Globus emulator's (``emulators.globus.pace``), and so is the rule of three: a
task beyond it waits at Globus, and is worked on in the order of submission. Users do not slow each other down.
"""

from __future__ import annotations

from dataclasses import dataclass

from emulators.globus.config import Settings
from emulators.globus.pace import Link

ACTIVE = Settings().active_tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """A task: accepted, worked on between two times, in seconds since the epoch."""

    number: int
    bytes: int
    accepted: float
    begins: float
    ends: float


class Transfers:
    """All tasks of all users, over links that are alike."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.count = 0
        self._free: dict[str, list[float]] = {}

    def accept(self, user: str, count: int, now: float) -> Moving:
        """Take a task of so many bytes."""
        free = self._free.setdefault(user, [0.0] * ACTIVE)
        slot = free.index(min(free))
        begins = max(now, free[slot])
        free[slot] = begins + self.link.seconds(count)
        self.count += 1
        return Moving(number=self.count, bytes=count, accepted=now, begins=begins, ends=free[slot])
