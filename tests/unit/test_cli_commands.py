"""The other commands, typed against a service that is a table of answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import responses

from qstage.cli.app import COMMANDS, root, run
from qstage.cli.commands.login import wait_for_grant
from qstage.cli.commands.wait import follow
from qstage.cli.settings import Login, Settings, load, save
from qstage.cli.trouble import Refused
from qstage.client import Client, DeviceLogin, Secret

URL = "http://127.0.0.1:9/api"
KEY = "qsk_abcdefghijkl_" + "s" * 43
JOB: dict[str, Any] = {
    "id": 1001, "name": "md", "state": "stage_in", "site": "theta", "waiting_for": [],
    "created_at": "2026-11-22T17:00:00Z", "tags": {},
}  # fmt: skip
ASKED = {"resources": {"node_count": 4, "process_count": None}, "attributes": {"duration": 1800, "queue_name": "debug"}}
DOCUMENT = {"executable": "run.sh", "resources": {"node_count": 4}, "attributes": {"duration": 1800}}


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("QSTAGE_")]:
        monkeypatch.delenv(name)
    path = tmp_path / "config" / "config.toml"
    monkeypatch.setenv("QSTAGE_CONFIG", str(path))
    save(Settings(path=path, url=URL, logins={URL: Login(key=KEY, key_id="abc", username="ada@uni.example")}))
    return path


@pytest.fixture
def service() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def test_qstat_shows_cobalts_table_by_one_call_why_a_job_waits_and_the_link_once_below(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    link = "https://q.example/login?x=1"
    waiting = JOB | {"waiting_for": ["login"], "login_url": link}
    rows = [waiting | {"id": 1002}, waiting]
    service.get(f"{URL}/v1/jobs", json={"jobs": [row | ASKED for row in rows], "marker": None})
    assert run(["qstat"]) == 0
    assert len(service.calls) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["JobID", "User", "WallTime", "Nodes", "State", "Location"]
    assert set(lines[1]) == {"="}
    assert lines[2].split() == ["1001", "ada@uni.example", "00:30:00", "4", "stage_in*", "theta"]
    assert lines[-1] == link
    assert lines.count(link) == 1
    assert "1001 waits for your login" in lines


def test_qstat_says_until_when_a_held_job_waits_and_for_what(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    times = {"starts_at": "2026-11-23T03:00:00Z", "stage_in_at": "2026-11-23T01:00:00Z"}
    waiting = JOB | ASKED | times | {"state": "new", "waiting_for": ["start"], "native_id": "5001"}
    service.get(f"{URL}/v1/jobs", json={"jobs": [waiting], "marker": None})
    assert run(["qstat"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "1001 waits for its turn in the queue" in lines
    held = "1001 is held in the queue as 5001; its start is expected at 2026-11-23 03:00 UTC, "
    assert held + "its inputs move from 2026-11-23 01:00 UTC" in lines


def test_qstat_says_which_jobs_will_need_a_login_and_each_link_once(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    link = "https://q.example/login?fresh=1"
    ends = {"at": "2026-11-23T21:23:16Z", "expected_end": "2026-11-24T02:00:00Z", "detail": "…", "login_url": link}
    soon = {"state": "queued", "session": "ends_soon", "warnings": [ends | {"code": "session-ends-soon"}]}
    never = {"session": "ended", "warnings": [ends | {"code": "session-ended", "at": None}]}
    rows = [JOB | never | {"id": 1003}, JOB | soon | {"id": 1002}, JOB | {"session": "ok", "warnings": []}]
    for _ in range(2):
        service.get(f"{URL}/v1/jobs", json={"jobs": [row | ASKED for row in rows], "marker": None})
    assert run(["qstat"]) == 0
    notes = capsys.readouterr().out.splitlines()[-4:]
    assert set(notes[:2]) == {
        "1002 needs your login beyond 2026-11-23 21:23 UTC, when it ends (session-ends-soon)",
        "1003 will wait for your login: the sign-in does not meet what a collection demands",
    }
    assert notes[2:] == ["sign in here in time, and nothing has to wait:", link]
    assert run(["qstat", "--header", "JobID:Session"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[2:5]] == [["1001", "ok"], ["1002", "ends_soon"], ["1003", "ended"]]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"state": "queued"}, "queued"),
        ({"state": "queued", "hold": True, "waiting_for": ["hold"]}, "user_hold"),
        ({"state": "staged", "waiting_for": ["dependency"]}, "dep_hold"),
        ({"state": "active"}, "running"),
        ({"state": "active", "cancel_requested": True}, "killing"),
        ({"state": "stage_in", "waiting_for": ["space"]}, "stage_in*"),
        ({"state": "stage_out"}, "stage_out"),
    ],
)
def test_a_state_is_cobalts_word_where_cobalt_has_one(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], word: str
) -> None:
    service.get(f"{URL}/v1/jobs", json={"jobs": [JOB | ASKED | changes], "marker": None})
    assert run(["qstat", "--header", "State:Queue:Stage"]) == 0
    assert capsys.readouterr().out.splitlines()[2].split() == [word, "debug", changes["state"]]


def test_the_run_time_of_a_job_whose_outputs_move_has_ended(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    times = {"started_at": "2026-11-22T17:00:10Z", "exited_at": "2026-11-22T17:01:40Z", "state": "stage_out"}
    service.get(f"{URL}/v1/jobs", json={"jobs": [JOB | ASKED | times], "marker": None})
    assert run(["qstat", "--header", "QueuedTime:RunTime:TimeRemaining:StartTime"]) == 0
    words = capsys.readouterr().out.splitlines()[2].split()
    assert words[:4] == ["00:00:10", "00:01:30", "00:00:00", "Sun"]


def test_qstat_asks_only_for_jobs_that_live(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    states = {"state": "new,stage_in,staged,queued,active,stage_out", "limit": "200"}
    service.get(
        f"{URL}/v1/jobs", json={"jobs": [], "marker": None}, match=[responses.matchers.query_param_matcher(states)]
    )
    assert run(["qstat", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_qstat_of_a_failed_job_says_why_and_a_listing_of_many_does_not(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = JOB | {"state": "failed", "failed_stage": "submit", "error": {"code": "rejected", "detail": "no\nqueue x"}}
    service.get(f"{URL}/v1/jobs/1001", json=failed | {"document": DOCUMENT})
    assert run(["qstat", "1001"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1001 failed in submit: no queue x"
    service.get(f"{URL}/v1/jobs", json={"jobs": [failed], "marker": None})
    assert run(["qstat", "--all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_what_the_document_leaves_out_is_shown_as_it_is_at_the_site(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    service.get(f"{URL}/v1/jobs/1001", json=JOB | {"document": DOCUMENT, "resources": {"node_count": 3}})
    assert run(["qstat", "-l", "--header", "JobID:Procs:OutputPath:ErrorPath", "1001"]) == 0
    words = [line.partition(":")[2].strip() for line in capsys.readouterr().out.splitlines()[1:4]]
    assert words == ["3", f"{JOB['name']}.out", f"{JOB['name']}.err"]


@pytest.mark.parametrize("command", ["qstat", "qdel", "qhold", "qrls", "qalter"])
def test_our_own_options_are_in_the_help_of_cobalts_commands(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert run([command, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--json", "1001"], ["1001", "--json"], ["--js", "1001"]])
def test_json_of_a_hold_is_asked_for_anywhere_on_the_line(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    service.get(f"{URL}/v1/jobs/1001", json=JOB)
    service.post(f"{URL}/v1/jobs/1001/hold", json=JOB | {"hold": True})
    assert run(["qhold", *words]) == 0
    assert [job["hold"] for job in json.loads(capsys.readouterr().out)] == [True]


def test_qstat_of_unknown_ids_alone_is_silent_with_status_1(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    service.get(f"{URL}/v1/jobs/99", status=404, json={"detail": "no such job"})
    assert run(["qstat", "99"]) == 1
    assert capsys.readouterr() == ("", "")


def test_qstat_in_its_long_form_has_our_columns_too(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    service.get(f"{URL}/v1/jobs/1001", json=JOB | {"document": DOCUMENT, "waiting_for": ["hold"]})
    assert run(["qstat", "-l", "--header", "JobID:Waiting:Site", "1001"]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == ["JobID: 1001", "    Waiting : release", "    Site    : theta"]


def test_qdel_prints_what_it_found_and_is_silent_about_the_rest(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    service.delete(f"{URL}/v1/jobs/1001", status=202, json=JOB | {"cancel_requested": True})
    service.delete(f"{URL}/v1/jobs/1002", status=404, json={"detail": "no such job"})
    assert run(["qdel", "1001", "1002"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("      Deleted Jobs\n")
    assert "1001" in told.out
    assert "1002" not in told.out
    assert run(["qdel", "abc"]) == 1
    assert capsys.readouterr().err == "jobid must be an integer: abc\n"


@pytest.mark.parametrize("command", ["hold", "release"])
def test_a_job_that_has_ended_can_be_neither_held_nor_released(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    service.post(f"{URL}/v1/jobs/1001/{command}", json=JOB | {"state": "completed"})
    service.post(f"{URL}/v1/jobs/1002/{command}", json=JOB | {"id": 1002})
    assert run([command, "1001", "1002"]) == 1
    told = capsys.readouterr()
    assert "job 1001 has ended already" in told.err
    assert told.out.startswith("1002 ")


def test_qhold_and_qrls_speak_cobalts_words(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    held = JOB | {"hold": True}
    service.get(f"{URL}/v1/jobs/1001", json=JOB)
    service.post(f"{URL}/v1/jobs/1001/hold", json=held)
    service.get(f"{URL}/v1/jobs/1002", json=held | {"id": 1002})
    service.post(f"{URL}/v1/jobs/1002/hold", json=held | {"id": 1002})
    service.get(f"{URL}/v1/jobs/1003", json=JOB | {"id": 1003, "state": "active"})
    service.get(f"{URL}/v1/jobs/1004", status=404, json={"detail": "no such job"})
    assert run(["qhold", "1001", "1002", "1003", "1004"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "   Failed to place user hold on jobs: ",
        "      job 1002 already in state 'user hold'",
        "      job 1003 is already active",
        "      job 1004 not found",
        "Placed user hold on jobs: ",
        "      1001",
    ]
    service.post(f"{URL}/v1/jobs/1002/release", json=JOB | {"id": 1002})
    assert run(["qrls", "1002"]) == 0
    assert capsys.readouterr().out == "   Removed user hold on jobs: \n      1002\n"


def test_a_hold_that_the_scheduler_is_only_asked_for_says_so_and_counts_as_placed(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    queued = JOB | {"state": "queued"}
    asked = queued | {"pending": [{"command": "hold", "order": 9}]}
    service.get(f"{URL}/v1/jobs/1001", json=queued)
    service.post(f"{URL}/v1/jobs/1001/hold", json=asked)
    assert run(["qhold", "1001"]) == 0
    told = capsys.readouterr()
    assert told.out == "Placed user hold on jobs: \n      1001\n"
    assert told.err == "qstage: job 1001 is at the scheduler: theta's agent asks it, and qstat shows what it says\n"
    service.get(f"{URL}/v1/jobs", json={"jobs": [asked], "marker": None})
    assert run(["qstat"]) == 0
    assert "1001 hold: asked of theta's agent, not answered yet" in capsys.readouterr().out
    service.post(f"{URL}/v1/jobs/1001/release", json=queued | {"pending": [{"command": "release", "order": 10}]})
    assert run(["release", "1001"]) == 0
    assert capsys.readouterr().out == "1001 asked to be released (queued)\n"


def test_qstat_shows_what_a_site_refused_in_its_words(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = {"state": "queued", "error": {"code": "hold_refused", "detail": "job 7\n not found"}}
    service.get(f"{URL}/v1/jobs", json={"jobs": [JOB | refused], "marker": None})
    assert run(["qstat"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1001 hold_refused: job 7 not found"


def test_a_failed_job_is_tried_again_and_another_is_not(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    service.post(f"{URL}/v1/jobs/1001/retry", json=JOB | {"state": "new"})
    problem = {"detail": "it has not failed", "type": "urn:qstage:conflict"}
    service.post(f"{URL}/v1/jobs/1002/retry", status=409, json=problem, content_type="application/problem+json")
    assert run(["retry", "1001", "1002"]) == 1
    assert capsys.readouterr() == ("1001 new\n", "qstage: job 1002: it has not failed\n")


def test_all_faults_of_a_document_are_listed(
    service: responses.RequestsMock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job.json").write_text('{"name": "x"}')
    faults = [{"pointer": "/site", "detail": "is missing"}, {"pointer": "/executable", "detail": "is missing"}]
    service.post(f"{URL}/v1/jobs", status=400, json={"detail": "2 faults", "faults": faults},
                 content_type="application/problem+json")  # fmt: skip
    assert run(["submit", str(tmp_path / "job.json")]) == 1
    assert capsys.readouterr().err == "qstage: /site: is missing\nqstage: /executable: is missing\n"


def test_a_submission_prints_the_id_and_nothing_else(
    service: responses.RequestsMock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.post(f"{URL}/v1/jobs", status=201, json={"jobs": [JOB], "warnings": ["sign in again by Friday"]})
    assert run(["qsub", "--site", "theta", "-n", "1", "-t", "5", "/bin/true"]) == 0
    assert capsys.readouterr() == ("1001\n", "qstage: sign in again by Friday\n")
    assert service.calls[0].request.headers["Authorization"] == f"Bearer {KEY}"


def test_a_needed_login_is_told_with_its_link(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = {"detail": "sign in again", "login_url": "https://q.example/login"}
    service.get(f"{URL}/v1/me", status=403, json=problem, content_type="application/problem+json")
    assert run(["whoami"]) == 1
    assert "sign in here: https://q.example/login" in capsys.readouterr().err


def test_a_key_is_never_sent_to_another_service_than_gave_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QSTAGE_URL", "https://other.example/api")
    assert run(["whoami"]) == 1
    assert "no key for https://other.example/api" in capsys.readouterr().err


def test_settings_come_back_as_they_were_and_are_for_their_owner_alone(config: Path) -> None:
    odd = {'a"b\\c': "x\ny\x7f", "é\U0001f600": "z"}
    save(Settings(path=config, url=URL, site="s", collections=odd, logins={URL: Login(key=KEY, username="é")}))
    assert config.stat().st_mode & 0o777 == 0o600
    settings = load()
    assert dict(settings.collections) == odd
    assert settings.login == Login(key=KEY, username="é")
    assert KEY not in repr(settings)


def test_a_file_with_keys_that_others_may_read_is_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.chmod(0o644)
    assert run(["whoami"]) == 1
    assert f"chmod 600 {config}" in capsys.readouterr().err


def test_logout_revokes_the_key_and_then_forgets_it(service: responses.RequestsMock) -> None:
    service.delete(f"{URL}/v1/keys/abc", status=204)
    assert run(["logout"]) == 0
    assert load().login is None


def test_a_key_that_could_not_be_revoked_is_not_forgotten(service: responses.RequestsMock) -> None:
    service.delete(f"{URL}/v1/keys/abc", status=500, json={})
    assert run(["logout"]) == 1
    assert load().login is not None


class Clock:
    def __init__(self) -> None:
        self.time, self.slept = 0.0, list[float]()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds

    def now(self) -> float:
        return self.time


BEGUN = DeviceLogin(
    device_code=Secret("d"), user_code="BCDF-GHJK", verification_uri="u", verification_uri_complete="u?c",
    expires_in=60, interval=2,
)  # fmt: skip


def poll(service: responses.RequestsMock, *answers: str) -> None:
    for word in answers:
        service.post(f"{URL}/v1/device/token", status=400, json={"error": word, "detail": word})


def test_a_login_is_polled_at_the_services_pace_and_slower_when_told(service: responses.RequestsMock) -> None:
    poll(service, "authorization_pending", "slow_down", "authorization_pending")
    service.post(f"{URL}/v1/device/token", json={"key": KEY, "key_id": "k", "user": {"username": "ada"}})
    clock = Clock()
    grant = wait_for_grant(Client(URL), BEGUN, sleep=clock.sleep, now=clock.now)
    assert grant.key.reveal() == KEY
    assert KEY not in repr(grant)
    assert clock.slept == [2, 2, 7, 7]


@pytest.mark.parametrize(("word", "said"), [("access_denied", "denied"), ("expired_token", "expired")])
def test_a_login_that_is_refused_ends_with_words(service: responses.RequestsMock, word: str, said: str) -> None:
    poll(service, word)
    clock = Clock()
    with pytest.raises(Refused, match=said):
        wait_for_grant(Client(URL), BEGUN, sleep=clock.sleep, now=clock.now)


def test_login_shows_the_link_and_keeps_the_key_for_this_service(
    service: responses.RequestsMock, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.unlink()
    service.post(
        f"{URL}/v1/device",
        json={"device_code": "d", "user_code": "BCDF-GHJK", "verification_uri": "http://q/device",
              "verification_uri_complete": "http://q/device?code=BCDF-GHJK", "expires_in": 5, "interval": 0},
    )  # fmt: skip
    service.post(f"{URL}/v1/device/token", json={"key": KEY, "key_id": "k", "user": {"username": "ada"}})
    assert run(["login", "--url", f"{URL}/", "--domain", "anl.gov", "--no-browser"]) == 0
    told = capsys.readouterr()
    assert "http://q/device?code=BCDF-GHJK" in told.out
    assert KEY not in told.out + told.err
    assert load().logins == {URL: Login(key=KEY, key_id="k", username="ada")}
    asked = json.loads(service.calls[0].request.body)
    assert (asked["domain"], asked["scopes"]) == ("anl.gov", ["jobs"])
    assert "Authorization" not in service.calls[0].request.headers


def test_wait_tells_each_state_and_a_login_link_once(service: responses.RequestsMock) -> None:
    link = "https://q.example/login"
    waits = JOB | {"waiting_for": ["login"], "login_url": link}
    for answer in (JOB, waits, waits, JOB | {"state": "active"}, JOB | {"state": "completed", "exit_code": 0}):
        service.get(f"{URL}/v1/jobs/1001", json=answer)
    clock, said = Clock(), list[str]()
    job = follow(Client(URL), 1001, timeout=None, sleep=clock.sleep, now=clock.now, say=said.append)
    assert job.state == "completed"
    assert said == ["1001 stage_in", "1001 stage_in, waits for your login", f"sign in here: {link}", "1001 active",
                    "1001 completed, exit code 0"]  # fmt: skip


@pytest.mark.parametrize(("state", "status"), [("completed", 0), ("failed", 1), ("canceled", 1)])
def test_wait_ends_with_the_jobs_own_verdict(service: responses.RequestsMock, state: str, status: int) -> None:
    service.get(f"{URL}/v1/jobs/1001", json=JOB | {"state": state})
    assert run(["wait", "1001"]) == status


def test_wait_gives_up_with_124(service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]) -> None:
    service.get(f"{URL}/v1/jobs/1001", json=JOB)
    assert run(["wait", "1001", "--timeout", "0"]) == 124
    assert "not ended after 0 s" in capsys.readouterr().err


def test_a_story_cannot_steer_the_terminal(service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]) -> None:
    entry = {"time": "2026-11-22T17:00:00Z", "version": 1, "event": "exited", "state": "failed",
             "detail": {"tail": "red \x1b[31m"}}  # fmt: skip
    service.get(f"{URL}/v1/jobs/1001/story", json={"id": 1001, "entries": [entry]})
    assert run(["story", "1001"]) == 0
    told = capsys.readouterr().out
    assert "exited" in told
    assert "\x1b" not in told


def test_a_site_is_made_of_options_and_its_token_goes_to_a_private_file(
    service: responses.RequestsMock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = {"id": "theta", "scheduler": "cobalt"}
    service.post(f"{URL}/v1/sites", status=201, json={"site": site, "agent_token": "qsa_secret"})
    uuid = "0a1b2c3d-0000-4000-8000-000000000001"
    line = f"site create --id theta --scheduler cobalt --map {uuid}:/scratch/=/lus/scratch --user bob --queue debug"
    assert run([*line.split(), "--token-file", str(tmp_path / "token")]) == 0
    assert json.loads(service.calls[0].request.body) == {
        "id": "theta", "scheduler": "cobalt", "defaults": {"queue_name": "debug"}, "users": ["bob"],
        "mappings": [{"collection": uuid, "path": "/scratch/", "directory": "/lus/scratch"}],
    }  # fmt: skip
    assert (tmp_path / "token").read_text() == "qsa_secret\n"
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    assert "qsa_secret" not in capsys.readouterr().out


def test_names_of_collections_are_kept_used_and_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    uuid = "0A1B2C3D-0000-4000-8000-000000000001"
    assert run(["collections", "add", "lab", uuid]) == 0
    assert load().collection("lab") == uuid.lower()
    assert run(["collections", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"lab": uuid.lower()}
    assert run(["collections", "remove", "lab"]) == 0
    assert run(["collections", "add", "lab", "not-an-id"]) == 1


def test_every_command_of_the_table_is_there_and_has_help() -> None:
    import click

    context = click.Context(root)
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str() or command.help


@pytest.mark.parametrize("command", ["qstat", "qsub", "--help", "login"])
def test_a_users_command_loads_neither_psij_nor_rich(command: str) -> None:
    words = [command, "--help"] if command != "--help" else [command]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "qstage.cli", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    loaded = set(re.findall(r"\|\s+([A-Za-z_][\w.]*)$", done.stderr, re.MULTILINE))
    assert "qstage.cli.app" in loaded
    assert not {"psij", "rich", "psutil"} & loaded
    if command == "--help":
        assert "requests" not in loaded
