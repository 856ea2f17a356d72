"""Attacks on signing in, made against the whole stack from outside. Each is refused, and leaves nothing behind.

replayed, forged, foreign, expired state      another verifier (a code of another login)     login CSRF
open redirect by ``next``                     session fixation                                logout CSRF
a device link sent to a victim                an approval forged by another site              clickjacking
a re-consent link completed by another        an answer of the provider that is none          a spoofed address
"""

from __future__ import annotations

import html
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
import requests

from emulators.globus.browser import Browser
from emulators.stack import USER, Stack

BOB = "bob@google.com"
ATTEMPT = 10 * 60
SESSION = "qstage_session"


@pytest.fixture(autouse=True)
def leaves_nothing_behind(stack: Stack) -> Iterator[None]:
    """Whatever an attack tries: the tokens that are stored, and whose, are those that were stored before."""
    before = tokens(stack)
    yield
    assert tokens(stack) == before


def tokens(stack: Stack) -> list[tuple[str, str]]:
    name = stack.aws.created.look_up("TokensTable", None)
    items = stack.aws.client("dynamodb").scan(TableName=name)["Items"]
    return sorted((item["user"]["S"], item["version"]["N"]) for item in items)


@dataclass
class Begun:
    """A sign-in that came as far as Globus's answer: the address that would finish it, not opened yet."""

    browser: Browser
    callback: str

    @property
    def state(self) -> str:
        return parse_qs(urlsplit(self.callback).query)["state"][0]

    @property
    def code(self) -> str:
        return parse_qs(urlsplit(self.callback).query)["code"][0]


@pytest.fixture
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture
def victim() -> Iterator[requests.Session]:
    """A browser that has nothing to do with the attack."""
    with requests.Session() as session:
        yield session


def begun(stack: Stack, browser: Browser, username: str = BOB, **query: str) -> Begun:
    link = f"{stack.url}/login?{urlencode(query)}" if query else f"{stack.url}/login"
    return Begun(browser=browser, callback=browser.sign_in(link, username))


def opened(session: requests.Session, url: str) -> requests.Response:
    return session.get(url, allow_redirects=False)


def check_refused(reply: requests.Response, words: str) -> None:
    """A page in plain words, no redirect, and nobody is signed in by it."""
    assert reply.status_code == 403
    assert words in html.unescape(reply.text)
    assert "Location" not in reply.headers
    assert SESSION not in reply.headers.get("Set-Cookie", "")


NO_LONGER = "This sign-in link is no longer good"


@pytest.fixture
def finished(stack: Stack, browser: Browser) -> Iterator[Begun]:
    """A sign-in that its own browser has finished; what it stored is taken away again."""
    done = begun(stack, browser)
    before = tokens(stack)
    assert opened(browser.session, done.callback).status_code == 200
    yield done
    forget_new(stack, before)


def forget_new(stack: Stack, before: list[tuple[str, str]]) -> None:
    name = stack.aws.created.look_up("TokensTable", None)
    for user, version in tokens(stack):
        if (user, version) not in before:
            stack.aws.client("dynamodb").delete_item(TableName=name, Key={"user": {"S": user}})


def test_a_replayed_state_is_refused(finished: Begun) -> None:
    check_refused(opened(finished.browser.session, finished.callback), NO_LONGER)


def test_a_forged_state_is_refused(stack: Stack, browser: Browser) -> None:
    login = begun(stack, browser)
    forged = f"{stack.url}/callback?{urlencode({'state': secrets.token_urlsafe(32), 'code': login.code})}"
    check_refused(opened(browser.session, forged), NO_LONGER)


def test_a_foreign_state_is_refused_though_the_browser_has_a_login_of_its_own(
    stack: Stack, browser: Browser, victim: requests.Session
) -> None:
    login = begun(stack, browser)
    opened(victim, f"{stack.url}/login")
    check_refused(opened(victim, login.callback), NO_LONGER)


def test_login_csrf_signs_no_victim_in_as_the_attacker(
    stack: Stack, browser: Browser, victim: requests.Session
) -> None:
    login = begun(stack, browser)
    check_refused(opened(victim, login.callback), NO_LONGER)
    assert SESSION not in victim.cookies


def test_a_binding_cookie_of_another_login_opens_nothing(
    stack: Stack, browser: Browser, victim: requests.Session
) -> None:
    """A cookie of the right name but of another login's secret: who can set cookies cannot finish a login."""
    login = begun(stack, browser)
    (name,) = [cookie.name for cookie in browser.session.cookies if cookie.name.startswith("qstage_login_")]
    reply = victim.get(login.callback, allow_redirects=False, headers={"Cookie": f"{name}={secrets.token_urlsafe(32)}"})
    check_refused(reply, NO_LONGER)


