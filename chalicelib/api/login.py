"""Signing in with a browser: ``/login`` sends it to Globus, ``/callback`` takes it back, ``/logout`` forgets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chalice.app import Blueprint, Response

from chalicelib import pages
from chalicelib.api import browser
from chalicelib.api.bodies import form_of, query_of
from chalicelib.api.guard import address_of
from chalicelib.api.rooms import rooms
from chalicelib.core.logins import check_form, read_request
from chalicelib.core.rates import LOGIN

if TYPE_CHECKING:
    from chalicelib.service.sign_in import Begun, Finished

routes = Blueprint(__name__)
_FORM = ["application/x-www-form-urlencoded"]


@routes.route("/login", methods=["GET"])
@browser.shows
def login() -> Response:
    """Start a sign-in: ``?domain=&collections=&next=&device=&for=&identities=&policies=&mfa=&fresh=``."""
    request, now = routes.current_request, rooms().clock.now()
    rooms().throttle.count(LOGIN, address_of(request), now)
    session = rooms().sign_in.session(browser.session_of(request), now)
    return _to_globus(rooms().sign_in.begin(read_request(query_of(request)), now, session=session))


@routes.route("/callback", methods=["GET"])
@browser.shows
def callback() -> Response:
    """Where Globus sends the browser back to."""
    from chalicelib.service.sign_in import Answer

    request = routes.current_request
    query = query_of(request)
    answer = Answer(state=query.get("state", ""), code=query.get("code", ""), error=query.get("error", "")[:100])
    finished = rooms().sign_in.finish(
        answer,
        browser.binding_of(request, answer.state),
        rooms().clock.now(),
        cookie=browser.session_of(request),
    )
    return _signed_in(finished, (browser.set_binding(answer.state, ""), browser.set_session(finished.cookie)))


@routes.route("/logout", methods=["POST"], content_types=_FORM)
@browser.shows
def logout() -> Response:
    """End this browser's session. Keys and jobs go on."""
    cookie = browser.session_of(routes.current_request)
    check_form(cookie, form_of(routes.current_request).get("csrf", ""))
    rooms().sign_in.sign_out(cookie)
    words = "This browser is signed out. Your jobs and your keys go on."
    return browser.shown(pages.message("Signed out", words), cookies=(browser.set_session(""),))


def _to_globus(begun: Begun, cookies: tuple[str, ...] = ()) -> Response:
    binding = browser.set_binding(begun.state, begun.browser_secret)
    return browser.sent_on(begun.url, cookies=(*cookies, binding))


def _signed_in(finished: Finished, cookies: tuple[str, ...]) -> Response:
    if finished.more is not None:
        return _to_globus(finished.more, cookies)
    if finished.next:
        return browser.sent_on(browser.here(finished.next), cookies=cookies)
    who = f"You are signed in as {finished.profile.username}."
    then = "Jobs that waited for this go on by themselves. You can close this page."
    return browser.shown(pages.message("Signed in", who, then), cookies=cookies)
