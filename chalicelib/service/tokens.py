"""Access tokens for those who act for a user: unsealed, renewed at use, and renewed ahead by the schedule.

Several functions may do this for one user at once. Each write is conditional on the version that was read;
who loses reads again and uses what the winner stored. A refusal of Globus counts against the version it was
given for and against no other: if a login has stored a newer one meanwhile, that one is used.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import NoReturn

from chalicelib.core.consent import LoginReason
from chalicelib.core.errors import FarSide, GrantRefused, LoginNeeded
from chalicelib.core.ids import UserId
from chalicelib.core.ports.auth import TokenEndpoint
from chalicelib.core.ports.tokens import LiveUsers, Seal, TokenStore
from chalicelib.core.tokens import (
    IDLE,
    PURPOSE,
    SETBACK,
    AccessToken,
    PlainTokens,
    TokenRecord,
    must_renew,
    renewed_record,
)

_TRIES = 4
_WARM = timedelta(minutes=5)
_MOST_WARM = 500


class Outcome(enum.StrEnum):
    """What the schedule did about one user."""

    RENEWED = "renewed"
    POSTPONED = "postponed"
    """Nobody needs the token soon; it is looked at when it has rested long."""
    REFUSED = "refused"
    """Globus does not take the refresh token: the user has to sign in again."""
    FAILED = "failed"
    """Globus or AWS did not answer; tried again later."""
    NOT_DUE = "not_due"
    """The index was behind the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewals:
    """What one run of the schedule did, user by user."""

    outcomes: tuple[tuple[UserId, Outcome], ...]

    def users(self, outcome: Outcome) -> tuple[UserId, ...]:
        """The users of one outcome."""
        return tuple(user for user, met in self.outcomes if met is outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The token verbs. One instance a process: it keeps unsealed tokens for minutes, by version."""

    store: TokenStore
    seal: Seal
    endpoint: TokenEndpoint
    live: LiveUsers
    _warm: dict[UserId, _Warm] = field(default_factory=dict, repr=False)

    def access_token(self, user: UserId, now: datetime, *, rejected: int | None = None) -> AccessToken:
        """An access token that is good for a pass that begins now.

        ``rejected`` names the version of a token that Globus answered with 401: that one is renewed even
        if its time is not over. Raises LoginNeeded (NEVER, REFUSED) or FarSide.
        """
        for _ in range(_TRIES):
            record = self.store.load(user)
            if record is None:
                raise LoginNeeded(LoginReason.NEVER, "Sign in so that qstage can move your data.")
            if record.refused:
                _refused()
            plain = self._open(record, now)
            if plain.good_at(now) and record.version != rejected:
                return _access(record, plain)
            renewed = self._renew(record, plain, now)
            if renewed is not None:
                return renewed
        raise FarSide("tokens", "contended", "The tokens are being replaced by others.", transient=True)

    def renew_due(self, now: datetime, *, limit: int = 500, go_on: Callable[[], bool] = lambda: True) -> Renewals:
        """Renew what is due, at most ``limit`` users, while ``go_on`` says that there is time.

        A user who fails for the moment is set back, so that none holds up those behind.
        """
        due = takewhile(lambda _: go_on(), islice(self.store.due(now), limit))
        return Renewals(outcomes=tuple((user, self._renew_one(user, now)) for user in due))

    def _renew_one(self, user: UserId, now: datetime) -> Outcome:
        record = self.store.load(user)
        if record is None or record.refused or record.renew_at is None or record.renew_at > now:
            return Outcome.NOT_DUE
        if not must_renew(record, now, live=self.live.has_live_jobs(user)):
            self.store.postpone(user, record.version, record.refresh_used_at + IDLE)
            return Outcome.POSTPONED
        try:
            self.access_token(user, now, rejected=record.version)
        except LoginNeeded:
            return Outcome.REFUSED
        except FarSide as error:
            if not error.transient:
                raise
            self.store.postpone(user, record.version, now + SETBACK)
            return Outcome.FAILED
        return Outcome.RENEWED

    def _renew(self, record: TokenRecord, plain: PlainTokens, now: datetime) -> AccessToken | None:
        """Renew and store; None if another version was stored meanwhile, which is then to be read."""
        try:
            answer = self.endpoint.refresh(plain.refresh_token or "")
        except GrantRefused:
            self._refuse(record)
            return None
        merged = plain.renewed_by(answer)
        sealed = self.seal.seal(merged, user=record.user, purpose=PURPOSE)
        newer = renewed_record(record, sealed, merged, now)
        if not self.store.replace(newer, over=record.version):
            return None
        self._keep(newer, merged, now)
        return _access(newer, merged)

    def _refuse(self, record: TokenRecord) -> None:
        """Count a refusal against the version it was given for; return if another one is stored by now."""
        if self.store.refuse(record.user, record.version):
            self._warm.pop(record.user, None)
            _refused()

    def _open(self, record: TokenRecord, now: datetime) -> PlainTokens:
        warm = self._warm.get(record.user)
        if warm and warm.version == record.version and warm.sealed == record.sealed.content and now < warm.until:
            return warm.plain
        plain = self.seal.unseal(record.sealed, user=record.user, purpose=record.purpose)
        self._keep(record, plain, now)
        return plain

    def _keep(self, record: TokenRecord, plain: PlainTokens, now: datetime) -> None:
        if len(self._warm) >= _MOST_WARM:
            self._warm.clear()
        self._warm[record.user] = _Warm(
            version=record.version, sealed=record.sealed.content, plain=plain, until=now + _WARM
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Warm:
    version: int
    sealed: bytes = field(repr=False)
    plain: PlainTokens
    until: datetime


def _access(record: TokenRecord, plain: PlainTokens) -> AccessToken:
    return AccessToken(user=record.user, value=plain.access_token, version=record.version, expires_at=plain.expires_at)


def _refused() -> NoReturn:
    raise LoginNeeded(
        LoginReason.REFUSED, "Globus no longer accepts the consent that you gave to qstage. Sign in again."
    )
