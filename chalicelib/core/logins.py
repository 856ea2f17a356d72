"""Signing in: what is stored between the first redirect and the last, and what has to hold at its end.

Pure rules. Randomness and time come in as arguments. A value that a browser or a terminal keeps as a secret
(state, cookie, device code) is stored as a hash only: who reads the table cannot finish another's login.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from chalicelib.core.consent import NOTHING, LoginDemand, SessionDemand, consented_collections
from chalicelib.core.errors import Fault, Forbidden, Invalid, Refusal, SignInRefused
from chalicelib.core.ids import CollectionId, UserId
from chalicelib.core.sessions import NOBODY, Session

ATTEMPT_LIFE = timedelta(minutes=10)
WEB_SESSION_LIFE = timedelta(hours=12)
LEEWAY = timedelta(seconds=300)
"""How far Globus's clock and ours may differ; the Globus SDK allows the same."""
MOST_COLLECTIONS = 100

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")
_PATH = re.compile(r"/(?!/)[A-Za-z0-9._~!$&'()*+,;=:@%/?-]{0,1000}")


def secret_text(entropy: bytes) -> str:
    """Random bytes as text for a URL or a cookie."""
    return base64.urlsafe_b64encode(entropy).decode().rstrip("=")


def hashed(secret: str) -> str:
    """What is stored of a secret that somebody else holds."""
    return hashlib.sha256(secret.encode()).hexdigest()


def verifier_of(browser_secret: str) -> str:
    """An attempt's PKCE verifier (RFC 7636, 43 characters): who reads the table cannot buy with a stolen code."""
    return secret_text(hmac.digest(browser_secret.encode(), b"verifier", "sha256"))


