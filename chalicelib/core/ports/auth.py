"""Globus Auth and the functions around it, as the rest of qstage sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from chalicelib.core.consent import CollectionFacts, LoginDemand
from chalicelib.core.ids import CollectionId, UserId
from chalicelib.core.logins import IdClaims, LoginAttempt, SignedIn
from chalicelib.core.tokens import PlainTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """The deployment's own identity at Globus Auth."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRequest:
    """What the API hands to the exchange function when Globus sent the browser back."""

    code: str = field(repr=False)
    verifier: str = field(repr=False)
    nonce: str = field(repr=False)
    redirect_uri: str
    scopes: tuple[str, ...]
    for_user: UserId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeAnswer:
    """What a code bought: who it is (signature, issuer and audience verified, times not) and the tokens."""

    claims: IdClaims
    tokens: PlainTokens


class Authorize(Protocol):
    """Makes the address that a browser is sent to. Needs no secret."""

    def url(self, attempt: LoginAttempt, *, state: str, verifier: str, nonce: str, redirect_uri: str) -> str:
        """The authorize URL of this attempt: PKCE S256, nonce, offline access, the session demands."""
        ...


class TokenEndpoint(Protocol):
    """Globus Auth's token endpoint, spoken to with the client's secret."""

    def exchange_code(self, request: ExchangeRequest) -> CodeAnswer:
        """Buy tokens for a code. A code works once.

        Raises GrantRefused; FarSide; SignInRefused(PROVIDER) if the id token cannot be trusted or the answer
        lacks what was asked for (an offline Transfer token).
        """
        ...

    def refresh(self, refresh_token: str) -> PlainTokens:
        """A new access token. ``refresh_token`` of the answer is None where Globus did not repeat it.

        Raises GrantRefused if Globus no longer takes the token; FarSide otherwise. Safe to repeat.
        """
        ...

    def revoke(self, token: str) -> None:
        """Make a token useless; no error if it already is. Raises FarSide."""
        ...


class CollectionFactsSource(Protocol):
    """What Globus Transfer says about collections, asked with the client's own token."""

    def facts(self, collections: Iterable[CollectionId]) -> Mapping[CollectionId, CollectionFacts]:
        """Facts of those that exist and are visible; the others are absent. Raises FarSide."""
        ...


class Exchange(Protocol):
    """The function beside the API that holds the client's secret and may seal. The API may only invoke it."""

    def exchange(self, request: ExchangeRequest) -> SignedIn:
        """Finish a login: buy, verify, admit, seal, store. Raises SignInRefused or FarSide."""
        ...

    def collections(self, ids: Iterable[CollectionId]) -> Mapping[CollectionId, CollectionFacts]:
        """Look collections up and remember them. Raises FarSide."""
        ...


class Wake(Protocol):
    """Told when a login ended a user's wait."""

    def user_signed_in(self, user: UserId) -> None:
        """Clear the user's login need and have their jobs looked at. Safe to repeat."""
        ...


class LoginNeeds(Protocol):
    """What reconcile found missing."""

    def current(self, user: UserId) -> LoginDemand | None:
        """Why the user has to sign in, or None."""
        ...
