"""Jobs outlast their queue: weeks of turned time with every schedule at work, consents withdrawn and given again."""

from __future__ import annotations

import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from whole_stack import FINAL, PATIENCE, document, terminal_key, until

from emulators.aws.front import Seen
from emulators.globus.browser import Browser
from emulators.stack import NODES, USER, Stack
from qstage.client import Client, Job, LoginNeeded

HOUR = 3600
SCHEDULES = ("refresh_tokens", "sweep")
FUNCTIONS = ("api_handler", "exchange", "reconcile", *SCHEDULES)
TOKEN, AUTHORIZE = ("POST", "/v2/oauth2/token"), ("GET", "/v2/oauth2/authorize")
SUBMIT = ("POST", "/v0.10/transfer")


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    """A client whose key outlives what the tests turn, made as a user would: by a terminal that asked for it."""
    maker = Client(stack.url, terminal_key(stack, USER, "admin"))
    key = maker.create_key("patient", scopes=["jobs"], days=366)
    return Client(stack.url, key.key.reveal())


def cobalt(stack: Stack, *command: str) -> str:
    words = [stack.cobalt.bin / command[0], *command[1:]]
    done = subprocess.run(words, check=True, capture_output=True, text=True, cwd=stack.site_directory)
    return done.stdout.strip().splitlines()[-1]


@contextmanager
def full_machine(stack: Stack, days: int = 300) -> Iterator[None]:
    """Somebody else's job is on every node, until this is left or its walltime is over."""
    script = stack.site_directory / "somebody.sh"
    script.write_text("#!/bin/bash\nsleep 1000\n")
    script.chmod(0o755)
    blocker = cobalt(stack, "qsub", "-n", str(NODES), "-t", str(days * 24 * 60), str(script))
    try:
        yield
    finally:
        subprocess.run([stack.cobalt.bin / "qdel", blocker], check=False, capture_output=True)


def in_state(stack: Stack, client: Client, number: int, *states: str) -> Job:
    def seen() -> Job | None:
        stack.check_alive()
        job = client.job(number)
        return job if job.state in states else None

    return until(seen, f"job {number} is {' or '.join(states)}", PATIENCE)


def waiting_for_login(client: Client, number: int) -> str:
    """The link that the job waits for."""
    return until(lambda: client.job(number).login_url, f"job {number} waits for login", PATIENCE)


def hours_pass(stack: Stack, hours: int) -> None:
    """Turn the clock, and wait until each schedule has run to its end at the new time."""
    ended = {name: _runs(stack, name) for name in SCHEDULES}
    stack.clock.turn(hours * HOUR)
    until(lambda: all(_runs(stack, name) > before for name, before in ended.items()) or None, "the schedules ran")


def _runs(stack: Stack, name: str) -> int:
    return stack.aws.logs(name).count("END RequestId")


def calls(stack: Stack, what: tuple[str, str], *, accepted: bool = False) -> int:
    seen = stack.globus.controls.requests()
    return sum(1 for one in seen if (one.method, one.path) == what and (one.status < 300 or not accepted))


def labels(stack: Stack) -> Counter[str]:
    """How many tasks Globus has for each batch that was ever sent."""
    return Counter(task.label for task in stack.globus.world.tasks.all())


def tasks_of(stack: Stack, client: Client, number: int) -> list[str]:
    """The Globus tasks that moved a job's data, each as often as its story tells of it."""
    return [str(entry.detail["task"]) for entry in client.story(number).entries if entry.event == "settled"]


def check_completed(stack: Stack, client: Client, number: int) -> None:
    """The job is completed, its results are there, and no transfer was sent twice."""
    job = in_state(stack, client, number, *FINAL)
    assert job.state == "completed", job
    archive = stack.state.parent / "archive" / f"whole-{number}"
    assert (archive / "all of it.txt").read_text() == "alpha\nbeta\n"
    tasks = tasks_of(stack, client, number)
    assert len(tasks) == len(set(tasks)) == 2
    assert set(labels(stack).values()) == {1}


def sign_in(link: str) -> None:
    """Follow a login link through Globus's pages, in a browser that has never been here."""
    with Browser() as browser:
        assert "/callback" in browser.sign_in(link, USER, follow=True)


