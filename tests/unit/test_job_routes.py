"""The routes by which a user holds, alters and retries a job, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from chalice.test import Client, HTTPResponse
from job_rooms import APP, Rooms
from loop_house import House, a_document

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def http(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr("chalicelib.wiring.services", lambda: Rooms(house))
    with Client(APP) as client:
        yield client


def ask(http: Client, method: str, path: str, body: Any = None) -> HTTPResponse:
    return http.http.request(method, path, headers=JSON, body=b"" if body is None else json.dumps(body).encode())


def test_a_hold_takes_its_kind_from_its_body_and_shows_it(http: Client, house: House) -> None:
    house.post(a_document())
    for body, shown in ((None, True), ({"hold": "staging"}, "staging"), ({"hold": True}, True), ({}, True)):
        answer = ask(http, "POST", "/v1/jobs/1001/hold", body)
        assert (answer.status_code, answer.json_body["hold"]) == (200, shown)
        assert answer.json_body["waiting_for"] == ["hold"]
    refused = ask(http, "POST", "/v1/jobs/1001/hold", {"hold": False})
    assert (refused.status_code, refused.json_body["faults"][0]["pointer"]) == (400, "/hold")
    assert ask(http, "POST", "/v1/jobs/1001/release").json_body["hold"] is False


def test_a_patch_answers_the_job_with_its_new_document_or_what_is_in_its_way(http: Client, house: House) -> None:
    house.post(a_document())
    altered = ask(http, "PATCH", "/v1/jobs/1001", {"attributes": {"duration": 7200}})
    assert (altered.status_code, altered.json_body["revision"]) == (200, 2)
    assert altered.json_body["document"]["attributes"] == {"duration": 7200}
    refused = ask(http, "PATCH", "/v1/jobs/1001", {"site": "mira"})
    assert (refused.status_code, refused.json_body["type"]) == (409, "urn:qstage:not-alterable")
    assert "site cannot be changed while job 1001 is new" in refused.json_body["detail"]
    assert ask(http, "PATCH", "/v1/jobs/1001", {"attributes": {"duration": "long"}}).status_code == 400
    assert ask(http, "PATCH", "/v1/jobs/1001", [1]).status_code == 400
    assert ask(http, "PATCH", "/v1/jobs/77", {}).status_code == 404


def test_a_retry_is_of_a_failed_job_and_tells_of_its_tries(http: Client, house: House) -> None:
    house.post(a_document(source=None, results=False, retry={"attempts": 2, "delay": 60}))
    assert ask(http, "POST", "/v1/jobs/1001/retry").json_body["type"] == "urn:qstage:not-failed"
    house.agent.ends[1001] = {"outcome": "error", "exit_code": 3}
    while house.job(1001).attempt == 1:
        house.clock.turn(minutes=1)
        house.by_sweep_alone()
        house.agent.work()
    waiting = ask(http, "GET", "/v1/jobs/1001").json_body
    assert (waiting["state"], waiting["attempt"], waiting["waiting_for"]) == ("staged", 2, ["retry"])
    assert waiting["next_try_at"] is not None
    house.live_on()
    assert ask(http, "GET", "/v1/jobs/1001").json_body["error"] == {"code": "exit_code", "detail": "exit code 3"}
    again = ask(http, "POST", "/v1/jobs/1001/retry")
    assert (again.status_code, again.json_body["state"], again.json_body["attempt"]) == (200, "staged", 3)
    events = ask(http, "GET", "/v1/jobs/1001/story").json_body["entries"]
    assert [each["detail"] for each in events if each["event"] == "run_retried"] == [
        {"attempt": 2, "after": "exit_code"},
        {"attempt": 3, "after": "exit_code"},
    ]
