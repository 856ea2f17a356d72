"""The run script by itself: what its command sees of the environment it is started in."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from qstage.agent.runscript import render
from qstage.agent.wire import read_lease

AROUND = {
    "PATH": "/usr/bin:/bin", "HOME": "/home/ada", "SLURM_JOB_ID": "7", "SLURM_EXPORT_ENV": "NONE",
    "MODULEPATH": "/soft", "FOO": "it's\n\"two\" lines",
}  # fmt: skip


def seen(directory: Path, **more: Any) -> dict[str, str]:
    """The environment of a job whose run script is started with ``AROUND``."""
    (directory / ".qstage").mkdir()
    lease = read_lease(
        {
            "job": "u/1001", "id": 1001, "epoch": 1, "leased_until": "x", "owner": {"id": "u", "username": "ada"},
            "tag": "k3j2", "name": "md", "directory": str(directory), "executable": "/usr/bin/env", "arguments": ["-0"],
            "environment": {"A": "1"}, **more,
        }
    )  # fmt: skip
    script = directory / ".qstage/run.sh"
    script.write_text(render(lease, directory=str(directory), scheduler="slurm", keep=("MODULE*",)))
    subprocess.run(["/bin/bash", script], env=AROUND, check=True)
    return dict(pair.split("=", 1) for pair in (directory / "md.out").read_text().split("\0") if pair)


def test_a_command_sees_a_short_list_and_what_the_site_keeps(tmp_path: Path) -> None:
    kept = {name: AROUND[name] for name in ("PATH", "HOME", "SLURM_JOB_ID", "MODULEPATH")}
    assert seen(tmp_path) == {**kept, "A": "1", "QSTAGE_JOB_DIR": str(tmp_path), "QSTAGE_JOB_ID": "1001"}


def test_one_that_inherits_sees_all_that_the_node_gave_but_what_would_keep_it_from_srun(tmp_path: Path) -> None:
    found = seen(tmp_path, inherit_environment=True)
    assert found["FOO"] == AROUND["FOO"]
    assert "SLURM_EXPORT_ENV" not in found


@pytest.mark.parametrize("value", [None, False, "yes", 1])
def test_only_a_plain_true_inherits(tmp_path: Path, value: object) -> None:
    assert "FOO" not in seen(tmp_path, inherit_environment=value)
