"""Bare commands for those who want them, and the agent that must never call them; completion of words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qstage.agent.schedulers import WrongSite, open_scheduler
from qstage.cli.app import COMMANDS, run
from qstage.cli.commands.shim import COMMANDS as BARE

ROOT = Path(__file__).parents[2]


def test_the_bare_commands_call_qstage_and_print_how_to_use_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # without a qstage: the shims name this Python
    assert run(["shim", str(tmp_path / "my bin")]) == 0
    assert capsys.readouterr().out == f"export PATH='{tmp_path}/my bin':\"$PATH\"\n"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "QSTAGE_CONFIG": str(tmp_path / "none.toml")}
    said = subprocess.run(
        [tmp_path / "my bin/qsub", "-n", "five"], env=environment, capture_output=True, text=True, check=False
    )
    assert said.returncode == 2
    assert "option -n: invalid integer value: 'five'" in said.stderr
    assert all(name in COMMANDS for name in BARE)


def test_a_file_that_is_not_a_shim_is_left_alone_and_one_that_is_is_written_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["shim", str(tmp_path)]) == 0
    assert run(["shim", str(tmp_path)]) == 0
    (tmp_path / "qdel").write_text("#!/bin/sh\nexec /opt/cobalt/qdel\n")
    before = sorted(path.stat().st_mtime_ns for path in tmp_path.iterdir())
    assert run(["shim", str(tmp_path)]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert sorted(path.stat().st_mtime_ns for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("scheduler", ["cobalt", "pbs", "slurm"])
def test_an_agent_does_not_start_on_a_path_where_they_stand_for_the_schedulers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheduler: str
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert run(["shim", str(tmp_path / "bin")]) == 0
    with pytest.raises(WrongSite, match="would submit to itself"):
        open_scheduler(scheduler, tmp_path / "work", (str(tmp_path / "bin"), "/usr/bin", "/bin"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shells_completion_is_printed(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    assert run(["completion", shell]) == 0
    assert "_QSTAGE_COMPLETE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "words"),
    [("qstage qs", {"qsub", "qstat"}), ("qstage qsub --stage-", {"--stage-in", "--stage-out"}),
     ("qstage qsub -n 1 --nod", {"--nodecount"}), ("qstage site cre", {"create"})],
)  # fmt: skip
def test_a_shell_that_asks_gets_commands_and_cobalts_options(line: str, words: set[str]) -> None:
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "_QSTAGE_COMPLETE": "bash_complete", "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
    }  # fmt: skip
    said = subprocess.run(
        [sys.executable, "-m", "qstage.cli"], env=environment, capture_output=True, text=True, check=False
    )
    assert {word.partition(",")[2] for word in said.stdout.split()} == words
