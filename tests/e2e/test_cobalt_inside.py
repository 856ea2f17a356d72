"""The task server inside the simulated Cobalt: bare qsub, a hold until the data is there, and no node kept for data.

The session of docs/cobalt.md is typed again, and every answer compared; ``QSTAGE_WRITE_SESSION=1`` writes them anew.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from whole_stack import finished, until

from emulators.stack import SITE, USER, Stack
from qstage.cli.settings import Login, Settings, save
from qstage.client import Job
from qstage.client.results import StoryEntry

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "cobalt.md"
SCRIPT = """\
#!/bin/bash
#COBALT -n 2 -t 30
#QSTAGE stage-in lab:/=inputs/
#QSTAGE stage-out results/=archive:/{name}-{id}/
mkdir -p results
sort inputs/*.txt > results/sorted.txt
echo "on $COBALT_PARTSIZE nodes: $(wc -l < results/sorted.txt) lines"
"""
PATIENCE = 120.0
SITE_IS_FREE = 100
"""Seconds after which another agent than the last may have the site."""
OUT_OF_COMPANY = 200
"""Seconds after which what a job leaves does not wait any more for that of one that may follow."""


class LoginNode:
    """A shell of the user on Cobalt's login node: Cobalt's commands are bare, qstage's are qstage's."""

    def __init__(self, home: Path, stack: Stack) -> None:
        self.home, self.stack = home, stack
        commands = home / "bin"
        commands.mkdir(parents=True)
        (commands / "qstage").write_text(f'#!/bin/sh\nexec {sys.executable} -m qstage.cli "$@"\n')
        (commands / "qstage").chmod(0o755)
        self.script("run.sh", SCRIPT)
        self.script("plain.sh", "#!/bin/bash\ntrue\n")
        (home / "archive").symlink_to(stack.globus.directory("archive"))
        assert stack.login is not None
        names = {name: stack.collections[name] for name in ("lab", "archive")}
        login = Login(key=stack.login.key, username=USER)
        config = home / "config.toml"
        save(Settings(path=config, url=stack.url, site=SITE, collections=names, logins={stack.url: login}))
        self.environment = {
            "PATH": f"{commands}:{stack.cobalt.bin.resolve()}:{os.environ['PATH']}",
            "HOME": str(home), "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT), "QSTAGE_CONFIG": str(config),
        }  # fmt: skip

    def script(self, name: str, text: str) -> None:
        (self.home / name).write_text(text)
        (self.home / name).chmod(0o755)

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", line], cwd=self.home, env=self.environment, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip

    def type(self, line: str) -> str:
        said = self.run(f"exec 2>&1; {line}").stdout.replace(str(self.home), "/home/you")
        return re.sub(r"[ \t]+$", "", said, flags=re.MULTILINE)

    def submit(self, line: str) -> tuple[str, int]:
        """Cobalt's id of the job, and qstage's."""
        done = self.run(line)
        assert done.returncode == 0, done.stderr
        said = re.search(r"qstage: job (\d+)", done.stderr)
        assert said is not None, done.stderr
        return done.stdout.strip(), int(said[1])

    def state(self, jobid: str) -> str:
        return self.run(f"qstat -l --header=State {jobid}").stdout.partition(":")[2].strip()

    def job(self, number: int) -> Job:
        assert self.stack.login is not None
        return self.stack.login.client.job(number)

    def records(self, jobid: str) -> dict[str, tuple[float, dict[str, str]]]:
        """When each kind of record of Cobalt's accounting log was last written for a job, and its fields."""
        found = {}
        for line in self.stack.cobalt.accounting.read_text().splitlines():
            moment, kind, number, fields = line.split(";", 3)
            if number == jobid:
                at = datetime.strptime(moment, "%m/%d/%Y %H:%M:%S").replace(tzinfo=UTC).timestamp()
                found[kind] = (at, dict(re.findall(r"(\S+?)=(\S+)", fields)))
        return found


@pytest.fixture
def node(tmp_path: Path, stack: Stack) -> Iterator[LoginNode]:
    """A login node; afterwards Cobalt has nothing of the test's, and the agent looks as often as one that is new."""
    node = LoginNode(tmp_path / "home", stack)
    yield node
    node.run("qselect | grep -o '[0-9]*' | xargs -r qdel")
    stack.stop_agent()
    stack.clock.turn(OUT_OF_COMPANY)
    stack.start_agent()


def read_page(text: str) -> list[tuple[str, str]]:
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    pieces = [piece for block in blocks for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(line, answer) for line, _, answer in (piece.partition("\n") for piece in pieces)]


def typed(node: LoginNode, line: str, answer: str) -> str:
    """Type a line; one that only looks is typed again until the answer is the page's."""
    end = time.monotonic() + PATIENCE
    while (said := node.type(line)) != answer and line.startswith("qstat") and time.monotonic() < end:
        time.sleep(0.3)
    return said


def test_the_session_inside_cobalt_is_answered_as_the_page_says(node: LoginNode) -> None:
    """It comes first: the page's numbers are those of a new stack."""
    text = PAGE.read_text()
    lines = read_page(text)
    assert len(lines) >= 8
    node.stack.stop_agent()  # so that the first look sees the hold, however fast the transfer is
    told = []
    for line, answer in lines:
        if line.startswith("qstage wait"):
            node.stack.start_agent()
        if line.startswith("qstat"):
            until(lambda: node.run("qstat 1001").returncode == 1 or None, "the plain job is over")
        said = typed(node, line, answer) if not os.environ.get("QSTAGE_WRITE_SESSION") else node.type(line)
        told.append(f"$ {line}\n{said}")
        if not os.environ.get("QSTAGE_WRITE_SESSION"):
            assert said == answer, line
    if os.environ.get("QSTAGE_WRITE_SESSION"):
        block = "```console\n" + "".join(told) + "```"
        PAGE.write_text(re.sub(r"```console\n.*?```", lambda _: block, text, count=1, flags=re.DOTALL))


def test_no_node_second_is_spent_on_data(node: LoginNode) -> None:
    jobid, number = node.submit("qsub run.sh")
    job = finished(node.stack, number)
    assert (job.state, job.exit_code, job.native_id) == ("completed", 0, jobid)
    records = node.records(jobid)
    start, end = (float(records["E"][1][name]) for name in ("start", "end"))
    marks = {entry.event: entry.time for entry in story(node, number) if entry.time is not None}
    assert marks["staged_in"].timestamp() <= start, "the inputs were there before it had nodes"
    assert marks["completed"].timestamp() >= end, "its results arrived when it had none"
    task = float(records["TE"][1]["end"]) - float(records["TE"][1]["start"])
    assert (end - start) - task < 1.0, "its nodes were charged for its script and nothing else"
    assert node.run(f"qstat {jobid}").returncode == 1
    moved = (node.home / "archive" / f"run-{number}" / "sorted.txt").read_text()
    assert moved == "alpha\nbeta\n"


def story(node: LoginNode, number: int) -> tuple[StoryEntry, ...]:
    assert node.stack.login is not None
    return node.stack.login.client.story(number).entries


def test_it_stays_held_while_its_inputs_move_and_nobody_else_is_kept(node: LoginNode) -> None:
    node.stack.stop_agent()
    jobid, number = node.submit("qsub run.sh")
    other = node.run("qsub -n 2 -t 10 plain.sh")
    assert (other.returncode, other.stderr) == (0, "")
    until(lambda: node.job(number).state == "staged" or None, "its inputs are there")
    assert node.state(jobid) == "user_hold"
    node.stack.start_agent()
    assert finished(node.stack, number).state == "completed"


def test_a_service_that_does_not_answer_ends_qsub_and_nothing_was_submitted(node: LoginNode) -> None:
    done = node.run("QSTAGE_URL=http://127.0.0.1:9 QSTAGE_KEY=qsk_x qsub run.sh")
    assert (done.returncode, done.stdout) == (1, "")
    assert "qstage" in done.stderr
    assert "failed" in done.stderr
    assert node.run("qselect").stderr == "Failed to match any jobs\n"


def test_directives_that_cannot_be_read_end_qsub_with_the_cure(node: LoginNode) -> None:
    node.script("bad.sh", "#!/bin/bash\n#COBALT -n 1 -t 10\n#QSTAGE stage-out results\n")
    done = node.run("qsub bad.sh")
    assert (done.returncode, done.stdout) == (1, "")
    assert "<source>=<collection>:<path>" in done.stderr


def test_a_failing_script_is_told_as_such_and_its_results_still_move(node: LoginNode) -> None:
    node.script("fails.sh", SCRIPT + "exit 3\n")
    _, number = node.submit("qsub fails.sh")
    job = finished(node.stack, number)
    assert (job.state, job.exit_code) == ("failed", 3)
    assert (node.home / "archive" / f"fails-{number}" / "sorted.txt").exists()


def test_a_job_deleted_while_it_was_held_never_runs_and_is_told_of(node: LoginNode) -> None:
    jobid, number = node.submit("qsub -h run.sh")
    until(lambda: node.job(number).native_id == jobid or None, "the agent has found it")
    node.run(f"qdel {jobid}")
    job = finished(node.stack, number)
    assert (job.state, job.failed_stage) == ("failed", "submit")
    assert job.error is not None
    assert "is not there any more: somebody deleted it" in job.error.detail
    assert not (node.home / "archive" / f"run-{number}").exists()


def test_a_job_whose_input_is_not_there_leaves_cobalts_queue(node: LoginNode) -> None:
    node.script("misses.sh", SCRIPT.replace("lab:/=", "lab:/no/such/="))
    jobid, number = node.submit("qsub misses.sh")
    job = finished(node.stack, number)
    assert (job.state, job.failed_stage) == ("failed", "stage_in")
    until(lambda: node.run(f"qstat {jobid}").returncode == 1 or None, "the agent has taken Cobalt's job away")
    assert "E" not in node.records(jobid), "it never ran"


def test_a_job_cancelled_before_anything_moved_leaves_cobalts_queue(node: LoginNode) -> None:
    node.stack.stop_agent()
    jobid, number = node.submit("qsub run.sh")
    node.run(f"qstage qdel {number}")
    assert node.job(number).state != "canceled", "Cobalt has it still"
    node.stack.start_agent()
    assert finished(node.stack, number).state == "canceled"
    assert node.run(f"qstat {jobid}").returncode == 1


def test_a_job_may_wait_for_its_data_until_its_start_is_near(node: LoginNode) -> None:
    node.script("late.sh", SCRIPT.replace("#QSTAGE stage-in", "#QSTAGE staging just_in_time\n#QSTAGE stage-in"))
    jobid, number = node.submit("qsub late.sh")
    job = finished(node.stack, number)
    assert (job.state, job.native_id) == ("completed", jobid)
    events = [entry.event for entry in story(node, number)]
    assert events.index("held_ahead") < events.index("staging_due") < events.index("claimed")


def test_a_job_cancelled_at_qstage_leaves_cobalts_queue(node: LoginNode) -> None:
    node.stack.stop_agent()
    jobid, number = node.submit("qsub run.sh")
    until(lambda: node.job(number).state == "staged" or None, "its inputs are there")
    node.run(f"qstage qdel {number}")
    node.stack.start_agent()
    until(lambda: node.run(f"qstat {jobid}").returncode == 1 or None, "Cobalt's job is gone")
    assert finished(node.stack, number).state == "canceled"
    assert "E" not in node.records(jobid)


def test_an_agent_whose_journal_is_lost_goes_on_with_the_job_that_runs(node: LoginNode) -> None:
    go = node.home / "go"
    node.script("long.sh", SCRIPT.replace("mkdir", f"until [ -e {go} ]; do sleep 0.1; done\nmkdir"))
    _, number = node.submit("qsub long.sh")
    until(lambda: node.job(number).state == "active" or None, "it runs")
    node.stack.stop_agent(signal.SIGKILL)
    shutil.rmtree(node.stack.state / "agent" / "state")
    node.stack.clock.turn(SITE_IS_FREE)
    node.stack.start_agent()
    go.touch()
    job = finished(node.stack, number)
    assert (job.state, job.exit_code) == ("completed", 0)
    assert (node.home / "archive" / f"long-{number}" / "sorted.txt").exists()


def test_a_hold_of_the_users_own_is_kept_until_qstage_releases_it(node: LoginNode) -> None:
    node.stack.stop_agent()
    jobid, number = node.submit("qsub -h run.sh")
    until(lambda: node.job(number).state == "staged" or None, "its inputs are there")
    node.stack.start_agent()
    until(lambda: node.job(number).native_id == jobid or None, "the agent has found it, though its inputs came first")
    assert node.state(jobid) == "user_hold"
    assert node.run(f"qstage qrls {number}").returncode == 0
    assert finished(node.stack, number).state == "completed"
