"""``qstage site test`` on a whole stack: what it says of a site that is well, and of ones that are not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whole_stack import until

from emulators.stack import Stack

ROOT = Path(__file__).parents[2]


def qstage(stack: Stack, *words: str) -> subprocess.CompletedProcess[str]:
    assert stack.login is not None
    environment = {
        "PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8",
        "QSTAGE_URL": stack.url, "QSTAGE_KEY": stack.login.key,
    }  # fmt: skip
    command = [sys.executable, "-m", "qstage.cli", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)


def left_behind(stack: Stack) -> list[Path]:
    # What is removed while it is looked at, os.walk passes over.
    return [
        Path(above) / name
        for above, directories, files in os.walk(stack.site_directory)
        for name in (*directories, *files)
        if "qstage-site-test" in name
    ]


def test_a_site_that_is_well_is_proved_part_by_part_and_left_as_it_was(stack: Stack) -> None:
    ended = qstage(stack, "site", "test", "theta")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    parts = [line.split()[:2] for line in ended.stdout.splitlines()]
    assert parts == [["ok", part] for part in ("site", "agent", "policy", "scheduler", "collection", "mapping")]
    until(lambda: True if not left_behind(stack) else None, "its directories are gone")


def test_what_the_sites_policy_forbids_is_said_in_the_policys_words(stack: Stack) -> None:
    ended = qstage(stack, "site", "test", "theta", "--queue", "nosuch")
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[-1].startswith("FAIL  policy")
    assert "queue 'nosuch'" in ended.stdout


def test_what_the_scheduler_refuses_is_said_in_its_words(stack: Stack) -> None:
    ended = qstage(stack, "site", "test", "theta", "--minutes", "1")
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[-1].startswith("FAIL  scheduler")
    assert "Walltime less than minimum" in ended.stdout


def test_a_mapping_that_is_not_the_directory_it_says_is_found_out(stack: Stack, tmp_path: Path) -> None:
    """The second mapping's directory is not where its collection writes: only the job that looks there can tell."""
    assert stack.login is not None
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    token_file = tmp_path / "crooked.token"
    mappings = [
        f"{stack.collections['theta']}:/={stack.site_directory.resolve()}",
        f"{stack.collections['archive']}:/={elsewhere}",
    ]
    words = [word for mapping in mappings for word in ("--map", mapping)]
    made = qstage(
        stack, "site", "create", "--id", "crooked", "--scheduler", "local", *words, "--token-file", str(token_file)
    )
    assert made.returncode == 0, made.stderr
    with agent(stack, tmp_path, token_file):
        ended = qstage(stack, "site", "test", "crooked")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-1].endswith("does not hold what Globus wrote to mapping 1")
    assert "FAIL  mapping" in ended.stdout


def test_a_site_without_an_agent_is_said_to_have_none(stack: Stack, tmp_path: Path) -> None:
    token_file = tmp_path / "lone.token"
    mapping = f"{stack.collections['theta']}:/={stack.site_directory.resolve()}"
    made = qstage(
        stack, "site", "create", "--id", "lone", "--scheduler", "slurm", "--map", mapping, "--json",
        "--token-file", str(token_file),
    )  # fmt: skip
    assert json.loads(made.stdout)["id"] == "lone"
    assert "agent run --site lone" in made.stderr
    assert "#SCRON" in made.stderr
    assert "systemctl --user" in made.stderr
    assert token_file.read_text().strip() not in made.stdout + made.stderr
    ended = qstage(stack, "site", "test", "lone", "--timeout", "1")
    assert (ended.returncode, "FAIL  agent" in ended.stdout) == (1, True)


@contextmanager
def agent(stack: Stack, home: Path, token_file: Path) -> Iterator[None]:
    config = home / "agent.toml"
    config.write_text(
        f'service = "{stack.url}"\ntoken_file = "{token_file}"\nscheduler = "local"\nstate = "{home}/state"\n'
        "poll_seconds = 0.2\n"
        f'[policy]\nowners = ["*"]\ndirectories = ["{stack.site_directory.resolve()}"]\n'
    )
    config.chmod(0o600)
    command = [sys.executable, "-m", "qstage.cli", "agent", "run", "--site", "crooked", "--config", str(config)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        assert stack.login is not None
        client = stack.login.client
        serving = lambda: client.site("crooked").raw["agent"]["state"] == "serving" or None  # noqa: E731
        until(serving, "the agent has called")
        yield
    finally:
        running.terminate()
        running.wait(timeout=10)
