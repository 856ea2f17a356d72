"""A user with very many jobs: a pass costs what is due, and what only waits costs nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from loop_house import ADA, ARCHIVE, LAB, OTHER, CrashNow, House, a_document

from chalicelib.core.batch import MOST_ITEMS
from chalicelib.core.ids import JobNumber
from chalicelib.core.job import State
from chalicelib.service import inbox
from chalicelib.service.inbox import MOST_READ, MOST_TAKEN


class Meter:
    """Counts the jobs that each pass reads and changes, and the calls it makes."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.calls: Counter[str] = Counter()
        self.read: list[int] = []
        object.__setattr__(house.reconciler.passing, "jobs", _Counting(house.jobs, self))
        house.gate = lambda call, moment: self.calls.update([call] if moment == "before" else [])

    def of_a_pass(self) -> tuple[int, int]:
        """Make one pass; how many jobs it read and how many it saved."""
        self.calls.clear()
        self.read.clear()
        self.house.wake()
        return sum(self.read), self.calls["jobs.save"]


class _Counting:
    """The port of jobs, with the number of those asked for noted."""

    def __init__(self, jobs: Any, meter: Meter) -> None:
        self._jobs, self._meter = jobs, meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)

    def get_many(self, refs: Any, **how: Any) -> Any:
        self._meter.read.append(len(refs))
        return self._jobs.get_many(refs, **how)


def post(house: House, count: int, **fields: Any) -> list[JobNumber]:
    numbers: list[JobNumber] = []
    while len(numbers) < count:
        numbers += house.post(*(a_document(**fields) for _ in range(min(1000, count - len(numbers)))))
    return numbers


def test_ten_thousand_jobs_are_served_in_passes_of_bounded_work_and_then_wait_for_nothing() -> None:
    house = House()
    post(house, 10_000, source="/x", results=False)
    meter = Meter(house)
    passes = []
    while house.desk().wake_at == house.clock.now():
        passes.append(meter.of_a_pass())
        assert len(passes) < 12
    assert all(read <= MOST_TAKEN + MOST_READ for read, _ in passes)
    assert all(saved <= 3 * MOST_ITEMS for _, saved in passes)
    assert len(house.globus.live()) == 3
    house.clock.turn(seconds=2)
    assert meter.of_a_pass() == (0, 0), "a look at what runs reads none of those that wait"
    (late,) = house.post(a_document(source=None, results=False))
    assert meter.of_a_pass() == (1, 1)
    assert house.job(late).state is State.STAGED


def test_many_jobs_cost_no_more_each_than_few() -> None:
    costs = {}
    for count in (1000, 4000):
        house = House()
        numbers = post(house, count, source="/x", results=False)
        meter = Meter(house)
        read = saved = 0
        while any(house.job(number).state is not State.STAGED for number in numbers):
            wake_at = house.desk().wake_at
            assert wake_at is not None
            house.clock.turn(seconds=max(0.0, (wake_at - house.clock.now()).total_seconds()))
            more, changed = meter.of_a_pass()
            read, saved = read + more, saved + changed
        assert house.faults() == []
        assert house.inbox() == [] or house.wake()
        costs[count] = read / count, saved / count
    assert costs[4000][0] <= costs[1000][0] + 3
    assert costs[4000][1] == costs[1000][1] == 2, "a job is changed when it is claimed and when it has arrived"


def test_what_a_login_holds_up_is_read_once_and_not_again_until_the_login() -> None:
    house = House()
    house.globus.put(OTHER, "/in/a")
    house.globus.without_consent = {LAB}
    held = post(house, 1500, results=False)
    house.answer_rings()
    meter = Meter(house)
    for _ in range(3):
        (free,) = house.post(a_document(lab=OTHER, results=False))
        read, _ = meter.of_a_pass()
        assert read <= 5
        house.clock.turn(seconds=30)
        read, _ = meter.of_a_pass()
        assert read <= 5
        assert house.job(free).state is not State.NEW
    house.globus.without_consent = set()
    house.sign_in()
    house.live_on(200)
    assert {house.job(number).state for number in held} == {State.COMPLETED}


def test_outputs_go_before_inputs_that_have_waited_longer() -> None:
    house = House()
    ran = post(house, 150, source=None)
    house.answer_rings()
    house.access.refused = True
    waiting = post(house, 3000, source="/x", results=False)
    for _ in range(12):
        house.agent.work(4)
        house.clock.turn(minutes=1)
        house.by_sweep_alone()
    assert {house.job(number).state for number in ran} == {State.STAGE_OUT}
    house.sign_in()
    house.answer_rings()
    first = next(iter(house.globus.tasks.values()))
    assert first.batch.route.destination == ARCHIVE
    assert len(first.movements) == 150
    house.live_on(300)
    assert {house.job(number).state for number in (*ran, *waiting)} == {State.COMPLETED}
    assert house.faults() == []


@pytest.mark.parametrize("left", [0, 3])
def test_a_cut_at_any_write_of_a_large_backlog_loses_nobody(left: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MOST_LEFT": left, "SLICE": 4, "MOST_TAKEN": 8, "MOST_READ": 12, "MOST_NAMED": 3}.items():
        monkeypatch.setattr(inbox, name, value)
    for cut in range(0, 120, 3):
        house = House()
        numbers = [*house.post(*(a_document(results=False) for _ in range(9)))]
        numbers += [house.post(a_document(results=False))[0] for _ in range(5)]
        count = 0

        def dies(call: str, moment: str, at: int = cut) -> None:
            nonlocal count
            count += 1
            if count == at:
                raise CrashNow

        house.gate = dies
        for _ in range(4):
            try:
                house.clock.turn(seconds=30)
                house.wake()
            except CrashNow:
                house.clock.turn(minutes=10)
        house.manage.cancel(ADA, numbers[3])
        house.live_on(120)
        states = Counter(house.job(number).state for number in numbers)
        assert states[State.COMPLETED] >= 13, (cut, states)
        assert sum(states[state] for state in State if state.final) == 14
        assert house.faults() == []
        assert house.inbox() == []
