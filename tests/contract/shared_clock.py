"""One clock for a house and for the Globus emulator that it moves its data with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from loop_house import Now

from emulators.clock import TurnedClock
from emulators.globus import GlobusEmulator

PATIENCE = 120.0
"""Seconds that a busy machine may take to copy what is due."""


@dataclass
class SharedClock(Now):
    """The house's clock, and the emulator's with it."""

    turned: TurnedClock | None = None
    globus: GlobusEmulator | None = None

    def turn(self, **by: float) -> datetime:
        assert self.turned is not None
        assert self.globus is not None
        self.turned.turn(timedelta(**by).total_seconds())
        self.globus.controls.settle()
        self._come_to_rest(self.globus)
        return super().turn(**by)

    def _come_to_rest(self, globus: GlobusEmulator) -> None:
        """Files are copied in real time, while this clock stands: let every task wait for it before it goes on."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with globus.world.lock:
                if all(run._waiting for run in globus.world.engine._runs.values()):
                    return
            time.sleep(0.01)
        raise AssertionError("the emulator does not come to rest")
