"""A site's scripts around its jobs: when they run, what they are told, whose failure counts, what a restart does."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from emulators.cobalt.settings import Settings
from emulators.cobalt.simulator import CobaltSimulator

ROOT = Path(__file__).resolve().parents[2]
FILTER = "#!/bin/bash\necho stagein=globus://lab/in\n"
SCRIPT = """\
#!/bin/bash
for word in "$@"; do case "$word" in jobid=*) id="${{word#jobid=}}";; esac; done
echo "{name} $id" >>{home}/order
printf '%s\\n' "$@" >{home}/{name}.words
until [ ! -e {home}/{name}.wait ]; do sleep 0.02; done
if [ -e {home}/{name}.status ]; then exit "$(cat {home}/{name}.status)"; fi
echo "{name} over $id" >>{home}/order
"""
NAMES = ("jobpre", "jobpre2", "nodepre", "nodepost", "jobpost")


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.02)


class Login:
    """A login node of a Cobalt of one node, whose site has a script for everything."""

    def __init__(self, home: Path) -> None:
        self.home, self.state = home, home / "cobalt"
        for name in NAMES:
            self.program(name, SCRIPT.format(name=name, home=home))
        self.program("filter", FILTER)
        self.program("run.sh", f"#!/bin/bash\necho task >>{home}/order\n")

    def program(self, name: str, text: str) -> None:
        (self.home / name).write_text(text)
        (self.home / name).chmod(0o755)

    def path(self, name: str) -> str:
        return str(self.home / name)

    @contextmanager
    def simulator(self) -> Iterator[CobaltSimulator]:
        settings = Settings(
            nodes=1,
            interval=0.05,
            filters=(self.path("filter"),),
            job_prescripts=(self.path("jobpre"), self.path("jobpre2")),
            resource_prescripts=(self.path("nodepre"),),
            resource_postscripts=(self.path("nodepost"),),
            job_postscripts=(self.path("jobpost"),),
        )
        with CobaltSimulator(self.state, settings=settings) as simulator:
            yield simulator

    def run(self, command: str, *argv: str) -> str:
        done = subprocess.run(
            [self.state / "bin" / command, *argv], cwd=self.home, capture_output=True, text=True, check=False
        )
        return done.stdout

    def submit(self, *argv: str) -> str:
        return self.run("qsub", "-n1", "-t5", *argv, "run.sh").strip()

    def shows(self, jobid: str) -> list[str]:
        return self.run("qstat", "-l", "--header=State:Location", jobid).replace(":", " ").split()

    def gone(self, jobid: str) -> None:
        until(lambda: self.run("qstat", jobid) == "", f"job {jobid} is gone")

    def is_at(self, name: str, jobid: str) -> None:
        until(lambda: f"{name} {jobid}" in self.order(), f"{name} runs")

    def order(self) -> list[str]:
        path = self.home / "order"
        return path.read_text().splitlines() if path.exists() else []

    def log(self, jobid: str) -> str:
        return (self.home / f"{jobid}.cobaltlog").read_text()


@pytest.fixture
def login(tmp_path: Path) -> Login:
    return Login(tmp_path)


def test_the_scripts_run_in_order_and_are_told_every_field_of_the_job_those_of_a_filter_too(login: Login) -> None:
    with login.simulator():
        jobid = login.submit("-A", "chem", "--env", "WORD=a b:N=1")
        login.gone(jobid)
    ran = [line.split()[0] for line in login.order() if "over" not in line]
    assert ran == ["jobpre", "jobpre2", "nodepre", "task", "nodepost", "jobpost"]
    assert login.order().count(f"jobpost over {jobid}") == 1
    for name in NAMES:
        words = (login.home / f"{name}.words").read_text().splitlines()
        assert {"stagein=globus://lab/in", "project=chem", "nodes=1", f"jobid={jobid}", "location=node1"} <= set(words)
        assert "envs={'WORD': 'a b', 'N': '1'}" in words, "a field is one word, whatever is in it"


@pytest.mark.parametrize(
    ("name", "state", "has_nodes"),
    [
        ("jobpre", "starting", True),
        ("nodepre", "starting", True),
        ("nodepost", "exiting", True),
        ("jobpost", "exiting", False),
    ],
)
def test_while_a_script_runs_the_job_shows_it_and_nobody_else_gets_its_nodes_but_at_the_very_end(
    login: Login, name: str, state: str, has_nodes: bool
) -> None:
    (login.home / f"{name}.wait").touch()
    with login.simulator():
        jobid = login.submit()
        login.is_at(name, jobid)
        assert login.shows(jobid)[1:4:2] == [state, "node1"]
        other = login.submit()
        if has_nodes:
            assert login.shows(other)[1] == "queued"
        else:
            login.is_at("nodepost", other)
        (login.home / f"{name}.wait").unlink()
        login.gone(jobid)
        login.gone(other)


@pytest.mark.parametrize(("name", "follow"), [("jobpre", ["jobpost"]), ("nodepre", ["nodepost", "jobpost"])])
def test_a_prescript_that_fails_is_fatal_for_its_job_and_for_no_other(
    login: Login, name: str, follow: list[str]
) -> None:
    (login.home / f"{name}.status").write_text("3")
    with login.simulator():
        jobid = login.submit()
        child = login.submit("--dependencies", jobid)
        login.gone(jobid)
        after = [line.split()[0] for line in login.order() if "over" not in line]
        assert after[after.index(name) + 1 :] == follow
        assert "task" not in after
        assert f"script {login.path(name)} exited with status 3" in login.log(jobid)
        assert login.shows(child)[1] == "dep_hold", "it did not end as it should"
        (login.home / f"{name}.status").unlink()
        login.gone(login.submit())
    assert login.order().count("task") == 1


def test_a_prescript_that_is_not_there_is_fatal_too(login: Login) -> None:
    (login.home / "nodepre").unlink()
    with login.simulator():
        jobid = login.submit()
        login.gone(jobid)
    assert "task" not in login.order()
    assert "No such file or directory" in login.log(jobid)


def test_what_a_postscript_exits_with_does_not_matter(login: Login) -> None:
    for name in ("nodepost", "jobpost"):
        (login.home / f"{name}.status").write_text("3")
    with login.simulator() as simulator:
        jobid = login.submit()
        child = login.submit("--dependencies", jobid)
        login.gone(jobid)
        login.gone(child)
        assert "Exit_status=0 " in simulator.accounting.read_text()


@pytest.mark.parametrize("name", ["jobpre", "nodepre"])
def test_a_delete_waits_for_the_script_that_runs_and_lets_nothing_more_begin(login: Login, name: str) -> None:
    (login.home / f"{name}.wait").touch()
    with login.simulator():
        jobid = login.submit()
        login.is_at(name, jobid)
        login.run("qdel", jobid)
        login.run("qdel", jobid)
        assert login.shows(jobid)[1:4:2] == ["starting", "node1"]
        (login.home / f"{name}.wait").unlink()
        login.gone(jobid)
    assert "task" not in login.order()
    assert "user delete request already pending" in login.log(jobid)


def test_scripts_that_a_stop_cuts_short_run_again_with_the_next_start_and_the_job_goes_on(login: Login) -> None:
    (login.home / "nodepre.wait").touch()
    with login.simulator():
        jobid = login.submit()
        login.is_at("nodepre", jobid)
    (login.home / "nodepre.wait").unlink()
    with login.simulator():
        login.gone(jobid)
    assert login.order().count(f"jobpre {jobid}") == 1
    assert login.order().count(f"nodepre {jobid}") == 2
    assert login.order().count("task") == 1


def serve(login: Login) -> subprocess.Popen[str]:
    """The simulator as a program, its scripts as options."""
    options = {"job-prescript": ("jobpre", "jobpre2"), "resource-prescript": ("nodepre",)}
    options |= {"resource-postscript": ("nodepost",), "job-postscript": ("jobpost",)}
    words = [
        word for name, programs in options.items() for each in programs for word in (f"--{name}", login.path(each))
    ]
    server = subprocess.Popen(
        [sys.executable, "-m", "emulators.cobalt", "serve", "--state", str(login.state), "--nodes", "1", *words],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    while server.stdout.readline() != "ready\n":
        assert server.poll() is None
    return server


def test_a_script_that_outlives_a_killed_simulator_is_waited_for_by_the_next(login: Login) -> None:
    (login.home / "jobpre2.wait").touch()
    server = serve(login)
    jobid = login.submit()
    login.is_at("jobpre2", jobid)
    server.send_signal(signal.SIGKILL)
    server.communicate()
    server = serve(login)
    until(lambda: login.shows(jobid)[1:2] == ["starting"], "it is starting still")
    (login.home / "jobpre2.wait").unlink()
    login.gone(jobid)
    server.send_signal(signal.SIGINT)
    server.communicate()
    assert login.order().count(f"jobpre2 {jobid}") == 1, "it was not begun again"
    assert login.order().count("task") == 1
