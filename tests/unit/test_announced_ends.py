"""Ends that a site reports in one call: announced to the planner first, written one by one, never lost."""

from __future__ import annotations

from typing import Any

import pytest
from loop_house import ADA, BOB, THETA, CrashNow, House, a_document, a_site

from chalicelib.core.ids import JobNumber
from chalicelib.core.job import State
from chalicelib.service.sync import OCCUPIED, WRITTEN_WITHIN


def at_the_site(house: House, count: int) -> list[JobNumber]:
    """Jobs without inputs that run."""
    numbers = house.post(*(a_document(source=None) for _ in range(count)))
    house.answer_rings()
    for lease in house.agent.call().leases:
        home = a_site(THETA, ADA.user).job_place(lease.job.ref.user, lease.job.directory_name())
        house.globus.put(home.collection, f"{home.path}results/r1", f"{home.path}results/r2")
    house.agent.call(*(told(number, "queued") for number in numbers), *(told(number, "active") for number in numbers))
    assert {house.job(number).state for number in numbers} == {State.ACTIVE}
    return numbers


def told(number: int, event: str, user: str = ADA.user) -> dict[str, Any]:
    found = [{"item": 0, "kind": "directory", "files": 2, "bytes": 10}]
    ended = {"outcome": "ok", "exit_code": 0, "tail": "bye", "outputs": found} if event == "exited" else {}
    return {"job": f"{user}/{number}", "epoch": 1, "event": event, "native_id": f"7{number}", **ended}


class CutAt:
    """Ends the process before call number ``at`` of this name."""

    def __init__(self, call: str, at: int) -> None:
        self.call, self.left = call, at

    def __call__(self, call: str, moment: str) -> None:
        if call == self.call and moment == "before":
            self.left -= 1
            if self.left < 0:
                raise CrashNow


def test_many_ends_of_one_call_are_one_fact_for_each_user() -> None:
    house = House()
    numbers = at_the_site(house, 5)
    (other,) = house.post(a_document(source=None), caller=BOB)
    house.answer_rings()
    house.agent.call()
    house.agent.call(*(told(number, "exited") for number in numbers), told(other, "exited", BOB.user))
    assert house.inbox() == [tuple(numbers)]
    assert house.inbox(BOB) == [(other,)]
    assert dict(house.rung.take()) == {ADA.user: 0, BOB.user: 0}


def test_all_that_a_call_reports_of_a_job_is_one_write() -> None:
    house = House()
    (number,) = house.post(a_document(source=None))
    house.answer_rings()
    house.agent.call()
    before = house.job(number).version
    saved: list[str] = []
    house.gate = lambda call, moment: saved.append(call) if (call, moment) == ("jobs.save", "before") else None
    house.agent.call(told(number, "queued"), told(number, "active"), told(number, "exited"))
    assert saved == ["jobs.save"]
    assert [mark.code for mark in house.job(number).trail if mark.version > before] == ["queued", "active", "exited"]


@pytest.mark.parametrize("written", range(4))
def test_a_call_that_dies_among_its_statuses_leaves_nothing_to_chance(written: int) -> None:
    """The agent never calls again: what was written is planned all the same."""
    house = House()
    numbers = at_the_site(house, 3)
    house.gate = CutAt("jobs.save", written) if written < 3 else CutAt("bell.ring", 0)
    with pytest.raises(CrashNow):
        house.agent.call(*(told(number, "exited") for number in numbers))
    house.gate = lambda call, moment: None
    house.live_on(20, agent=False)
    assert all(house.job(number).state is State.COMPLETED for number in numbers[:written])
    assert {house.job(number).state for number in numbers[written:]} <= {State.ACTIVE}


def test_a_pass_between_the_announcement_and_the_statuses_loses_nothing() -> None:
    house = House()
    numbers = at_the_site(house, 3)
    passes: list[bool] = []

    def in_between(call: str, moment: str) -> None:
        if (call, moment) == ("jobs.save", "before") and not passes:
            passes.append(True)
            passes[0] = house.wake()

    house.gate = in_between
    house.agent.call(*(told(number, "exited") for number in numbers))
    assert passes == [True]
    assert house.inbox() == [tuple(numbers)]
    wake_at = house.desk().wake_at
    assert wake_at is not None
    assert wake_at <= house.clock.now() + WRITTEN_WITHIN
    house.live_on(20, agent=False)
    assert {house.job(number).state for number in numbers} == {State.COMPLETED}


def test_an_announcement_of_what_never_came_is_forgotten_in_time() -> None:
    house = House()
    (number,) = at_the_site(house, 1)
    house.gate = CutAt("jobs.save", 0)
    with pytest.raises(CrashNow):
        house.agent.call(told(number, "exited"))
    house.gate = lambda call, moment: None
    house.by_sweep_alone()
    assert house.inbox() == [(number,)]
    house.clock.turn(seconds=WRITTEN_WITHIN.total_seconds() + 1)
    house.by_sweep_alone()
    assert house.inbox() == []
    assert house.desk().wake_at is None


def test_an_agent_that_keeps_its_site_writes_so_only_when_half_the_time_is_over() -> None:
    house = House()
    house.agent.call()
    until = house.sites.get(house.agent.call().site.id)
    assert until is not None
    house.clock.turn(seconds=OCCUPIED.total_seconds() / 2 - 1)
    assert house.agent.call().site.agent_until == until.agent_until
    house.clock.turn(seconds=2)
    assert house.agent.call().site.agent_until == house.clock.now() + OCCUPIED
