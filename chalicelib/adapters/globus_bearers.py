"""Globus Auth asked about tokens that callers show, through the unmodified globus_sdk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.globus_auth import TIMEOUT, auth_client
from chalicelib.adapters.globus_errors import globus
from chalicelib.core.bearers import TokenFacts
from chalicelib.core.ids import UserId
from chalicelib.core.ports.auth import ClientCredentials

if TYPE_CHECKING:
    from globus_sdk import AuthClient


class GlobusTokenReader:
    """``core.ports.bearers.TokenReader``. ``credentials`` reads the client's secret when it is needed."""

    def __init__(self, credentials: Callable[[], ClientCredentials]) -> None:
        self._credentials = credentials

    def facts(self, token: str) -> TokenFacts | None:
        with globus("auth"), auth_client(self._credentials()) as client:
            told = client.oauth2_token_introspect(token, include="identity_set").data
        return _facts(told) if told.get("active") is True else None

    def usernames(self, users: Iterable[UserId]) -> Mapping[UserId, str]:
        with globus("auth"), _identities_client(self._credentials()) as client:
            told = client.get_identities(ids=list(users)).data
        return {UserId(each["id"]): str(each["username"]) for each in told["identities"]}


@contextmanager
def _identities_client(credentials: ClientCredentials) -> Iterator[AuthClient]:
    """The SDK's client for looking identities up, as our own client."""
    from globus_sdk import AuthClient, BasicAuthorizer
    from globus_sdk.transport import RequestsTransport, RetryConfig

    transport = RequestsTransport(http_timeout=TIMEOUT)
    authorizer = BasicAuthorizer(credentials.client_id, credentials.client_secret)
    try:
        yield AuthClient(authorizer=authorizer, transport=transport, retry_config=RetryConfig(max_retries=0))
    finally:
        transport.close()


def _facts(told: Mapping[str, Any]) -> TokenFacts:
    audience = told.get("aud") or ()
    return TokenFacts(
        user=UserId(str(told["sub"])),
        username=str(told.get("username") or ""),
        audience=frozenset([audience] if isinstance(audience, str) else map(str, audience)),
        scopes=frozenset(str(told.get("scope") or "").split()),
        issuer=str(told.get("iss") or ""),
        issued_at=datetime.fromtimestamp(int(told.get("iat") or 0), UTC),
        expires_at=datetime.fromtimestamp(int(told.get("exp") or 0), UTC),
        linked=tuple(UserId(str(each)) for each in told.get("identity_set") or ()),
    )