def test_an_expired_state_is_refused(stack: Stack, browser: Browser) -> None:
    login = begun(stack, browser)
    stack.clock.turn(ATTEMPT + 1)
    check_refused(opened(browser.session, login.callback), NO_LONGER)


def test_a_code_of_another_login_meets_another_verifier_and_buys_nothing(stack: Stack, browser: Browser) -> None:
    """Code injection: the victim's code under the attacker's state. PKCE binds each code to its own attempt."""
    with Browser() as other:
        stolen = begun(stack, other, USER).code
    login = begun(stack, browser)
    injected = f"{stack.url}/callback?{urlencode({'state': login.state, 'code': stolen})}"
    check_refused(opened(browser.session, injected), "The sign-in did not succeed")


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/%0d%0aSet-Cookie:qstage_session=x",
        "/\r\nSet-Cookie: qstage_session=x",
        "/ok\nLocation: https://evil.example",
        "javascript:alert(1)",
        "\t//evil.example",
        "/\u2028evil",
        "@evil.example",
    ],
)
def test_next_redirects_to_no_place_of_others(stack: Stack, victim: requests.Session, path: str) -> None:
    reply = opened(victim, f"{stack.url}/login?next={quote(path, safe='%')}")
    if reply.status_code == 302:  # what is a path of ours after all is followed to us alone
        assert urlsplit(reply.headers["Location"]).netloc == urlsplit(stack.globus.url).netloc
        assert path.startswith("/%")
    else:
        assert (reply.status_code, "Location" in reply.headers) == (400, False)
    assert "qstage_session" not in reply.headers.get("Set-Cookie", "")


def test_what_next_names_is_a_path_of_ours_when_the_sign_in_is_over(stack: Stack, browser: Browser) -> None:
    before = tokens(stack)
    login = begun(stack, browser, next="/device?code=BCDF-GHJK")
    reply = opened(browser.session, login.callback)
    forget_new(stack, before)
    assert reply.headers["Location"] == f"{stack.url}/device?code=BCDF-GHJK"


def test_a_session_cookie_that_was_planted_is_never_signed_in(stack: Stack, browser: Browser) -> None:
    planted = secrets.token_urlsafe(32)
    before = tokens(stack)
    login = begun(stack, browser)
    browser.session.cookies.set(SESSION, planted, domain="127.0.0.1", path="/")
    reply = opened(browser.session, login.callback)
    forget_new(stack, before)
    assert reply.status_code == 200
    assert planted not in reply.headers["Set-Cookie"]
    attacker = requests.get(f"{stack.url}/device?code=BCDF-GHJK", headers={"Cookie": f"{SESSION}={planted}"}, timeout=9)
    assert "/v2/oauth2/authorize" in attacker.url or "/login" in attacker.history[0].headers["Location"]


def test_a_cookie_is_out_of_reach_of_scripts_and_of_other_sites(stack: Stack, victim: requests.Session) -> None:
    cookie = opened(victim, f"{stack.url}/login").headers["Set-Cookie"]
    assert "; HttpOnly" in cookie
    assert "; SameSite=Lax" in cookie


def device(stack: Stack, **more: Any) -> dict[str, Any]:
    """What an attacker's terminal is told."""
    asked = {"client": "evil tool", "host": "attacker.example", "scopes": ["admin"], **more}
    answer = requests.post(f"{stack.url}/v1/device", json=asked, timeout=9)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def poll(stack: Stack, told: dict[str, Any]) -> requests.Response:
    stack.clock.turn(6)
    return requests.post(f"{stack.url}/v1/device/token", json={"device_code": told["device_code"]}, timeout=9)


@pytest.fixture
def sent(stack: Stack, browser: Browser) -> Iterator[tuple[dict[str, Any], requests.Response]]:
    """A victim follows an attacker's device link to its end, and sees the page."""
    before = tokens(stack)
    told = device(stack, client="<b>evil</b> tool")
    stack.clock.turn(130)
    page = browser.sign_in(told["verification_uri_complete"], BOB, follow=True)
    yield told, browser.session.get(page)
    forget_new(stack, before)


def test_a_device_link_sent_to_a_victim_names_what_it_approves_and_mints_nothing_by_itself(
    stack: Stack, sent: tuple[dict[str, Any], requests.Response]
) -> None:
    told, page = sent
    words = html.unescape(page.text)
    for named in (
        told["user_code"],
        "evil</b> tool",
        "attacker.example",
        "127.0.0.1",
        "2 minutes ago",
        "make more keys",
    ):
        assert named in words
    assert "<b>evil</b>" not in page.text, "what a terminal says of itself is shown, and is no markup"
    answer = poll(stack, told)
    assert (answer.status_code, answer.json()["error"]) == (400, "authorization_pending")


