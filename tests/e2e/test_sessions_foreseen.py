"""A collection that wants a recent, a stronger or another sign-in: foreseen, told in time, and recovered from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from test_long_waits import check_completed, full_machine, hours_pass, in_state, waiting_for_login
from whole_stack import document, opened, until

from emulators.globus.browser import Browser, SignInError
from emulators.globus.config import Config, Identity, Policy
from emulators.stack import USER, Stack
from qstage.client import Client

MAIL = "ada@uni.example"


def demanding(
    *, people: tuple[Identity, ...] = (), policies: tuple[Policy, ...] = (), **demands: Any
) -> Callable[[Config], Config]:
    """The plain world with demands on the archive, and with other identities of its people."""

    def change(plain: Config) -> Config:
        collections = tuple(
            replace(each, high_assurance=True, kind="mapped", **demands) if each.name == "archive" else each
            for each in plain.collections
        )
        identities = (*plain.identities, *people)
        return replace(plain, collections=collections, identities=identities, policies=policies)

    return change


class Topic:
    """What comes out of the deployment's topic, by a queue that subscribes to it as an operator would."""

    def __init__(self, stack: Stack) -> None:
        self._sqs, sns = stack.aws.client("sqs"), stack.aws.client("sns")
        self._url = self._sqs.create_queue(QueueName="operator")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        topic = stack.aws.created.look_up("NoticeTopic", None)
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
        self.heard: list[dict[str, Any]] = []

    def of(self, kind: str) -> list[dict[str, Any]]:
        found = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages", [])
        for message in found:
            self.heard.append(json.loads(message["Body"]))
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return [notice for notice in self.heard if notice["kind"] == kind]


def client_of(stack: Stack) -> Client:
    assert stack.login is not None
    return stack.login.client


