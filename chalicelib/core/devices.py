"""The device flow (RFC 8628): how a terminal without a browser gets a key that a person approves in one.

The terminal holds the device code, the person types or clicks the user code. Nothing is minted until a
person who signed in has seen what they approve and said yes; then the next poll takes the approval and gets
the key, once.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chalicelib.core.errors import DeviceWord
from chalicelib.core.ids import CollectionId, UserId

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
"""Twenty consonants: no word can be spelt, no letter is taken for a digit (RFC 8628, section 6.1)."""

LIFE = timedelta(minutes=15)
INTERVAL = 2
SLOWER = 5
"""Seconds that each ``slow_down`` adds to the interval (RFC 8628, section 3.5)."""
GRACE = 0.5
"""Seconds by which a poll may come early: two clocks and a network lie between."""
MOST_POLLS = 1000
MOST_MISSES = 10
"""Wrong user codes that one browser session may try."""


class DeviceState(enum.StrEnum):
    """What became of a request for a key."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceGrant:
    """One request of a terminal for a key."""

    device_hash: str
    user_code: str
    client: str
    host: str
    address: str
    scopes: frozenset[str]
    collections: tuple[CollectionId, ...]
    domain: str
    days: int
    """How long the key is to last."""
    created_at: datetime
    expires_at: datetime
    interval: int = INTERVAL
    polls: int = 0
    last_poll: datetime | None = None
    state: DeviceState = DeviceState.PENDING
    user: UserId | None = None
    username: str = ""


def user_code(entropy: bytes) -> str:
    """Eight letters from random bytes; bytes that would favour some letters are passed over."""
    even = len(ALPHABET) * (256 // len(ALPHABET))
    letters = [ALPHABET[byte % len(ALPHABET)] for byte in entropy if byte < even][:8]
    if len(letters) < 8:
        raise ValueError("not enough random bytes for a user code")
    return "".join(letters)


def shown_code(code: str) -> str:
    """A user code as people read it."""
    return f"{code[:4]}-{code[4:]}"


def typed_code(text: str) -> str:
    """A user code as people type it: case, blanks and the hyphen do not matter. "" if it cannot be one."""
    letters = "".join(c for c in text.upper() if c.isalnum())
    return letters if len(letters) == 8 and set(letters) <= set(ALPHABET) else ""


def wants_sign_in(grant: DeviceGrant, signed_in_at: datetime) -> bool:
    """Whether the person must sign in once more: a key for a terminal always comes with a fresh login, so
    that it is never the key of somebody whose tokens at Globus have died."""
    return signed_in_at < grant.created_at


def polled(grant: DeviceGrant, now: datetime) -> tuple[DeviceGrant, DeviceWord | None]:
    """A grant after one more poll, and what the terminal hears; None: it may take its key now."""
    early = grant.last_poll is not None and (now - grant.last_poll).total_seconds() < grant.interval - GRACE
    seen = replace(grant, last_poll=now, polls=grant.polls + 1)
    if now >= grant.expires_at or grant.polls >= MOST_POLLS:
        return seen, DeviceWord.EXPIRED
    if early:
        return replace(seen, interval=grant.interval + SLOWER), DeviceWord.SLOW_DOWN
    match grant.state:
        case DeviceState.PENDING:
            return seen, DeviceWord.PENDING
        case DeviceState.DENIED:
            return seen, DeviceWord.DENIED
        case DeviceState.APPROVED:
            return seen, None
