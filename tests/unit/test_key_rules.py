"""API keys and agents' tokens: what they look like, how far they reach, and when they die."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from login_house import ADA, BOB, START, House, caller

from chalicelib.core.errors import Forbidden, Invalid, NotFound, TooMany, Unauthenticated
from chalicelib.core.ids import SiteId
from chalicelib.core.keys import AGENT_LIFE, MOST_KEYS, KeyKind, new_key, parse_key, site_scope
from chalicelib.service.keys import KeyAsk

ASK = KeyAsk(name="laptop", scopes=("jobs",), days=30)


@pytest.fixture
def house() -> House:
    return House()


def test_a_key_reads_back_and_hides_its_secret() -> None:
    key = new_key(KeyKind.KEY, bytes(range(40)))
    assert re.fullmatch(r"qsk_[a-z2-7]{12}_[A-Za-z0-9_-]{43}", key.reveal())
    assert parse_key(key.reveal()) == key
    assert key.secret not in repr(key)


@pytest.mark.parametrize("text", ["", "qsk_", "qsk_aaaaaaaaaaaa_short", "qsx_aaaaaaaaaaaa_" + "x" * 43, "x" * 5000])
def test_what_cannot_be_a_key_is_none(text: str) -> None:
    assert parse_key(text) is None


def test_a_key_opens_until_it_expires(house: House) -> None:
    header = f"Bearer {house.key_of(ADA, 'jobs')}"
    assert house.access.authenticate(header, START).user == ADA
    with pytest.raises(Unauthenticated):
        house.access.authenticate(header, START + timedelta(days=30))


@pytest.mark.parametrize(
    "spoil", [lambda k: k[:-1] + ("A" if k[-1] != "A" else "B"), lambda k: "qsa" + k[3:], str.upper]
)
def test_a_key_that_differs_in_anything_does_not_open(house: House, spoil: object) -> None:
    key = house.key_of(ADA, "jobs")
    assert callable(spoil)
    with pytest.raises(Unauthenticated):
        house.access.authenticate(f"Bearer {spoil(key)}", START)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic abc", "Bearer  ", "qsk_aaaaaaaaaaaa"])
def test_no_key_is_no_caller(house: House, header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        house.access.authenticate(header, START)


def test_a_revoked_key_is_dead_at_once(house: House) -> None:
    text = house.key_of(ADA, "jobs")
    house.keys.revoke(caller(ADA, "admin"), text.split("_")[1])
    with pytest.raises(Unauthenticated):
        house.access.authenticate(f"Bearer {text}", START)


def test_last_use_is_written_at_most_once_an_hour(house: House) -> None:
    text = house.key_of(ADA, "jobs")
    uses = []
    for minutes in (0, 30, 61, 70):
        house.access.authenticate(f"Bearer {text}", START + timedelta(minutes=minutes))
        uses.append(house.logins.keys_of(ADA)[0].last_used_at)
    assert uses == [START, START, START + timedelta(minutes=61), START + timedelta(minutes=61)]


@pytest.mark.parametrize(
    ("held", "may", "may_not"),
    [
        ("admin", {"admin", "jobs", "read"}, {"site:theta"}),
        ("jobs", {"jobs", "read"}, {"admin"}),
        ("read", {"read"}, {"jobs", "admin"}),
        ("site:theta", {"site:theta"}, {"read", "jobs", "admin", "site:other"}),
    ],
)
def test_scopes_reach_as_far_as_they_say(held: str, may: set[str], may_not: set[str]) -> None:
    who = caller(ADA, held)
    assert all(who.may(scope) for scope in may)
    for scope in may_not:
        with pytest.raises(Forbidden):
            who.require(scope)


def test_an_agents_token_is_good_for_its_site_alone(house: House) -> None:
    minted = house.keys.mint(
        user=ADA,
        username="ada",
        name="agent of theta",
        kind=KeyKind.AGENT,
        scopes=frozenset({site_scope(SiteId("theta"))}),
        life=AGENT_LIFE,
        now=START,
    )
    assert minted.key is not None
    assert minted.key.reveal().startswith("qsa_")
    agent = house.access.authenticate(f"Bearer {minted.key.reveal()}", START)
    assert agent.kind is KeyKind.AGENT
    assert agent.may("site:theta")
    assert not agent.may("read")


def test_a_key_gives_no_more_than_its_maker_has(house: House) -> None:
    with pytest.raises(Forbidden):
        house.keys.create(caller(ADA, "jobs"), ASK, START, None)
    with pytest.raises(Invalid) as error:
        house.keys.create(caller(ADA, "admin"), KeyAsk(name="", scopes=("jobs", "root"), days=900), START, None)
    assert {fault.pointer for fault in error.value.faults} == {"/name", "/scopes/1", "/days"}


def test_a_repeat_under_an_idempotency_key_makes_no_second_key_and_shows_no_secret(house: House) -> None:
    first = house.keys.create(caller(ADA, "admin"), ASK, START, "once")
    again = house.keys.create(caller(ADA, "admin"), ASK, START + timedelta(hours=1), "once")
    assert first.key is not None
    assert (again.key, again.record) == (None, first.record)
    other = house.keys.create(caller(BOB, "admin"), ASK, START, "once")
    assert other.record.id != first.record.id
    with pytest.raises(Invalid) as error:
        house.keys.create(caller(ADA, "admin"), KeyAsk(name="other", scopes=("jobs",), days=30), START, "once")
    assert error.value.code == "idempotency-mismatch"


def test_nobody_sees_or_ends_the_key_of_another(house: House) -> None:
    key_id = house.key_of(ADA, "jobs").split("_")[1]
    assert house.keys.list(caller(BOB, "admin")) == []
    with pytest.raises(NotFound):
        house.keys.revoke(caller(BOB, "admin"), key_id)
    assert [record.id for record in house.keys.list(caller(ADA, "read"))] == [key_id]


def test_a_key_may_end_itself_and_no_other_without_admin(house: House) -> None:
    text = house.key_of(ADA, "read")
    me = house.access.authenticate(f"Bearer {text}", START)
    other = house.key_of(ADA, "jobs").split("_")[1]
    with pytest.raises(Forbidden):
        house.keys.revoke(me, other)
    house.keys.revoke(me, me.key_id)
    assert [record.id for record in house.logins.keys_of(ADA)] == [other]


def test_a_user_has_so_many_good_keys_and_no_more(house: House) -> None:
    admin = caller(ADA, "admin")
    ask = KeyAsk(name="ci", scopes=("read",), days=7)
    for number in range(MOST_KEYS):
        house.keys.create(admin, ask, START, f"key {number}")
    with pytest.raises(TooMany, match=f"You have {MOST_KEYS} keys that are good; {MOST_KEYS} are the most"):
        house.keys.create(admin, ask, START, "one more")
    assert house.keys.create(admin, ask, START, "key 0").key is None, "a repeat makes nothing"
    house.keys.create(caller(BOB, "admin"), ask, START, None)
    later = START + timedelta(days=7)
    assert house.keys.create(admin, ask, later, None).key is not None, "the others are over"
