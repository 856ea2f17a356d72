"""What Globus answers instead of an answer, as errors of ours. Shared by all that speaks to Globus.

A call of one service can fail with another's error (a refresh inside a Transfer call raises Auth's), so one
function looks at what the error says and not at its class. Words of Globus are passed on, cut to a length;
the SDK's own exception is not chained to ours, because it carries the whole response.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from chalicelib.core.consent import LoginReason, SessionDemand
from chalicelib.core.errors import FarSide, GrantRefused, LoginNeeded, QstageError

if TYPE_CHECKING:
    from globus_sdk import GlobusAPIError

_PASSING_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_LASTING_WORDS = frozenset({"Exists", "LoginFailed", "NotDirectory", "NotFound", "PermissionDenied", "SizeLimit"})
"""A 502 with ``ExternalError...`` and one of these at its end is the collection's own last word."""
_MOST_WORDS = 500


@contextmanager
def globus(service: str) -> Iterator[None]:
    """Run a call of a globus_sdk client of ``service``; raises LoginNeeded, GrantRefused or FarSide."""
    from globus_sdk import GlobusAPIError, NetworkError

    try:
        yield
    except GlobusAPIError as error:
        raise from_globus(error, service) from None
    except NetworkError as error:
        name = type(error).__name__
        raise FarSide(service, name, "Globus did not answer.", transient=True) from None


def from_globus(error: GlobusAPIError, service: str) -> QstageError:
    """What an error answer of Globus means."""
    if _body(error).get("error") == "invalid_grant":
        return GrantRefused(status=error.http_status)
    if (demand := _login_demand(error)) is not None:
        return demand
    code = _code(error)
    return FarSide(
        service,
        code,
        (error.message or code)[:_MOST_WORDS],
        transient=error.http_status in _PASSING_STATUS and code.rpartition(".")[2] not in _LASTING_WORDS,
        retry_after=_seconds(error.headers.get("Retry-After")),
        status=error.http_status,
    )


def _login_demand(error: GlobusAPIError) -> LoginNeeded | None:
    """What the next login has to bring, where the error asks for one; at any status: LoginFailed comes as 502."""
    from globus_sdk.gare import to_gare

    if not _body(error):
        return None
    gare = to_gare(error)
    if gare is None:
        return None
    asked = gare.authorization_parameters
    scopes = tuple(asked.required_scopes or ())
    session = SessionDemand(
        message=(asked.session_message or "")[:_MOST_WORDS],
        identities=tuple(asked.session_required_identities or ()),
        single_domain=tuple(asked.session_required_single_domain or ()),
        policies=tuple(asked.session_required_policies or ()),
        mfa=bool(asked.session_required_mfa),
        # Where nothing is asked for by name, the sign-in is too old, and only a new one helps.
        fresh=asked.prompt == "login" or not scopes,
    )
    reason = LoginReason.CONSENT if scopes and not session else LoginReason.SESSION
    return LoginNeeded(
        reason, (error.message or session.message or gare.code)[:_MOST_WORDS], scopes=scopes, session=session
    )


def _code(error: GlobusAPIError) -> str:
    if error.code and error.code != "Error":
        return error.code
    word = _body(error).get("error")
    return word if isinstance(word, str) and word else str(error.http_status)


def _body(error: GlobusAPIError) -> dict[str, Any]:
    body: Any = error.raw_json
    return body if isinstance(body, dict) else {}


def _seconds(header: str | None) -> int | None:
    return int(header) if header is not None and header.isascii() and header.isdigit() else None
