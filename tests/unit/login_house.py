"""The rooms of logins, tokens and keys over memory twins, a scripted Globus Auth and a clock that a test turns."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from chalicelib.adapters.memory.places import MemoryCollections
from chalicelib.adapters.memory.rows import MemoryRows
from chalicelib.adapters.memory_logins import MemoryLogins
from chalicelib.adapters.memory_tokens import MemorySeal, MemoryTokens
from chalicelib.core.bearers import TokenFacts
from chalicelib.core.consent import CollectionFacts, LoginDemand
from chalicelib.core.errors import GrantRefused
from chalicelib.core.ids import CollectionId, UserId
from chalicelib.core.keys import Caller, KeyKind
from chalicelib.core.logins import IdClaims, LoginAttempt, SignInPolicy
from chalicelib.core.ports.auth import CodeAnswer, ExchangeRequest
from chalicelib.core.sessions import Authentication, Session
from chalicelib.core.tokens import PlainTokens
from chalicelib.service.access import Access
from chalicelib.service.bearers import Inspecting, KnownBearers
from chalicelib.service.device import Devices
from chalicelib.service.exchange import Exchanging
from chalicelib.service.keys import Keys
from chalicelib.service.me import Me
from chalicelib.service.sign_in import SignIn
from chalicelib.service.throttle import Throttle
from chalicelib.service.tokens import Tokens

START = datetime(2026, 11, 22, 17, tzinfo=UTC)
ADA = UserId("11111111-1111-4111-8111-111111111111")
BOB = UserId("22222222-2222-4222-8222-222222222222")
MAPPED = CollectionId("aaaaaaaa-0000-4000-8000-000000000001")
OTHER = CollectionId("aaaaaaaa-0000-4000-8000-000000000002")
GUEST = CollectionId("bbbbbbbb-0000-4000-8000-000000000003")
SECURE = CollectionId("cccccccc-0000-4000-8000-000000000004")
WORLD = {
    MAPPED: CollectionFacts(id=MAPPED, entity_type="GCSv5_mapped_collection"),
    OTHER: CollectionFacts(id=OTHER, entity_type="GCSv5_mapped_collection"),
    GUEST: CollectionFacts(id=GUEST, entity_type="GCSv5_guest_collection"),
    SECURE: CollectionFacts(id=SECURE, entity_type="GCSv5_mapped_collection", high_assurance=True),
}
US = "dddddddd-0000-4000-8000-000000000005"
SCOPE = f"https://auth.globus.org/scopes/{US}/jobs"
MOST_SIGN_INS = 20
BASE = "http://127.0.0.1:4321/api"


@dataclass
class Now:
    """A clock that stands until it is turned."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def turn(self, **by: float) -> datetime:
        self.at += timedelta(**by)
        return self.at


@dataclass
class ScriptedAuth:
    """Globus Auth as a test wants it: codes name people, refresh tokens can be dead, errors can be set."""

    clock: Now
    life: timedelta = timedelta(hours=48)
    claims: dict[str, object] = field(default_factory=dict)
    fails: Exception | None = None
    repeats_refresh: bool = True
    dead: set[str] = field(default_factory=set)
    bought: list[ExchangeRequest] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)
    before_answer: object = None
    count: int = 0

    def url(self, attempt: LoginAttempt, *, state: str, verifier: str, nonce: str, redirect_uri: str) -> str:
        return f"https://auth.test/authorize?state={state}&nonce={nonce}&redirect_uri={redirect_uri}"

    def tokens(self, refresh: str | None) -> PlainTokens:
        self.count += 1
        return PlainTokens(
            access_token=f"access-{self.count}", refresh_token=refresh, expires_at=self.clock.now() + self.life
        )

    def exchange_code(self, request: ExchangeRequest) -> CodeAnswer:
        self.bought.append(request)
        if self.fails:
            raise self.fails
        user, username = {"bob": (BOB, "bob@google.com")}.get(request.code, (ADA, "ada@uni.example"))
        fields: dict[str, object] = {
            "user": user,
            "username": username,
            "name": username.partition("@")[0].title(),
            "email": username,
            "nonce": request.nonce,
            "issued_at": self.clock.now(),
            "expires_at": self.clock.now() + timedelta(hours=1),
            "auth_time": self.clock.now(),
            "identities": ((user, username),),
            "session": Session(
                authentications=(Authentication(identity=user, username=username, auth_time=self.clock.now()),)
            ),
        }
        claims = IdClaims(**{**fields, **self.claims})  # type: ignore[arg-type]
        return CodeAnswer(claims=claims, tokens=self.tokens(f"refresh-{len(self.bought)}"))

    def refresh(self, refresh_token: str) -> PlainTokens:
        self.refreshed.append(refresh_token)
        if self.fails:
            raise self.fails
        if callable(self.before_answer):
            self.before_answer()
        if refresh_token in self.dead:
            raise GrantRefused(status=400)
        return self.tokens(refresh_token if self.repeats_refresh else None)

    def revoke(self, token: str) -> None:
        self.dead.add(token)


