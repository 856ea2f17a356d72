"""Requests without a good credential, counted by where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.errors import TooMany
from chalicelib.core.ports.logins import Tallies
from chalicelib.core.rates import BEARER, WINDOW, seconds_until, window

_MINUTES = int(WINDOW.total_seconds()) // 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """``most`` is the number of requests of one kind that an address may make in a window."""

    tallies: Tallies
    most: int

    def count(self, kind: str, address: str, now: datetime) -> None:
        """Count one request. Raises TooMany beyond the limit, with the seconds until it is over."""
        here = window(kind, address, now)
        if self.tallies.count(here.key, here.ends) > self.most:
            raise self.refusal(kind, seconds_until(here.ends, now))

    def ends(self, kind: str, address: str, now: datetime) -> datetime:
        """When the count of this moment is over."""
        return window(kind, address, now).ends

    def refusal(self, kind: str, wait: int) -> TooMany:
        """The words for an address beyond the limit."""
        what, code = ("sign-ins were begun", "too-many-sign-ins")
        if kind == BEARER:
            what, code = ("tokens that are not good were sent", "too-many-bad-tokens")
        words = f"More than {self.most} {what} from your network address within {_MINUTES} minutes."
        return TooMany(words, wait, code=code)
