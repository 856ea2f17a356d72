"""The exchange function's two verbs: finish a login, look collections up.

This is the only place where a code becomes tokens. It seals and stores them and tells the API who signed in,
and nothing else: no token leaves this function in the clear.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chalicelib.core.consent import CollectionFacts
from chalicelib.core.errors import FarSide
from chalicelib.core.ids import CollectionId
from chalicelib.core.logins import IdClaims, SignedIn, SignInPolicy, check_claims
from chalicelib.core.ports.auth import CodeAnswer, CollectionFactsSource, ExchangeRequest, TokenEndpoint
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.places import Collections
from chalicelib.core.ports.tokens import Sealer, TokenStore
from chalicelib.core.tokens import PURPOSE, first_record

_TRIES = 5
"""A login competes with one renewal at a time; more lost races than this mean something else is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanging:
    """Implements ``core.ports.auth.Exchange`` in the function that holds the secret."""

    endpoint: TokenEndpoint
    sealer: Sealer
    tokens: TokenStore
    source: CollectionFactsSource
    cache: Collections
    policy: SignInPolicy
    clock: Clock

    def exchange(self, request: ExchangeRequest) -> SignedIn:
        """Finish a login. Raises SignInRefused, GrantRefused or FarSide; nothing is stored then."""
        answer = self.endpoint.exchange_code(request)
        check_claims(
            answer.claims,
            nonce=request.nonce,
            for_user=request.for_user,
            policy=self.policy,
            now=self.clock.now(),
        )
        self._store(answer, request.scopes)
        return _told(answer.claims, request.scopes)

    def _store(self, answer: CodeAnswer, scopes: tuple[str, ...]) -> None:
        """Replace whatever is stored: a login is newer than any renewal under way."""
        user = answer.claims.user
        sealed = self.sealer.seal(answer.tokens, user=user, purpose=PURPOSE)
        for _ in range(_TRIES):
            stored = self.tokens.load(user)
            over = stored.version if stored else None
            record = first_record(
                user, sealed, answer.tokens, scopes, over, self.clock.now(), session=answer.claims.session
            )
            if self.tokens.replace(record, over=over):
                return
        raise FarSide("tokens", "contended", "The tokens are being replaced by others.", transient=True)

    def collections(self, ids: Iterable[CollectionId]) -> Mapping[CollectionId, CollectionFacts]:
        """Look collections up with the client's own token and remember what was learnt."""
        facts = self.source.facts(ids)
        if facts:
            self.cache.put(facts.values(), self.clock.now())
        return facts


def _told(claims: IdClaims, scopes: tuple[str, ...]) -> SignedIn:
    return SignedIn(
        user=claims.user,
        username=claims.username,
        name=claims.name,
        email=claims.email,
        auth_time=claims.auth_time,
        scopes=scopes,
        identities=tuple(user for user, _ in claims.identities),
        session=claims.session,
    )
