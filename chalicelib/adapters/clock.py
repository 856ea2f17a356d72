"""The clock: the machine's, or that of a stack on one machine, which tests turn by a file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path


class SystemClock:
    """``core.ports.clock.Clock`` on the machine's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class TurnableClock:
    """The machine's time plus the seconds that a file holds; no file means none."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def now(self) -> datetime:
        try:
            offset = float(self._path.read_text() or 0)
        except FileNotFoundError:
            offset = 0.0
        return datetime.now(UTC) + timedelta(seconds=offset)
