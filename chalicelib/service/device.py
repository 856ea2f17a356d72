"""The device flow's verbs: begin, poll, look, decide. The rules are in ``core.devices``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chalicelib.core.devices import (
    LIFE,
    MOST_MISSES,
    DeviceGrant,
    DeviceState,
    polled,
    typed_code,
    user_code,
    wants_sign_in,
)
from chalicelib.core.errors import DeviceWord, FarSide, Forbidden, NoKeyYet, NotFound, TooMany
from chalicelib.core.ids import CollectionId
from chalicelib.core.keys import USUAL_LIFE
from chalicelib.core.logins import WebSession, hashed, secret_text
from chalicelib.core.ports.logins import DeviceStore, WebSessionStore
from chalicelib.service.keys import Entropy, Keys, Minted

_TRIES = 5
_WORDS = {
    DeviceWord.PENDING: "Nobody has approved this request yet.",
    DeviceWord.SLOW_DOWN: "You ask too often. Wait five seconds longer between two requests.",
    DeviceWord.EXPIRED: "This request is over. Begin a new one.",
    DeviceWord.DENIED: "The request was denied.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAsk:
    """What a terminal says of itself and asks for. ``address`` is where the request came from."""

    client: str
    host: str
    address: str
    scopes: frozenset[str]
    collections: tuple[CollectionId, ...] = ()
    domain: str = ""
    days: int = USUAL_LIFE.days


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What the terminal gets: its secret, and what to show to the person."""

    device_code: str = field(repr=False)
    grant: DeviceGrant


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """The verbs of the device flow."""

    store: DeviceStore
    sessions: WebSessionStore
    keys: Keys
    entropy: Entropy

    def start(self, ask: DeviceAsk, now: datetime) -> Started:
        """Begin a request for a key."""
        code = secret_text(self.entropy(32))
        for _ in range(_TRIES):
            grant = DeviceGrant(
                device_hash=hashed(code),
                user_code=user_code(self.entropy(64)),
                client=ask.client,
                host=ask.host,
                address=ask.address,
                scopes=ask.scopes,
                collections=ask.collections,
                domain=ask.domain,
                days=ask.days,
                created_at=now,
                expires_at=now + LIFE,
            )
            if self.store.put_grant(grant):
                return Started(device_code=code, grant=grant)
        raise FarSide("logins", "contended", "No free user code was found.", transient=True)

    def poll(self, device_code: str, now: datetime) -> Minted:
        """The key, once it is approved; it is made here and given out once. Raises NoKeyYet."""
        grant = self.store.load_grant(hashed(device_code))
        if grant is None:
            raise _no_key(DeviceWord.EXPIRED)
        seen, word = polled(grant, now)
        if not self.store.note_poll(seen, polls=grant.polls):
            raise _no_key(DeviceWord.SLOW_DOWN)
        if word is not None:
            raise _no_key(word)
        left_at = self.keys.store.departure(grant.user) if grant.user is not None else None
        if left_at is not None and grant.created_at <= left_at:
            raise _no_key(DeviceWord.EXPIRED)  # whoever approved it has signed out everywhere since
        taken = self.store.take_grant(grant.device_hash)
        if taken is None or taken.user is None:
            raise _no_key(DeviceWord.EXPIRED)
        return self.keys.mint(
            user=taken.user,
            username=taken.username,
            name=f"{taken.client} on {taken.host}"[:64],
            scopes=taken.scopes,
            life=timedelta(days=taken.days),
            now=now,
        )

    def look(self, code: str, session: WebSession, now: datetime) -> DeviceGrant:
        """What a signed-in person is asked to approve. Wrong codes are counted against their session.

        Raises NotFound, or TooMany after ten of them.
        """
        if session.misses >= MOST_MISSES:
            raise TooMany("Ten wrong codes were entered. Sign out, sign in, and begin again.")
        letters = typed_code(code)
        grant = self.store.find_grant(letters) if letters else None
        if grant is None or now >= grant.expires_at or grant.state is not DeviceState.PENDING:
            self.sessions.note_miss(session.cookie_hash)
            raise NotFound("There is no such request, or it is over.")
        return grant

    def decide(self, code: str, session: WebSession, *, approve: bool, now: datetime) -> DeviceGrant:
        """Say yes or no to a request. Raises NotFound if it is not open (any longer)."""
        grant = self.look(code, session, now)
        if wants_sign_in(grant, session.signed_in_at):
            raise Forbidden("Sign in once more before you decide on this request.")
        state = DeviceState.APPROVED if approve else DeviceState.DENIED
        decided = replace(grant, state=state, user=session.user, username=session.username)
        if not self.store.decide_grant(decided):
            raise NotFound("There is no such request, or it is over.")
        return decided


def _no_key(word: DeviceWord) -> NoKeyYet:
    return NoKeyYet(word, _WORDS[word])
