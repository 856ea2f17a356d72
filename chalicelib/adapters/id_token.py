"""Reads an id token of Globus Auth: signature, issuer and audience are verified here, times and nonce are not.

Globus signs RS512 and publishes one key without a ``kid``, so the first key of the set is the key. The times are
left to ``core.logins.check_claims`` and our own clock: PyJWT would ask the machine's.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from chalicelib.core.errors import Refusal, SignInRefused
from chalicelib.core.ids import UserId
from chalicelib.core.logins import IdClaims
from chalicelib.core.sessions import Authentication, Session

_REQUIRED = ["iss", "aud", "sub", "exp", "iat", "nonce", "preferred_username"]


def read_id_token(token: str, *, key: Any, issuer: str, audience: str) -> IdClaims:
    """The claims of a token that Globus Auth signed for us. Raises SignInRefused(PROVIDER)."""
    import jwt

    options: Any = {
        "require": _REQUIRED,
        "verify_signature": True,
        "verify_aud": True,
        "verify_iss": True,
        "verify_exp": False,
        "verify_iat": False,
        "verify_nbf": False,
    }
    try:
        claims = jwt.decode(token, key=key, algorithms=["RS512"], audience=audience, issuer=issuer, options=options)
        return _claims(claims)
    except (jwt.InvalidTokenError, KeyError, TypeError, ValueError) as error:
        raise SignInRefused(Refusal.PROVIDER, "The id token cannot be trusted.", word=type(error).__name__) from None


def _claims(claims: dict[str, Any]) -> IdClaims:
    authenticated = claims.get("last_authentication") or claims.get("auth_time")
    return IdClaims(
        user=UserId(str(claims["sub"])),
        username=str(claims["preferred_username"]),
        name=str(claims.get("name") or ""),
        email=str(claims.get("email") or ""),
        nonce=str(claims["nonce"]),
        issued_at=_moment(claims["iat"]),
        expires_at=_moment(claims["exp"]),
        auth_time=None if authenticated is None else _moment(authenticated),
        identities=tuple(
            (UserId(str(each["sub"])), str(each.get("username") or "")) for each in claims.get("identity_set") or ()
        ),
        session=_session(claims, authenticated),
    )


def _session(claims: dict[str, Any], authenticated: Any) -> Session:
    """What the token tells of the login session. How somebody authenticated it does not say of each identity."""
    own = {
        "sub": claims["sub"],
        "username": claims["preferred_username"],
        "identity_provider": claims.get("identity_provider"),
        "last_authentication": authenticated,
    }
    told = [each for each in claims.get("identity_set") or () if each["sub"] != own["sub"]]
    return Session(
        authentications=tuple(
            Authentication(
                identity=UserId(str(each["sub"])),
                username=str(each.get("username") or ""),
                auth_time=_moment(each["last_authentication"]),
                provider=str(each.get("identity_provider") or ""),
            )
            for each in (own, *told)
            if each.get("last_authentication") is not None
        )
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
