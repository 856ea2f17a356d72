"""``make demo`` and ``make up`` as they are typed, in processes of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, "-m", "emulators.demo"]


def demo(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
    )


def script(folder: Path, text: str) -> Path:
    path = folder / "given.sh"
    path.write_text(f"#!/bin/bash\n{text}\n")
    return path


def processes_of(mark: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("QSTAGE_TEST_MARK") == mark:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A variable that what the test starts inherits, by which what is left over is found."""
    monkeypatch.setenv("QSTAGE_TEST_MARK", str(tmp_path))
    return str(tmp_path)


def test_the_demo_takes_the_users_own_input_script_and_output(tmp_path: Path, mark: str) -> None:
    given, output = tmp_path / "in", tmp_path / "out"
    strange = given / "with blanks" / "d'quotes\"" / "größe\\n"
    strange.mkdir(parents=True)
    (strange / "ファイル %41 {id}.txt").write_text("strange\n")
    (given / "empty").touch()
    (given / "empty directory").mkdir()
    (given / "big.bin").write_bytes(os.urandom(3_000_000))
    for number in range(60):
        (given / f"small {number}").write_text(str(number))
    output.mkdir()
    ended = demo("run", "--input", given, "--script", script(tmp_path, "cp -r inputs results"), "--output", output)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == f"demo: job 1001 completed, results in {output}"
    assert subprocess.run(["diff", "-r", given, output], check=False).returncode == 0
    assert processes_of(mark) == []


def test_a_script_that_exits_3_ends_the_demo_with_failed_its_code_and_its_last_words(tmp_path: Path) -> None:
    ended = demo("run", "--script", script(tmp_path, "echo these were my last words; exit 3"))
    assert ended.returncode != 0
    assert re.search(r"job 1001 failed in run: exit code 3", ended.stderr)
    assert "these were my last words" in ended.stderr


def test_several_jobs_run_at_once_and_each_tells_its_story(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    ended = demo("run", "--jobs", 3, "--output", output)
    assert ended.returncode == 0, ended.stderr
    assert sorted(path.name for path in output.iterdir()) == ["demo1-1001", "demo2-1002", "demo3-1003"]
    assert ended.stdout.count("the story of job") == 3


@pytest.mark.parametrize("wrong", [("--input", "/no/such/place"), ("--script", "/no/such/file"), ("--jobs", "0")])
def test_a_wrong_argument_is_named_and_nothing_is_started(wrong: tuple[str, str]) -> None:
    ended = demo("run", *wrong)
    assert ended.returncode == 1
    assert wrong[0].strip("-").upper() in ended.stderr


def test_an_output_that_is_not_empty_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    ended = demo("run", "--output", tmp_path)
    assert ended.returncode == 1
    assert "must be an empty directory" in ended.stderr
    assert (tmp_path / "precious").read_text() == "mine"


def test_up_prints_three_curl_lines_that_work_and_ends_at_ctrl_c_within_five_seconds(mark: str) -> None:
    up = subprocess.Popen(
        [*DEMO, "up"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert up.stdout is not None
    lines = []
    for line in up.stdout:
        lines.append(line.rstrip("\n"))
        if "qstage login" in line:
            break
    try:
        curls = [line for line in lines if line.startswith("curl ")]
        assert len(curls) == 3, "\n".join(lines)
        answers = [subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True) for line in curls]
        assert '"id":1001' in answers[0].stdout
        assert '"name":"first"' in answers[1].stdout
        assert '"event":"submitted"' in answers[2].stdout
        assert any(line.strip().startswith("API key   qsk_") for line in lines)
    finally:
        began = time.monotonic()
        os.killpg(up.pid, signal.SIGINT)
        up.communicate(timeout=20)
    assert time.monotonic() - began < 5
    assert up.returncode == 130
    assert processes_of(mark) == []
