"""The user's Globus tokens: what they are in the clear, what they are at rest, and when they are renewed.

Two types keep the two apart: ``PlainTokens`` exist in the memory of the functions that may unseal them and
hide themselves in every ``repr``; ``Sealed`` is what is stored. A ``TokenRecord`` bears a version; it is
replaced only by compare-and-set on that version, so an old answer of Globus never lands on a newer one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from chalicelib.core.ids import UserId
from chalicelib.core.sessions import NOBODY, Session

PURPOSE = "transfer"
"""What the tokens are for; part of the encryption context: sealed for one use, they open for no other."""

MARGIN = timedelta(seconds=120)
"""A token with less than this left is renewed before use. Globus's SDK takes 60 s; this covers a pass."""

AHEAD = timedelta(hours=3)
"""How long before its end, at most, the schedule renews the access token of a user with live jobs."""

IDLE = timedelta(days=90)
"""A refresh token dies six months after its last use; one that rests is used at half of that."""

SETBACK = timedelta(minutes=15)
"""After a renewal that failed for the moment, when the schedule tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainTokens:
    """Tokens in the clear. Never stored, logged, returned or put in an exception."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: datetime

    def good_at(self, now: datetime) -> bool:
        """Whether the access token can still be used for a pass that begins now."""
        return self.expires_at - now > MARGIN

    def renewed_by(self, answer: PlainTokens) -> PlainTokens:
        """What to store after a renewal: a refresh token that was not repeated is kept, never lost."""
        return replace(answer, refresh_token=answer.refresh_token or self.refresh_token)

    def to_bytes(self) -> bytes:
        """The form that is sealed."""
        content = {
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "expires_at": self.expires_at.astimezone(UTC).isoformat(),
        }
        return json.dumps(content, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> PlainTokens:
        """Read what ``to_bytes`` wrote."""
        read = json.loads(content)
        return cls(
            access_token=read["access_token"],
            refresh_token=read["refresh_token"],
            expires_at=datetime.fromisoformat(read["expires_at"]),
        )


@dataclass(frozen=True, slots=True)
class Sealed:
    """Tokens as KMS gave them back: safe to store, useless without the key and the context."""

    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """What a call to Globus needs. ``version`` names it when Globus rejects it."""

    user: UserId
    value: str = field(repr=False)
    version: int
    expires_at: datetime
    session: Session = NOBODY
    """The login session that it carries; nobody's where that is not known."""

    def good_at(self, now: datetime) -> bool:
        """Whether it can still be used for a pass that begins now."""
        return self.expires_at - now > MARGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """A user's tokens as stored. ``refused`` means that Globus no longer takes this version's refresh token.

    ``renew_at`` is when the schedule looks at it next; None once refused: asking again is useless.
    """

    user: UserId
    version: int
    sealed: Sealed
    purpose: str = PURPOSE
    expires_at: datetime
    scopes: tuple[str, ...]
    refresh_used_at: datetime
    renew_at: datetime | None
    refused: bool = False
    session: Session = NOBODY
    """The login session that the tokens carry. A renewal leaves it as it is."""


def first_version(now: datetime) -> int:
    """The version of a record where none is: the time, so that no number returns after a removal."""
    return int(now.timestamp() * 1000)


def bought_since(version: int, moment: datetime) -> bool:
    """Whether the login that a version goes back to came at or after the moment: renewals count on from its time."""
    return version >= first_version(moment)


def first_record(
    user: UserId,
    sealed: Sealed,
    plain: PlainTokens,
    scopes: tuple[str, ...],
    over: int | None,
    now: datetime,
    *,
    session: Session,
) -> TokenRecord:
    """What a login leaves. ``over`` is the version it replaces, None where there is none."""
    return TokenRecord(
        user=user,
        version=max(first_version(now), (over or 0) + 1),
        sealed=sealed,
        expires_at=plain.expires_at,
        scopes=scopes,
        refresh_used_at=now,
        renew_at=_look_again(plain.expires_at, now),
        session=session,
    )


def renewed_record(record: TokenRecord, sealed: Sealed, plain: PlainTokens, now: datetime) -> TokenRecord:
    """What a renewal leaves: the next version, with the same scopes."""
    return replace(
        record,
        version=record.version + 1,
        sealed=sealed,
        expires_at=plain.expires_at,
        refresh_used_at=now,
        renew_at=_look_again(plain.expires_at, now),
    )


def must_renew(record: TokenRecord, now: datetime, *, live: bool) -> bool:
    """Whether the schedule renews a record that is due: its user has live jobs, or it rested for long."""
    return live or now - record.refresh_used_at >= IDLE


def rests(record: TokenRecord) -> bool:
    """Whether the schedule will not look at it before it ends: nobody needed it when it was last due."""
    return record.renew_at is not None and record.renew_at > record.expires_at


def roused(record: TokenRecord) -> datetime:
    """When the schedule looks at a record that rested, now that somebody needs it."""
    return _look_again(record.expires_at, record.refresh_used_at)


def _look_again(expires_at: datetime, now: datetime) -> datetime:
    """Some time before the end; a token of short life is not looked at before three quarters of it."""
    return expires_at - min(AHEAD, (expires_at - now) / 4)
