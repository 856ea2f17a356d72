"""News on an SNS topic: one JSON message each, with its kind as an attribute for subscribers' filters."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from chalicelib.adapters.aws_errors import aws
from chalicelib.core.notices import Notice


class NoticeTopic:
    """``core.ports.notices.Notices`` on SNS. ``client`` gives a boto3 SNS client when first needed."""

    def __init__(self, client: Callable[[], Any], topic: str) -> None:
        self._client, self._topic = client, topic

    def publish(self, notice: Notice) -> None:
        with aws("sns"):
            self._client().publish(
                TopicArn=self._topic,
                Message=json.dumps(notice.values(), ensure_ascii=False),
                MessageAttributes={"kind": {"DataType": "String", "StringValue": notice.kind.value}},
            )


class NoTopic:
    """``core.ports.notices.Notices`` where the operator named no topic: nobody is told."""

    def publish(self, notice: Notice) -> None:
        """Nothing to do: jobs and listings say the same."""
