"""The scenarios of the crashes in rough weather: rings and the site's calls twice and late, indexes that lag.

Here some are cut as well; ``make crashes`` cuts them all.
"""

from __future__ import annotations

import pytest
from test_loop_crashes import ROUGH, SCENARIOS, Trip, check, points


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_job_ends_as_it_should_with_messages_twice_and_late_and_indexes_that_lag(name: str) -> None:
    check(SCENARIOS[name], SCENARIOS[name].run(Trip(), ROUGH), "in rough weather")


@pytest.mark.parametrize("name", ["a plain job", "a job that is cleaned up", "cancel when staged"])
@pytest.mark.parametrize("lost_answer", [False, True], ids=["process cut", "answer lost"])
def test_a_cut_in_rough_weather_costs_no_job_either(name: str, lost_answer: bool) -> None:
    for point in points(name, lost_answer=lost_answer, weather=ROUGH):
        point.prove()
