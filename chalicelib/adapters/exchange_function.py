"""The exchange function as the public API sees it: something it may invoke, and learns no secret from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chalicelib.adapters.aws_errors import aws
from chalicelib.core import exchange as messages
from chalicelib.core.bearers import Bearer
from chalicelib.core.consent import CollectionFacts
from chalicelib.core.errors import FarSide
from chalicelib.core.exchange import Message
from chalicelib.core.ids import CollectionId
from chalicelib.core.logins import SignedIn
from chalicelib.core.ports.auth import ExchangeRequest


class ExchangeFunction:
    """``core.ports.auth.Exchange`` and ``core.ports.bearers.Bearers`` by lambda:InvokeFunction.

    ``client`` gives a boto3 Lambda client.
    """

    def __init__(self, client: Callable[[], Any], function: str) -> None:
        self._client = client
        self._function = function

    def exchange(self, request: ExchangeRequest) -> SignedIn:
        return messages.read_signed_in(self._invoke(messages.exchange_message(request)))

    def collections(self, ids: Iterable[CollectionId]) -> Mapping[CollectionId, CollectionFacts]:
        return messages.read_facts(self._invoke(messages.collections_message(ids)))

    def bearer(self, token: str) -> Bearer | None:
        return messages.read_bearer(self._invoke(messages.bearer_message(token)))

    def _invoke(self, message: Message) -> Message:
        with aws("lambda"):
            answer = self._client().invoke(
                FunctionName=self._function,
                InvocationType="RequestResponse",
                Payload=json.dumps(message).encode(),
            )
        if "FunctionError" in answer:  # its own log and alarm say what; the payload may quote our message
            raise FarSide("exchange", "crashed", "What this needs of Globus Auth could not be done.", transient=False)
        read: Message = json.loads(answer["Payload"].read())
        messages.raise_error(read)
        return read
