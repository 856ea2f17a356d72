"""Globus Auth through the unmodified globus_sdk: the link, the token endpoint, and what our own client may look up.

The SDK's retries are off (whoever calls decides) and its time-out is short. What the SDK would decide by the
machine's clock (a token's end) is computed from ``expires_in`` and our clock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from chalicelib.adapters.endpoint_document import read_endpoint, with_policy
from chalicelib.adapters.globus_errors import globus
from chalicelib.adapters.id_token import read_id_token
from chalicelib.core.consent import TRANSFER, CollectionFacts, SessionDemand
from chalicelib.core.errors import FarSide, QstageError, Refusal, SignInRefused
from chalicelib.core.ids import CollectionId, UserId
from chalicelib.core.logins import IdClaims, LoginAttempt
from chalicelib.core.ports.auth import ClientCredentials, CodeAnswer, ExchangeRequest
from chalicelib.core.ports.clock import Clock
from chalicelib.core.sessions import Authentication, Session
from chalicelib.core.tokens import PlainTokens

if TYPE_CHECKING:
    from globus_sdk import AuthClient, ConfidentialAppAuthClient, TransferClient

log = logging.getLogger(__name__)

TIMEOUT = 10.0
_TRANSFER_SERVER = "transfer.api.globus.org"
_OPENID_SERVER = "auth.globus.org"
_MANAGE_PROJECTS = "urn:globus:auth:scope:auth.globus.org:manage_projects"
"""What reading a policy takes; it reaches only those that our own client administers."""
_MFA_METHOD, _MFA_CLASS = "mfa", "https://refeds.org/profile/mfa"
"""How an authentication tells of a second factor: a method reference (RFC 8176) or a context class (REFEDS)."""


class GlobusAuthorize:
    """``core.ports.auth.Authorize``. Knows the client's id alone, which is public."""

    def __init__(self, client_id: str) -> None:
        self._client_id = client_id

    def url(self, attempt: LoginAttempt, *, state: str, verifier: str, nonce: str, redirect_uri: str) -> str:
        from globus_sdk import NativeAppAuthClient

        # The SDK's flow for native apps is the one that knows PKCE. The link is the same for our client; the
        # code is bought elsewhere, with the verifier and the client's secret.
        with NativeAppAuthClient(self._client_id) as client:
            client.oauth2_start_flow(
                list(attempt.scopes),
                redirect_uri=redirect_uri,
                state=state,
                verifier=verifier,
                refresh_tokens=True,
            )
            return client.oauth2_get_authorize_url(**_demands(attempt.request.session), query_params={"nonce": nonce})


class GlobusTokens:
    """``core.ports.auth.TokenEndpoint``. ``credentials`` reads the client's secret when it is needed."""

    def __init__(self, credentials: Callable[[], ClientCredentials], clock: Clock) -> None:
        self._credentials = credentials
        self._clock = clock

    def exchange_code(self, request: ExchangeRequest) -> CodeAnswer:
        form = {
            "grant_type": "authorization_code",
            "code": request.code,
            "redirect_uri": request.redirect_uri,
            "code_verifier": request.verifier,
        }
        credentials = self._credentials()
        with globus("auth"), auth_client(credentials) as client:
            answer = client.oauth2_token(form).data
            configuration = client.get_openid_configuration()
            key = client.get_jwk(openid_configuration=configuration, as_pem=True)
        claims = read_id_token(
            str(_openid(answer)["id_token"]), key=key, issuer=configuration["issuer"], audience=credentials.client_id
        )
        tokens = self._transfer_tokens(answer)
        if tokens is None or tokens.refresh_token is None:
            raise SignInRefused(Refusal.PROVIDER, "Globus Auth gave no lasting token for Transfer.", word="no_token")
        return CodeAnswer(claims=self._with_session(credentials, claims, answer), tokens=tokens)

    def _with_session(self, credentials: ClientCredentials, claims: IdClaims, answer: Mapping[str, Any]) -> IdClaims:
        """The claims with the login session as Auth knows it, methods included. No login fails for want of that."""
        try:
            with globus("auth"), auth_client(credentials) as client:
                told = client.oauth2_token_introspect(_openid(answer)["access_token"], include="session_info")
        except QstageError as error:
            log.warning("session not told", extra={"fields": {"user": claims.user, "cause": str(error)}})
            return claims
        found = _session(claims, (told.get("session_info") or {}).get("authentications") or {})
        return replace(claims, session=found or claims.session)

    def refresh(self, refresh_token: str) -> PlainTokens:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        with globus("auth"), auth_client(self._credentials()) as client:
            answer = client.oauth2_token(form).data
        tokens = self._transfer_tokens(answer)
        if tokens is None:
            raise FarSide("auth", "no_token", "A renewal brought no Transfer token.", transient=False)
        return tokens

    def revoke(self, token: str) -> None:
        with globus("auth"), auth_client(self._credentials()) as client:
            client.oauth2_revoke_token(token)

    def _transfer_tokens(self, answer: Mapping[str, Any]) -> PlainTokens | None:
        """The Transfer token among those of an answer: the first is at the top, the others are inside."""
        for document in (answer, *answer.get("other_tokens", ())):
            scopes = str(document.get("scope", "")).split()
            if document.get("resource_server") == _TRANSFER_SERVER and TRANSFER in scopes:
                return PlainTokens(
                    access_token=document["access_token"],
                    refresh_token=document.get("refresh_token") or None,
                    expires_at=self._clock.now() + timedelta(seconds=int(document.get("expires_in") or 0)),
                )
        return None


