"""The device flow (RFC 8628): two calls for the terminal, two pages for the person."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from chalice.app import Blueprint, Response

from chalicelib import pages
from chalicelib.api import browser
from chalicelib.api.bodies import form_of, json_of, query_of
from chalicelib.api.guard import address_of
from chalicelib.api.keys import when
from chalicelib.api.problems import answers
from chalicelib.api.rooms import rooms
from chalicelib.core.devices import DeviceGrant, DeviceState, shown_code, typed_code, wants_sign_in
from chalicelib.core.ids import CollectionId
from chalicelib.core.keys import JOBS, LONGEST_DAYS, REACH, USUAL_LIFE
from chalicelib.core.logins import check_form, csrf_token
from chalicelib.core.rates import DEVICE
from chalicelib.core.shape import Choice, Field, Integer, ListOf, Record, Text

routes = Blueprint(__name__)
_FORM = ["application/x-www-form-urlencoded"]
_SHOWN = Text(longest=64, pattern=r"[ -~]*", says="must be printable ASCII")
_UUID = Text(pattern=r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", says="must be a UUID in lower case")
_DOMAIN = Text(longest=253, pattern=r"[a-z0-9-]+(\.[a-z0-9-]+)+", says="must be a domain such as anl.gov")

ASK = Record(
    fields={
        "client": Field(shape=_SHOWN, default="unknown"),
        "host": Field(shape=_SHOWN, default="unknown"),
        "scopes": Field(shape=ListOf(item=Choice(words=tuple(REACH)), shortest=1, longest=3), default=(JOBS,)),
        "collections": Field(shape=ListOf(item=_UUID, longest=100), default=()),
        "domain": Field(shape=_DOMAIN, default=""),
        "days": Field(shape=Integer(least=1, most=LONGEST_DAYS), default=USUAL_LIFE.days),
    },
    describe="What a terminal says of itself when it asks for a key.",
)
POLL = Record(fields={"device_code": Field(shape=Text(longest=100))}, describe="A terminal asks for its key.")
_REACH_WORDS = {
    "read": "look at your jobs",
    "jobs": "submit, see and cancel jobs, and move data for them",
    "admin": "do all that you can do, and make more keys",
}


@routes.route("/v1/device", methods=["POST"])
@answers
def begin() -> Response:
    """A terminal asks for a key."""
    from chalicelib.service.device import DeviceAsk

    request, now = routes.current_request, rooms().clock.now()
    asked = json_of(request, ASK)
    rooms().throttle.count(DEVICE, address_of(request), now)
    started = rooms().devices.start(
        DeviceAsk(
            client=asked["client"],
            host=asked["host"],
            address=address_of(request),
            scopes=frozenset(asked["scopes"]),
            collections=tuple(CollectionId(each) for each in asked["collections"]),
            domain=asked["domain"],
            days=asked["days"],
        ),
        now,
    )
    grant, code = started.grant, shown_code(started.grant.user_code)
    return _fresh(
        {
            "device_code": started.device_code,
            "user_code": code,
            "verification_uri": browser.here("/device"),
            "verification_uri_complete": browser.here(f"/device?{urlencode({'code': code})}"),
            "expires_in": int((grant.expires_at - grant.created_at).total_seconds()),
            "interval": grant.interval,
        }
    )


@routes.route("/v1/device/token", methods=["POST"])
@answers
def poll() -> Response:
    """A terminal asks whether its key is there."""
    minted = rooms().devices.poll(json_of(routes.current_request, POLL)["device_code"], rooms().clock.now())
    record = minted.record
    return _fresh(
        {
            "key": minted.key.reveal() if minted.key else None,
            "key_id": record.id,
            "scopes": sorted(record.scopes),
            "expires_at": when(record.expires_at),
            "user": {"id": record.user, "username": record.username},
        }
    )


@routes.route("/device", methods=["GET"])
@browser.shows
def look() -> Response:
    """The page of a code: type it, sign in, see what it is about."""
    request, now = routes.current_request, rooms().clock.now()
    given = query_of(request).get("code", "")
    if not given:
        return browser.shown(pages.enter_code(browser.here("/device")))
    cookie = browser.session_of(request)
    session = rooms().sign_in.session(cookie, now)
    if session is None:
        return _to_login(given)
    grant = rooms().devices.look(given, session, now)
    if wants_sign_in(grant, session.signed_in_at):
        return _to_login(given)
    return browser.shown(pages.approve(_fields(grant, session.username, cookie, now)))


@routes.route("/device", methods=["POST"], content_types=_FORM)
@browser.shows
def decide() -> Response:
    """The person says yes or no."""
    request, now = routes.current_request, rooms().clock.now()
    cookie, form = browser.session_of(request), form_of(request)
    check_form(cookie, form.get("csrf", ""))
    session = rooms().sign_in.session(cookie, now)
    if session is None:  # a link and no redirect: browsers hold a form's redirects to the form-action policy
        words = "Your sign-in has run out. Sign in again to decide on this request."
        return browser.shown(pages.message("Sign in again", words, link=(_login(form.get("code", "")), "Sign in")))
    approve = form.get("decision") == "approve"
    grant = rooms().devices.decide(form.get("code", ""), session, approve=approve, now=now)
    return browser.shown(_decided(grant))


def _decided(grant: DeviceGrant) -> str:
    if grant.state is DeviceState.APPROVED:
        return pages.message(
            "Connected", f"{grant.client} on {grant.host} gets its key. You can go back to the terminal."
        )
    return pages.message("Denied", "The terminal gets no key. You can close this page.")


def _to_login(code: str) -> Response:
    return browser.sent_on(_login(code))


def _login(code: str) -> str:
    device = typed_code(code)
    return browser.here(f"/login?{urlencode({'device': device})}" if device else "/login")


def _fields(grant: DeviceGrant, username: str, cookie: str, now: datetime) -> dict[str, str]:
    return {
        "username": username,
        "code": shown_code(grant.user_code),
        "client": grant.client,
        "host": grant.host,
        "address": grant.address,
        "age": _age(int((now - grant.created_at).total_seconds())),
        "reach": "; ".join(_REACH_WORDS[scope] for scope in sorted(grant.scopes)) + _span(grant.days),
        "action": browser.here("/device"),
        "csrf": csrf_token(cookie),
    }


def _span(days: int) -> str:
    return f" (for {days} days)" if days > 1 else " (for a day)"


def _age(seconds: int) -> str:
    if seconds < 60:
        return "less than a minute ago"
    minutes = seconds // 60
    return "a minute ago" if minutes == 1 else f"{minutes} minutes ago"


def _fresh(document: dict[str, Any]) -> Response:
    headers: dict[str, str | list[str]] = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Response(document, headers=headers)
