"""The exchange function's entry: a message in, a message out. No HTTP, and nobody but the API may invoke it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalicelib.core import exchange as messages
from chalicelib.core.errors import FarSide, SignInRefused

if TYPE_CHECKING:
    from chalicelib.core.exchange import Message
    from chalicelib.core.ports.auth import Exchange
    from chalicelib.core.ports.bearers import Bearers


def answer(message: Message, exchange: Exchange, bearers: Bearers) -> Message:
    """Do what the message asks. What the caller can do something about is answered; the rest crashes."""
    try:
        match message.get("action"):
            case messages.EXCHANGE:
                return messages.signed_in_message(exchange.exchange(messages.read_exchange(message)))
            case messages.COLLECTIONS:
                return messages.facts_message(exchange.collections(messages.read_collections(message)))
            case messages.BEARER:
                return messages.bearer_answer(bearers.bearer(message["token"]))
            case action:
                raise ValueError(f"there is no action {action!r}")
    except (SignInRefused, FarSide) as error:
        return messages.error_message(error)
