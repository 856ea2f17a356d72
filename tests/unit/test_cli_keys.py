"""``qstage keys``, typed against a service that is a table of answers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import responses

from qstage.cli.app import run
from qstage.cli.settings import Login, Settings, load, save

URL = "http://127.0.0.1:9/api"
KEY = "qsk_abcdefghijkl_" + "s" * 43
LISTED: list[dict[str, Any]] = [
    {"id": "abc", "kind": "key", "name": "qstage on laptop", "scopes": ["jobs"], "created_at": "2026-11-22T17:00:00Z",
     "expires_at": "2099-12-22T17:00:00Z", "last_used_at": "2026-11-22T18:00:00Z"},
    {"id": "def", "kind": "agent", "name": "theta", "scopes": ["site:theta"], "created_at": "2020-11-22T17:00:00Z",
     "expires_at": "2021-11-22T17:00:00Z", "last_used_at": None},
]  # fmt: skip


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("QSTAGE_")]:
        monkeypatch.delenv(name)
    path = tmp_path / "config.toml"
    monkeypatch.setenv("QSTAGE_CONFIG", str(path))
    save(Settings(path=path, url=URL, logins={URL: Login(key=KEY, key_id="abc", username="ada@uni.example")}))


@pytest.fixture
def service() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def test_keys_are_listed_with_what_they_may_their_end_and_their_last_use(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    service.get(f"{URL}/v1/keys", json={"keys": LISTED})
    assert run(["keys", "list"]) == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["id", "kind", "name", "scopes", "created", "expires", "last", "used"]
    assert "abc (this one)" in first
    assert first.endswith("2026-11-22 18:00Z")
    assert "2021-11-22 17:00Z (over)" in second
    assert second.endswith("never")


def test_keys_are_listed_as_the_service_said_when_a_program_reads(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    service.get(f"{URL}/v1/keys", json={"keys": LISTED})
    assert run(["keys", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == LISTED


def test_a_new_key_is_the_only_thing_on_standard_output(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {"key": KEY, "id": "new", "scopes": ["read"], "expires_at": "2026-11-29T17:00:00Z"}
    service.post(f"{URL}/v1/keys", status=201, json=made)
    assert run(["keys", "create", "ci", "--scope", "read", "--days", "7"]) == 0
    told = capsys.readouterr()
    assert told.out == f"{KEY}\n"
    assert "key new lasts until 2026-11-29 17:00Z and is not shown again" in told.err
    assert json.loads(service.calls[0].request.body) == {"name": "ci", "scopes": ["read"], "days": 7}


def test_a_key_whose_answer_got_lost_is_revoked_and_not_left_to_nobody(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    service.post(f"{URL}/v1/keys", status=201, json={"id": "new", "expires_at": "2026-11-29T17:00:00Z"})
    service.delete(f"{URL}/v1/keys/new", status=204)
    assert run(["keys", "create", "ci"]) == 1
    assert "run this again" in capsys.readouterr().err
    assert service.calls[1].request.method == "DELETE"


@pytest.mark.parametrize("line", ["create ci", "revoke other"])
def test_a_key_that_may_not_is_told_how_to_get_one_that_may(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    problem = {"type": "urn:qstage:missing-scope", "detail": "This key does not have the scope admin."}
    service.post(f"{URL}/v1/keys", status=403, json=problem)
    service.delete(f"{URL}/v1/keys/other", status=403, json=problem)
    service.assert_all_requests_are_fired = False
    assert run(["keys", *line.split()]) == 1
    assert "qstage login --scope admin" in capsys.readouterr().err


def test_revoking_goes_on_past_a_key_that_is_not_there(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    service.delete(f"{URL}/v1/keys/gone", status=404, json={"detail": "You have no such key."})
    service.delete(f"{URL}/v1/keys/here", status=204)
    assert run(["keys", "revoke", "gone", "here"]) == 1
    told = capsys.readouterr()
    assert told.out == "revoked here\n"
    assert "you have no key gone" in told.err


def test_signing_out_everywhere_says_which_jobs_wait_and_forgets_the_key(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    stops = [{"id": 1003, "name": "md", "state": "staged"}, {"id": 1001, "name": "big", "state": "stage_in"}]
    service.post(f"{URL}/v1/me/logout", json={"keys": 2, "browsers": 1, "stops": stops, "more": False})
    assert run(["logout", "--all"]) == 0
    told = capsys.readouterr().out
    assert "keys ended: 2, browsers signed out: 1" in told
    assert "wait until you sign in again" in told
    assert [line.split() for line in told.splitlines()[-2:]] == [["1003", "md", "staged"], ["1001", "big", "stage_in"]]
    assert load().login is None


def test_a_service_that_could_not_sign_out_leaves_the_key_where_it_was(service: responses.RequestsMock) -> None:
    service.post(f"{URL}/v1/me/logout", status=500, json={})
    assert run(["logout", "--all"]) == 1
    assert load().login is not None
