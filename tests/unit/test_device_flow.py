"""The device flow: nothing is minted until a person who signed in said yes, and then once."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from login_house import ADA, START, House

from chalicelib.core.devices import ALPHABET, MOST_MISSES, MOST_POLLS, typed_code, user_code
from chalicelib.core.errors import DeviceWord, Forbidden, NoKeyYet, NotFound, TooMany
from chalicelib.core.logins import WebSession, hashed
from chalicelib.service.device import DeviceAsk, Started

ASK = DeviceAsk(client="qstage 0.1.0", host="laptop", address="127.0.0.1", scopes=frozenset({"jobs"}))


@pytest.fixture
def house() -> House:
    return House()


def start(house: House) -> Started:
    return house.devices.start(ASK, house.clock.now())


def person(house: House) -> WebSession:
    session = WebSession(
        cookie_hash="c" * 64,
        user=ADA,
        username="ada@uni.example",
        signed_in_at=house.clock.now(),
        expires_at=house.clock.now() + timedelta(hours=12),
    )
    house.logins.put_session(session)
    return session


def hears(house: House, started: Started) -> DeviceWord:
    with pytest.raises(NoKeyYet) as no_key:
        house.devices.poll(started.device_code, house.clock.now())
    return no_key.value.word


def decide(house: House, started: Started, *, approve: bool) -> None:
    house.devices.decide(started.grant.user_code, person(house), approve=approve, now=house.clock.now())


def test_an_approved_terminal_gets_its_key_once(house: House) -> None:
    started = start(house)
    assert hears(house, started) is DeviceWord.PENDING
    decide(house, started, approve=True)
    house.clock.turn(seconds=2)
    minted = house.devices.poll(started.device_code, house.clock.now())
    assert minted.key is not None
    caller = house.access.authenticate(f"Bearer {minted.key.reveal()}", house.clock.now())
    assert (caller.user, caller.scopes) == (ADA, {"jobs"})
    house.clock.turn(seconds=10)
    assert hears(house, started) is DeviceWord.EXPIRED
    assert len(house.logins.keys_of(ADA)) == 1


def test_no_key_exists_before_the_terminal_takes_it(house: House) -> None:
    decide(house, start(house), approve=True)
    assert house.logins.keys_of(ADA) == []


def test_a_denied_terminal_hears_so(house: House) -> None:
    started = start(house)
    decide(house, started, approve=False)
    assert hears(house, started) is DeviceWord.DENIED
    assert house.logins.keys_of(ADA) == []


def test_a_terminal_that_asks_too_often_is_slowed_down_by_five_seconds_each_time(house: House) -> None:
    started = start(house)
    assert hears(house, started) is DeviceWord.PENDING
    house.clock.turn(seconds=1)
    assert hears(house, started) is DeviceWord.SLOW_DOWN
    house.clock.turn(seconds=6)
    assert hears(house, started) is DeviceWord.SLOW_DOWN
    house.clock.turn(seconds=12)
    assert hears(house, started) is DeviceWord.PENDING


def test_a_request_is_over_after_fifteen_minutes_though_it_was_approved(house: House) -> None:
    started = start(house)
    decide(house, started, approve=True)
    house.clock.turn(minutes=15)
    assert hears(house, started) is DeviceWord.EXPIRED
    with pytest.raises(NotFound):
        house.devices.look(started.grant.user_code, person(house), house.clock.now())


def test_a_terminal_may_not_ask_for_ever(house: House) -> None:
    started = start(house)
    grant = house.logins.load_grant(hashed(started.device_code))
    assert grant is not None
    assert house.logins.note_poll(replace(grant, polls=MOST_POLLS), polls=0)
    assert hears(house, started) is DeviceWord.EXPIRED


def test_an_unknown_device_code_hears_that_it_is_over(house: House) -> None:
    with pytest.raises(NoKeyYet) as no_key:
        house.devices.poll("x" * 43, START)
    assert no_key.value.word is DeviceWord.EXPIRED


def test_a_decision_is_final(house: House) -> None:
    started = start(house)
    decide(house, started, approve=False)
    with pytest.raises(NotFound):
        decide(house, started, approve=True)
    assert hears(house, started) is DeviceWord.DENIED


def test_a_sign_in_older_than_the_request_approves_nothing(house: House) -> None:
    session = person(house)
    house.clock.turn(seconds=1)
    started = start(house)
    with pytest.raises(Forbidden):
        house.devices.decide(started.grant.user_code, session, approve=True, now=house.clock.now())
    assert hears(house, started) is DeviceWord.PENDING


def test_wrong_codes_are_counted_against_the_session(house: House) -> None:
    started, session = start(house), person(house)
    for _ in range(MOST_MISSES):
        with pytest.raises(NotFound):
            house.devices.look("BBBB-BBBB", _again(house, session), START)
    with pytest.raises(TooMany):
        house.devices.look(started.grant.user_code, _again(house, session), START)


def _again(house: House, session: WebSession) -> WebSession:
    found = house.logins.load_session(session.cookie_hash)
    assert found is not None
    return found


def test_codes_are_typed_as_people_type() -> None:
    assert typed_code(" bcdf-ghjk ") == typed_code("BCDF GHJK") == "BCDFGHJK"
    assert typed_code("AEIO-UAEI") == typed_code("BCDF") == typed_code("BCDFGHJKL") == ""


def test_user_codes_use_every_letter_and_nothing_else() -> None:
    source = random.Random(7)
    codes = [user_code(source.randbytes(64)) for _ in range(500)]
    assert all(re.fullmatch(f"[{ALPHABET}]{{8}}", code) for code in codes)
    assert set("".join(codes)) == set(ALPHABET)


def test_the_device_code_is_stored_as_a_hash(house: House) -> None:
    started = start(house)
    assert started.device_code not in repr(house.logins.__dict__)
    assert started.device_code not in repr(started)
