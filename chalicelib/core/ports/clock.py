"""The one source of time."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time. Every decision that depends on time asks this port and nothing else."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        ...
