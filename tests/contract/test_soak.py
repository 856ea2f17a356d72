"""A small soak on the real Globus emulator: two hundred jobs through bad weather. ``make soak`` is the large one."""

from __future__ import annotations

from pathlib import Path

from soak import Soak


def test_every_output_of_a_small_soak_is_what_its_input_calls_for(tmp_path: Path) -> None:
    found = Soak(seed=1, jobs=200, users=10).run(tmp_path)
    ends, met = found["ends"], found["met"]
    assert isinstance(ends, dict)
    assert isinstance(met, dict)
    assert sum(ends.values()) == 200
    assert ends["completed"] > 100
    kinds = {kind.partition(": ")[2] for kind in met if kind.startswith("Transfer")}
    assert kinds == {"429", "503", "reset_before", "reset_after", "slow", "truncate"}, "there was no such weather"
