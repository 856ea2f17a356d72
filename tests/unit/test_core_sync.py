"""A site's one call: what an agent may send, and what event each report is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from core_examples import ADA, a_document, a_job, an_output
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core.errors import Invalid
from chalicelib.core.events import Active, CancelRefused, Cleaned, CleanupRefused, Exited, Queued, Rejected, Withdrawn
from chalicelib.core.ids import JobNumber, JobRef
from chalicelib.core.job import Job, Leg, LegStatus, Outcome, State
from chalicelib.core.outputs import Found
from chalicelib.core.sync import MOST_LEASES, AgentReport, detail_of, event_of, read_sync

JOB = f"{ADA}/1001"
AGENT = {"instance": "0123456789abcdef", "version": "0.1.0", "host": "login1"}
LEAST: dict[str, Any] = {"agent": AGENT}


def a_report(event: str, **fields: Any) -> dict[str, Any]:
    return {"job": JOB, "epoch": 1, "event": event, **fields}


def read(*reports: dict[str, Any]) -> tuple[AgentReport, ...]:
    return read_sync({**LEAST, "reports": list(reports)}).reports


def faults(raw: Any) -> list[str]:
    with pytest.raises(Invalid) as refused:
        read_sync(raw)
    return [fault.pointer for fault in refused.value.faults]


def at(state: State, **fields: Any) -> Job:
    return replace(a_job(), state=state, **fields)


def test_the_least_that_an_agent_says_takes_nothing_and_reports_nothing() -> None:
    request = read_sync(LEAST)
    assert (request.instance, request.host) == ("0123456789abcdef", "login1")
    assert (request.take, request.holding, request.reports) == (0, (), ())


def test_an_agent_is_given_at_most_a_bounded_number_of_leases_and_none_while_it_drains() -> None:
    assert read_sync({**LEAST, "take": 5}).take == 5
    assert read_sync({**LEAST, "take": 10_000}).take == MOST_LEASES
    assert read_sync({**LEAST, "take": 5, "draining": True}).take == 0


def test_what_it_holds_is_read_and_what_is_no_job_is_passed_over() -> None:
    holding = [{"job": JOB, "epoch": 2}, {"job": "what?", "epoch": 1}, {"job": f"{ADA}/x", "epoch": 1}]
    assert read_sync({**LEAST, "holding": holding}).holding == ((JobRef(user=ADA, number=JobNumber(1001)), 2),)


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        ({}, "/agent"),
        ({"agent": {**AGENT, "instance": "short"}}, "/agent/instance"),
        ({**LEAST, "take": -1}, "/take"),
        ({**LEAST, "take": 10_001}, "/take"),
        ({**LEAST, "holding": [{"job": JOB, "epoch": 0}]}, "/holding/0/epoch"),
        ({**LEAST, "reports": [a_report("queued")]}, "/reports/0/native_id"),
        ({**LEAST, "reports": [a_report("active")]}, "/reports/0/native_id"),
        ({**LEAST, "reports": [a_report("queued", native_id="")]}, "/reports/0/native_id"),
        ({**LEAST, "reports": [a_report("exited", exit_code=0)]}, "/reports/0/outcome"),
        ({**LEAST, "reports": [a_report("exited", outcome="done")]}, "/reports/0/outcome"),
        ({**LEAST, "reports": [a_report("exited", outcome="ok", exit_code="0")]}, "/reports/0/exit_code"),
        ({**LEAST, "reports": [a_report("eaten")]}, "/reports/0/event"),
        ({**LEAST, "reports": [{**a_report("cleaned"), "epoch": -1}]}, "/reports/0/epoch"),
        ({**LEAST, "reports": [{**a_report("refused"), "command": "dance"}]}, "/reports/0/command"),
        ({**LEAST, "reports": [a_report("rejected", detail="x" * 4097)]}, "/reports/0/detail"),
        ({**LEAST, "reports": [a_report("cleaned")] * 501}, "/reports"),
        ({**LEAST, "hello": 1}, "/hello"),
    ],
)
def test_a_fault_of_an_agent_is_named_where_it_is(raw: Any, pointer: str) -> None:
    assert faults(raw) == [pointer]


def test_every_fault_of_a_sync_is_named_at_once() -> None:
    reports = [a_report("queued", tail=5), a_report("exited"), a_report("eaten"), 5]
    assert faults({"take": "all", "reports": reports}) == [
        "/agent",
        "/take",
        "/reports/0/tail",
        "/reports/2/event",
        "/reports/3",
        "/reports/0/native_id",
        "/reports/1/outcome",
    ]


def test_each_report_is_an_event_of_its_lease() -> None:
    document = a_document(stage_out=[an_output("results/")])
    found = [{"item": 0, "kind": "directory", "files": 2, "bytes": 10, "links": []}]
    reports = read(
        a_report("queued", native_id="7"),
        a_report("active", native_id="7"),
        a_report("exited", native_id="7", exit_code=0, outcome="ok", outputs=found, tail="bye"),
        a_report("rejected", detail="no such queue"),
        a_report("refused", detail="not your account"),
        a_report("cleaned", epoch=4),
    )
    assert reports[2].found == (Found(item=0, kind="directory", files=2, bytes=10),)
    assert [event_of(report, at(State.QUEUED), document) for report in reports] == [
        Queued(epoch=1, native_id="7"),
        Active(epoch=1, native_id="7"),
        Exited(
            epoch=1,
            native_id="7",
            exit_code=0,
            outcome=Outcome.OK,
            legs=(Leg(item=0, files=2, bytes=10),),
        ),
        Rejected(epoch=1, error="rejected"),
        Rejected(epoch=1, error="refused"),
        Cleaned(epoch=4),
    ]


@pytest.mark.parametrize("outcome", Outcome)
def test_an_exit_may_have_no_exit_code_and_no_native_id(outcome: Outcome) -> None:
    (report,) = read(a_report("exited", outcome=str(outcome)))
    event = event_of(report, at(State.ACTIVE), a_document(stage_out=[an_output()]))
    assert isinstance(event, Exited)
    assert (event.outcome, event.exit_code, event.native_id) == (outcome, None, None)
    assert [leg.status for leg in event.legs] == [LegStatus.FAILED], "what was not found is missing"


@pytest.mark.parametrize("event", ["rejected", "refused"])
def test_what_a_site_refuses_of_a_completed_job_is_its_cleanup(event: str) -> None:
    (report,) = read(a_report(event, detail="not under my roots"))
    assert event_of(report, at(State.COMPLETED), None) == CleanupRefused(epoch=1)
    for state in set(State) - {State.NEW, State.STAGE_IN, State.COMPLETED}:
        assert event_of(report, at(state), None) == Rejected(epoch=1, error=event)


@pytest.mark.parametrize("event", ["rejected", "refused"])
@pytest.mark.parametrize("command", [None, "cancel"])
@pytest.mark.parametrize("native", [None, "7"])
def test_what_was_not_submitted_of_a_cancelled_job_is_withdrawn_and_no_failure(
    event: str, command: str | None, native: str | None
) -> None:
    (report,) = read(a_report(event, command=command))
    told = event_of(report, at(State.QUEUED, cancel_requested=True, native_id=native), None)
    runs_on = command == "cancel" and native is not None
    assert told == (CancelRefused(epoch=1) if runs_on else Withdrawn(epoch=1))


def test_what_a_site_refuses_of_a_cancelled_job_is_its_cleanup_if_it_says_so() -> None:
    answer, late = read(a_report("refused", command="cleanup"), a_report("refused"))
    job = at(State.CANCELED, cancel_requested=True)
    assert event_of(answer, job, None) == CleanupRefused(epoch=1)
    assert event_of(late, job, None) == Withdrawn(epoch=1)


def test_the_words_of_a_report_go_into_the_story() -> None:
    exited, lost, rejected, queued = read(
        a_report("exited", outcome="error", exit_code=3, tail="Traceback", outputs=[{"item": 0, "kind": "missing"}]),
        a_report("exited", outcome="lost", detail="the scheduler no longer knows the job"),
        a_report("rejected", detail="no such queue"),
        a_report("queued", native_id="7"),
    )
    assert detail_of(exited) == {
        "tail": "Traceback",
        "outputs": [{"item": 0, "kind": "missing", "files": 0, "bytes": 0}],
    }
    assert detail_of(lost) == {"tail": "", "outputs": [], "words": ["the scheduler no longer knows the job"]}
    assert detail_of(rejected) == {"words": ["no such queue"]}
    assert detail_of(queued) is None


def test_a_report_of_what_is_no_job_keeps_its_text_for_the_answer() -> None:
    (report,) = read({**a_report("cleaned"), "job": "nobody"})
    assert (report.text, report.ref) == ("nobody", None)


REFS = st.text(max_size=20) | st.just(JOB) | st.integers().map(lambda number: f"{ADA}/{number}")


@settings(max_examples=200)
@given(REFS)
def test_a_job_s_text_is_read_back_as_the_job_or_not_at_all(text: str) -> None:
    ref = JobRef.parse(text)
    if ref is not None:
        assert JobRef.parse(str(ref)) == ref
        assert int(text.rpartition("/")[2]) == ref.number
    assert JobRef.parse(JOB) == JobRef(user=ADA, number=JobNumber(1001))
