"""A collection that wants a recent, a stronger or another sign-in: foreseen, told in time, and recovered from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from test_long_waits import full_machine
from whole_stack import document, opened, until

from emulators.globus.config import Config
from emulators.stack import Stack
from qstage.client import Client

HOUR = 3600
MAIL = "ada@uni.example"


def demanding(**demands: Any) -> Any:
    """The plain world with demands on the archive."""

    def change(plain: Config) -> Config:
        collections = tuple(
            replace(each, high_assurance=True, kind="mapped", **demands) if each.name == "archive" else each
            for each in plain.collections
        )
        return replace(plain, collections=collections)

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
        self.heard += [json.loads(message["Body"]) for message in found]
        return [notice for notice in self.heard if notice["kind"] == kind]


def client_of(stack: Stack) -> Client:
    assert stack.login is not None
    return stack.login.client


def time_of(stack: Stack) -> datetime:
    return datetime.fromtimestamp(stack.clock.now(), UTC)


def session_of(stack: Stack, number: int) -> Any:
    return client_of(stack).job(number).raw["session"]


@pytest.fixture
def daily(tmp_path: Path) -> Iterator[Stack]:
    """Everything, with an archive that wants a sign-in of the last 24 hours."""
    with opened(tmp_path, world=demanding(session_timeout_minutes=24 * 60)) as stack:
        yield stack


def test_a_session_that_will_not_last_is_foreseen_told_twice_and_renewed(daily: Stack) -> None:
    client, topic = client_of(daily), Topic(daily)
    notify = {"notify": {"email": MAIL}}
    with full_machine(daily):
        first = client.submit(document(daily, **notify)).jobs[0].id
        until(lambda: session_of(daily, first) == "ends" or None, "the job is seen to outlast the session")
        answer = client.submit(document(daily, **notify))
        (warning,) = answer.raw["jobs"][0]["warnings"]
        assert warning["code"] == "session-ends"
        ends = datetime.fromisoformat(warning["at"])
        assert timedelta(hours=23.9) < ends - time_of(daily) <= timedelta(hours=24)
        assert datetime.fromisoformat(warning["expected_end"]) > ends
        assert "fresh=1" in warning["login_url"]
