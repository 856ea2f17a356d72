"""A Slurm user's script, as it is, from the command line through staging and a real Slurm to the archive and back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from slurm_cluster import SlurmCluster, missing
from whole_stack import until

from emulators.stack import Stack

ROOT = Path(__file__).parents[2]
SCRIPT = """\
#!/bin/bash
#SBATCH --job-name=md --partition=debug
#SBATCH -N 1 --ntasks=2 --mem=100M
#SBATCH -t 0:10:00
#SBATCH --comment=hello
#QSTAGE stage-in lab:/=inputs/
#QSTAGE stage-out results/=archive:/{name}-{id}/
mkdir -p results
cat inputs/*.txt | sort > results/sorted.txt
srun -n 1 printenv SLURM_JOB_ID SLURM_JOB_NAME > results/slurm.txt
"""


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    lacking = missing()
    if lacking is not None:
        if os.environ.get("CI"):
            pytest.fail(lacking)
        pytest.skip(lacking)
    with SlurmCluster(tmp_path_factory.mktemp("slurm") / "run") as running:
        yield running


SITES = count(1)
"""An agent keeps its site for a while after its last call, so each test has a site of its own."""


class Shell:
    """A user's shell that knows the service, the collections and the site."""

    def __init__(self, home: Path, stack: Stack) -> None:
        assert stack.login is not None
        self.home, self.site = home, f"cluster-{next(SITES)}"
        names = "".join(f'{name} = "{stack.collections[name]}"\n' for name in ("lab", "archive"))
        (home / "config.toml").write_text(f'site = "{self.site}"\n[collections]\n{names}')
        (home / "config.toml").chmod(0o600)
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT),
            "QSTAGE_URL": stack.url, "QSTAGE_KEY": stack.login.key, "QSTAGE_CONFIG": str(home / "config.toml"),
        }  # fmt: skip

    def qstage(self, *words: str) -> str:
        command = [sys.executable, "-m", "qstage.cli", *words]
        ended = subprocess.run(
            command, cwd=self.home, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert ended.returncode == 0, f"{words}: {ended.stdout}{ended.stderr}"
        return ended.stdout


@pytest.fixture
def shell(stack: Stack, tmp_path: Path, cluster: SlurmCluster) -> Iterator[Shell]:
    """The shell, with the site registered and its agent at work on the login node."""
    shell = Shell(tmp_path, stack)
    directory = stack.site_directory.resolve()
    mapping = f"{stack.collections['theta']}:/={directory}"
    shell.qstage(
        "site", "create", "--id", shell.site, "--scheduler", "slurm", "--map", mapping, "--token-file", "token"
    )
    config = tmp_path / "agent.toml"
    config.write_text(
        f'service = "{stack.url}"\ntoken_file = "token"\nscheduler = "slurm"\nstate = "{tmp_path}/state"\n'
        "poll_seconds = 0.2\n"
        f'[policy]\nowners = ["*"]\ndirectories = ["{directory}"]\nqueues = ["debug"]\nattributes = ["slurm.*"]\n'
    )
    config.chmod(0o600)
    command = [sys.executable, "-m", "qstage.cli", "agent", "run", "--site", shell.site, "--config", str(config)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), **cluster.environment}
    with (tmp_path / "agent.log").open("wb") as log:
        agent = subprocess.Popen(command, env=environment, stderr=log)
    try:
        yield shell
    finally:
        agent.terminate()
        agent.wait(timeout=10)


def test_a_script_with_sbatch_lines_is_staged_run_by_slurm_and_its_results_archived(
    shell: Shell, stack: Stack, cluster: SlurmCluster
) -> None:
    (shell.home / "md.sh").write_text(SCRIPT)
    number = shell.qstage("submit", "md.sh").strip()
    assert "completed" in shell.qstage("watch", number).splitlines()[-1]
    job = json.loads(shell.qstage("qstat", "--json", number))[0]
    results = stack.globus.directory("archive") / f"md-{number}"
    assert (results / "sorted.txt").read_text() == "alpha\nbeta\n"
    native, name = (results / "slurm.txt").read_text().split()
    assert native == job["native_id"]
    assert name.startswith(f"md-{number}-")
    shown = cluster.command("scontrol", "show", "job", native).decode()
    assert "Comment=hello" in shown
    assert "TimeLimit=00:10:00" in shown


def test_a_job_held_and_deleted_by_its_user_is_never_seen_by_slurm(
    shell: Shell, stack: Stack, cluster: SlurmCluster
) -> None:
    (shell.home / "md.sh").write_text(SCRIPT.replace("#SBATCH --comment=hello", "#SBATCH --hold"))
    number = shell.qstage("submit", "md.sh").strip()
    until(lambda: "staged*" in shell.qstage("qstat", number) or None, "its inputs are there, and it waits")
    shell.qstage("qdel", number)
    until(lambda: "canceled" in shell.qstage("qstat", number) or None, "it is canceled")
    assert f"md-{number}" not in cluster.command("squeue", "-h", "-t", "all", "-o", "%j").decode()


def test_a_job_may_wait_in_slurms_queue_for_its_data(shell: Shell, stack: Stack, cluster: SlurmCluster) -> None:
    (shell.home / "md.sh").write_text(SCRIPT)
    number = shell.qstage("submit", "--staging", "just_in_time", "md.sh").strip()
    assert "completed" in shell.qstage("watch", number).splitlines()[-1]
    entries = json.loads(shell.qstage("story", "--json", number))["entries"]
    events = [entry["event"] for entry in entries]
    assert events.index("held_ahead") < events.index("staging_due") < events.index("claimed") < events.index("queued")
    held, queued = (entries[events.index(event)]["detail"] for event in ("held_ahead", "queued"))
    assert held["native_id"] == queued["native_id"], "what waited is what ran"
    assert held["starts_at"] != "unknown", "Slurm said when"
    assert (stack.globus.directory("archive") / f"md-{number}" / "sorted.txt").read_text() == "alpha\nbeta\n"


def test_a_job_that_waits_for_data_which_is_not_there_leaves_slurms_queue(shell: Shell, cluster: SlurmCluster) -> None:
    (shell.home / "md.sh").write_text(SCRIPT.replace("lab:/=", "lab:/no/such/="))
    number = shell.qstage("submit", "--staging", "just_in_time", "md.sh").strip()
    until(lambda: "failed" in shell.qstage("qstat", number) or None, "it has failed")
    job = json.loads(shell.qstage("qstat", "--json", number))[0]
    assert (job["failed_stage"], job["started_at"]) == ("stage_in", None)
    until(lambda: cluster.names() == [] or None, "the agent has taken it out of the queue")
