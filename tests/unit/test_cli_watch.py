"""``qstage watch``: what it asks for, what it tells, and when it ends."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import responses
from rich.console import Console

from qstage.cli.app import run
from qstage.cli.commands.watch import Lines, follow, table
from qstage.cli.progress import human, line, part_done
from qstage.client import Client
from qstage.client.results import read_job

URL = "http://127.0.0.1:9/api"
LINK = "https://q.example/login?x=1"


def job(number: int, state: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "name": "md", "state": state, "site": "theta", "waiting_for": [], "tags": {}, **more}


def staging(**more: Any) -> dict[str, Any]:
    return {"stage": "stage_in", "items": 4, "done": 1, "bytes": 4_200_000, "files": 9, "tasks": ["t"], **more}


@pytest.fixture
def service() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=True) as mock:
        yield mock


def test_many_jobs_are_watched_by_listings_and_asked_for_alone_only_when_they_have_left_them(
    service: responses.RequestsMock, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = [
        [job(1002, "stage_in", staging=staging()), job(1001, "queued")],
        [job(1002, "stage_in", staging=staging(done=4, bytes=9_000_000)), job(1001, "active"), job(1003, "new")],
        [],
    ]
    for rows in looks:
        service.get(f"{URL}/v1/jobs", json={"jobs": rows, "marker": None})
    for number, code in ((1001, 0), (1002, 3)):
        error = {"error": {"code": "exit", "detail": "exit code 3"}, "failed_stage": "run"} if code else {}
        service.get(
            f"{URL}/v1/jobs/{number}", json=job(number, "failed" if code else "completed", exit_code=code, **error)
        )
    client = Client(URL, "qsk_x", sleep=lambda _: None)
    last = follow(client, [], Lines(as_json=False), lambda: None)
    assert [one.state for one in last] == ["completed", "failed"]
    assert len(service.calls) == 5
    assert capsys.readouterr().out.splitlines() == [
        "1001  queued",
        "1002  stage_in  4.2 MB, 1 of 4 items",
        "1001  running",
        "1002  stage_in  9 MB, 4 of 4 items",
        "1001  completed  exit code 0",
        "1002  failed  run: exit code 3",
    ]


def test_nothing_is_told_twice_and_a_link_once(capsys: pytest.CaptureFixture[str]) -> None:
    tell = Lines(as_json=False)
    waiting = [read_job(job(number, "stage_in", waiting_for=["login"], login_url=LINK)) for number in (1001, 1002)]
    tell(waiting)
    tell(waiting)
    out = capsys.readouterr().out.splitlines()
    assert out == [
        "1001  stage_in*  waits for your login",
        f"sign in here: {LINK}",
        "1002  stage_in*  waits for your login",
    ]


def test_the_command_ends_with_its_jobs_and_says_by_its_status_whether_all_is_well(
    service: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QSTAGE_CONFIG", str(tmp_path / "none.toml"))
    monkeypatch.setenv("QSTAGE_URL", URL)
    monkeypatch.setenv("QSTAGE_KEY", "qsk_x")
    service.get(f"{URL}/v1/jobs/1001", json=job(1001, "completed"))
    service.get(f"{URL}/v1/jobs/1002", json=job(1002, "canceled"))
    assert run(["watch", "--json", "1001"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "completed"
    assert run(["watch", "1002"]) == 1
    assert capsys.readouterr().out == "1002  canceled\n"


def test_a_person_sees_bars_rates_and_the_link() -> None:
    rows = [
        job(1001, "stage_out", staging=staging(bytes_total=8_400_000, bytes_per_second=2_100_000)),
        job(1002, "stage_in", waiting_for=["login"], login_url=LINK),
    ]
    console = Console(width=140, record=True, force_terminal=True, file=io.StringIO())
    console.print(table([read_job(row) for row in rows]))
    shown = console.export_text()
    assert "4.2 MB of 8.4 MB, 2.1 MB/s, 1 of 4 items" in shown
    assert "━" in shown
    assert f"sign in here: {LINK}" in shown


def test_a_bar_goes_by_bytes_where_they_are_counted_and_by_items_elsewhere() -> None:
    def part(**more: Any) -> float | None:
        return part_done(read_job(job(1, "stage_out", staging=staging(**more))))

    assert part(bytes_total=8_400_000) == 0.5
    assert part(bytes_total=1) == 1.0  # a task's bytes may be those of several jobs
    assert part() == 0.25
    assert part(items=0) is None


def test_text_from_elsewhere_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    troubled = job(1001, "stage_in", staging=staging(trouble={"code": "x", "detail": "\x1b[2Jgone"}))
    Lines(as_json=False)([read_job(troubled)])
    assert "\x1b" not in capsys.readouterr().out
    assert "\x1b" in line(read_job(troubled))


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (999, "999 B"), (1000, "1 KB"), (55.8e9, "55.8 GB"), (2e18, "2e+03 PB")]
)
def test_sizes_are_written_by_thousands(size: float, words: str) -> None:
    assert human(size) == words
