"""A small soak: two hundred jobs through bad weather. ``make soak`` is the large one."""

from __future__ import annotations

import pytest
from soak import Soak


@pytest.mark.parametrize("seed", [1, 2])
def test_every_job_of_a_small_soak_ends_as_it_should(seed: int) -> None:
    found = Soak(seed=seed, jobs=200, users=10).run()
    assert sum(found["ends"].values()) == 200  # type: ignore[attr-defined]
    assert found["met"], "no call failed: there was no bad weather"
