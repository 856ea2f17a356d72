"""One contract for every login store: the twin in memory, moto, and DynamoDB Local where there is Java."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from login_stores import each_store, login_stores

from chalicelib.core.consent import SessionDemand
from chalicelib.core.devices import DeviceGrant, DeviceState
from chalicelib.core.ids import CollectionId, UserId
from chalicelib.core.keys import KeyKind, KeyRecord
from chalicelib.core.logins import LoginAttempt, LoginRequest, Profile, WebSession
from chalicelib.core.ports.logins import LoginStore
from chalicelib.core.sessions import Authentication, Session

NOW = datetime(2026, 11, 22, 17, 0, 0, 123456, tzinfo=UTC)
ADA, BOB = UserId("ada"), UserId("bob")
store = pytest.fixture(params=each_store())(login_stores)

ATTEMPT = LoginAttempt(
    state_hash="s" * 64,
    browser_hash="b" * 64,
    request=LoginRequest(
        collections=(CollectionId("c1"), CollectionId("c2")),
        session=SessionDemand(
            message="why", identities=("i",), single_domain=("d",), policies=("p",), mfa=True, fresh=True
        ),
        next="/jobs",
        device="BCDFGHJK",
        for_user=ADA,
    ),
    scopes=("openid", "transfer[*a]"),
    expires_at=NOW + timedelta(minutes=10),
    round=2,
)
GRANT = DeviceGrant(
    device_hash="d" * 64,
    user_code="BCDFGHJK",
    client="qstage 0.1.0",
    host="laptop",
    address="127.0.0.1",
    scopes=frozenset({"jobs", "read"}),
    collections=(CollectionId("c1"),),
    domain="anl.gov",
    days=7,
    created_at=NOW,
    expires_at=NOW + timedelta(minutes=15),
)
KEY = KeyRecord(
    id="k" * 12,
    digest="e" * 64,
    user=ADA,
    username="ada@uni.example",
    kind=KeyKind.KEY,
    name="laptop",
    scopes=frozenset({"jobs"}),
    created_at=NOW,
    expires_at=NOW + timedelta(days=30),
)
PROFILE = Profile(
    user=ADA,
    username="ada@uni.example",
    name="Ada",
    email="ada@uni.example",
    auth_time=None,
    scopes=("openid",),
    identities=(ADA,),
    signed_in_at=NOW,
    session=Session(
        authentications=(
            Authentication(identity=ADA, username="ada@uni.example", auth_time=NOW, mfa=True, provider="p1"),
        )
    ),
)
SESSION = WebSession(
    cookie_hash="w" * 64, user=ADA, username="ada", signed_in_at=NOW, expires_at=NOW + timedelta(hours=12)
)


def test_an_attempt_is_taken_whole_and_once(store: LoginStore) -> None:
    store.put_attempt(ATTEMPT)
    assert store.take_attempt(ATTEMPT.state_hash, ATTEMPT.browser_hash) == ATTEMPT
    assert store.take_attempt(ATTEMPT.state_hash, ATTEMPT.browser_hash) is None


def test_an_attempt_with_nothing_asked_for_is_taken_too(store: LoginStore) -> None:
    plain = replace(ATTEMPT, request=LoginRequest())
    store.put_attempt(plain)
    assert store.take_attempt(plain.state_hash, plain.browser_hash) == plain


def test_another_browser_cannot_take_an_attempt_nor_spoil_it(store: LoginStore) -> None:
    store.put_attempt(ATTEMPT)
    assert store.take_attempt(ATTEMPT.state_hash, "x" * 64) is None
    assert store.take_attempt("x" * 64, ATTEMPT.browser_hash) is None
    assert store.take_attempt(ATTEMPT.state_hash, ATTEMPT.browser_hash) == ATTEMPT


def test_of_many_takers_of_an_attempt_one_gets_it(store: LoginStore) -> None:
    store.put_attempt(ATTEMPT)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: store.take_attempt(ATTEMPT.state_hash, ATTEMPT.browser_hash), range(16)))
    assert [each for each in taken if each] == [ATTEMPT]


def test_a_grant_is_found_by_either_code(store: LoginStore) -> None:
    assert store.put_grant(GRANT)
    assert store.load_grant(GRANT.device_hash) == GRANT
    assert store.find_grant(GRANT.user_code) == GRANT
    assert store.load_grant("x" * 64) is None
    assert store.find_grant("ZZZZZZZZ") is None


def test_a_user_code_is_taken_until_its_request_is_over(store: LoginStore) -> None:
    store.put_grant(GRANT)
    rival = replace(GRANT, device_hash="r" * 64)
    assert not store.put_grant(rival)
    assert store.find_grant(GRANT.user_code) == GRANT
    later = replace(rival, created_at=GRANT.expires_at, expires_at=GRANT.expires_at + timedelta(minutes=15))
    assert store.put_grant(later)
    assert store.find_grant(GRANT.user_code) == later


def test_a_poll_is_noted_once_for_each_count(store: LoginStore) -> None:
    store.put_grant(GRANT)
    polled = replace(GRANT, polls=1, last_poll=NOW, interval=7)
    assert store.note_poll(polled, polls=0)
    assert not store.note_poll(polled, polls=0)
    assert store.load_grant(GRANT.device_hash) == polled
    assert not store.note_poll(replace(polled, device_hash="x" * 64), polls=0)


def test_a_poll_does_not_undo_a_decision(store: LoginStore) -> None:
    store.put_grant(GRANT)
    approved = replace(GRANT, state=DeviceState.APPROVED, user=ADA, username="ada")
    assert store.decide_grant(approved)
    assert store.note_poll(replace(GRANT, polls=1, last_poll=NOW), polls=0)
    assert store.load_grant(GRANT.device_hash) == replace(approved, polls=1, last_poll=NOW)


def test_a_grant_is_decided_once(store: LoginStore) -> None:
    store.put_grant(GRANT)
    assert store.decide_grant(replace(GRANT, state=DeviceState.DENIED, user=BOB, username="bob"))
    assert not store.decide_grant(replace(GRANT, state=DeviceState.APPROVED, user=ADA, username="ada"))
    found = store.load_grant(GRANT.device_hash)
    assert found is not None
    assert (found.state, found.user) == (DeviceState.DENIED, BOB)


def test_only_an_approved_grant_is_taken_and_once(store: LoginStore) -> None:
    store.put_grant(GRANT)
    assert store.take_grant(GRANT.device_hash) is None
    approved = replace(GRANT, state=DeviceState.APPROVED, user=ADA, username="ada")
    store.decide_grant(approved)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: store.take_grant(GRANT.device_hash), range(16)))
    assert [each for each in taken if each] == [approved]
    assert store.find_grant(GRANT.user_code) is None


def test_a_key_is_kept_under_an_id_that_is_free(store: LoginStore) -> None:
    assert store.put_key(KEY)
    assert store.put_key(KEY), "the same put again, as after a lost answer"
    assert not store.put_key(replace(KEY, digest="f" * 64, user=BOB))
    assert store.load_key(KEY.id) == KEY
    assert store.load_key("x" * 12) is None


def test_keys_are_listed_for_their_owner_newest_first(store: LoginStore) -> None:
    agent = replace(KEY, id="a" * 12, kind=KeyKind.AGENT, created_at=NOW + timedelta(hours=1))
    newest = replace(KEY, id="n" * 12, created_at=NOW + timedelta(hours=2))
    for each in (agent, KEY, newest, replace(KEY, id="b" * 12, user=BOB)):
        store.put_key(each)
    assert list(store.keys_of(ADA)) == [newest, agent, KEY]
    assert store.keys_of(UserId("nobody")) == []


def test_a_use_is_noted_on_a_key_that_is_there(store: LoginStore) -> None:
    store.touch_key(KEY.id, NOW)
    assert store.load_key(KEY.id) is None
    store.put_key(KEY)
    store.touch_key(KEY.id, NOW)
    assert store.load_key(KEY.id) == replace(KEY, last_used_at=NOW)


def test_a_key_is_removed_by_its_owner_alone(store: LoginStore) -> None:
    store.put_key(KEY)
    assert not store.remove_key(KEY.id, BOB)
    assert store.load_key(KEY.id) == KEY
    assert store.remove_key(KEY.id, ADA)
    assert not store.remove_key(KEY.id, ADA)
    assert store.load_key(KEY.id) is None


def test_a_profile_is_what_the_last_login_told(store: LoginStore) -> None:
    assert store.load_profile(ADA) is None
    store.put_profile(PROFILE)
    newer = replace(PROFILE, auth_time=NOW, scopes=("openid", "more"), name="")
    store.put_profile(newer)
    assert store.load_profile(ADA) == newer


def test_a_session_counts_misses_and_ends(store: LoginStore) -> None:
    store.note_miss(SESSION.cookie_hash)
    assert store.load_session(SESSION.cookie_hash) is None
    store.put_session(SESSION)
    store.note_miss(SESSION.cookie_hash)
    store.note_miss(SESSION.cookie_hash)
    assert store.load_session(SESSION.cookie_hash) == replace(SESSION, misses=2)
    store.remove_session(SESSION.cookie_hash)
    store.remove_session(SESSION.cookie_hash)
    assert store.load_session(SESSION.cookie_hash) is None


def test_counts_go_up_one_by_one_whoever_counts(store: LoginStore) -> None:
    ends = NOW + timedelta(minutes=10)
    with ThreadPoolExecutor(8) as pool:
        counted = list(pool.map(lambda _: store.count("login#192.0.2.1#1", ends), range(24)))
    assert sorted(counted) == list(range(1, 25))
    assert store.count("login#192.0.2.2#1", ends) == 1


def test_sessions_are_found_by_their_user_and_are_not_taken_for_keys(store: LoginStore) -> None:
    other = replace(SESSION, cookie_hash="v" * 64, signed_in_at=NOW - timedelta(days=1), misses=3)
    for session in (SESSION, other, replace(SESSION, cookie_hash="u" * 64, user=BOB)):
        store.put_session(session)
    store.put_key(KEY)
    store.put_key(replace(KEY, id="a" * 12, kind=KeyKind.AGENT))
    assert sorted(store.sessions_of(ADA), key=lambda session: session.cookie_hash) == [other, SESSION]
    assert {key.kind for key in store.keys_of(ADA)} == {KeyKind.KEY, KeyKind.AGENT}
    store.remove_session(SESSION.cookie_hash)
    assert list(store.sessions_of(ADA)) == [other]


def test_a_departure_is_of_one_user_and_the_last_one_counts(store: LoginStore) -> None:
    assert store.departure(ADA) is None
    store.note_departure(ADA, NOW)
    store.note_departure(ADA, NOW + timedelta(hours=1))
    assert store.departure(ADA) == NOW + timedelta(hours=1)
    assert store.departure(BOB) is None
