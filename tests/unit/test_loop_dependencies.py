"""Jobs that wait for jobs: when they go on, when they never will, and what a lost moment costs."""

from __future__ import annotations

from typing import Any

import pytest
from loop_house import ADA, BOB, CrashNow, House, a_document

from chalicelib.api.render import waiting_for
from chalicelib.core.dependencies import MOST_PARENTS
from chalicelib.core.errors import Invalid
from chalicelib.core.ids import JobNumber
from chalicelib.core.job import Stage, State

QUICK: dict[str, Any] = {"source": None, "results": False}


def after(*parents: int, when: str = "afterok", **fields: Any) -> dict[str, Any]:
    return a_document(depends_on=[{"job": number, "when": when} for number in parents], **{**QUICK, **fields})


def ends(house: House, number: int, *, well: bool) -> None:
    if not well:
        house.agent.ends[number] = {"outcome": "error", "exit_code": 3}


def waits(house: House, number: int) -> set[str]:
    return set(waiting_for(house.manage.show(ADA, JobNumber(number)), house.clock.now())) - {"site"}


@pytest.mark.parametrize("well", [True, False])
@pytest.mark.parametrize(
    ("when", "starts"), [("afterok", {True}), ("afterany", {True, False}), ("afternotok", {False})]
)
def test_a_job_starts_after_the_end_that_it_waits_for_and_after_no_other(
    when: str, starts: set[bool], well: bool
) -> None:
    house = House()
    (parent,) = house.post(a_document(**QUICK))
    ends(house, parent, well=well)
    (child,) = house.post(after(parent, when=when))
    house.answer_rings()
    assert (house.job(child).state, waits(house, child)) == (State.STAGED, {"dependency"})
    assert [lease.job.ref.number for lease in house.agent.call().leases] == [parent]
    house.live_on()
    if well in starts:
        assert house.job(child).state is State.COMPLETED
        return
    job = house.job(child)
    assert (job.state, job.failed_stage, job.error) == (State.FAILED, Stage.DEPENDENCY, "dependency")
    told = house.manage.show(ADA, child).told
    assert told is not None
    assert f"job {parent} is {house.job(parent).state}" in told.detail["words"][0]
    assert when in told.detail["words"][0]
    assert str(job.ref) not in house.agent.ran


def test_the_inputs_of_a_waiting_job_move_meanwhile() -> None:
    house = House()
    (parent,) = house.post(a_document(**QUICK, hold=True))
    (child,) = house.post(after(parent, source="/in/"))
    house.live_on(10)
    assert house.job(child).state is State.STAGED
    house.manage.release(ADA, parent)
    house.live_on()
    assert house.job(child).state is State.COMPLETED


def test_a_number_alone_means_afterok_and_all_parents_are_waited_for() -> None:
    house = House()
    first, second = house.post(a_document(**QUICK), a_document(**QUICK, hold=True))
    (child,) = house.post(a_document(**QUICK, depends_on=[first, second]))
    house.live_on(10)
    assert house.job(first).state is State.COMPLETED
    assert (house.job(child).state, waits(house, child)) == (State.STAGED, {"dependency"})
    house.manage.release(ADA, second)
    house.live_on()
    assert house.job(child).state is State.COMPLETED


@pytest.mark.parametrize("hold", [False, "staging"])
def test_a_parent_that_had_ended_before_is_noticed_whatever_keeps_the_child(hold: bool | str) -> None:
    house = House()
    (parent,) = house.post(a_document(**QUICK))
    ends(house, parent, well=False)
    house.live_on()
    (child,) = house.post(after(parent, hold=hold, source="/in/"))
    house.answer_rings()
    assert house.job(child).state is State.FAILED
    assert house.globus.tasks == {}


