"""Answers to browsers: pages, redirects, cookies, and errors in plain words."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

from chalice.app import Request, Response

from chalicelib import pages
from chalicelib.api.problems import crash_number, status_of
from chalicelib.api.rooms import rooms
from chalicelib.core.errors import QstageError, Refusal, SignInRefused, TooMany
from chalicelib.core.logins import ATTEMPT_LIFE, WEB_SESSION_LIFE, hashed

Asked = ParamSpec("Asked")
Headers = dict[str, str | list[str]]

_REFUSALS: dict[Refusal, tuple[str, str]] = {
    Refusal.EXPIRED: (
        "This sign-in link is no longer good",
        "A sign-in link works once, for ten minutes, and only in the browser where it was opened. Nothing was changed.",
    ),
    Refusal.DENIED: (
        "You did not give your consent",
        "qstage can move your data only with the consent that Globus asks for. Nothing was stored.",
    ),
    Refusal.OTHER_IDENTITY: (
        "You signed in as somebody else",
        "This link was made for another identity than the one you just signed in with. Nothing was stored. "
        "Sign in with the identity that your jobs belong to.",
    ),
    Refusal.NOT_ALLOWED: (
        "This identity may not use this service",
        "You signed in, but this qstage is not open to your identity or your organization. "
        "Nothing was stored. Ask whoever runs it.",
    ),
    Refusal.PROVIDER: (
        "The sign-in did not succeed",
        "Globus or your organization's login did not complete it. Nothing was stored. Often a second try helps.",
    ),
}


def shown(text: str, *, status: int = 200, cookies: tuple[str, ...] = ()) -> Response:
    """A page."""
    headers = _headers(cookies)
    headers["Content-Type"] = "text/html; charset=utf-8"
    headers["Content-Security-Policy"] = pages.content_security_policy()
    headers["X-Content-Type-Options"] = "nosniff"
    return Response(text, headers=headers, status_code=status)


def sent_on(address: str, *, cookies: tuple[str, ...] = ()) -> Response:
    """A redirect; the browser asks for the new address by GET."""
    headers = _headers(cookies)
    headers["Location"] = address
    return Response("", headers=headers, status_code=302)


def here(path: str) -> str:
    """The address of a path of ours."""
    return f"{rooms().base_url}{path}"


def shows(view: Callable[Asked, Any]) -> Callable[Asked, Any]:
    """Make a page's route answer every error with a page."""

    @functools.wraps(view)
    def answered(*args: Asked.args, **kwargs: Asked.kwargs) -> Any:
        try:
            return view(*args, **kwargs)
        except SignInRefused as error:
            return _refused(error)
        except QstageError as error:
            return _trouble(error)
        except Exception:
            number = crash_number()
            words = f"This is our fault. It was logged; quote {number} if you report it."
            return shown(pages.message("Something broke", words), status=500)

    return answered


def _trouble(error: QstageError) -> Response:
    status, title = status_of(error)
    if not isinstance(error, TooMany):
        return shown(pages.message(title, error.detail), status=status)
    page = shown(pages.message(title, error.detail, f"Try again in {_span(error.retry_after)}."), status=status)
    page.headers["Retry-After"] = str(error.retry_after)
    return page


def _span(seconds: int) -> str:
    return f"{seconds} s" if seconds < 90 else f"{-(-seconds // 60)} minutes"


def _refused(error: SignInRefused) -> Response:
    title, words = _REFUSALS[error.why]
    known = (words, f"The error was: {error.word}.") if error.word and error.why is Refusal.PROVIDER else (words,)
    again = here(f"/login?{error.again}" if error.again else "/login")
    return shown(pages.message(title, *known, link=(again, "Sign in")), status=status_of(error)[0])


def _headers(cookies: tuple[str, ...]) -> Headers:
    headers: Headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    if cookies:
        headers["Set-Cookie"] = list(cookies)
    return headers


# Cookies. Off loopback they are Secure and bear the prefix that keeps other hosts from setting them (RFC 6265bis).


def session_of(request: Request) -> str:
    """The value of the session cookie, "" if there is none."""
    return _cookie(request, _name("session"))


def binding_of(request: Request, state: str) -> str:
    """The secret that binds the attempt of this state to the browser, "" if it has none."""
    return _cookie(request, _binding_name(state))


def set_session(value: str) -> str:
    """A Set-Cookie that signs the browser in; "" signs it out."""
    return _set(_name("session"), value, int(WEB_SESSION_LIFE.total_seconds()) if value else 0)


def set_binding(state: str, value: str) -> str:
    """A Set-Cookie that binds an attempt to the browser; "" ends it. Each attempt has a cookie of its own."""
    return _set(_binding_name(state), value, int(ATTEMPT_LIFE.total_seconds()) if value else 0)


def _set(name: str, value: str, seconds: int) -> str:
    secure = "; Secure" if _secure() else ""
    return f"{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"


def _name(name: str) -> str:
    return f"{'__Host-' if _secure() else ''}qstage_{name}"


def _binding_name(state: str) -> str:
    return _name(f"login_{hashed(state)[:12]}")


def _secure() -> bool:
    return rooms().base_url.startswith("https:")


def _cookie(request: Request, name: str) -> str:
    for part in (request.headers.get("cookie") or "").split(";"):
        found, _, value = part.strip().partition("=")
        if found == name:
            return value
    return ""
