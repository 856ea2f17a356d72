"""Everything that the emulator refuses, by the shape of the answer.

    Refusal
    ├── TransferRefusal   {code, message, request_id, resource}, as Transfer answers
    ├── AuthRefusal       {error, error_description, errors: [{id, status, code, title, detail}]}
    ├── OAuthRefusal      {error}, as the token endpoint answers
    ├── PageRefusal       an HTML page: the browser must not be sent on
    └── RedirectRefusal   the browser is sent back to the client with ``error``

``app`` renders them; nothing else does. Values of tokens, codes and secrets are never part of one.
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


class Refusal(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers: dict[str, str] = {}


class TransferRefusal(Refusal):
    def __init__(self, status: int, code: str, message: str, extra: Document | None = None) -> None:
        super().__init__(status, message)
        self.code = code
        self.extra = extra or {}


class AuthRefusal(Refusal):
    def __init__(self, status: int, code: str, title: str, detail: str, extra: Document | None = None) -> None:
        super().__init__(status, detail)
        self.code = code
        self.title = title
        self.extra = extra or {}


class OAuthRefusal(Refusal):
    def __init__(self, status: int, error: str, extra: Document | None = None) -> None:
        super().__init__(status, error)
        self.extra = extra or {}


class PageRefusal(Refusal):
    def __init__(self, status: int, title: str, message: str) -> None:
        super().__init__(status, message)
        self.title = title


class RedirectRefusal(Refusal):
    def __init__(self, redirect_uri: str, state: str | None, error: str, message: str) -> None:
        super().__init__(302, message)
        self.redirect_uri = redirect_uri
        self.state = state
        self.error = error


def bad_request(message: str, code: str = "ClientError.BadRequest") -> TransferRefusal:
    return TransferRefusal(400, code, message)


def not_authenticated() -> TransferRefusal:
    return TransferRefusal(401, "ClientError.AuthenticationFailed", "Token is not active or not for Transfer")


def task_not_found(task_id: str) -> TransferRefusal:
    return TransferRefusal(404, "ClientError.NotFound", f"No task found with id {task_id}")


def unauthorized(detail: str = "Call must be authenticated") -> AuthRefusal:
    return AuthRefusal(401, "UNAUTHORIZED", "Unauthorized", detail)


def forbidden(detail: str) -> AuthRefusal:
    return AuthRefusal(403, "FORBIDDEN", "Forbidden", detail)