@dataclass
class ScriptedReader:
    """What Globus Auth says of tokens, by token; the names of linked identities; and what it was asked."""

    told: dict[str, TokenFacts] = field(default_factory=dict)
    names: dict[UserId, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    looked_up: list[UserId] = field(default_factory=list)
    fails: Exception | None = None

    def facts(self, token: str) -> TokenFacts | None:
        self.asked.append(token)
        if self.fails:
            raise self.fails
        return self.told.get(token)

    def usernames(self, users: Iterable[UserId]) -> Mapping[UserId, str]:
        self.looked_up += users
        return {each: self.names[each] for each in self.looked_up if each in self.names}


@dataclass
class WorldFacts:
    """What Globus knows of collections; ``fails`` makes it not answer."""

    asked: list[tuple[CollectionId, ...]] = field(default_factory=list)
    fails: Exception | None = None

    def facts(self, collections: Iterable[CollectionId]) -> Mapping[CollectionId, CollectionFacts]:
        ids = tuple(collections)
        self.asked.append(ids)
        if self.fails:
            raise self.fails
        return {each: WORLD[each] for each in ids if each in WORLD}


@dataclass
class Doorbell:
    """Wake, LoginNeeds and LiveUsers, as the planner's side would be."""

    woken: list[UserId] = field(default_factory=list)
    demands: dict[UserId, LoginDemand] = field(default_factory=dict)
    live: set[UserId] = field(default_factory=set)
    looked: list[UserId] = field(default_factory=list)

    def look_again(self, user: UserId) -> None:
        self.looked.append(user)

    def user_signed_in(self, user: UserId) -> None:
        self.woken.append(user)
        self.demands.pop(user, None)

    def current(self, user: UserId) -> LoginDemand | None:
        return self.demands.get(user)

    def has_live_jobs(self, user: UserId) -> bool:
        return user in self.live


class House:
    """Every service of the rooms, wired."""

    base_url = BASE

    def __init__(self, policy: SignInPolicy | None = None) -> None:
        self.clock = Now()
        self.auth = ScriptedAuth(self.clock)
        self.world = WorldFacts()
        self.bell = Doorbell()
        self.logins, self.stored, self.seal = MemoryLogins(), MemoryTokens(), MemorySeal()
        collections = MemoryCollections(MemoryRows())
        self.exchanging = Exchanging(
            endpoint=self.auth,
            sealer=self.seal,
            tokens=self.stored,
            source=self.world,
            cache=collections,
            policy=policy or SignInPolicy(anyone=True),
            clock=self.clock,
        )
        self.sign_in = SignIn(
            store=self.logins,
            exchange=self.exchanging,
            collections=collections,
            authorize=self.auth,
            wake=self.bell,
            entropy=secrets.token_bytes,
            redirect_uri=f"{BASE}/callback",
        )
        self.keys = Keys(store=self.logins, entropy=secrets.token_bytes)
        self.devices = Devices(store=self.logins, sessions=self.logins, keys=self.keys, entropy=secrets.token_bytes)
        self.throttle = Throttle(tallies=self.logins, most=MOST_SIGN_INS)
        self.reader = ScriptedReader()
        self.inspecting = Inspecting(
            reader=self.reader, policy=policy or SignInPolicy(anyone=True), scope=SCOPE, clock=self.clock
        )
        self.access = self.another_door()
        self.me = Me(keys=self.logins, profiles=self.logins, needs=self.bell)
        self.tokens = self.another_process()

    def another_process(self) -> Tokens:
        """A token service with nothing warm, over the same stores."""
        return Tokens(store=self.stored, seal=self.seal, endpoint=self.auth, live=self.bell)

    def another_door(self) -> Access:
        """The check of credentials in a process that has heard of no Globus token yet."""
        return Access(keys=self.logins, bearers=KnownBearers(source=self.inspecting, throttle=self.throttle))

    def key_of(self, user: UserId, *scopes: str) -> str:
        """A ready-made key."""
        minted = self.keys.mint(
            user=user,
            username=f"{user[:4]}@uni.example",
            name="test",
            scopes=frozenset(scopes),
            life=timedelta(days=30),
            now=self.clock.now(),
        )
        assert minted.key is not None
        return minted.key.reveal()


def caller(user: UserId, *scopes: str) -> Caller:
    return Caller(user=user, username="ada", kind=KeyKind.KEY, scopes=frozenset(scopes), key_id="k" * 12)