def qstat(stack: Stack) -> str:
    """What a person sees."""
    assert stack.login is not None
    settings = {
        "QSTAGE_URL": stack.url,
        "QSTAGE_KEY": stack.login.key,
        "QSTAGE_CONFIG": str(stack.state / "qstage.toml"),
    }
    environment = {**os.environ, **settings}
    command = [sys.executable, "-m", "qstage.cli", "qstat"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return done.stdout


def follow(link: str, username: str = USER) -> None:
    """Open a login link and sign in, as a person in a browser that knows nothing yet."""
    with Browser() as browser:
        browser.sign_in(link, username, follow=True)


def time_of(stack: Stack) -> datetime:
    return datetime.fromtimestamp(stack.clock.now(), UTC)


def session_of(client: Client, number: int) -> str | None:
    return client.job(number).session


@pytest.fixture
def daily(tmp_path: Path) -> Iterator[Stack]:
    """Everything, with an archive that wants a sign-in of the last 24 hours."""
    with opened(tmp_path, world=demanding(session_timeout_minutes=24 * 60)) as stack:
        yield stack


def test_a_session_that_will_not_last_is_foreseen_told_twice_and_renewed(daily: Stack) -> None:
    client, topic, notify = client_of(daily), Topic(daily), {"notify": {"email": MAIL}}
    with full_machine(daily):
        first = client.submit(document(daily, **notify)).jobs[0].id
        until(lambda: session_of(client, first) == "ends" or None, "the job is seen to outlast the session")
        answer = client.submit(document(daily, **notify)).jobs[0]
        (warning,) = answer.warnings
        assert (answer.session, warning.code) == ("ends", "session-ends")
        assert warning.at is not None
        assert timedelta(hours=23.9) < warning.at - time_of(daily) <= timedelta(hours=24)
        assert warning.expected_end is not None
        assert warning.expected_end > warning.at
        assert "fresh=1" in str(warning.login_url)
        in_state(daily, client, first, "queued")
        assert topic.of("session_ends") == []

        hours_pass(daily, 19)
        (told,) = until(lambda: topic.of("session_ends") or None, "the topic says that the session ends soon")
        assert (told["user"]["username"], told["emails"]) == (USER, [MAIL])
        assert set(told["jobs"]) == {first, answer.id}
        assert told["at"] == f"{warning.at:%Y-%m-%dT%H:%M:%SZ}"
        assert session_of(client, first) == "ends_soon"
        shown = qstat(daily)
        assert f"{first} needs your login beyond {warning.at:%Y-%m-%d %H:%M} UTC" in shown
        assert told["login_url"] in shown

        hours_pass(daily, 6)
        assert session_of(client, first) == "ended"
    link = waiting_for_login(client, first)
    assert client.job(first).state == "stage_out"
    (needed,) = until(lambda: topic.of("login_needed") or None, "the topic says that a login is needed")
    assert first in needed["jobs"]
    assert len(topic.of("session_ends")) == 1, "told once, however often it was looked at"
    follow(link)
    for number in (first, answer.id):
        check_completed(daily, client, number)


def worlds() -> dict[str, tuple[Any, str]]:
    """What the archive can demand that ada's first sign-in does not bring, and as whom she has to sign in for it."""
    linked = Identity(username="ada@alcf.anl.gov", linked_to=USER)
    with_factor = Identity(username="ada@secure.example", linked_to=USER, mfa=True)
    policy = Policy(name="alcf", domains=("alcf.anl.gov",), timeout_minutes=30 * 24 * 60)
    return {
        "a second factor": (demanding(mfa=True, people=(with_factor,)), with_factor.username),
        "a domain": (demanding(required_domains=("alcf.anl.gov",), people=(linked,)), linked.username),
        "a domain, told by the site's own login": (
            demanding(required_domains=("alcf.anl.gov",), session_error=502, people=(linked,)),
            linked.username,
        ),
        "a policy": (demanding(policy="alcf", policies=(policy,), people=(linked,)), linked.username),
    }


@pytest.mark.parametrize("what", worlds())
def test_a_sign_in_that_is_not_of_the_kind_demanded_is_asked_for_by_a_link_that_brings_it(
    tmp_path: Path, what: str
) -> None:
    world, username = worlds()[what]
    with opened(tmp_path, world=world) as stack:
        client, topic = client_of(stack), Topic(stack)
        number = client.submit(document(stack)).jobs[0].id
        link = waiting_for_login(client, number)
        assert client.job(number).state == "stage_out", "what can go on goes on"
        (needed,) = until(lambda: topic.of("login_needed") or None, "the topic says that a login is needed")
        assert (needed["jobs"], needed["login_url"]) == ([number], link)
        with pytest.raises(SignInError), Browser() as browser:
            browser.sign_in(link, USER)  # the pages offer nothing that would not do
        follow(link, username)
        check_completed(stack, client, number)


def test_what_transfer_tells_of_a_collection_is_foreseen_before_anything_moves(tmp_path: Path) -> None:
    world, username = worlds()["a second factor"]
    with opened(tmp_path, world=world) as stack:
        client, topic = client_of(stack), Topic(stack)
        held = client.submit(document(stack, hold=True)).jobs[0]
        assert (held.session, held.warnings) == ("unchecked", ())
        job = until(
            lambda: ((found := client.job(held.id)).warnings and found) or None, "the job says what will be missing"
        )
        (warning,) = job.warnings
        assert (job.session, warning.code, warning.at) == ("ended", "session-ended", None)
        (told,) = until(lambda: topic.of("session_ends") or None, "the topic says so, too")
        assert told["at"] is None
        follow(str(warning.login_url), username)
        until(lambda: client.job(held.id).session == "ok" or None, "the new sign-in is good enough")
        client.release(held.id)
        check_completed(stack, client, held.id)
        assert topic.of("login_needed") == []


def test_only_the_planner_may_tell_and_of_the_places_it_may_write_collections_alone(stack: Stack) -> None:
    topic = stack.aws.created.look_up("NoticeTopic", None)
    for function in ("api_handler", "exchange", "refresh_tokens", "sweep"):
        with pytest.raises(ClientError) as refused:
            stack.aws.client("sns", function).publish(TopicArn=topic, Message="{}")
        assert refused.value.response["Error"]["Code"] == "AuthorizationError"
    stack.aws.client("sns", "reconcile").publish(TopicArn=topic, Message="{}")
    places, dynamodb = stack.aws.created.look_up("PlacesTable", None), stack.aws.client("dynamodb", "reconcile")

    def put(kind: str) -> None:
        item = {"kind": {"S": kind}, "id": {"S": "of a test"}}
        dynamodb.batch_write_item(RequestItems={places: [{"PutRequest": {"Item": item}}]})

    put("collection")
    with pytest.raises(ClientError) as refused:
        put("site")
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
