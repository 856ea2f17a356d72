"""What docs/python.md shows is run as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import qstage.client
from emulators.stack import Stack

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "python.md").read_text()


def test_the_program_of_the_page_runs_a_job_to_its_end(stack: Stack) -> None:
    assert stack.login is not None
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "QSTAGE_URL": stack.url, "QSTAGE_KEY": stack.login.key,
        "LAB": stack.collections["lab"], "ARCHIVE": stack.collections["archive"],
    }  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0] == "completed 0"
    assert lines[-1] == "completed completed"
    (delivered,) = stack.globus.directory("archive").glob("md-run-*")
    assert (delivered / "sorted").read_text() == "alpha\nbeta\n"


def test_every_error_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`([A-Z]\w+)`", PAGE.split("raises a", 1)[1]))
    assert {name for name in named if not hasattr(qstage.client, name)} == set()
    assert len(named) > 8
