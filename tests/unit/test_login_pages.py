"""The login routes as a browser meets them: redirects, cookies, pages in plain words."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from login_browser import Page, Visitor, visitor_of
from login_house import ADA, BASE, BOB, House

from chalicelib.core.errors import FarSide
from chalicelib.core.logins import SignInPolicy, csrf_token


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def browser(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visitor]:
    with visitor_of(house, monkeypatch) as one:
        yield one


def state_of(page: Page) -> str:
    return parse_qs(urlsplit(page.location).query)["state"][0]


def safe(page: Page) -> None:
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    style = page.text.partition("<style>")[2].partition("</style>")[0]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    assert page.text.startswith("<!doctype html>")
    for outside in ("<script", "src=", "@import", "url("):
        assert outside not in page.text


def test_a_sign_in_goes_to_globus_and_back_and_says_who_it_was(browser: Visitor, house: House) -> None:
    page = browser.sign_in()
    assert page.status == 200
    assert "You are signed in as ada@uni.example." in page.text
    safe(page)
    assert list(browser.cookies) == ["qstage_session"]


def test_cookies_are_out_of_reach_of_scripts_and_other_sites(browser: Visitor) -> None:
    browser.sign_in()
    assert browser.set_cookies
    for cookie in browser.set_cookies:
        assert "; HttpOnly; SameSite=Lax" in cookie


def test_cookies_are_secure_and_bound_to_the_host_off_loopback(browser: Visitor, house: House) -> None:
    house.base_url = "https://stage.example/api"
    browser.sign_in()
    for cookie in browser.set_cookies:
        assert cookie.startswith("__Host-qstage_")
        assert cookie.endswith("; Secure")
        assert "; Path=/;" in cookie


def test_a_sign_in_goes_on_to_a_path_of_ours(browser: Visitor) -> None:
    page = browser.sign_in(f"/login?{urlencode({'next': '/jobs/1001'})}")
    assert (page.status, page.location) == (302, f"{BASE}/jobs/1001")


@pytest.mark.parametrize("path", ["//evil.example/", "https://evil.example/", "/\\evil.example"])
def test_a_sign_in_goes_nowhere_else(browser: Visitor, path: str) -> None:
    page = browser.get(f"/login?{urlencode({'next': path})}")
    assert page.status == 400
    assert "Location" not in page.headers
    safe(page)


def test_a_callback_that_is_opened_twice_says_that_the_link_is_no_longer_good(browser: Visitor) -> None:
    state = state_of(browser.get("/login"))
    again = f"/callback?{urlencode({'code': 'ada', 'state': state})}"
    assert browser.get(again).status == 200
    page = browser.get(again)
    assert page.status == 403
    assert "no longer good" in page.text
    safe(page)


def test_somebody_elses_callback_link_signs_nobody_in(house: House, browser: Visitor) -> None:
    attacker = Visitor(browser.client)
    state = state_of(attacker.get("/login"))
    page = browser.get(f"/callback?{urlencode({'code': 'bob', 'state': state})}")
    assert page.status == 403
    assert browser.cookies == {}
    assert house.stored.load(BOB) is None


def test_a_session_cookie_brought_along_is_not_kept(browser: Visitor, house: House) -> None:
    browser.cookies["qstage_session"] = "planted-by-an-attacker"
    browser.sign_in()
    assert browser.cookies["qstage_session"] != "planted-by-an-attacker"
    assert house.sign_in.session("planted-by-an-attacker", house.clock.now()) is None


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"error": "access_denied", "error_description": "<script>alert(1)</script>"}, "did not give your consent"),
        ({"error": "server_error"}, "The error was: server_error."),
        ({"error": "<script>alert(1)</script>"}, "did not succeed"),
        ({}, "did not succeed"),
    ],
)
def test_what_globus_says_instead_of_a_code_becomes_plain_words(
    browser: Visitor, query: dict[str, str], words: str
) -> None:
    state = state_of(browser.get("/login"))
    page = browser.get(f"/callback?{urlencode({**query, 'state': state})}")
    assert page.status == 403
    assert words in page.text
    assert "alert" not in page.text
    assert f'href="{BASE}/login"' in page.text
    safe(page)


def test_another_identity_than_the_link_was_made_for_is_told_so(browser: Visitor, house: House) -> None:
    page = browser.sign_in(f"/login?for={ADA}", who="bob")
    assert page.status == 403
    assert "somebody else" in page.text
    assert f"{BASE}/login?for={ADA}&amp;fresh=1" in page.text
    assert house.stored.load(BOB) is None
    assert browser.cookies.get("qstage_session") is None


def test_who_may_not_sign_in_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(SignInPolicy())
    with visitor_of(house, monkeypatch) as browser:
        page = browser.sign_in()
    assert page.status == 403
    assert "may not use this service" in page.text


def test_globus_not_answering_is_a_page_with_another_try(browser: Visitor, house: House) -> None:
    house.auth.fails = FarSide("auth", "GlobusConnectionError", "down", transient=True)
    page = browser.sign_in("/login?domain=uni.example")
    assert f"{BASE}/login?domain=uni.example" in page.text


def test_our_own_fault_is_a_page_that_says_no_more_than_a_number(
    browser: Visitor, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.auth.fails = RuntimeError("inner secret")
    page = browser.sign_in()
    assert page.status == 500
    assert "inner secret" not in page.text
    (record,) = caplog.records
    assert record.__dict__["incident"] in page.text


def test_signing_out_takes_a_form_of_ours(browser: Visitor, house: House) -> None:
    browser.sign_in()
    cookie = browser.cookies["qstage_session"]
    assert browser.form("/logout", {}).status == 403
    assert browser.form("/logout", {"csrf": csrf_token("another")}).status == 403
    assert house.sign_in.session(cookie, house.clock.now()) is not None
    assert browser.form("/logout", {"csrf": csrf_token(cookie)}).status == 200
    assert house.sign_in.session(cookie, house.clock.now()) is None
    assert browser.cookies == {}
