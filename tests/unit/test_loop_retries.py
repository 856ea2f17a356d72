"""Jobs that are tried again, by policy and by hand: what is, what is not, when, and that no try runs twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from loop_house import ADA, ARCHIVE, LAB, THETA, House, a_document

from chalicelib.api.render import story, waiting_for
from chalicelib.core.document import read_document
from chalicelib.core.errors import Conflict, Invalid
from chalicelib.core.ids import JobNumber
from chalicelib.core.job import Job, Stage, State

QUICK: dict[str, Any] = {"source": None, "results": False}
ERROR = {"outcome": "error", "exit_code": 3}


def tried(attempts: int = 2, delay: int = 600, **fields: Any) -> dict[str, Any]:
    return a_document(retry={"attempts": attempts, "delay": delay}, **fields)


def waits(house: House, number: int) -> set[str]:
    return set(waiting_for(house.manage.show(ADA, JobNumber(number)), house.clock.now())) - {"site"}


def retries(house: House, number: int) -> list[tuple[str, Any]]:
    told = story(house.manage.story(ADA, JobNumber(number)))["entries"]
    return [(each["event"], each["detail"]) for each in told if each["event"].endswith("_retried")]


def until(house: House, number: int, code: str, minutes: int = 30) -> Job:
    """Live on until this has happened to the job."""
    for _ in range(minutes):
        if any(mark.code == code for mark in house.job(number).trail):
            break
        house.clock.turn(minutes=1)
        house.by_sweep_alone()
        house.agent.work()
    job = house.job(number)
    assert job.trail[-1].code == code
    return job


def test_a_run_that_failed_runs_again_after_the_delay_and_not_before() -> None:
    house = House()
    (number,) = house.post(tried())
    house.agent.ends[number] = ERROR
    job = until(house, number, "run_retried")
    assert (job.state, job.attempt, job.exit_code, job.native_id) == (State.STAGED, 2, None, None)
    assert job.not_before == job.updated_at + timedelta(minutes=10)
    assert waits(house, number) == {"retry"}
    house.clock.at = job.not_before - timedelta(seconds=1)
    assert house.agent.call().leases == []
    assert house.desk().wake_at is None, "the site takes it: nobody looks meanwhile"
    house.agent.ends.clear()
    house.clock.turn(seconds=1)
    house.live_on()
    job = house.job(number)
    assert (job.state, job.exit_code, job.attempt) == (State.COMPLETED, 0, 2)
    assert len(house.agent.ran) == 2
    assert retries(house, number) == [("run_retried", {"attempt": 2, "after": "exit_code"})]
    assert len({task.submission for task in house.globus.of_job(number)}) == 3, "inputs once, outputs of each run"


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_a_job_is_tried_as_often_as_it_says_and_then_has_failed(attempts: int) -> None:
    house = House()
    (number,) = house.post(tried(attempts, 0, **QUICK))
    house.agent.ends[number] = ERROR
    house.live_on()
    job = house.job(number)
    assert (job.state, job.failed_stage, job.exit_code) == (State.FAILED, Stage.RUN, 3)
    assert (job.attempt, len(house.agent.ran)) == (attempts, attempts)


def test_each_try_has_an_epoch_of_its_own_and_old_reports_mean_nothing_to_it() -> None:
    house = House()
    (number,) = house.post(tried(delay=0, **QUICK))
    house.answer_rings()
    first = house.agent.call().leases[0].job
    said = {"job": str(first.ref), "epoch": first.epoch, "event": "exited", "native_id": "7", **ERROR}
    assert house.agent.call(said, take=0).answers[0].result == "recorded"
    house.answer_rings()
    assert house.job(number).state is State.STAGED
    for event in ("exited", "active", "queued"):
        late = said | {"event": event}
        assert house.agent.call(late, take=0).answers[0].result == "stale"
    second = house.agent.call().leases[0].job
    assert second.epoch > first.epoch + 1, "no report of the lease in between can be taken for one of these"
    assert (first.attempt, second.attempt) == (1, 2)


@pytest.mark.parametrize(("event", "again"), [("rejected", True), ("refused", False)])
def test_a_submission_that_the_scheduler_rejects_is_tried_again_and_one_the_site_forbids_is_not(
    event: str, again: bool
) -> None:
    house = House()
    (number,) = house.post(tried(delay=60, **QUICK))
    house.answer_rings()
    house.agent.call()
    house.agent.call({"job": f"{ADA.user}/{number}", "epoch": 1, "event": event, "detail": "queue is full"}, take=0)
    job = house.job(number)
    assert job.state is (State.STAGED if again else State.FAILED)
    assert house.manage.story(ADA, number).tales[job.version].detail["words"] == ["queue is full"]
    if again:
        house.live_on()
        assert house.job(number).state is State.COMPLETED


def test_of_a_stage_in_only_what_failed_is_moved_again_with_checksums_when_the_desk_wakes_for_it() -> None:
    house = House()
    items = [{"source": f"globus://{LAB}{path}", "target": f"{n}/"} for n, path in enumerate(("/in/", "/late/"))]
    (number,) = house.post(tried(source=None, stage_in=items))
    job = until(house, number, "stage_in_retried")
    assert (job.state, waits(house, number)) == (State.STAGE_IN, {"retry"})
    assert job.not_before is not None
    house.by_sweep_alone()
    assert house.desk().wake_at == job.not_before
    calls = len(house.globus.calls)
    for _ in range(5):
        house.clock.turn(minutes=1)
        house.by_sweep_alone()
    assert len(house.globus.calls) == calls, "nothing is looked at meanwhile"
    house.globus.put(LAB, "/late/x")
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    sent = [task.batch for task in house.globus.of_job(number) if task.batch.route.stage is Stage.STAGE_IN]
    assert [[member.item for member in batch.members] for batch in sent] == [[0, 1], [1]]
    assert [batch.careful for batch in sent] == [False, True]
    assert retries(house, number) == [("stage_in_retried", {"attempt": 2, "after": "source_missing"})]


def test_a_stage_out_that_failed_is_tried_again_and_the_run_is_not() -> None:
    house = House()
    (number,) = house.post(tried(attempts=3))
    house.globus.bad_paths = {f"/runs/{number}": "PERMISSION_DENIED"}
    until(house, number, "stage_out_retried")
    house.globus.bad_paths.clear()
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    assert len(house.agent.ran) == 1


def test_an_output_that_the_run_did_not_leave_is_not_looked_for_again() -> None:
    house = House()
    (number,) = house.post(tried(attempts=5, delay=0))
    house.agent.missing.add(number)
    house.live_on()
    job = house.job(number)
    assert (job.state, job.failed_stage, job.attempt) == (State.FAILED, Stage.STAGE_OUT, 1)


@pytest.mark.parametrize("when", ["run_retried", "stage_in_retried"])
def test_a_cancel_while_a_job_waits_for_its_next_try_ends_it_and_nothing_is_tried_again(when: str) -> None:
    house = House()
    (number,) = house.post(tried(attempts=9, source="/late/" if when == "stage_in_retried" else None))
    house.agent.ends[number] = ERROR
    until(house, number, when)
    ran = len(house.agent.ran)
    house.manage.cancel(ADA, number)
    house.live_on()
    assert house.job(number).state is State.CANCELED
    assert len(house.agent.ran) == ran
    assert house.faults() == []


def test_a_run_that_its_user_cancelled_is_not_tried_again() -> None:
    house = House()
    (number,) = house.post(tried(attempts=9, delay=0, **QUICK))
    house.answer_rings()
    house.agent.call()
    house.manage.cancel(ADA, number)
    said = {"job": f"{ADA.user}/{number}", "epoch": 1, "event": "exited", **ERROR}
    house.agent.call(said, take=0)
    house.live_on()
    assert house.job(number).state in (State.FAILED, State.CANCELED)
    assert house.job(number).attempt == 1


def test_a_login_that_is_needed_does_not_cost_a_try() -> None:
    house = House()
    (number,) = house.post(tried(source="/late/", delay=60))
    until(house, number, "stage_in_retried")
    house.access.refused = True
    house.globus.put(LAB, "/late/x")
    house.live_on(30)
    assert (house.job(number).state, house.job(number).attempt) == (State.STAGE_IN, 2)
    house.sign_in()
    house.live_on()
    assert house.job(number).state is State.COMPLETED


@pytest.mark.parametrize(
    ("document", "spoil", "stage", "runs"),
    [
        (a_document(source="/late/"), "", Stage.STAGE_IN, 1),
        (a_document(**QUICK), "rejected", Stage.SUBMIT, 2),
        (a_document(**QUICK), "error", Stage.RUN, 2),
        (a_document(), "archive", Stage.STAGE_OUT, 1),
        (a_document(), "missing", Stage.STAGE_OUT, 2),
    ],
)
def test_a_failed_job_is_tried_again_by_hand_from_what_failed(
    document: dict[str, Any], spoil: str, stage: Stage, runs: int
) -> None:
    house = House()
    (number,) = house.post({**document, "cleanup": True})
    if spoil == "error":
        house.agent.ends[number] = ERROR
    elif spoil == "archive":
        house.globus.bad_paths = {f"/runs/{number}": "PERMISSION_DENIED"}
    elif spoil == "missing":
        house.agent.missing.add(number)
    elif spoil == "rejected":
        house.answer_rings()
        ref = str(house.agent.call().leases[0].job.ref)
        house.agent.ran.append(ref)
        house.agent.call({"job": ref, "epoch": 1, "event": "rejected"}, take=0)
    house.live_on()
    job = house.job(number)
    assert (job.state, job.failed_stage) == (State.FAILED, stage)
    house.globus.put(LAB, "/late/x")
    house.globus.bad_paths.clear()
    house.agent.ends.clear()
    house.agent.missing.clear()
    seen = house.manage.retry(ADA, number)
    assert (seen.job.attempt, seen.job.error, seen.job.failed_stage) == (2, None, None)
    house.live_on()
    job = house.job(number)
    assert job.state is State.COMPLETED
    house.agent.work(2)
    assert house.agent.cleaned == [str(job.ref)], "cleanup is wanted again"
    assert len(house.agent.ran) == runs
    assert house.faults() == []


def test_a_job_that_waited_in_vain_is_tried_again_with_the_job_that_it_waits_for() -> None:
    house = House()
    (parent,) = house.post(a_document(**QUICK))
    house.agent.ends[parent] = ERROR
    (child,) = house.post(a_document(**QUICK, depends_on=[parent]))
    house.live_on()
    assert house.job(child).failed_stage is Stage.DEPENDENCY
    house.manage.retry(ADA, child)
    house.live_on(3)
    assert house.job(child).state is State.FAILED, "its parent still has failed"
    house.agent.ends.clear()
    house.manage.retry(ADA, parent)
    house.manage.retry(ADA, child)
    house.live_on()
    assert {house.job(number).state for number in (parent, child)} == {State.COMPLETED}


@pytest.mark.parametrize("state", [State.STAGED, State.COMPLETED, State.CANCELED])
def test_what_has_not_failed_is_not_tried_again(state: State) -> None:
    house = House()
    (number,) = house.post(a_document(**QUICK, hold=state is not State.COMPLETED))
    if state is State.CANCELED:
        house.manage.cancel(ADA, number)
    house.live_on(5)
    assert house.job(number).state is state
    before = house.job(number)
    with pytest.raises(Conflict) as refused:
        house.manage.retry(ADA, number)
    assert refused.value.code == "not-failed"
    assert house.job(number) == before


def test_two_requests_for_another_try_make_one() -> None:
    house = House()
    (number,) = house.post(a_document(source="/late/"))
    house.live_on()

    def meanwhile(call: str, moment: str) -> None:
        if call == "jobs.save" and moment == "before":
            house.gate = lambda call, moment: None
            house.manage.retry(ADA, number)

    house.gate = meanwhile
    house.manage.retry(ADA, number)
    assert house.job(number).attempt == 2


def test_a_retry_by_hand_does_not_write_where_a_live_job_writes_by_now() -> None:
    house = House()
    fixed = [{"source": "r/", "target": f"globus://{ARCHIVE}/latest/"}]
    (number,) = house.post(a_document(source="/late/", results=False, stage_out=fixed))
    house.live_on()
    (other,) = house.post(a_document(results=False, stage_out=fixed, hold=True))
    with pytest.raises(Conflict) as refused:
        house.manage.retry(ADA, number)
    assert str(other) in str(refused.value)
    assert house.job(number).state is State.FAILED


@pytest.mark.parametrize(
    ("retry", "pointer"),
    [
        ({}, "/retry/attempts"),
        ({"attempts": 0}, "/retry/attempts"),
        ({"attempts": 11}, "/retry/attempts"),
        ({"attempts": 2, "delay": -1}, "/retry/delay"),
        ({"attempts": 2, "delay": 86401}, "/retry/delay"),
    ],
)
def test_a_policy_out_of_bounds_is_refused(retry: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_document({"site": THETA, "executable": "/bin/true", "retry": retry})
    assert [fault.pointer for fault in refused.value.faults] == [pointer]