@pytest.mark.parametrize("proof", ["", "x" * 64, "of another session"])
def test_an_approval_forged_by_another_site_approves_nothing(
    stack: Stack, browser: Browser, sent: tuple[dict[str, Any], requests.Response], proof: str
) -> None:
    told, _ = sent
    form = {"code": told["user_code"], "decision": "approve", "csrf": proof}
    assert browser.session.post(f"{stack.url}/device", data=form).status_code == 403
    assert browser.session.get(f"{stack.url}/device", params=form).status_code == 200
    assert poll(stack, told).json()["error"] == "authorization_pending"


def test_a_sign_in_from_before_the_attackers_request_approves_nothing(
    stack: Stack, browser: Browser, finished: Begun
) -> None:
    """The link alone shows no button to a browser that was signed in already: it has to sign in for this."""
    stack.clock.turn(2)
    told = device(stack)
    reply = opened(browser.session, told["verification_uri_complete"])
    assert (reply.status_code, urlsplit(reply.headers["Location"]).path) == (302, "/api/login")


def test_an_address_that_a_header_claims_is_not_the_address_that_is_shown(stack: Stack, browser: Browser) -> None:
    before = tokens(stack)
    spoofed = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7", "X-Real-IP": "203.0.113.7"}
    told = requests.post(f"{stack.url}/v1/device", json={"client": "x"}, headers=spoofed, timeout=9).json()
    page = browser.sign_in(told["verification_uri_complete"], BOB, follow=True)
    text = browser.session.get(page).text
    forget_new(stack, before)
    assert "203.0.113.7" not in text
    assert "127.0.0.1" in text


def test_no_page_lets_itself_be_framed_or_a_script_run(stack: Stack, victim: requests.Session) -> None:
    for path in ("/device", "/callback?state=x&code=y", "/login?next=//evil"):
        policy = victim.get(stack.url + path).headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "script-src" not in policy


def test_a_logout_that_another_site_posts_signs_nobody_out(stack: Stack, browser: Browser, finished: Begun) -> None:
    for form in ({"csrf": ""}, {"csrf": "x" * 64}):
        assert browser.session.post(f"{stack.url}/logout", data=form).status_code == 403
    fresh = browser.session.get(f"{stack.url}/device?code=BCDF-GHJK")
    assert fresh.status_code == 404, "still signed in: the code is looked up, and is none"


def test_a_reconsent_link_completed_by_another_identity_stores_nothing(stack: Stack, browser: Browser) -> None:
    assert stack.login is not None
    ada = stack.login.client.me().id
    login = begun(stack, browser, BOB, **{"for": ada, "collections": stack.collections["lab"]})
    check_refused(opened(browser.session, login.callback), "You signed in as somebody else")
    assert SESSION not in browser.session.cookies


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"error": "access_denied"}, "You did not give your consent"),
        ({"error": "server_error"}, "The sign-in did not succeed"),
        ({"error": "temporarily_unavailable", "error_description": "<script>alert(1)</script>"}, "did not succeed"),
        ({"error": "<script>alert(1)</script>"}, "did not succeed"),
        ({"error": "x\r\nSet-Cookie: qstage_session=evil"}, "did not succeed"),
        ({"error": "x" * 10_000}, "did not succeed"),
        ({"code": ""}, "did not succeed"),
        ({}, "did not succeed"),
        ({"code": "<garbage>\x00\u2028"}, "did not succeed"),
        ({"code": secrets.token_urlsafe(40), "error": "access_denied"}, "You did not give your consent"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_a_provider_answers_instead_of_a_code_is_a_page_in_plain_words(
    stack: Stack, browser: Browser, said: dict[str, str], words: str
) -> None:
    reply = opened(browser.session, f"{stack.url}/login")
    state = parse_qs(urlsplit(reply.headers["Location"]).query)["state"][0]
    answer = opened(browser.session, f"{stack.url}/callback?{urlencode({'state': state, **said})}")
    check_refused(answer, words)
    assert "<script>" not in answer.text
    assert "error_description" not in answer.text


@pytest.mark.parametrize(
    "query", ["", "state=x", "code=y", "state=&code=", "state=a&state=b&code=c", "%00=%ff&state=%c3%28"]
)
def test_a_callback_that_nobody_asked_for_is_refused(stack: Stack, victim: requests.Session, query: str) -> None:
    check_refused(opened(victim, f"{stack.url}/callback?{query}"), NO_LONGER)
