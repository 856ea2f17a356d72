"""The bell: in memory and on SQS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from store_samples import TEMPLATE

from chalicelib.adapters.memory.desks import MemoryBell
from chalicelib.adapters.sqs import WakeQueue
from chalicelib.core.ids import UserId
from chalicelib.core.ports.bell import LONGEST_DELAY, Bell
from chalicelib.core.rings import read_ring
from emulators.aws.locked import locked_moto
from emulators.aws.resources import QUEUE, create_resources
from emulators.clock import TurnedClock

ADA, BOB = UserId("ada"), UserId("bob")
Rung = Callable[[], list[UserId]]


@pytest.fixture
def sqs() -> Iterator[tuple[Any, str, TurnedClock]]:
    clock = TurnedClock()
    with locked_moto(clock):
        client = boto3.client("sqs", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
        made = create_resources(
            TEMPLATE, lambda service: client, account="123456789012", region="us-east-1", kinds=frozenset({QUEUE})
        )
        yield client, made.refs["WakeQueue"], clock


def received(client: Any, url: str) -> list[UserId]:
    answer = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    return [read_ring(message["Body"]) for message in answer.get("Messages", ())]


def test_each_ring_is_a_message_that_names_its_user(sqs: tuple[Any, str, TurnedClock]) -> None:
    client, url, _ = sqs
    bell: Bell = WakeQueue(lambda: client, url)
    bell.ring(ADA)
    bell.ring(BOB)
    assert sorted(received(client, url)) == [ADA, BOB]


def test_a_delayed_ring_comes_when_its_time_has_come(sqs: tuple[Any, str, TurnedClock]) -> None:
    client, url, clock = sqs
    WakeQueue(lambda: client, url).ring(ADA, LONGEST_DELAY)
    clock.turn(LONGEST_DELAY - 1)
    assert received(client, url) == []
    clock.turn(2)
    assert received(client, url) == [ADA]


def test_the_bell_in_memory_remembers_its_rings() -> None:
    bell = MemoryBell()
    bell.ring(ADA)
    bell.ring(BOB, 5)
    assert bell.take() == [(ADA, 0), (BOB, 5)]
    assert bell.rings == []


@pytest.mark.parametrize("bell", [MemoryBell(), WakeQueue(lambda: None, "")], ids=["memory", "sqs"])
@pytest.mark.parametrize("delay", [-1, LONGEST_DELAY + 1])
def test_a_delay_that_no_queue_can_hold_is_refused(bell: Bell, delay: int) -> None:
    with pytest.raises(ValueError, match="cannot be delayed"):
        bell.ring(ADA, delay)


@pytest.mark.parametrize("body", ["", "x", "[]", "null", "{}", '{"user": ""}', '{"user": 7}'])
def test_a_message_that_is_no_ring_is_refused(body: str) -> None:
    with pytest.raises(ValueError):
        read_ring(body)
