"""How often an address may begin a sign-in, as rules and as pages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from login_browser import Visitor, visitor_of
from login_house import MOST_SIGN_INS, START, House

from chalicelib.core.errors import TooMany
from chalicelib.core.rates import WINDOW, network, seconds_until, window


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def browser(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visitor]:
    with visitor_of(house, monkeypatch) as one:
        yield one


def test_a_window_holds_what_comes_before_its_end_and_the_next_begins_there() -> None:
    here = window("login", "192.0.2.1", START + timedelta(seconds=1))
    assert here.ends - START <= WINDOW
    assert window("login", "192.0.2.1", here.ends - timedelta(microseconds=1)) == here
    assert window("login", "192.0.2.1", here.ends).ends == here.ends + WINDOW


def test_kinds_and_addresses_are_counted_apart() -> None:
    keys = {window(kind, address, START).key for kind in ("login", "device") for address in ("192.0.2.1", "192.0.2.2")}
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unknown", "unknown"),
        ("192.0.2.1#x", "unknown"),
        ("", "unknown"),
    ],
)
def test_whoever_has_one_address_of_a_network_has_them_all(address: str, counted_as: str) -> None:
    assert network(address) == counted_as


def test_a_wait_is_never_nothing_and_never_too_short() -> None:
    assert seconds_until(START + timedelta(seconds=1.2), START) == 2
    assert seconds_until(START, START) == 1


def test_the_limit_is_for_a_window_and_an_address(house: House) -> None:
    for _ in range(MOST_SIGN_INS):
        house.throttle.count("login", "192.0.2.1", house.clock.now())
    with pytest.raises(TooMany, match=f"More than {MOST_SIGN_INS} sign-ins") as refused:
        house.throttle.count("login", "192.0.2.1", house.clock.now())
    house.throttle.count("login", "192.0.2.2", house.clock.now())
    house.clock.turn(seconds=refused.value.retry_after)
    house.throttle.count("login", "192.0.2.1", house.clock.now())


def test_a_browser_that_begins_too_many_sign_ins_is_told_when_to_come_back(browser: Visitor, house: House) -> None:
    assert {browser.get("/login").status for _ in range(MOST_SIGN_INS)} == {302}
    page = browser.get("/login")
    assert page.status == 429
    assert 1 <= int(page.headers["Retry-After"]) <= WINDOW.total_seconds()
    assert f"More than {MOST_SIGN_INS} sign-ins" in page.text
    assert "Try again in" in page.text
    house.clock.turn(seconds=int(page.headers["Retry-After"]))
    assert browser.get("/login").status == 302


def test_a_terminal_that_begins_too_many_is_told_in_a_problem(browser: Visitor) -> None:
    assert {browser.post("/v1/device", {}).status for _ in range(MOST_SIGN_INS)} == {200}
    refused = browser.post("/v1/device", {})
    assert (refused.status, refused.json["type"]) == (429, "urn:qstage:too-many-sign-ins")
    assert refused.headers["Retry-After"] == str(refused.json["retry_after"])
    assert browser.get("/login").status == 302


def test_a_header_cannot_give_a_caller_another_address(browser: Visitor) -> None:
    answers = [browser.get("/login", **{"X-Forwarded-For": f"192.0.2.{n}"}).status for n in range(MOST_SIGN_INS + 1)]
    assert answers[-1] == 429