def nonce_of(browser_secret: str) -> str:
    """What the id token of an attempt has to repeat."""
    return secret_text(hmac.digest(browser_secret.encode(), b"nonce", "sha256"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequest:
    """What a login link asks for. ``for_user``: only this person may complete it."""

    collections: tuple[CollectionId, ...] = ()
    session: SessionDemand = NOTHING
    next: str = ""
    device: str = ""
    for_user: UserId | None = None

    def goes_to(self) -> str:
        """The path to show after the sign-in; "" for none in particular."""
        return self.next or (f"/device?{urlencode({'code': self.device})}" if self.device else "")

    def query(self) -> str:
        """The link's query string; ``read_request`` reads it back."""
        said = {
            "for": self.for_user or "",
            "collections": ",".join(self.collections),
            "domain": ",".join(self.session.single_domain),
            "identities": ",".join(self.session.identities),
            "policies": ",".join(self.session.policies),
            "mfa": "1" if self.session.mfa else "",
            "fresh": "1" if self.session.fresh else "",
            "device": self.device,
            "next": self.next,
        }
        return urlencode({name: value for name, value in said.items() if value})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginAttempt:
    """One sign-in under way. Its PKCE verifier and its nonce follow from the browser's secret, and are not here."""

    state_hash: str
    browser_hash: str
    request: LoginRequest
    scopes: tuple[str, ...]
    expires_at: datetime
    round: int = 1
    """2 when this login only adds consents that were given before, found out after the sign-in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdClaims:
    """What a verified signature of Globus Auth says; the times are not checked yet."""

    user: UserId
    username: str
    name: str
    email: str
    nonce: str
    issued_at: datetime
    expires_at: datetime
    auth_time: datetime | None
    identities: tuple[tuple[UserId, str], ...] = ()
    """Every identity linked to the user, with its username; the user's own is among them."""
    session: Session = NOBODY
    """Who of them authenticated when, as far as Globus Auth told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """What the exchange tells about a login that was accepted and whose tokens are stored."""

    user: UserId
    username: str
    name: str
    email: str
    auth_time: datetime | None
    scopes: tuple[str, ...]
    identities: tuple[UserId, ...] = ()
    session: Session = NOBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What qstage knows of a user. ``scopes``: what they consented to, with dependents, as asked for."""

    user: UserId
    username: str
    name: str
    email: str
    auth_time: datetime | None
    scopes: tuple[str, ...]
    identities: tuple[UserId, ...]
    signed_in_at: datetime
    session: Session = NOBODY
    """The login session that the stored tokens carry: when each linked identity signed in, and how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSession:
    """A browser that signed in. The cookie's hash is its key; ``misses`` counts wrong device codes."""

    cookie_hash: str
    user: UserId
    username: str
    signed_in_at: datetime
    expires_at: datetime
    misses: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInPolicy:
    """Who may sign in at all; domains, ids and usernames in lower case. All empty, the default off loopback: nobody."""

    anyone: bool = False
    domains: frozenset[str] = frozenset()
    identities: frozenset[str] = frozenset()

    def admits(self, claims: IdClaims) -> bool:
        """Whether any of the person's linked identities is named, or has a username of a named domain."""
        return self.admits_any(((claims.user, claims.username), *claims.identities))

    def admits_any(self, linked: Iterable[tuple[UserId, str]]) -> bool:
        """The same, of (id, username) pairs; a username that is not known is empty."""
        return self.anyone or any(
            user.lower() in self.identities
            or username.lower() in self.identities
            or username.rpartition("@")[2].lower() in self.domains
            for user, username in linked
        )


def check_claims(claims: IdClaims, *, nonce: str, for_user: UserId | None, policy: SignInPolicy, now: datetime) -> None:
    """Raise SignInRefused unless this identity, proved now for this attempt, may complete it."""
    if not nonce or not hmac.compare_digest(claims.nonce.encode(), nonce.encode()):
        raise SignInRefused(Refusal.PROVIDER, "The answer belongs to another sign-in.", word="nonce")
    if claims.expires_at <= now - LEEWAY or claims.issued_at > now + LEEWAY:
        raise SignInRefused(Refusal.PROVIDER, "The answer is not of this moment.", word="time")
    if for_user is not None and claims.user != for_user:
        raise SignInRefused(Refusal.OTHER_IDENTITY, "The link was made for another identity.")
    if not policy.admits(claims):
        raise SignInRefused(Refusal.NOT_ALLOWED, "This identity may not sign in here.")


def csrf_token(cookie: str) -> str:
    """The proof that a form was shown by us to this browser; derived, so that nothing of it is stored."""
    return hmac.digest(cookie.encode(), b"form", "sha256").hex()


def check_form(cookie: str, proof: str) -> None:
    """Raise Forbidden unless a form that was posted with this cookie was shown by us to the same browser."""
    if not cookie or not hmac.compare_digest(csrf_token(cookie).encode(), proof.encode()):
        raise Forbidden("This form is too old or did not come from this site. Go back and try again.")


def is_path(text: str) -> bool:
    """Whether ``text`` is a path of our own to go on to; no host, no scheme, no backslash, no line break."""
    return _PATH.fullmatch(text) is not None


def login_address(base_url: str, request: LoginRequest) -> str:
    """The link that a person follows to make this login."""
    query = request.query()
    return f"{base_url}/login{'?' + query if query else ''}"


def request_for(demand: LoginDemand, user: UserId | None, *, consented: Iterable[str] = ()) -> LoginRequest:
    """The login that meets a demand, and asks again for all that the user had consented to before."""
    wanted = consented_collections((*demand.scopes, *consented))
    return LoginRequest(collections=tuple(sorted(wanted)), session=demand.session, for_user=user)


def lost_collections(asked: Iterable[str], before: Iterable[str]) -> frozenset[CollectionId]:
    """Collections that the user had consented to and that this login did not ask for."""
    return consented_collections(before) - consented_collections(asked)


def second_round(request: LoginRequest, user: UserId, lost: Iterable[CollectionId]) -> LoginRequest:
    """The login that follows one which asked for less than the user had given: same person, at once."""
    collections = tuple(sorted({*request.collections, *lost}))
    return replace(request, collections=collections, session=NOTHING, for_user=user)


def read_request(query: Mapping[str, str]) -> LoginRequest:
    """Read a login link's query; raises Invalid naming every parameter that is not well-formed."""
    faults: list[Fault] = []

    def listed(name: str, pattern: re.Pattern[str], most: int) -> tuple[str, ...]:
        items = tuple(part.strip().lower() for part in query.get(name, "").split(",") if part.strip())
        if len(items) > most or any(pattern.fullmatch(item) is None for item in items):
            faults.append(Fault(f"?{name}", "is not a list of well-formed values"))
            return ()
        return items

    collections = listed("collections", _UUID, MOST_COLLECTIONS)
    for_user = listed("for", _UUID, 1)
    session = SessionDemand(
        single_domain=listed("domain", _DOMAIN, 10),
        identities=listed("identities", _UUID, 10),
        policies=listed("policies", _UUID, 10),
        mfa=query.get("mfa") == "1",
        fresh=query.get("fresh") == "1",
    )
    path = query.get("next", "")
    if path and not is_path(path):
        faults.append(Fault("?next", "must be a path of this service, beginning with one slash"))
    if faults:
        raise Invalid(tuple(faults))
    return LoginRequest(
        collections=tuple(CollectionId(c) for c in collections),
        session=session,
        next=path,
        device=query.get("device", "")[:20],
        for_user=UserId(for_user[0]) if for_user else None,
    )
