"""pytest fixtures: ``pytest_plugins = ["emulators.globus.fixtures"]`` in a test module, then ``globus_emulator``.

Override ``globus_config`` for another world, ``globus_pace`` for tasks that take time; ``globus_clock`` is turned by
the test and stands still by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emulators.clock import TurnedClock
from emulators.globus.config import Config, default_config
from emulators.globus.emulator import GlobusEmulator
from emulators.globus.pace import Pace


@pytest.fixture
def globus_config() -> Config:
    """The default world."""
    return default_config()


@pytest.fixture
def globus_clock() -> TurnedClock:
    """2027-01-15 08:00 UTC, until it is turned."""
    return TurnedClock(1_800_000_000.0)


@pytest.fixture
def globus_pace() -> Pace:
    """At once: whoever reads a task waits until it has come to rest."""
    return Pace.at_once()


@pytest.fixture
def globus_emulator(
    tmp_path: Path,
    globus_config: Config,
    globus_clock: TurnedClock,
    globus_pace: Pace,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[GlobusEmulator]:
    """An emulator on a free port, its directories below ``tmp_path``, and the environment that leads the SDK to it."""
    with GlobusEmulator(tmp_path / "globus", globus_config, clock=globus_clock, pace=globus_pace, control=True) as one:
        for name, value in one.environment().items():
            monkeypatch.setenv(name, value)
        yield one