class GlobusCollections:
    """``core.ports.auth.CollectionFactsSource``, asked as our own client and not as any user."""

    def __init__(self, credentials: Callable[[], ClientCredentials]) -> None:
        self._credentials = credentials

    def facts(self, collections: Iterable[CollectionId]) -> Mapping[CollectionId, CollectionFacts]:
        with globus("auth"), auth_client(self._credentials()) as client:
            answer = client.oauth2_client_credentials_tokens(TRANSFER)
        token = answer.by_resource_server[_TRANSFER_SERVER]["access_token"]
        with _transfer_client(token) as transfer:
            found = {each: self._look_up(transfer, each) for each in collections}
        return self._with_policies({each: facts for each, facts in found.items() if facts is not None})

    def _look_up(self, transfer: TransferClient, collection: CollectionId) -> CollectionFacts | None:
        try:
            with globus("transfer"):
                document = transfer.get_endpoint(collection).data
        except FarSide as error:
            if error.transient or error.status == 401:
                raise
            return None
        return read_endpoint(collection, document)

    def _with_policies(self, found: Mapping[CollectionId, CollectionFacts]) -> Mapping[CollectionId, CollectionFacts]:
        """The facts with what their policies say, of those that we may read. Nothing fails for want of that."""
        ids = {policy for facts in found.values() for policy in facts.policies}
        if not ids:
            return found
        try:
            with globus("auth"), auth_client(self._credentials()) as client:
                answer = client.oauth2_client_credentials_tokens(_MANAGE_PROJECTS)
            with _policy_client(answer.by_resource_server[_OPENID_SERVER]["access_token"]) as auth:
                policies = {each: _policy(auth, each) for each in ids}
        except QstageError as error:
            log.warning("policies not told", extra={"fields": {"cause": str(error)}})
            return found
        return {
            each: with_policy(facts, policies[facts.policies[0]] if facts.policies else {})
            for each, facts in found.items()
        }


@contextmanager
def auth_client(credentials: ClientCredentials) -> Iterator[ConfidentialAppAuthClient]:
    from globus_sdk import ConfidentialAppAuthClient
    from globus_sdk.transport import RequestsTransport, RetryConfig

    transport = RequestsTransport(http_timeout=TIMEOUT)
    try:
        yield ConfidentialAppAuthClient(
            credentials.client_id,
            credentials.client_secret,
            transport=transport,
            retry_config=RetryConfig(max_retries=0),
        )
    finally:
        transport.close()


def _policy(auth: AuthClient, policy: str) -> Mapping[str, Any]:
    """The policy; nothing if it is not ours to read."""
    try:
        with globus("auth"):
            found: Mapping[str, Any] = auth.get_policy(policy)["policy"]
    except FarSide as error:
        if error.status in (401, 403, 404):
            return {}
        raise
    return found


@contextmanager
def _policy_client(token: str) -> Iterator[AuthClient]:
    from globus_sdk import AccessTokenAuthorizer, AuthClient
    from globus_sdk.transport import RequestsTransport, RetryConfig

    transport = RequestsTransport(http_timeout=TIMEOUT)
    try:
        yield AuthClient(
            authorizer=AccessTokenAuthorizer(token), transport=transport, retry_config=RetryConfig(max_retries=0)
        )
    finally:
        transport.close()


@contextmanager
def _transfer_client(token: str) -> Iterator[TransferClient]:
    from globus_sdk import AccessTokenAuthorizer, TransferClient
    from globus_sdk.transport import RequestsTransport, RetryConfig

    transport = RequestsTransport(http_timeout=TIMEOUT)
    try:
        yield TransferClient(
            authorizer=AccessTokenAuthorizer(token),
            transport=transport,
            retry_config=RetryConfig(max_retries=0),
        )
    finally:
        transport.close()


def _openid(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Auth's own token document, which carries the id token."""
    for document in (answer, *answer.get("other_tokens", ())):
        if document.get("resource_server") == _OPENID_SERVER and document.get("id_token"):
            found: Mapping[str, Any] = document
            return found
    raise SignInRefused(Refusal.PROVIDER, "Globus Auth gave no id token.", word="no_id_token")


def _session(claims: IdClaims, told: Mapping[str, Any]) -> Session:
    names = {claims.user: claims.username, **dict(claims.identities)}
    return Session(
        authentications=tuple(
            Authentication(
                identity=UserId(identity),
                username=names.get(UserId(identity), ""),
                auth_time=datetime.fromtimestamp(int(each["auth_time"]), UTC),
                mfa=_MFA_METHOD in (each.get("amr") or ()) or each.get("acr") == _MFA_CLASS,
                provider=str(each.get("idp") or ""),
            )
            for identity, each in told.items()
            if each.get("auth_time") is not None
        )
    )


def _demands(session: SessionDemand) -> dict[str, Any]:
    """The session demands as the SDK names them; what demands anything demands it now."""
    said: dict[str, Any] = {
        "session_required_identities": list(session.identities),
        "session_required_single_domain": list(session.single_domain),
        "session_required_policies": list(session.policies),
        "session_required_mfa": session.mfa,
        "session_message": session.message,
        "prompt": "login" if session else "",
    }
    return {name: value for name, value in said.items() if value}
