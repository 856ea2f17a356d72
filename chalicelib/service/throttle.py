"""Requests that need no credential, counted by where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.errors import TooMany
from chalicelib.core.ports.logins import Tallies
from chalicelib.core.rates import WINDOW, seconds_until, window


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """``most`` is the number of requests of one kind that an address may make in a window."""

    tallies: Tallies
    most: int

    def count(self, kind: str, address: str, now: datetime) -> None:
        """Count one request. Raises TooMany beyond the limit, with the seconds until it is over."""
        here = window(kind, address, now)
        if self.tallies.count(here.key, here.ends) > self.most:
            minutes = int(WINDOW.total_seconds()) // 60
            raise TooMany(
                f"More than {self.most} sign-ins were begun from your network address within {minutes} minutes.",
                seconds_until(here.ends, now),
                code="too-many-sign-ins",
            )
