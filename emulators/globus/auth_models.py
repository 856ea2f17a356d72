"""What Globus Auth remembers: sessions, consents, codes, tokens. Asks nothing of HTTP.

Consents belong to (client, identity), tokens to what consented. Rescinding a consent kills what came from it. Every
caller holds the world's lock.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from emulators.globus.config import Settings
from emulators.globus.ids import opaque, random_id
from emulators.globus.scopes import Scope

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """One sign-in: when, through which provider, by what means."""

    auth_time: float
    provider_id: str
    methods: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Session:
    """A login session. Signing in again renews it; refreshing a token does not."""

    id: str
    cookie: str = field(default_factory=opaque, repr=False)
    authentications: dict[str, Authentication] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    id: int
    ids: tuple[int, ...]
    client: str
    identity: str
    path: Path
    optional: bool
    allows_refresh: bool
    automatic: bool
    created: float
    updated: float
    last_used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one login or one request of a client was given; all its tokens name it."""

    id: str
    client: str
    identity: str
    scopes: tuple[str, ...]
    offline: bool
    session: Session | None
    nonce: str | None = None
    redirect_uri: str = ""
    challenge: str | None = None
    state: str | None = None


@dataclass(slots=True, kw_only=True)
class Token:
    value: str = field(repr=False)
    kind: Literal["access", "refresh"]
    grant: Grant
    server: str
    scopes: tuple[str, ...]
    issued: float
    expires: float


@dataclass(slots=True, kw_only=True)
class Code:
    grant: Grant
    expires: float
    spent: bool = False


class AuthBook:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._numbers = itertools.count(100_001)
        self.sessions: dict[str, Session] = {}  # by cookie: the id is told to applications
        self.codes: dict[str, Code] = {}
        self._tokens: dict[str, Token] = {}
        self._consents: dict[tuple[str, str], dict[Path, Consent]] = {}

    # -- sessions ------------------------------------------------------------------------------------------

    def new_session(self) -> Session:
        session = Session(id=random_id())
        self.sessions[session.cookie] = session
        return session

    # -- consents ------------------------------------------------------------------------------------------

    def consent(
        self, client: str, identity: str, scopes: Iterable[Scope], *, refresh: bool, now: float, automatic: bool
    ) -> None:
        """Record consent for every path of the scopes; what was there is renewed."""
        book = self._consents.setdefault((client, identity), {})
        for path, optional in (each for scope in scopes for each in scope.paths()):
            before = book.get(path)
            if before is not None:
                allows = before.allows_refresh or refresh
                book[path] = replace(before, allows_refresh=allows, updated=now, last_used=now)
                continue
            number = next(self._numbers)
            above = book[path[:-1]].ids if len(path) > 1 else ()
            book[path] = Consent(
                id=number,
                ids=(*above, number),
                client=client,
                identity=identity,
                path=path,
                optional=optional,
                allows_refresh=refresh,
                automatic=automatic,
                created=now,
                updated=now,
                last_used=now,
            )

    def has_consent(self, client: str, identity: str, path: Path) -> bool:
        return path in self._consents.get((client, identity), {})

    def consents(self, client: str | None, identity: str) -> list[Consent]:
        """What an identity has consented to: for one client, or (None) for all."""
        return [
            consent
            for (owner, who), book in self._consents.items()
            if who == identity and client in (None, owner)
            for consent in book.values()
        ]

    def rescind(self, client: str, identity: str, path: Path) -> bool:
        """Take a consent back with all that hangs on it; False if there was none."""
        book = self._consents.get((client, identity), {})
        gone = [each for each in book if each[: len(path)] == path]
        for each in gone:
            del book[each]
        roots = {each[0] for each in gone if len(each) == 1}
        if roots:
            self._drop(
                token
                for token in self._tokens.values()
                if (token.grant.client, token.grant.identity) == (client, identity) and roots & {*token.scopes}
            )
        return bool(gone)

    # -- codes ---------------------------------------------------------------------------------------------

    def issue_code(self, grant: Grant, now: float) -> str:
        value = opaque(30)
        self.codes[value] = Code(grant=grant, expires=now + self._settings.code_lifetime)
        return value

    def spend_code(self, value: str, now: float) -> Grant | None:
        """The grant of a code, once. A code that comes back is stolen: what it had brought dies."""
        code = self.codes.get(value)
        if code is None:
            return None
        if code.spent:
            self._drop(token for token in self._tokens.values() if token.grant is code.grant)
            return None
        code.spent = True
        return code.grant if now < code.expires else None

    # -- tokens --------------------------------------------------------------------------------------------

    def issue(self, kind: Literal["access", "refresh"], grant: Grant, server: str, scopes: Path, now: float) -> Token:
        settings = self._settings
        life = settings.access_token_lifetime if kind == "access" else settings.refresh_token_lifetime
        token = Token(
            value="Ag" + opaque(70),
            kind=kind,
            grant=grant,
            server=server,
            scopes=scopes,
            issued=now,
            expires=now + life,
        )
        self._tokens[token.value] = token
        return token

    def live(self, value: str, now: float, kind: Literal["access", "refresh"] | None = None) -> Token | None:
        """The token of this value if it exists, has not expired and is of the kind."""
        token = self._tokens.get(value)
        if token is None or kind not in (None, token.kind):
            return None
        if now >= token.expires:
            del self._tokens[value]
            return None
        return token

    def use_refresh(self, token: Token, now: float) -> None:
        """A refresh token lives on from its last use."""
        token.expires = now + self._settings.refresh_token_lifetime

    def revoke(self, value: str) -> None:
        """Kill a token; a refresh token takes the access tokens of its grant and server with it."""
        token = self._tokens.get(value)
        if token is None:
            return
        self._drop(
            each
            for each in self._tokens.values()
            if each is token or (token.kind == "refresh" and each.grant is token.grant and each.server == token.server)
        )

    def revoke_of(self, identity: str, kind: Literal["access", "refresh"] | None = None) -> int:
        """Kill all tokens of an identity (of one kind); how many there were."""
        return self._drop(
            token for token in self._tokens.values() if token.grant.identity == identity and kind in (None, token.kind)
        )

    def tokens(self) -> Iterator[Token]:
        return iter(list(self._tokens.values()))

    def _drop(self, tokens: Iterable[Token]) -> int:
        gone = [token.value for token in tokens]
        for value in gone:
            del self._tokens[value]
        return len(gone)
