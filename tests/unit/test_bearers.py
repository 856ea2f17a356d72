"""Globus tokens as credentials: which open the service, for how long an answer is believed, and what garbage costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from login_browser import Visitor, visitor_of
from login_house import ADA, BOB, MOST_SIGN_INS, SCOPE, START, US, House

from chalicelib.core.bearers import TokenFacts, good, may_be_token, owner_of
from chalicelib.core.errors import FarSide, Forbidden, TooMany, Unauthenticated
from chalicelib.core.keys import ADMIN, KeyKind
from chalicelib.core.logins import SignInPolicy

TOKEN = "Ag" + "x" * 60
HOME, AWAY = "192.0.2.1", "192.0.2.2"
FACTS = TokenFacts(
    user=ADA,
    username="ada@uni.example",
    audience=frozenset({US, "some-client"}),
    scopes=frozenset({SCOPE}),
    issuer="https://auth.globus.org",
    issued_at=START - timedelta(hours=1),
    expires_at=START + timedelta(hours=47),
    linked=(ADA,),
)


@pytest.fixture
def house() -> House:
    return a_house()


def a_house(policy: SignInPolicy | None = None) -> House:
    house = House(policy)
    house.reader.told[TOKEN] = FACTS
    return house


@pytest.fixture
def program(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visitor]:
    with visitor_of(house, monkeypatch) as one:
        yield one


def call(house: House, token: str = TOKEN, address: str = HOME) -> Any:
    return house.access.authenticate(f"Bearer {token}", house.clock.now(), address=address)


def refused(house: House, token: str = TOKEN, address: str = HOME) -> None:
    with pytest.raises(Unauthenticated, match="not valid, has expired, or was revoked"):
        call(house, token, address)


def test_a_token_for_our_scope_makes_its_user_a_caller_who_may_submit_and_read_and_no_more(house: House) -> None:
    caller = call(house)
    assert (caller.user, caller.username, caller.kind, caller.key_id) == (ADA, "ada@uni.example", KeyKind.BEARER, "")
    assert caller.life == timedelta(hours=48)
    caller.require("jobs")
    caller.require("read")
    for scope in (ADMIN, "site:theta"):
        with pytest.raises(Forbidden):
            caller.require(scope)


@pytest.mark.parametrize(
    "wrong",
    [
        {"audience": frozenset({"some-client"})},
        {"scopes": frozenset({"urn:globus:auth:scope:transfer.api.globus.org:all"})},
        {"scopes": frozenset({f"{SCOPE}2"})},
        {"scopes": frozenset({f"https://auth.globus.org/scopes/{ADA}/jobs"})},
        {"expires_at": START},
        {"issued_at": START + timedelta(minutes=6)},
        {"issuer": "https://auth.evil.example"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_token_of_which_anything_does_not_hold_opens_nothing(house: House, wrong: dict[str, Any]) -> None:
    house.reader.told[TOKEN] = replace(FACTS, **wrong)
    assert not good(house.reader.told[TOKEN], scope=SCOPE, now=START)
    refused(house)


def test_a_token_that_is_not_active_opens_nothing_and_the_answer_is_kept(house: House) -> None:
    for _ in range(5):
        refused(house, "A" * 60)
    assert len(house.reader.asked) == 1


@pytest.mark.parametrize(
    "text",
    ["", "short", "qsk_abcdefghijkl_" + "x" * 20, "x" * 3000, "A" * 30 + "\nA", "A" * 30 + " B", "é" * 30, "{}" * 20],
)
def test_what_cannot_be_a_token_is_not_asked_about(house: House, text: str) -> None:
    assert not may_be_token(text)
    with pytest.raises(Unauthenticated):
        call(house, text)
    assert house.reader.asked == []


def test_an_answer_is_believed_for_a_minute_so_a_revoked_token_is_dead_by_then(house: House) -> None:
    for _ in range(20):
        call(house)
    assert house.reader.asked == [TOKEN]
    del house.reader.told[TOKEN]
    house.clock.turn(seconds=59)
    call(house)
    house.clock.turn(seconds=1)
    refused(house)
    assert len(house.reader.asked) == 2


def test_a_token_is_not_believed_beyond_its_own_end(house: House) -> None:
    house.reader.told[TOKEN] = replace(FACTS, expires_at=START + timedelta(seconds=10))
    call(house)
    house.clock.turn(seconds=10)
    refused(house)


def test_a_refused_token_is_asked_about_again_after_a_minute(house: House) -> None:
    later = "B" * 60
    refused(house, later)
    house.reader.told[later] = FACTS
    house.clock.turn(minutes=1)
    assert call(house, later).user == ADA


def test_what_is_kept_of_a_token_is_its_digest(house: House) -> None:
    call(house)
    assert house.access.bearers is not None
    assert TOKEN not in str(house.access.bearers._good)


def test_an_address_that_sends_garbage_is_stopped_without_another_question(house: House) -> None:
    for n in range(MOST_SIGN_INS):
        refused(house, f"{n:060}")
    with pytest.raises(TooMany, match=f"More than {MOST_SIGN_INS} tokens that are not good") as first:
        call(house, "z" * 60)
    asked = len(house.reader.asked)
    for n in range(50):
        with pytest.raises(TooMany):
            call(house, f"more{n:060}")
    assert len(house.reader.asked) == asked
    assert call(house, address=AWAY).user == ADA, "others are not held up"
    house.clock.turn(seconds=first.value.retry_after)
    assert call(house).user == ADA


def test_garbage_pushes_out_no_good_answer(house: House) -> None:
    call(house)
    for n in range(1100):
        with pytest.raises((Unauthenticated, TooMany)):
            call(house, f"{n:060}", address=f"10.{n // 250}.{n % 250}.1")
    del house.reader.told[TOKEN]
    assert call(house).user == ADA


def test_the_count_holds_for_all_processes(house: House) -> None:
    for n in range(MOST_SIGN_INS):
        refused(house, f"{n:060}")
    house.access = house.another_door()
    with pytest.raises(TooMany):
        call(house, "z" * 60)


def test_globus_not_answering_is_told_as_such_and_not_kept(house: House) -> None:
    house.reader.fails = FarSide("auth", "x", "down", transient=True)
    with pytest.raises(FarSide):
        call(house)
    house.reader.fails = None
    assert call(house).user == ADA


def test_who_may_not_sign_in_may_not_call_either() -> None:
    refused(a_house(SignInPolicy()))
    refused(a_house(SignInPolicy(domains=frozenset({"lab.example"}))))
    assert call(a_house(SignInPolicy(domains=frozenset({"uni.example"})))).user == ADA
    assert call(a_house(SignInPolicy(identities=frozenset({ADA})))).user == ADA


def test_a_linked_identity_admits_as_it_does_at_a_sign_in() -> None:
    for policy in (SignInPolicy(domains=frozenset({"lab.example"})), SignInPolicy(identities=frozenset({BOB}))):
        house = a_house(policy)
        house.reader.told[TOKEN] = replace(FACTS, linked=(ADA, BOB))
        house.reader.names[BOB] = "bob@lab.example"
        assert call(house).user == ADA
    house = a_house(SignInPolicy(domains=frozenset({"uni.example"})))
    house.reader.told[TOKEN] = replace(FACTS, linked=(ADA, BOB))
    assert call(house).user == ADA
    assert house.reader.looked_up == [], "asked for only if it decides"


def test_without_a_scope_no_globus_token_opens_anything(house: House) -> None:
    assert replace(house.inspecting, scope="").bearer(TOKEN) is None
    house.access = replace(house.access, bearers=None)
    refused(house)
    assert house.reader.asked == []


def test_a_scope_names_the_client_that_it_belongs_to() -> None:
    assert owner_of(SCOPE) == US
    for text in ("", "jobs", SCOPE.upper(), f"{SCOPE}/more", "https://auth.globus.org/scopes/x/jobs"):
        with pytest.raises(ValueError, match="is not https"):
            owner_of(text)


def test_me_shows_the_bearer_of_a_token_without_a_key_and_the_login_that_is_missing(program: Visitor) -> None:
    me = program.get("/v1/me", Authorization=f"Bearer {TOKEN}").json
    assert (me["id"], me["username"], me["key"]) == (ADA, "ada@uni.example", None)
    assert me["login"]["state"] == "needed"
    assert program.get("/v1/keys", Authorization=f"Bearer {TOKEN}").status == 200
    made = program.post("/v1/keys", {"name": "ci"}, Authorization=f"Bearer {TOKEN}")
    assert (made.status, made.json["type"]) == (403, "urn:qstage:missing-scope")
    assert program.delete("/v1/keys/abc", Authorization=f"Bearer {TOKEN}").status == 403
