"""Asking about tokens that callers show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from chalicelib.core.bearers import Bearer, TokenFacts
from chalicelib.core.ids import UserId


class TokenReader(Protocol):
    """Globus Auth, asked with the client's secret."""

    def facts(self, token: str) -> TokenFacts | None:
        """What Auth says of the token; None if it is not active, or none of our business. Raises FarSide."""
        ...

    def usernames(self, users: Iterable[UserId]) -> Mapping[UserId, str]:
        """The usernames of those identities that exist. Raises FarSide."""
        ...


class Bearers(Protocol):
    """The function beside the API that may ask. The API may only invoke it."""

    def bearer(self, token: str) -> Bearer | None:
        """Whose token it is, if it opens this service and its user may sign in here. Raises FarSide."""
        ...
