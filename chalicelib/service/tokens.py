"""Access tokens for those who act for a user: unsealed, renewed at use, and renewed ahead by the schedule.

Several functions may do this for one user at once. Each write is conditional on the version that was read;
who loses reads again and uses what the winner stored. A refusal of Globus counts against the version it was
given for and against no other: if a login has stored a newer one meanwhile, that one is used.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
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
    Sealed,
    TokenRecord,
    first_version,
    must_renew,
    renewed_record,
    rests,
    roused,
)

log = logging.getLogger(__name__)

_TRIES = 4
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
    BROKEN = "broken"
    """It failed by no fault of the user, and not for the moment; logged, and tried again later."""
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
    """The token verbs. One instance a process.

    It keeps access tokens while they are good, by version, and never a refresh token: whose record was replaced
    or refused meanwhile is seen at the next call, because the record is always read.
    """

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
        return self._access_token(user, now, rejected, refusing=lambda _: None)

    def _access_token(
        self, user: UserId, now: datetime, rejected: int | None, *, refusing: Callable[[UserId], None]
    ) -> AccessToken:
        """``refusing`` is told before a refusal is stored."""
        for _ in range(_TRIES):
            record = self.store.load(user)
            if record is None:
                raise LoginNeeded(LoginReason.NEVER, "Sign in so that qstage can move your data.")
            if record.refused:
                _refused()
            if rests(record):
                # Whose jobs need it now hears early of a consent that is withdrawn while they wait in a queue.
                self.store.postpone(user, record.version, roused(record))
            kept = self._kept(record)
            if kept is not None and kept.good_at(now) and record.version != rejected:
                return kept
            plain = self.seal.unseal(record.sealed, user=user, purpose=PURPOSE)
            if plain.good_at(now) and record.version != rejected:
                return self._keep(record, plain)
            renewed = self._renew(record, plain, now, refusing)
            if renewed is not None:
                return renewed
        raise FarSide("tokens", "contended", "The tokens are being replaced by others.", transient=True)

    def consented(self, user: UserId) -> tuple[str, ...]:
        """The scopes that the user's last login asked for; () if there is none."""
        record = self.store.load(user)
        return () if record is None else record.scopes

    def forget(self, user: UserId, before: datetime) -> None:
        """Revoke at Globus, and then remove, what a login before that moment left. Safe to repeat.

        A login that came later is left alone: its record bears a later version. Raises FarSide; the record is then
        still there, because only with it the tokens can be revoked.
        """
        for _ in range(_TRIES):
            record = self.store.load(user)
            if record is None or record.version > first_version(before):
                return
            plain = self.seal.unseal(record.sealed, user=user, purpose=PURPOSE)
            for token in (plain.refresh_token, plain.access_token):
                if token is not None:
                    self.endpoint.revoke(token)
            self._warm.pop(user, None)
            if self.store.remove(user, record.version):
                return
        raise FarSide("tokens", "contended", "The tokens are being replaced by others.", transient=True)

    def renew_due(self, now: datetime, *, limit: int = 500, go_on: Callable[[], bool] = lambda: True) -> Renewals:
        """Renew what is due, at most ``limit`` users, while ``go_on`` says that there is time.

        A user who fails is set back, so that none holds up those behind. Whom Globus refuses has their planner
        look again, so that their jobs say at once that a login is needed.
        """
        due = takewhile(lambda _: go_on(), islice(self.store.due(now), limit))
        return Renewals(outcomes=tuple((user, self._renew_one(user, now)) for user in due))

    def _renew_one(self, user: UserId, now: datetime) -> Outcome:
        record = self.store.load(user)
        if record is None or record.refused or record.renew_at is None or record.renew_at > now:
            return Outcome.NOT_DUE
        try:
            if not must_renew(record, now, live=self.live.has_live_jobs(user)):
                self.store.postpone(user, record.version, record.refresh_used_at + IDLE)
                return Outcome.POSTPONED
            # The planner is rung first: were the refusal stored and then this process gone, nobody would look.
            self._access_token(user, now, record.version, refusing=self.live.look_again)
        except LoginNeeded:
            return Outcome.REFUSED
        except Exception as error:
            self.store.postpone(user, record.version, now + SETBACK)
            if isinstance(error, FarSide) and error.transient:
                return Outcome.FAILED
            log.exception("renewal broke", extra={"fields": {"user": user}})
            return Outcome.BROKEN
        return Outcome.RENEWED

    def _renew(
        self, record: TokenRecord, plain: PlainTokens, now: datetime, refusing: Callable[[UserId], None]
    ) -> AccessToken | None:
        """Renew and store; None if another version was stored meanwhile, which is then to be read."""
        try:
            answer = self.endpoint.refresh(plain.refresh_token or "")
        except GrantRefused:
            refusing(record.user)
            self._refuse(record)
            return None
        merged = plain.renewed_by(answer)
        sealed = self.seal.seal(merged, user=record.user, purpose=PURPOSE)
        newer = renewed_record(record, sealed, merged, now)
        if not self.store.replace(newer, over=record.version):
            return None
        return self._keep(newer, merged)

    def _refuse(self, record: TokenRecord) -> None:
        """Count a refusal against the version it was given for; return if another one is stored by now."""
        if self.store.refuse(record.user, record.version):
            self._warm.pop(record.user, None)
            _refused()

    def _kept(self, record: TokenRecord) -> AccessToken | None:
        """The access token that this process has unsealed from just this record."""
        warm = self._warm.get(record.user)
        return warm.token if warm and (warm.token.version, warm.sealed) == (record.version, record.sealed) else None

    def _keep(self, record: TokenRecord, plain: PlainTokens) -> AccessToken:
        if len(self._warm) >= _MOST_WARM:
            self._warm.clear()
        token = AccessToken(
            user=record.user,
            value=plain.access_token,
            version=record.version,
            expires_at=plain.expires_at,
            session=record.session,
        )
        self._warm[record.user] = _Warm(sealed=record.sealed, token=token)
        return token


@dataclass(frozen=True, slots=True, kw_only=True)
class _Warm:
    sealed: Sealed
    token: AccessToken


def _refused() -> NoReturn:
    raise LoginNeeded(
        LoginReason.REFUSED, "Globus no longer accepts the consent that you gave to qstage. Sign in again."
    )
