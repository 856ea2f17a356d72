"""The sign-in and token services over the real Globus Auth adapters, for tests that run the emulator."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

from chalicelib.adapters.globus_auth import GlobusAuthorize, GlobusCollections, GlobusTokens
from chalicelib.adapters.globus_errors import globus as calling
from chalicelib.adapters.memory.places import MemoryCollections
from chalicelib.adapters.memory.rows import MemoryRows
from chalicelib.adapters.memory_logins import MemoryLogins
from chalicelib.adapters.memory_tokens import MemorySeal, MemoryTokens
from chalicelib.core.ids import CollectionId, UserId
from chalicelib.core.logins import LoginRequest, SignInPolicy
from chalicelib.core.ports.auth import ClientCredentials, Wake
from chalicelib.core.tokens import AccessToken
from chalicelib.service.exchange import Exchanging
from chalicelib.service.sign_in import Answer, Finished, SignIn
from chalicelib.service.tokens import Tokens
from emulators.clock import TurnedClock
from emulators.globus import Browser, GlobusEmulator

CALLBACK = "http://127.0.0.1:4321/api/callback"


class Moments:
    """Our clock port over the emulators' clock."""

    def __init__(self, clock: TurnedClock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)


class Everyone:
    """Nobody waits, everybody has live jobs."""

    def user_signed_in(self, user: UserId) -> None:
        self.last = user

    def has_live_jobs(self, user: UserId) -> bool:
        return True

    def look_again(self, user: UserId) -> None:
        self.last = user


class Deployment:
    """The sign-in and token services over the real adapters and memory stores."""

    def __init__(self, emulator: GlobusEmulator, clock: TurnedClock, wake: Wake | None = None) -> None:
        client = emulator.client("qstage")
        self.emulator, self.turned, self.clock = emulator, clock, Moments(clock)
        self.credentials = ClientCredentials(client_id=client.id, client_secret=client.secret or "")
        self.endpoint = GlobusTokens(lambda: self.credentials, self.clock)
        self.source = GlobusCollections(lambda: self.credentials)
        self.stored, self.seal, self.logins = MemoryTokens(), MemorySeal(), MemoryLogins()
        collections = MemoryCollections(MemoryRows())
        exchanging = Exchanging(
            endpoint=self.endpoint,
            sealer=self.seal,
            tokens=self.stored,
            source=self.source,
            cache=collections,
            policy=SignInPolicy(anyone=True),
            clock=self.clock,
        )
        self.sign_in = SignIn(
            store=self.logins,
            exchange=exchanging,
            collections=collections,
            authorize=GlobusAuthorize(client.id),
            wake=wake or Everyone(),
            entropy=secrets.token_bytes,
            redirect_uri=CALLBACK,
        )
        self.tokens = Tokens(store=self.stored, seal=self.seal, endpoint=self.endpoint, live=Everyone())

    def collection(self, name: str) -> CollectionId:
        return CollectionId(self.emulator.collections[name])

    def login(
        self,
        browser: Browser,
        *names: str,
        who: str = "ada@uni.example",
        request: LoginRequest | None = None,
        **pages: str,
    ) -> Finished:
        """The whole way through the pages, with ``data_access`` for the named collections."""
        wanted = request or LoginRequest(collections=tuple(self.collection(each) for each in names))
        begun = self.sign_in.begin(wanted, self.clock.now())
        back = browser.sign_in(begun.url, who, **pages)  # type: ignore[arg-type]
        query = dict(parse_qsl(urlsplit(back).query))
        answer = Answer(state=query["state"], code=query.get("code", ""), error=query.get("error", ""))
        return self.sign_in.finish(answer, begun.browser_secret, self.clock.now())

    def list_directory(self, token: AccessToken, name: str) -> None:
        from globus_sdk import AccessTokenAuthorizer, TransferClient
        from globus_sdk.transport import RetryConfig

        authorizer = AccessTokenAuthorizer(token.value)
        with calling("transfer"), TransferClient(authorizer=authorizer, retry_config=RetryConfig(max_retries=0)) as t:
            t.operation_ls(self.collection(name), path="/")
