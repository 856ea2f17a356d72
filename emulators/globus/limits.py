"""Meters requests: so many a second per user, counted over a window, by the emulator's clock."""

from __future__ import annotations

import math
from collections import deque

from emulators.globus.config import Settings
from emulators.globus.errors import TransferRefusal


class RateMeter:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seen: dict[str, deque[float]] = {}

    def count(self, user: str, now: float) -> None:
        """Count one request of a user. Raises ``TransferRefusal`` 429 with Retry-After when it is one too many."""
        rate, window = self._settings.rate_per_second, self._settings.rate_window
        if rate is None:
            return
        seen = self._seen.setdefault(user, deque())
        while seen and seen[0] <= now - window:
            seen.popleft()
        if len(seen) >= rate * window:
            refusal = TransferRefusal(429, self._settings.rate_code, "Too many requests, slow down")
            refusal.headers["Retry-After"] = str(max(1, math.ceil(seen[0] + window - now)))
            raise refusal
        seen.append(now)