def test_a_failure_settles_all_that_hang_on_it_in_one_pass_and_cancels_what_moves_for_them() -> None:
    house = House()
    house.globus.takes *= 1000
    (parent,) = house.post(a_document(**QUICK))
    chain = [parent]
    for _ in range(5):
        chain += house.post(after(chain[-1], source="/in/"))
    house.answer_rings()
    assert all(house.job(number).state is State.STAGE_IN for number in chain[1:])
    house.agent.call()
    report = {"job": f"{ADA.user}/{parent}", "epoch": 1, "event": "rejected"}
    house.agent.call(report, take=0)
    house.answer_rings()
    house.live_on(3)
    for number in chain[1:]:
        job = house.job(number)
        assert (job.state, job.failed_stage) == (State.FAILED, Stage.DEPENDENCY), number
    assert house.globus.live() == []
    assert house.faults() == []


def test_a_cancel_of_a_parent_is_an_end_and_a_cancel_of_a_child_needs_no_parent() -> None:
    house = House()
    (parent,) = house.post(a_document(**QUICK, hold=True))
    one, other = house.post(after(parent, when="afternotok"), after(parent))
    house.answer_rings()
    house.manage.cancel(ADA, other)
    house.answer_rings()
    assert house.job(other).state is State.CANCELED
    house.manage.cancel(ADA, parent)
    house.live_on()
    assert house.job(one).state is State.COMPLETED


@pytest.mark.parametrize("raw", [9999, {"job": 9999}])
def test_a_parent_that_is_not_one_s_own_is_a_fault_that_names_it(raw: Any) -> None:
    house = House()
    house.post(a_document(**QUICK), caller=BOB)
    for number in (9999, 1001):
        entry = number if isinstance(raw, int) else {"job": number}
        with pytest.raises(Invalid) as refused:
            house.post(a_document(**QUICK), a_document(**QUICK, depends_on=[entry]))
        assert [(f.pointer, f.detail) for f in refused.value.faults] == [
            ("/jobs/1/depends_on/0", f"you have no job {number}")
        ]


def test_a_row_that_was_never_committed_is_nobody_s_parent() -> None:
    house = House()

    def dies(call: str, moment: str) -> None:
        if call == "postings.commit":
            raise CrashNow

    house.gate = dies
    with pytest.raises(CrashNow):
        house.post(a_document(**QUICK), key="k")
    house.gate = lambda call, moment: None
    with pytest.raises(Invalid):
        house.post(after(1001))


def test_the_faults_of_the_field_itself_are_named() -> None:
    house = House()
    entries: list[Any] = [0, "1001", {"job": 1001, "when": "later"}, {"when": "afterok"}, 1001, {"job": 1001}]
    with pytest.raises(Invalid) as refused:
        house.post(a_document(depends_on=entries))
    assert [fault.pointer for fault in refused.value.faults] == [
        "/depends_on/0",
        "/depends_on/1",
        "/depends_on/2/when",
        "/depends_on/3/job",
        "/depends_on/5",
    ]
    with pytest.raises(Invalid):
        house.post(a_document(depends_on=list(range(1001, 1002 + MOST_PARENTS))))


@pytest.mark.parametrize("well", [True, False])
def test_wherever_a_post_of_a_child_is_cut_its_parent_s_end_settles_it(well: bool) -> None:
    """The POST stops before each of its calls in turn, the parent ends, and the POST is repeated."""
    at = 0
    while True:
        house = House()
        (parent,) = house.post(a_document(**QUICK))
        ends(house, parent, well=well)
        calls = 0

        def cut(call: str, moment: str, at: int = at) -> None:
            nonlocal calls
            if moment == "before":
                calls += 1
                if calls - 1 == at:
                    raise CrashNow

        house.gate = cut
        try:
            house.post(after(parent, source="/in/"), key="k")
        except CrashNow:
            pass
        else:
            assert at > 6
            return
        house.gate = lambda call, moment: None
        house.live_on()
        house.clock.turn(minutes=1)
        (child,) = house.post(after(parent, source="/in/"), key="k")
        house.live_on()
        assert house.job(child).state is (State.COMPLETED if well else State.FAILED), f"cut before call {at}"
        at += 1


def test_a_pass_costs_what_the_edges_cost_and_jobs_without_any_cost_nothing() -> None:
    house = House()
    calls: list[str] = []
    house.gate = lambda call, moment: calls.append(call) if moment == "before" else None
    house.post(*(a_document(**QUICK) for _ in range(20)))
    house.live_on()
    assert not [call for call in calls if call.startswith("dependants")]
