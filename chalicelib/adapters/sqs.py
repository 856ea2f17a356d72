"""The bell on an SQS queue: one message a ring, which names the user and says nothing else.

What is to be done is on the user's desk; a message that is lost, late or doubled changes only when it is looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from chalicelib.adapters.aws_errors import aws
from chalicelib.core.errors import FarSide
from chalicelib.core.ids import UserId
from chalicelib.core.ports.bell import LONGEST_DELAY
from chalicelib.core.rings import write_ring

log = logging.getLogger(__name__)


class WakeQueue:
    """``core.ports.bell.Bell`` on SQS. ``client`` gives a boto3 SQS client when first needed."""

    def __init__(self, client: Callable[[], Any], url: str) -> None:
        self._client, self._url = client, url

    def ring(self, user: UserId, delay: int = 0) -> None:
        if not 0 <= delay <= LONGEST_DELAY:
            raise ValueError(f"a ring cannot be delayed by {delay} seconds")
        try:
            with aws("sqs"):
                self._client().send_message(QueueUrl=self._url, MessageBody=write_ring(user), DelaySeconds=delay)
        except FarSide as fault:
            # What is to be done is stored already, and the sweep rings for it within a minute: whoever asked
            # must not be told that their request failed.
            log.warning("ring lost", extra={"fields": {"user": user, "cause": fault.code}})
