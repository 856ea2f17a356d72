"""The bell that wakes the planner of a user."""

from __future__ import annotations

from typing import Protocol

from chalicelib.core.ids import UserId

LONGEST_DELAY = 900
"""Seconds: what an SQS message can be delayed."""


class Bell(Protocol):
    """Rings for a user's desk. A ring may be lost or come twice: the desk decides what it is for."""

    def ring(self, user: UserId, delay: int = 0) -> None:
        """Wake the user's planner in ``delay`` seconds (0 to LONGEST_DELAY)."""
        ...
