"""Errors on their way out: one table from the tree of errors to HTTP, rendered as RFC 9457 problem documents.

``answers`` goes directly under a route: Chalice turns a view's exception into a bare 500 before any middleware
could see it. What is not in our tree is our own fault: it is logged under an incident number, and the caller
is told the number and nothing else.
"""

from __future__ import annotations

import functools
import json
import logging
import secrets
from collections.abc import Callable
from typing import Any, ParamSpec

from chalice.app import ChaliceViewError, Response

from chalicelib.api.rooms import rooms
from chalicelib.core.errors import (
    CallerError,
    Conflict,
    FarSide,
    Forbidden,
    InFlight,
    Invalid,
    LoginNeeded,
    NoKeyYet,
    NotFound,
    QstageError,
    SignInRefused,
    TooMany,
    Unauthenticated,
    UserMustAct,
)
from chalicelib.core.logins import LoginRequest, login_address, request_for

Document = dict[str, Any]
Asked = ParamSpec("Asked")
_LOG = logging.getLogger(__name__)

_TABLE: tuple[tuple[type[QstageError], int, str], ...] = (
    (Invalid, 400, "The request breaks rules"),
    (Unauthenticated, 401, "Not signed in"),
    (Forbidden, 403, "Not allowed"),
    (NotFound, 404, "Not found"),
    (InFlight, 409, "Being answered"),
    (Conflict, 409, "Conflict"),
    (TooMany, 429, "Too many"),
    (NoKeyYet, 400, "No key yet"),
    (CallerError, 400, "Refused"),
    (LoginNeeded, 403, "A login is needed"),
    (SignInRefused, 403, "The sign-in did not succeed"),
    (UserMustAct, 403, "You have to act"),
    (FarSide, 502, "A service behind this one failed"),
)
_STATUS_BY_CODE = {"idempotency-mismatch": 422, "too-large": 413}
_TRANSIENT_STATUS = 503
_TRANSIENT_WAIT = 5


def status_of(error: QstageError) -> tuple[int, str]:
    """The HTTP status and the title of an error."""
    if isinstance(error, FarSide) and error.transient:
        return _TRANSIENT_STATUS, "A service behind this one does not answer"
    status, title = next((s, t) for kind, s, t in _TABLE if isinstance(error, kind))
    return _STATUS_BY_CODE.get(code_of(error), status), title


def code_of(error: QstageError) -> str:
    """The stable word for programs; the problem's type is ``urn:qstage:<code>``."""
    match error:
        case CallerError():
            return error.code
        case LoginNeeded():
            return "login-needed"
        case SignInRefused():
            return f"sign-in-{error.why.replace('_', '-')}"
        case FarSide():
            return "unavailable" if error.transient else "far-side"
    return "refused"


def problem(error: QstageError) -> Response:
    """An error as a problem document."""
    status, title = status_of(error)
    document: Document = {
        "type": f"urn:qstage:{code_of(error)}",
        "title": title,
        "status": status,
        "detail": error.detail,
    }
    wait = _wait(error, status)
    if wait is not None:
        document["retry_after"] = wait
    match error:
        case Invalid():
            document["faults"] = [{"pointer": f.pointer, "detail": f.detail} for f in error.faults]
        case NoKeyYet():
            document["error"] = error.word
        case LoginNeeded():
            document["login_url"] = login_url(request_for(error.demand, error.user))
        case FarSide():
            document["service"] = error.service
    return _response(document, status, wait)


def login_url(request: LoginRequest) -> str:
    """The link that a person follows to meet a demand."""
    return login_address(rooms().base_url, request)


def answers(view: Callable[Asked, Any]) -> Callable[Asked, Any]:
    """Make a route answer every error with a problem document."""

    @functools.wraps(view)
    def answered(*args: Asked.args, **kwargs: Asked.kwargs) -> Any:
        try:
            return view(*args, **kwargs)
        except QstageError as error:
            return problem(error)
        except ChaliceViewError as error:
            return _chalice_problem(error)
        except Exception:
            return _crashed(crash_number())

    return answered


def crash_number() -> str:
    """Log the exception at hand under a number that the caller can quote."""
    number = secrets.token_hex(6)
    _LOG.exception("unhandled exception", extra={"incident": number})
    return number


def _wait(error: QstageError, status: int) -> int | None:
    asked = error.retry_after if isinstance(error, TooMany | Conflict | FarSide) else None
    return _TRANSIENT_WAIT if asked is None and status in (429, _TRANSIENT_STATUS) else asked


def _crashed(number: str) -> Response:
    return _response(
        {
            "type": "urn:qstage:internal",
            "title": "Internal error",
            "status": 500,
            "detail": "This is our fault. It was logged; quote the instance if you report it.",
            "instance": f"urn:qstage:incident:{number}",
        },
        500,
        None,
    )


def _chalice_problem(error: ChaliceViewError) -> Response:
    status = error.STATUS_CODE
    document = {
        "type": "urn:qstage:refused",
        "title": type(error).__name__,
        "status": status,
        "detail": str(error),
    }
    return _response(document, status, None)


def _response(document: Document, status: int, wait: int | None) -> Response:
    headers: dict[str, str | list[str]] = {
        "Content-Type": "application/problem+json",
        "Cache-Control": "no-store",
    }
    if wait is not None:
        headers["Retry-After"] = str(wait)
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="qstage"'
    return Response(json.dumps(document, separators=(",", ":")), headers=headers, status_code=status)
