"""A shell in which the unmodified ``globus`` command works against a running emulator.

The tool pins its own SDK, so it lives in a virtual environment of its own; without that its tests are skipped.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulators.globus import GlobusEmulator, Pace

TOOL = Path(__file__).parents[2] / ".venv-globus-cli" / "bin" / "globus"
NEEDS_TOOL = pytest.mark.skipif(
    not TOOL.exists(), reason="no .venv-globus-cli: python -m venv it and pip install globus-cli==3.43.0"
)


class Shell:
    """A shell in which ``globus`` works: the emulator's variables and a home directory of its own."""

    def __init__(self, globus: GlobusEmulator, home: Path) -> None:
        keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self.env = {**keep, **globus.environment(), "HOME": str(home), "NO_PROXY": "127.0.0.1", "COLUMNS": "200"}

    def run(self, *words: str, code: int = 0, stdin: str | None = None) -> str:
        """Run one command; its standard output. Fails unless it exits with ``code``."""
        done = subprocess.run(
            [str(TOOL), *words], env=self.env, capture_output=True, text=True, timeout=60, input=stdin, check=False
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if code == 0 else done.stdout + done.stderr

    def json(self, *words: str) -> dict[str, object]:
        found = json.loads(self.run(*words, "-Fjson"))
        assert isinstance(found, dict)
        return found


@pytest.fixture(scope="module")
def globus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GlobusEmulator]:
    with GlobusEmulator(tmp_path_factory.mktemp("cli"), pace=Pace.at_once()) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def shell(globus: GlobusEmulator, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(globus, tmp_path_factory.mktemp("home"))


Dirs = tuple[Path, Path]


@pytest.fixture
def files(globus: GlobusEmulator, shell: Shell, request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """A fresh directory, named for the test, on ``lab`` and where it goes on ``theta``."""
    name = re.sub(r"\W", "_", request.node.name)
    for place in ("lab", "theta"):
        (globus.directory(place) / name).mkdir()
    return globus.directory("lab") / name, globus.directory("theta") / name


def at(globus: GlobusEmulator, name: str, path: Path, rest: str = "") -> str:
    return f"{globus.collections[name]}:/{path.name}/{rest}"


def made(shell: Shell, *words: str) -> str:
    """Submit and wait; the task's id."""
    task_id = str(shell.json(*words)["task_id"])
    shell.run("task", "wait", task_id, "--polling-interval", "1", "--timeout", "30")
    return task_id
