"""The one clock of a local stack.

Every emulator and, by its own port, the service ask this clock what time it is; a test turns it and all of
them move together. Across processes the clock is a file that holds one decimal number: the seconds to add
to the machine's time. A file that is missing or empty means no offset.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """Tells the time. Implementations never go backwards by themselves."""

    def now(self) -> float:
        """Return seconds since the epoch, UTC."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()


class TurnedClock:
    """A clock in one process: the machine's time (or a fixed start) plus what the test has added."""

    def __init__(self, start: float | None = None) -> None:
        self._fixed = start
        self._offset = 0.0

    def now(self) -> float:
        return (time.time() if self._fixed is None else self._fixed) + self._offset

    def turn(self, seconds: float) -> None:
        """Move forward by ``seconds``."""
        if seconds < 0:
            raise ValueError("a clock only turns forward")
        self._offset += seconds


class FileClock:
    """A clock shared by processes through a file that holds the offset in seconds."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def offset(self) -> float:
        try:
            return float(self.path.read_text() or 0)
        except FileNotFoundError:
            return 0.0

    def now(self) -> float:
        return time.time() + self.offset()

    def turn(self, seconds: float) -> None:
        """Move forward by ``seconds``; readers see the old or the new offset, never half of one."""
        if seconds < 0:
            raise ValueError("a clock only turns forward")
        draft = self.path.with_suffix(".new")
        draft.write_text(repr(self.offset() + seconds))
        draft.replace(self.path)