def test_a_job_that_waits_sixty_days_for_a_full_machine_is_staged_out_and_nobody_signs_in(
    stack: Stack, client: Client
) -> None:
    assert stack.login is not None
    with full_machine(stack, 60):
        number = stack.login.client.submit(document(stack)).jobs[0].id
        in_state(stack, client, number, "queued")
        auth = stack.globus.world.auth
        first = [token.value for token in auth.tokens() if token.kind == "access"]
        renewals, sign_ins = calls(stack, TOKEN), calls(stack, AUTHORIZE)
        for _ in range(59):
            hours_pass(stack, 24)
        waiting = until(lambda: _unless_silent(client.job(number)), "the agent has been heard at the new time")
        assert (waiting.state, waiting.waiting_for, waiting.login_url) == ("queued", (), None)
        hours_pass(stack, 25)
        check_completed(stack, client, number)
    assert calls(stack, AUTHORIZE) == sign_ins, "nobody signed in"
    assert calls(stack, TOKEN) - renewals >= 29, "access tokens ended many times over"
    assert all(auth.live(value, stack.clock.now()) is None for value in first)
    with pytest.raises(LoginNeeded):
        stack.login.client.me()  # the key that submitted it lived for thirty days, and that stopped nothing
    assert troubles(stack) == []


def troubles(stack: Stack) -> list[str]:
    """What the functions and the agent logged that is more than news."""
    lines = [line for name in FUNCTIONS for line in stack.aws.logs(name).splitlines()]
    spoken = [json.loads(line) for line in lines if not line.startswith(("START ", "END "))]
    loud = [f"{each['message']} {each}" for each in spoken if each["level"] != "INFO"]
    return loud + [line for line in stack.agent_log.read_text().splitlines() if " INFO " not in line]


def _unless_silent(job: Job) -> Job | None:
    return None if "site" in job.waiting_for else job


def test_a_consent_rescinded_mid_wait_is_waited_for_and_its_return_completes_the_job(
    stack: Stack, client: Client
) -> None:
    with full_machine(stack):
        number = client.submit(document(stack)).jobs[0].id
        in_state(stack, client, number, "queued")
        assert stack.globus.controls.revoke_consent(USER) > 0
        hours_pass(stack, 48)
        until(lambda: client.me().login_url, "the user hears of it while the job is in the queue")
    link = waiting_for_login(client, number)
    asked, sent = calls(stack, TOKEN), calls(stack, SUBMIT)
    for _ in range(3):
        hours_pass(stack, 24)
    assert client.job(number).state == "stage_out"
    assert (calls(stack, TOKEN), calls(stack, SUBMIT)) == (asked, sent), "a refusal is never tried again in a loop"
    sign_in(link)
    check_completed(stack, client, number)
    assert client.me().login_url is None


def test_one_collections_consent_rescinded_mid_wait_asks_for_all_again_and_completes(
    stack: Stack, client: Client
) -> None:
    with full_machine(stack):
        number = client.submit(document(stack)).jobs[0].id
        in_state(stack, client, number, "queued")
        theta = f"https://auth.globus.org/scopes/{stack.collections['theta']}/data_access"
        assert stack.globus.controls.revoke_consent(USER, scope=theta) == 1
    link = waiting_for_login(client, number)
    assert stack.collections["theta"] in link
    assert stack.collections["lab"] in link, "a new consent asks for what was given before, too"
    accepted = calls(stack, SUBMIT, accepted=True)
    sign_in(link)
    check_completed(stack, client, number)
    assert calls(stack, SUBMIT, accepted=True) == accepted + 1


def test_a_refusal_of_the_old_token_just_after_a_login_is_stored_parks_nobody(stack: Stack, client: Client) -> None:
    met, stored = threading.Event(), threading.Event()

    def hold(seen: Seen) -> None:
        """Keep the schedule from storing the refusal that it has just been given."""
        if (seen.caller, seen.call.operation, seen.status) == (
            "refresh_tokens",
            "UpdateItem",
            None,
        ) and not met.is_set():
            met.set()
            stored.wait(PATIENCE)

    with full_machine(stack):
        number = client.submit(document(stack)).jobs[0].id
        in_state(stack, client, number, "queued")
        stack.globus.controls.revoke_consent(USER)
        stack.aws.observe(hold)
        stack.clock.turn(48 * HOUR)
        assert met.wait(PATIENCE), "the schedule was refused"
        sign_in(f"{stack.url}/login?collections={stack.collections['lab']},{stack.collections['theta']}")
        stored.set()
        hours_pass(stack, 1)
        assert client.me().login_url is None
    check_completed(stack, client, number)
