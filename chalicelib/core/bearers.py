"""Globus access tokens as credentials: what has to hold of one before its bearer is a caller.

The service is a resource server of Globus Auth with a scope of its own, and a caller may show a token for that
scope in place of an API key. The function that holds the client's secret asks Globus Auth about it
(introspection, RFC 7662); these are the rules for the answer. Such a caller may do what a key with ``jobs`` may.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.ids import UserId
from chalicelib.core.logins import LEEWAY

ISSUER = "https://auth.globus.org"
GOOD_FOR = timedelta(minutes=1)
"""How long an answer about a token is believed: a revoked one is refused by then."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{20,2048}=*")
_SCOPE = re.compile(
    r"https://auth\.globus\.org/scopes/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/[A-Za-z0-9_.-]{1,64}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFacts:
    """What Globus Auth says of an active token. ``linked`` are the ids of the identities of its user."""

    user: UserId
    username: str
    audience: frozenset[str]
    scopes: frozenset[str]
    issuer: str
    issued_at: datetime
    expires_at: datetime
    linked: tuple[UserId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Whose token it is, once everything held."""

    user: UserId
    username: str
    issued_at: datetime
    expires_at: datetime


def may_be_token(text: str) -> bool:
    """Whether a credential has the form of a bearer token (RFC 6750), and not that of a key of ours."""
    return _TOKEN.fullmatch(text) is not None and not text.startswith(("qsk_", "qsa_"))


def owner_of(scope: str) -> str:
    """The id of the client whose scope this is. Raises ValueError if it is no scope of a Globus client."""
    found = _SCOPE.fullmatch(scope)
    if found is None:
        raise ValueError(f"{scope!r} is not https://auth.globus.org/scopes/<client id>/<name>")
    return found[1]


def good(facts: TokenFacts, *, scope: str, now: datetime) -> bool:
    """Whether the token was issued by Globus Auth, for us, for our scope, and is of this moment."""
    return (
        facts.issuer == ISSUER
        and owner_of(scope) in facts.audience
        and scope in facts.scopes
        and facts.issued_at <= now + LEEWAY
        and now < facts.expires_at
    )
