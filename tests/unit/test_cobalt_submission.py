"""A job as Cobalt shows it to a submit filter, and what the filter answers; and an agent that finds no such job."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulators.cobalt.filters import field_text
from qstage.agent import rules
from qstage.agent.rules import Act, Held, Phase, RunMarker, Seen
from qstage.agent.wire import Lease, read_lease
from qstage.cobalt.submission import BadField, held_lines, is_new, read_fields, read_job, scheduler_name

FIELDS = {
    "jobid": "*",
    "command": "/h/run.sh",
    "nodes": "2",
    "walltime": "30",
    "cwd": "/h",
    "args": "",
    "queue": "default",
}
LEASE = {
    "job": "u/1001", "id": 1001, "epoch": 1, "leased_until": "2026-11-22T17:00:00Z", "name": "md", "tag": "k3j2",
    "owner": {"id": "u", "username": "ada@uni.example"}, "directory": "/j/k3j2/md-1001", "executable": "run.sh",
    "attributes": {"duration": 600, "custom_attributes": {"cobalt.adopt": "held"}},
}  # fmt: skip


def lease() -> Lease:
    return read_lease(LEASE)


def test_a_job_is_read_as_qsub_wrote_it() -> None:
    job = read_job(FIELDS | {"envs": "{'A': 'x:y=z'}", "procs": "8", "project": "chem", "user_hold": "True"})
    assert (job.nodes, job.walltime, job.procs, job.project, job.queue) == (2, 30, 8, "chem", "default")
    assert (job.envs, job.user_hold, job.command) == ({"A": "x:y=z"}, True, "/h/run.sh")
    assert not read_job(FIELDS | {"user_hold": "False"}).user_hold


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=2, max_size=5))
def test_arguments_come_through_cobalts_joining_unharmed(args: list[str]) -> None:
    assert read_job(FIELDS | {"args": field_text(args)}).args == tuple(args)


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"nodes": "two"}, "nodes=two"), ({"walltime": "soon"}, "walltime=soon"), ({"envs": "{A: 1}"}, "envs={A: 1}")],
)
def test_a_field_that_cannot_be_read_is_named(changed: dict[str, str], says: str) -> None:
    with pytest.raises(BadField, match=says.replace("{", r"\{")):
        read_job(FIELDS | changed)


def test_words_that_are_no_fields_are_refused() -> None:
    assert read_fields(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    with pytest.raises(BadField, match="one of its filters"):
        read_fields(["run.sh"])


def test_a_job_with_an_id_is_not_new() -> None:
    assert is_new(FIELDS)
    assert not is_new(FIELDS | {"jobid": "1001"})


def test_the_answer_holds_the_job_names_it_for_the_agent_and_runs_the_agents_script() -> None:
    lines = held_lines(
        number=1001, url="https://q/v1/jobs/1001", directory=LEASE["directory"], sources=(), targets=("t",)
    )  # type: ignore[arg-type]
    assert lines == (
        "user_hold=True",
        "jobname=md-1001-k3j2",
        "command=/j/k3j2/md-1001/.qstage/run.sh",
        "stageid=1001",
        "url=https://q/v1/jobs/1001",
        "stageout=t",
    )
    assert scheduler_name("/j/k3j2/md-1001/") == lease().scheduler_name


def test_a_job_that_was_only_found_is_still_to_be_released() -> None:
    held = Held(lease=lease(), phase=Phase.SUBMITTING)
    step = rules.advance(held, Seen(now=0.0, found="5001"), grace=1.0)
    assert (step.act, step.held.phase) == (Act.RELEASE, Phase.SUBMITTING)


def test_a_job_that_ran_was_released_whoever_did_it() -> None:
    held = Held(lease=lease(), phase=Phase.SUBMITTING)
    step = rules.advance(held, Seen(now=5.0, run=RunMarker(native_id="5001", started=4.0)), grace=1.0)
    assert (step.act, step.held.native_id) == (None, "5001")
    assert [said.event for said in step.reports] == ["queued", "active"]


def test_how_long_a_job_is_missed_is_counted_from_the_first_look() -> None:
    first = rules.missed(Held(lease=lease()), 10.0)
    assert rules.missed(first, 60.0).gone_since == 10.0
    assert replace(first, gone_since=None) == Held(lease=lease())
