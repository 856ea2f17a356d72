"""A job's whole way through the planner and the site's calls, where nothing goes wrong."""

from __future__ import annotations

from loop_house import ARCHIVE, House, a_document

from chalicelib.core.job import State


def test_a_job_is_staged_in_run_and_staged_out_by_two_tasks() -> None:
    house = House()
    (number,) = house.post(a_document())
    house.answer_rings()
    assert house.job(number).state is State.STAGE_IN
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    assert len(house.globus.tasks) == 2
    assert sorted(house.globus.files[ARCHIVE]) == [f"/runs/{number}/r1", f"/runs/{number}/r2"]
    assert house.faults() == []
    assert house.desk().plan.batches == ()
    assert house.desk().wake_at is None
    assert house.inbox() == []
