"""The emulator as a program: what it prints, what it obeys, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from emulators.clock import FileClock

HERE = Path(__file__).parents[2]


@contextmanager
def serving(*words: str) -> Iterator[tuple[subprocess.Popen[str], list[list[str]]]]:
    """Start the program; the process and the words of each line up to ``ready``."""
    command = [sys.executable, "-m", "emulators.globus", *words]
    with subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line.split())
                if line == "ready\n":
                    break
            yield process, lines
        finally:
            process.kill()


def variables(lines: list[list[str]]) -> dict[str, str]:
    return dict(words[1].split("=", 1) for words in lines if words[0] == "export")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_what_a_shell_needs_then_ready_and_ends_in_peace(tmp_path: Path, number: signal.Signals) -> None:
    with serving("--data", str(tmp_path)) as (process, lines):
        assert lines[-1] == ["ready"]
        assert variables(lines)["GLOBUS_SDK_ENVIRONMENT"] == "local"
        assert [words[1] for words in lines if words[0] == "collection"] == ["lab", "archive", "theta", "secure"]
        assert [words[1] for words in lines if words[0] == "client"] == ["qstage", "cli"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "lab", "secure", "theta"]
        reply = requests.get(variables(lines)["GLOBUS_SDK_SERVICE_URL_AUTH"] + "jwk.json", timeout=10)
        assert reply.ok
        process.send_signal(number)
        said, complained = process.communicate(timeout=20)
    assert (process.returncode, said, complained) == (0, "", "")


def test_a_configured_directory_serves_and_a_shared_clock_file_is_obeyed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/f").write_text("x")
    (tmp_path / "globus.yaml").write_text(
        "collections: [{name: mine, kind: guest, directory: mine}]\nclients: [{name: cli, secret: known}]\n"
    )
    clock = FileClock(tmp_path / "clock")
    words = ("--data", str(tmp_path / "data"), "--config", str(tmp_path / "globus.yaml"), "--clock", str(clock.path))
    with serving(*words, "--control") as (_, lines):
        found = variables(lines)
        base = found["GLOBUS_SDK_SERVICE_URL_TRANSFER"]
        form = {"grant_type": "client_credentials", "scope": "urn:globus:auth:scope:transfer.api.globus.org:all"}
        client = (found["GLOBUS_CLI_CLIENT_ID"], "known")
        token = requests.post(f"{base}v2/oauth2/token", data=form, auth=client, timeout=10).json()["access_token"]
        mine = next(words[2] for words in lines if words[:2] == ["collection", "mine"])
        head = {"Authorization": f"Bearer {token}"}
        url = f"{base}v0.10/operation/endpoint/{mine}/ls"
        assert [each["name"] for each in requests.get(url, headers=head, timeout=10).json()["DATA"]] == ["f"]
        clock.turn(172_801)
        assert requests.get(url, headers=head, timeout=10).status_code == 401
        assert requests.get(f"{base}_emulator", timeout=10).ok


def test_tasks_go_as_many_times_as_fast_as_they_are_told(tmp_path: Path) -> None:
    (tmp_path / "globus.yaml").write_text(
        "collections: [{name: mine, kind: guest, overhead: 3600}]\nsettings: {rate_per_second: null}\n"
    )
    words = ("--data", str(tmp_path / "data"), "--config", str(tmp_path / "globus.yaml"))
    with serving(*words, "--time-scale", "36000") as (_, lines):
        (tmp_path / "data/mine/f").write_text("x")
        found = variables(lines)
        base = found["GLOBUS_SDK_SERVICE_URL_TRANSFER"]
        form = {"grant_type": "client_credentials", "scope": "urn:globus:auth:scope:transfer.api.globus.org:all"}
        client = (found["GLOBUS_CLI_CLIENT_ID"], found["GLOBUS_CLI_CLIENT_SECRET"])
        token = requests.post(f"{base}v2/oauth2/token", data=form, auth=client, timeout=10).json()["access_token"]
        head = {"Authorization": f"Bearer {token}"}
        mine = next(words[2] for words in lines if words[:2] == ["collection", "mine"])
        item = {"source_path": "/f", "destination_path": "/g"}
        submission = requests.get(f"{base}v0.10/submission_id", headers=head, timeout=10).json()["value"]
        body = {"submission_id": submission, "source_endpoint": mine, "destination_endpoint": mine, "DATA": [item]}
        task = requests.post(f"{base}v0.10/transfer", json=body, headers=head, timeout=10).json()["task_id"]
        give_up = time.monotonic() + 30
        while requests.get(f"{base}v0.10/task/{task}", headers=head, timeout=10).json()["status"] == "ACTIVE":
            assert time.monotonic() < give_up, "an hour took more than 30 seconds"
        assert (tmp_path / "data/mine/g").read_text() == "x"


def test_a_mistake_in_the_configuration_ends_it_with_the_place_of_the_mistake(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("collections: [{nam: x}]")
    command = [
        sys.executable,
        "-m",
        "emulators.globus",
        "--data",
        str(tmp_path),
        "--config",
        str(tmp_path / "bad.yaml"),
    ]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "collections[0].nam" in done.stderr
    assert "Traceback" not in done.stderr
