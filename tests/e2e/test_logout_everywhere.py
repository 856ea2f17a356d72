"""``qstage logout --all``: Globus forgets the tokens, the keys are dead, and what needs Globus waits for a login."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from whole_stack import document, finished, until

from emulators.stack import SITE, USER, Stack
from qstage.client import Client, LoginNeeded


def qstage(stack: Stack, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    assert stack.login is not None
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "QSTAGE_URL": stack.url,
        "QSTAGE_KEY": stack.login.key,
    }
    return subprocess.run(
        [sys.executable, "-m", "qstage.cli", *words], env=environment, capture_output=True, text=True, check=False
    )


def tokens_at_globus(stack: Stack) -> dict[str, str]:
    """What Globus gave the service for its user and still takes: the kind of each token."""
    client = stack.globus.client("qstage").id
    owner = stack.globus.world.people.named(USER)
    assert owner is not None
    return {
        token.value: token.kind
        for token in stack.globus.world.auth.tokens()
        if token.grant.client == client
        and token.grant.identity == owner.id
        and token.server == "transfer.api.globus.org"
    }


def records(stack: Stack) -> int:
    name = stack.aws.created.look_up("TokensTable", None)
    return len(stack.aws.client("dynamodb").scan(TableName=name)["Items"])


def test_signing_out_everywhere_and_in_again(stack: Stack, tmp_path: Path) -> None:
    assert stack.login is not None
    before = tokens_at_globus(stack)
    other = Client(stack.url, stack.sign_in().key)
    held = {value: kind for value, kind in tokens_at_globus(stack).items() if value not in before}
    assert sorted(held.values()) == ["access", "refresh"]
    script = "#!/bin/bash\nsleep 4\nmkdir results\necho x > results/x\n"
    number = other.submit(document(stack, script=script)).jobs[0].id
    plain = {"name": "stays", "site": SITE, "executable": "/bin/true"}
    lone = other.submit(plain).jobs[0].id
    until(lambda: other.job(number).state == "active" or None, "the job runs")

    done = qstage(stack, tmp_path, "logout", "--all")
    assert done.returncode == 0, done.stderr
    assert "keys ended: 2" in done.stdout
    assert str(number) in done.stdout.split()
    assert str(lone) not in done.stdout.split()
    for key in (stack.login.key, other):
        client = key if isinstance(key, Client) else Client(stack.url, key)
        with pytest.raises(LoginNeeded):
            client.me()
    until(lambda: not held.keys() & tokens_at_globus(stack).keys() or None, "Globus forgot the tokens")
    until(lambda: records(stack) == 0 or None, "the record is gone")

    stack.clock.turn(1)
    back = stack.sign_in().client
    job = finished(stack, number)
    assert job.state == "completed", "after the login it goes on by itself"
    assert back.job(lone).state == "completed"
