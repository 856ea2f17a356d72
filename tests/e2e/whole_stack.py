"""A stack for tests: a few inputs on ``lab``, a job that uses them, and patience with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from emulators.globus.browser import Browser
from emulators.globus.config import Config
from emulators.stack import SITE, USER, Stack
from qstage.client import Client, Job

T = TypeVar("T")
PATIENCE = 120.0
"""Seconds to wait for anything: no promise of speed, for other tests run beside."""
LOOK_AGAIN = 0.2
"""Seconds between two looks: most are requests, and work for the very processes that are waited for."""
LAST_WORDS = 4000
"""Characters of each log that a failed test shows."""
FINAL = ("completed", "failed", "canceled")
SCRIPT = "#!/bin/bash\nset -e\nmkdir -p results\ncat inputs/*.txt > 'results/all of it.txt'\necho done\n"


@contextmanager
def opened(folder: Path, *, world: Callable[[Config], Config] | None = None) -> Iterator[Stack]:
    """A stack with its user signed in, its site registered, and its agent at work."""
    lab, archive = folder / "lab", folder / "archive"
    lab.mkdir()
    archive.mkdir()
    (lab / "a.txt").write_text("alpha\n")
    (lab / "b é.txt").write_text("beta\n")
    with Stack(folder / "state", input=lab, output=archive, world=world) as stack:
        stack.sign_in()
        stack.register_site()
        stack.start_agent()
        yield stack


def terminal_key(stack: Stack, username: str = USER, *scopes: str) -> str:
    """A key as a person gets one: a terminal asks, they sign in through Globus's pages and approve."""
    program = Client(stack.url)
    device = program.start_login(client="test", host="here", scopes=scopes or ("jobs",))
    with Browser() as browser:
        page = browser.sign_in(f"{stack.url}/login?device={device.user_code}", username, follow=True)
        browser.press(page, "approve")
    grant = program.poll_login(device.device_code).grant
    assert grant is not None
    return grant.key.reveal()


def document(stack: Stack, *, script: str = SCRIPT, **more: Any) -> dict[str, Any]:
    """A job with three collections."""
    return {
        "name": "whole",
        "site": SITE,
        "executable": "run.sh",
        "files": [{"path": "run.sh", "content": script, "mode": "0755"}],
        "attributes": {"duration": 1800},
        "stage_in": [{"source": f"globus://{stack.collections['lab']}/", "target": "inputs/"}],
        "stage_out": [{"source": "results/", "target": f"globus://{stack.collections['archive']}/{{name}}-{{id}}/"}],
        **more,
    }


def until(found: Callable[[], T | None], what: str, seconds: float = PATIENCE) -> T:
    """Wait for something to be so, and say what was awaited if it never is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (seen := found()) is not None:
            return seen
        time.sleep(LOOK_AGAIN)
    raise AssertionError(f"after {seconds} s still not: {what}")


def finished(stack: Stack, number: int, seconds: float = PATIENCE) -> Job:
    """The job once it is final."""
    assert stack.login is not None
    client = stack.login.client

    def final() -> Job | None:
        stack.check_alive()
        job = client.job(number)
        return job if job.state in FINAL else None

    return until(final, f"job {number} final", seconds)


def last_words(stack: Stack) -> Iterator[tuple[str, str]]:
    """The end of each log that the stack's processes write, newest last."""
    logs = [*stack.state.glob("*/*.log"), *stack.state.glob("*/logs/*.log")]
    for log in sorted(logs, key=lambda path: path.stat().st_mtime):
        if text := log.read_text(errors="replace")[-LAST_WORDS:]:
            yield f"the end of {log.relative_to(stack.state)}", text
