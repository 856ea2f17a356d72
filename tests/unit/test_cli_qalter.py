"""``qstage qalter``: Cobalt's words in, a merge patch out, and Cobalt's words back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import responses

from qstage.cli.app import run

URL = "http://127.0.0.1:9/api"
JOB: dict[str, Any] = {
    "id": 1001, "name": "md", "state": "staged", "site": "theta", "waiting_for": [], "tags": {},
    "resources": {"node_count": 4, "process_count": None}, "attributes": {"duration": 1800},
}  # fmt: skip


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[responses.RequestsMock]:
    for name in [name for name in os.environ if name.startswith("QSTAGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("QSTAGE_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setenv("QSTAGE_URL", URL)
    monkeypatch.setenv("QSTAGE_KEY", "qsk_x")
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get(f"{URL}/v1/jobs/1001", json=JOB)
        mock.get(f"{URL}/v1/jobs/99", status=404, json={"detail": "no such job"})
        yield mock


def sent(service: responses.RequestsMock) -> Any:
    return json.loads(service.calls[-1].request.body or "null")


@pytest.mark.parametrize(
    ("words", "patch", "said"),
    [
        ("-t 45", {"attributes": {"duration": 2700}}, "walltime changed from 30 to 45\n"),
        ("-t +15", {"attributes": {"duration": 2700}}, "walltime changed from 30 to 45.0"),
        ("-t -10", {"attributes": {"duration": 1200}}, "walltime changed from 30 to 20.0"),
        ("--time=01:00:00", {"attributes": {"duration": 3600}}, "walltime changed from 30 to 60\n"),
        ("-n 2", {"resources": {"node_count": 2}}, "nodes changed from 4 to 2"),
        ("-A bio", {"attributes": {"account": "bio"}}, "project set to bio"),
        ("-q long", {"attributes": {"queue_name": "long"}}, "queue set to long"),
        ("--queue=long", {"attributes": {"queue_name": "long"}}, "queue set to long"),
        ("-M a@b.c", {"notify": {"email": "a@b.c"}}, "notify set to a@b.c"),
        ("-o out/x.txt", {"stdout_path": "out/x.txt"}, "outputpath set to out/x.txt"),
        ("--attrs mcdram=flat", {"attributes": {"custom_attributes": {"mcdram": "flat"}}}, "attrs set to"),
    ],
)
def test_a_change_is_a_patch_of_the_document_and_said_in_cobalts_words(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str], words: str, patch: Any, said: str
) -> None:
    service.patch(f"{URL}/v1/jobs/1001", json=JOB)
    assert run(["qalter", *words.split(), "1001", "99"]) == 0
    assert sent(service) == patch
    assert capsys.readouterr().out.startswith(said)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("1001", 1, "No required options provided"),
        ("-t 5", 1, "No Jobid(s) given"),
        ("-t 5 abc", 1, "jobid must be an integer: abc"),
        ("-t -55 1001", 1, "invalid wall time: -25.0"),
        ("-t x 1001", 1, "invalid time specification: illegal value 'x' for minutes"),
        ("-n five 1001", 2, "option -n: invalid integer value: 'five'"),
        ("-n 0 1001", 1, "node count out of realistic range"),
        ("--attrs a=b=c 1001", 1, "Improperly formatted argument to attrs : a=b=c"),
        ("--dependencies 1 1001", 1, "--dependencies"),
        ("--geometry 1x1x1x1 1001", 1, "Blue Gene"),
        ("-h 1001", 1, "qstage qhold"),
        ("-o /abs 1001", 1, "job's own directory"),
    ],
)
def test_what_cannot_be_done_changes_nothing(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str], words: str, status: int, said: str
) -> None:
    assert run(["qalter", *words.split()]) == status
    assert said in capsys.readouterr().err
    assert all(call.request.method == "GET" for call in service.calls)


def test_a_running_job_is_refused_in_cobalts_words_and_another_in_the_services(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = {"detail": "attributes cannot be changed while job 1001 is queued", "type": "urn:qstage:not-alterable"}
    service.replace(responses.GET, f"{URL}/v1/jobs/1001", json=JOB | {"state": "active"})
    service.patch(f"{URL}/v1/jobs/1001", status=409, json=problem, content_type="application/problem+json")
    assert run(["qalter", "-t", "45", "1001"]) == 1
    assert capsys.readouterr().err == "cannot change wall time of a running job\n"
    service.replace(responses.GET, f"{URL}/v1/jobs/1001", json=JOB | {"state": "queued"})
    assert run(["qalter", "-A", "bio", "1001"]) == 1
    assert capsys.readouterr().err == "qstage: attributes cannot be changed while job 1001 is queued\n"


def test_ids_that_match_nothing_are_said_to_with_status_0(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["qalter", "-t", "45", "99"]) == 0
    assert capsys.readouterr().err == "Failed to match any jobs or queues\n"


def test_what_the_scheduler_is_only_asked_for_is_printed_as_cobalt_does_and_said_to_be_so(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    queued = JOB | {"state": "queued"}
    asked = queued | {"pending": [{"command": "alter", "order": 7, "attributes": {"duration": 2700}}]}
    service.replace(responses.GET, f"{URL}/v1/jobs/1001", json=queued)
    service.patch(f"{URL}/v1/jobs/1001", json=asked)
    note = "qstage: job 1001 is at the scheduler: theta's agent asks it, and qstat shows what it says\n"
    assert run(["qalter", "-t", "45", "1001"]) == 0
    assert capsys.readouterr() == ("walltime changed from 30 to 45\n", note)
    assert run(["qmove", "long", "1001", "99"]) == 0
    assert capsys.readouterr() == ("moved job 1001 to queue 'long'\n", note)
    assert sent(service) == {"attributes": {"queue_name": "long"}}


def test_a_running_job_is_not_moved_and_one_that_is_not_there_matches_nothing(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    service.replace(responses.GET, f"{URL}/v1/jobs/1001", json=JOB | {"state": "active"})
    assert run(["qmove", "long", "1001"]) == 1
    assert capsys.readouterr().err == "job 1001 is running; it cannot be moved\n"
    assert run(["qmove", "long", "99"]) == 0
    assert capsys.readouterr().err == "Failed to match any jobs or queues\n"
