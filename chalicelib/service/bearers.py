"""Callers who show a Globus token: asked about in the function that may, believed for a minute in the one that serves.

``Inspecting`` runs beside the client's secret. ``KnownBearers`` runs in the public API: it keeps answers by the
SHA-256 of the token, the bad ones too, and stops asking for an address that sends many bad ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from chalicelib.core.bearers import GOOD_FOR, Bearer, TokenFacts, good
from chalicelib.core.errors import TooMany
from chalicelib.core.ids import UserId
from chalicelib.core.logins import SignInPolicy, hashed
from chalicelib.core.ports.bearers import Bearers, TokenReader
from chalicelib.core.ports.clock import Clock
from chalicelib.core.rates import BEARER, network, seconds_until
from chalicelib.service.throttle import Throttle

_MOST_KEPT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspecting:
    """Implements ``core.ports.bearers.Bearers`` in the function that holds the secret. ``scope`` is our own."""

    reader: TokenReader
    policy: SignInPolicy
    scope: str
    clock: Clock

    def bearer(self, token: str) -> Bearer | None:
        """Whose token it is, or None. Raises FarSide."""
        facts = self.reader.facts(token) if self.scope else None
        if facts is None or not good(facts, scope=self.scope, now=self.clock.now()):
            return None
        if not self._admits(facts):
            return None
        return Bearer(user=facts.user, username=facts.username, issued_at=facts.issued_at, expires_at=facts.expires_at)

    def _admits(self, facts: TokenFacts) -> bool:
        """The same rule as for a sign-in; the usernames of linked identities are asked for only if they decide."""
        if self.policy.admits_any([(facts.user, facts.username), *((each, "") for each in facts.linked)]):
            return True
        others = [each for each in facts.linked if each != facts.user]
        return bool(self.policy.domains and others) and self.policy.admits_any(self._named(others))

    def _named(self, users: Iterable[UserId]) -> Iterable[tuple[UserId, str]]:
        return self.reader.usernames(users).items()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    bearer: Bearer | None
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBearers:
    """One instance a process. Good answers and bad ones are kept apart, so that garbage pushes out no caller."""

    source: Bearers
    throttle: Throttle
    _good: dict[str, _Answer] = field(default_factory=dict, repr=False)
    _bad: dict[str, _Answer] = field(default_factory=dict, repr=False)
    _blocked: dict[str, datetime] = field(default_factory=dict, repr=False)

    def find(self, token: str, address: str, now: datetime) -> Bearer | None:
        """Whose token it is, or None. Raises TooMany for an address that sends many bad ones, and FarSide."""
        digest = hashed(token)
        for kept in (self._good, self._bad):
            answer = kept.get(digest)
            if answer is not None and now < answer.until:
                return answer.bearer
        self._check(address, now)
        bearer = self.source.bearer(token)
        if bearer is None:
            _keep(self._bad, digest, _Answer(bearer=None, until=now + GOOD_FOR))
            self._count(address, now)
            return None
        _keep(self._good, digest, _Answer(bearer=bearer, until=min(now + GOOD_FOR, bearer.expires_at)))
        return bearer

    def _check(self, address: str, now: datetime) -> None:
        until = self._blocked.get(network(address))
        if until is not None and now < until:
            raise self.throttle.refusal(BEARER, seconds_until(until, now))

    def _count(self, address: str, now: datetime) -> None:
        try:
            self.throttle.count(BEARER, address, now)
        except TooMany as refused:
            if len(self._blocked) >= _MOST_KEPT:
                self._blocked.clear()
            self._blocked[network(address)] = self.throttle.ends(BEARER, address, now)
            raise refused from None


def _keep(kept: dict[str, _Answer], digest: str, answer: _Answer) -> None:
    if len(kept) >= _MOST_KEPT:
        kept.clear()
    kept[digest] = answer
