"""A newcomer's session, typed as the README has it: a login link, three collections, one qsub line, the results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from whole_stack import SCRIPT, opened, until

from emulators.globus.browser import Browser
from emulators.stack import USER, Stack

README_SCRIPT = """\
#!/bin/bash
#COBALT -n 2 -t 30 -A chem
#QSTAGE stage-in lab:/=inputs/
#QSTAGE stage-out results/=archive:/{name}-{id}/
mkdir -p results
cat inputs/*.txt | sort > results/sorted.txt
"""


class Shell:
    """A shell of the user: a home directory, and the qstage command."""

    def __init__(self, home: Path, stack: Stack) -> None:
        self.home = home
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "QSTAGE_URL": stack.url}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "qstage.cli", *words]

    def qstage(self, *words: str, status: int = 0) -> str:
        ended = subprocess.run(
            self.command(*words),
            cwd=self.home,
            env={**self.environment, "PYTHONPATH": os.getcwd()},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert ended.returncode == status, f"{words}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout if status == 0 else ended.stderr


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with opened(tmp_path_factory.mktemp("newcomer")) as running:
        yield running


@pytest.fixture(scope="module")
def shell(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """The newcomer's shell, signed in by the link that ``qstage login`` prints."""
    found = Shell(tmp_path_factory.mktemp("home"), stack)
    names = [word for name in ("lab", "theta") for word in ("--collection", stack.collections[name])]
    waiting = subprocess.Popen(
        found.command("login", "--no-browser", *names),
        env={**found.environment, "PYTHONPATH": os.getcwd(), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert waiting.stdout is not None
    link = waiting.stdout.readline().strip().removeprefix("sign in here: ")
    with Browser() as browser:
        browser.press(browser.sign_in(link, USER, follow=True), "approve")
    said, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 0, said
    assert f"signed in as {USER}" in said
    return found


def test_the_session_of_the_readme_brings_the_results(shell: Shell, stack: Stack) -> None:
    assert USER in shell.qstage("whoami")
    for name in ("lab", "archive"):
        shell.qstage("collections", "add", name, stack.collections[name])
    assert "Theta (simulated)" in shell.qstage("site", "list")
    shell.qstage("site", "use", "theta")
    (shell.home / "run.sh").write_text(README_SCRIPT)
    (shell.home / "run.sh").chmod(0o755)
    number = shell.qstage("qsub", "run.sh").strip()
    assert number.isdigit()
    assert number in shell.qstage("qstat", "--all")
    assert "completed" in shell.qstage("wait", number)
    results = stack.globus.directory("archive") / f"run-{number}"
    assert (results / "sorted.txt").read_text() == "alpha\nbeta\n"
    events = [entry["event"] for entry in json.loads(shell.qstage("story", "--json", number))["entries"]]
    assert events[0] == "submitted"
    assert events[-1] == "completed"


def test_a_job_that_waits_for_a_consent_shows_the_link_and_goes_on_by_itself_after_the_login(
    shell: Shell, stack: Stack
) -> None:
    stack.globus.controls.revoke_consent(USER)
    (shell.home / "again.sh").write_text(SCRIPT)
    (shell.home / "again.sh").chmod(0o755)
    lab, archive = stack.collections["lab"], stack.collections["archive"]
    staging = ["--stage-in", f"{lab}:/=inputs/", "--stage-out", f"results/={archive}:/again-{{id}}/"]
    number = shell.qstage("qsub", "-n", "1", "-t", "30", "--site", "theta", *staging, "again.sh").strip()

    def link() -> str | None:
        job = json.loads(shell.qstage("qstat", "--json", number))
        found = job[0] if isinstance(job, list) else job["jobs"][0]
        return found.get("login_url") if "login" in found["waiting_for"] else None

    address = until(link, "the job waits for a login, with the link")
    assert address.startswith(stack.url)
    assert address in shell.qstage("qstat", number)
    with Browser() as browser:
        browser.sign_in(address, USER, follow=True)
    assert "completed" in shell.qstage("wait", number)


def test_a_cancelled_job_ends_canceled_and_its_scheduler_job_is_gone(shell: Shell, stack: Stack) -> None:
    (shell.home / "long.sh").write_text("#!/bin/bash\nsleep 600\n")
    (shell.home / "long.sh").chmod(0o755)
    number = shell.qstage("qsub", "-n", "1", "-t", "30", "--site", "theta", "long.sh").strip()

    def active() -> bool | None:
        return "running" in shell.qstage("qstat", number) or None

    until(active, "the job runs")
    shell.qstage("qdel", number)
    assert "canceled" in shell.qstage("wait", number, status=1) + shell.qstage("qstat", "--all", number)
    listing = subprocess.run([stack.cobalt.bin / "qstat"], capture_output=True, text=True, check=True).stdout
    assert "running" not in listing


def test_every_fault_of_a_document_is_named_at_once(shell: Shell) -> None:
    wrong = {"site": "nowhere!", "executable": 7, "resources": {"node_count": 0}, "stage_in": [{"source": "/x"}]}
    (shell.home / "wrong.json").write_text(json.dumps(wrong))
    told = shell.qstage("submit", "wrong.json", status=1)
    for pointer in ("/site", "/executable", "/resources/node_count", "/stage_in/0/source"):
        assert pointer in told
