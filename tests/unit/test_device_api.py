"""The device flow as the terminal and the person meet it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from login_browser import Visitor, visitor_of
from login_house import ADA, BASE, MAPPED, House

from chalicelib.core.consent import consented_collections


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def browser(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visitor]:
    with visitor_of(house, monkeypatch) as one:
        yield one


@pytest.fixture
def terminal(browser: Visitor) -> Visitor:
    return Visitor(browser.client)


ASK = {"client": "qstage 0.1.0", "host": "<b>laptop</b>", "scopes": ["jobs"], "collections": [MAPPED]}


def poll(terminal: Visitor, begun: dict[str, object]) -> tuple[int, str]:
    page = terminal.post("/v1/device/token", {"device_code": begun["device_code"]})
    return page.status, page.json.get("error", "")


def test_the_whole_way_from_a_terminal_to_its_key(browser: Visitor, terminal: Visitor, house: House) -> None:
    begun = terminal.post("/v1/device", ASK).json
    assert (begun["expires_in"], begun["interval"]) == (900, 2)
    assert begun["verification_uri"] == f"{BASE}/device"
    assert poll(terminal, begun) == (400, "authorization_pending")

    to_login = browser.get(begun["verification_uri_complete"])
    assert to_login.status == 302
    back = browser.sign_in(to_login.location)
    assert consented_collections(house.auth.bought[0].scopes) == {MAPPED}
    page = browser.get(back.location)
    for shown in (begun["user_code"], "qstage 0.1.0", "&lt;b&gt;laptop&lt;/b&gt;", "127.0.0.1", "ada@uni.example"):
        assert shown in page.text
    assert "<b>laptop" not in page.text

    done = browser.form("/device", {**page.fields, "decision": "approve"})
    assert (done.status, "Connected" in done.text) == (200, True)
    house.clock.turn(seconds=2)
    answer = terminal.post("/v1/device/token", {"device_code": begun["device_code"]})
    assert answer.json["user"] == {"id": ADA, "username": "ada@uni.example"}
    me = terminal.get("/v1/me", Authorization=f"Bearer {answer.json['key']}")
    assert (me.status, me.json["username"], me.json["login"]["state"]) == (200, "ada@uni.example", "ok")
    assert answer.headers["Cache-Control"] == "no-store"


def test_denying_is_heard_by_the_terminal(browser: Visitor, terminal: Visitor) -> None:
    begun = terminal.post("/v1/device", {}).json
    page = browser.get(browser.sign_in(browser.get(begun["verification_uri_complete"]).location).location)
    assert "Denied" in browser.form("/device", {**page.fields, "decision": "deny"}).text
    assert poll(terminal, begun) == (400, "access_denied")


def test_a_form_from_another_site_decides_nothing(browser: Visitor, terminal: Visitor, house: House) -> None:
    begun = terminal.post("/v1/device", {}).json
    browser.sign_in()
    for csrf in ("", "0" * 64):
        form = {"code": begun["user_code"], "csrf": csrf, "decision": "approve"}
        assert browser.form("/device", form).status == 403
    assert poll(terminal, begun) == (400, "authorization_pending")


def test_a_form_posted_after_the_sign_in_ran_out_leads_to_a_new_one_by_a_link(
    browser: Visitor, terminal: Visitor, house: House
) -> None:
    begun = terminal.post("/v1/device", {}).json
    page = browser.get(browser.sign_in(browser.get(begun["verification_uri_complete"]).location).location)
    house.clock.turn(hours=12)
    answer = browser.form("/device", {**page.fields, "decision": "approve"})
    assert answer.status == 200
    assert f'href="{BASE}/login?device=' in answer.text


def test_opening_the_link_approves_nothing(browser: Visitor, terminal: Visitor) -> None:
    begun = terminal.post("/v1/device", {}).json
    back = browser.sign_in(browser.get(begun["verification_uri_complete"]).location)
    browser.get(back.location)
    assert poll(terminal, begun) == (400, "authorization_pending")


def test_a_browser_signed_in_before_the_request_signs_in_once_more(
    browser: Visitor, terminal: Visitor, house: House
) -> None:
    browser.sign_in()
    house.clock.turn(seconds=1)
    begun = terminal.post("/v1/device", {}).json
    page = browser.get(f"/device?{urlencode({'code': begun['user_code']})}")
    assert (page.status, page.location.startswith(f"{BASE}/login?device=")) == (302, True)


def test_the_page_without_a_code_asks_for_it(browser: Visitor) -> None:
    page = browser.get("/device")
    assert (page.status, 'name="code"' in page.text) == (200, True)


def test_a_code_that_is_none_is_said_to_be_none_after_the_sign_in(browser: Visitor) -> None:
    path = f"/device?{urlencode({'code': 'BCDF-GHJK'})}"
    assert "device=BCDFGHJK" in browser.get(path).location
    browser.sign_in()
    page = browser.get(path)
    assert (page.status, "no such request" in page.text) == (404, True)


def test_a_terminal_may_choose_the_organization(browser: Visitor, terminal: Visitor, house: House) -> None:
    begun = terminal.post("/v1/device", {"domain": "alcf.anl.gov"}).json
    browser.get(browser.get(begun["verification_uri_complete"]).location)
    (attempt,) = house.logins._attempts.values()
    assert attempt.request.session.single_domain == ("alcf.anl.gov",)


def test_every_fault_of_a_request_is_named(terminal: Visitor) -> None:
    page = terminal.post("/v1/device", {"scopes": ["root"], "client": "a\nb", "collections": ["x"], "more": 1})
    assert (page.status, page.headers["Content-Type"]) == (400, "application/problem+json")
    assert {fault["pointer"] for fault in page.json["faults"]} == {
        "/scopes/0",
        "/client",
        "/collections/0",
        "/more",
    }


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000, b'{"host": NaN}'])
def test_what_is_no_json_is_said_to_be_none(terminal: Visitor, raw: bytes) -> None:
    page = terminal.post("/v1/device", raw)
    assert (page.status, page.json["type"]) == (400, "urn:qstage:not-json")


def test_the_login_link_of_a_terminal_names_its_code_alone(browser: Visitor, terminal: Visitor) -> None:
    begun = terminal.post("/v1/device", ASK).json
    location = browser.get(begun["verification_uri_complete"]).location
    assert parse_qs(urlsplit(location).query) == {"device": [begun["user_code"].replace("-", "")]}
