"""What time it is, for an agent: two clocks, because a machine's time is set now and then, also backwards.

What is told and written down is in the machine's time, which others share. What is waited for goes by a clock that
nobody sets: else an agent would be silent for as long as its machine's time was set back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


def _since_boot() -> float:
    """Seconds since the machine started, those that it slept among them, where it tells."""
    # Linux has it, macOS has not.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocks:
    """``wall``: seconds since the epoch. ``steady``: seconds since some moment of this process's life or before."""

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = _since_boot


MACHINE = Clocks()
"""Those of the machine."""
