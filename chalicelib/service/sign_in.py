"""A browser's sign-in, from the link to the session cookie. Runs in the public API and holds no secret of Globus.

``begin`` stores an attempt and names the address at Globus; ``finish`` takes the attempt (once, and only for the
browser that began it), has the exchange function buy and store the tokens, notes who it was, and wakes their jobs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from chalicelib.core.consent import consented_collections, needed_collections, scopes_to_ask
from chalicelib.core.devices import typed_code
from chalicelib.core.errors import FarSide, Refusal, SignInRefused
from chalicelib.core.ids import CollectionId
from chalicelib.core.logins import (
    ATTEMPT_LIFE,
    WEB_SESSION_LIFE,
    LoginAttempt,
    LoginRequest,
    Profile,
    SignedIn,
    WebSession,
    hashed,
    lost_collections,
    nonce_of,
    second_round,
    secret_text,
    verifier_of,
)
from chalicelib.core.ports.auth import Authorize, Exchange, ExchangeRequest, Wake
from chalicelib.core.ports.logins import LoginStore
from chalicelib.core.ports.places import Collections
from chalicelib.service.keys import Entropy

_WORD = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """Where to send the browser, and the secret that binds the attempt to it."""

    url: str
    state: str = field(repr=False)
    browser_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What Globus sent the browser back with."""

    state: str = field(repr=False)
    code: str = field(default="", repr=False)
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A login that succeeded. ``more``: the consents given earlier that this one did not ask for."""

    profile: Profile
    cookie: str = field(repr=False)
    next: str
    more: Begun | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """The verbs of signing in. ``redirect_uri`` is the address of ``/callback``."""

    store: LoginStore
    exchange: Exchange
    collections: Collections
    authorize: Authorize
    wake: Wake
    entropy: Entropy
    redirect_uri: str

    def begin(self, request: LoginRequest, now: datetime, *, session: WebSession | None = None) -> Begun:
        """Start an attempt. A browser that is signed in is asked for all it had consented to before, too."""
        profile = self.store.load_profile(session.user) if session else None
        return self._begin(self._with_device(request, now), now, already=profile.scopes if profile else ())

    def _begin(self, request: LoginRequest, now: datetime, *, already: tuple[str, ...], round: int = 1) -> Begun:
        state, browser = (secret_text(self.entropy(32)) for _ in range(2))
        attempt = LoginAttempt(
            state_hash=hashed(state),
            browser_hash=hashed(browser),
            request=request,
            scopes=scopes_to_ask(self._needing_consent(request.collections, already, now)),
            expires_at=now + ATTEMPT_LIFE,
            round=round,
        )
        self.store.put_attempt(attempt)
        url = self.authorize.url(
            attempt,
            state=state,
            verifier=verifier_of(browser),
            nonce=nonce_of(browser),
            redirect_uri=self.redirect_uri,
        )
        return Begun(url=url, state=state, browser_secret=browser)

    def _with_device(self, request: LoginRequest, now: datetime) -> LoginRequest:
        """A login for a terminal asks for what the terminal asked for. An unknown code is met later."""
        code = typed_code(request.device)
        grant = self.store.find_grant(code) if code else None
        if grant is None or now >= grant.expires_at:
            return request
        session = request.session
        if grant.domain and not session.single_domain:
            session = replace(session, single_domain=(grant.domain,))
        return replace(request, session=session, collections=tuple({*request.collections, *grant.collections}))

    def _needing_consent(
        self, wanted: Iterable[CollectionId], already: Iterable[str], now: datetime
    ) -> frozenset[CollectionId]:
        """Which of the wanted and of the earlier collections need ``data_access`` now.

        Earlier ones are looked at again: one that is gone since would make Globus refuse the whole login. If
        none can be looked up at this moment, new ones are left out (a second consent follows), earlier kept.
        """
        earlier = consented_collections(already)
        asked = frozenset(wanted) | earlier
        known = dict(self.collections.get(asked)) if asked else {}
        old = frozenset(each for each in asked if each not in known or not known[each].fresh_at(now))
        if not old:
            return needed_collections(asked, known)
        try:
            learnt = self.exchange.collections(sorted(old))
        except FarSide:
            return needed_collections(asked, known) | (earlier - known.keys())
        known = {each: facts for each, facts in known.items() if each not in old} | dict(learnt)
        return needed_collections(asked, known)

    def finish(self, answer: Answer, browser_secret: str, now: datetime, *, cookie: str = "") -> Finished:
        """Complete an attempt. Raises SignInRefused, with which page to show and how to try again.

        ``cookie`` is the session that the browser had; it ends, and a new one begins.
        """
        attempt = self.store.take_attempt(hashed(answer.state), hashed(browser_secret))
        if attempt is None or now >= attempt.expires_at:
            raise SignInRefused(Refusal.EXPIRED, "This sign-in is unknown, used, or too old.")
        signed_in = self._exchanged(attempt, answer, browser_secret)
        before = self.store.load_profile(signed_in.user)
        profile = _profile(signed_in, now)
        self.store.put_profile(profile)
        self.wake.user_signed_in(signed_in.user)
        if cookie:
            self.sign_out(cookie)
        return Finished(
            profile=profile,
            cookie=self._open_session(profile, now),
            next=attempt.request.goes_to(),
            more=self._more(attempt, profile, before, now),
        )

    def _exchanged(self, attempt: LoginAttempt, answer: Answer, browser_secret: str) -> SignedIn:
        if answer.error or not answer.code:
            raise _provider_said(answer.error, attempt.request)
        request = ExchangeRequest(
            code=answer.code,
            verifier=verifier_of(browser_secret),
            nonce=nonce_of(browser_secret),
            redirect_uri=self.redirect_uri,
            scopes=attempt.scopes,
            for_user=attempt.request.for_user,
        )
        try:
            return self.exchange.exchange(request)
        except SignInRefused as refused:
            again = _again(attempt.request, refused.why)
            raise SignInRefused(refused.why, refused.detail, word=refused.word, again=again) from None
        except FarSide as error:
            again = attempt.request.query()
            raise SignInRefused(Refusal.PROVIDER, error.detail, word=error.code, again=again) from None

    def _more(self, attempt: LoginAttempt, profile: Profile, before: Profile | None, now: datetime) -> Begun | None:
        """The second round, once, where this login asked for less than the user had given before."""
        lost = lost_collections(attempt.scopes, before.scopes) if before else frozenset()
        if not lost or attempt.round > 1:
            return None
        request = second_round(attempt.request, profile.user, lost)
        already = (*profile.scopes, *(before.scopes if before else ()))
        return self._begin(request, now, already=already, round=2)

    def _open_session(self, profile: Profile, now: datetime) -> str:
        """A new session under a new cookie, whatever cookie the browser came with."""
        cookie = secret_text(self.entropy(32))
        self.store.put_session(
            WebSession(
                cookie_hash=hashed(cookie),
                user=profile.user,
                username=profile.username,
                signed_in_at=now,
                expires_at=now + WEB_SESSION_LIFE,
            )
        )
        return cookie

    def session(self, cookie: str, now: datetime) -> WebSession | None:
        """The session of a cookie, if it still lives: none does that began before its user signed out everywhere."""
        session = self.store.load_session(hashed(cookie)) if cookie else None
        if session is None or now >= session.expires_at:
            return None
        left_at = self.store.departure(session.user)
        return session if left_at is None or session.signed_in_at > left_at else None

    def sign_out(self, cookie: str) -> None:
        """End a browser's session. API keys and stored tokens stay."""
        self.store.remove_session(hashed(cookie))


def _profile(signed_in: SignedIn, now: datetime) -> Profile:
    return Profile(
        user=signed_in.user,
        username=signed_in.username,
        name=signed_in.name,
        email=signed_in.email,
        auth_time=signed_in.auth_time,
        scopes=signed_in.scopes,
        identities=signed_in.identities,
        signed_in_at=now,
        session=signed_in.session,
    )


def _provider_said(error: str, request: LoginRequest) -> SignInRefused:
    if error == "access_denied":
        return SignInRefused(Refusal.DENIED, "The consent was not given.", word=error, again=request.query())
    word = error if _WORD.fullmatch(error) else ""
    return SignInRefused(
        Refusal.PROVIDER, "Globus Auth did not complete the sign-in.", word=word, again=request.query()
    )


def _again(request: LoginRequest, why: Refusal) -> str:
    """A link for another try; where the identity was the wrong one, the next must choose anew."""
    if why in (Refusal.OTHER_IDENTITY, Refusal.NOT_ALLOWED):
        return replace(request, session=replace(request.session, fresh=True)).query()
    return request.query()
