"""What can go wrong between a caller and the service, by whose fault it is.

    QstageError
    ├── InvalidDocument      the request is wrong; ``faults`` names every one of them
    ├── LoginNeeded          the user must act; ``login_url`` where one was given
    ├── Forbidden            this key may not do that
    ├── NotFound             there is no such thing, or it is somebody else's
    ├── Conflict             it clashes with what is there; ``code`` says which clash
    ├── Unavailable          the service is there and cannot now; ``retry_after`` seconds where it said so
    ├── Unreachable          no answer came; whether the request was carried out is unknown
    └── UnsafeAddress        the service's address would send the key in the clear

The service answers with problem documents (RFC 9457); ``error_from`` is the only place that reads them.
No message and no attribute ever holds a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_PREFIX = "urn:qstage:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing wrong with a request: where (a JSON pointer, ``/stage_in/0/source``), what, and the cure."""

    pointer: str
    detail: str

    def __str__(self) -> str:
        return f"{self.pointer}: {self.detail}" if self.pointer else self.detail


class QstageError(Exception):
    """Whatever the service refused or could not do. ``code`` is the last part of the problem's type."""

    def __init__(self, message: str, *, code: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class InvalidDocument(QstageError):
    """The request was understood and is wrong. Sending it again changes nothing."""

    def __init__(self, message: str, *, faults: tuple[Fault, ...] = (), code: str = "", status: int = 0) -> None:
        super().__init__(message, code=code, status=status)
        self.faults = faults


class LoginNeeded(QstageError):
    """Only the user can help: sign in (again), or give a consent, by ``login_url`` or ``qstage login``."""

    def __init__(self, message: str, *, login_url: str | None = None, code: str = "", status: int = 0) -> None:
        super().__init__(message, code=code, status=status)
        self.login_url = login_url


class NotFound(QstageError):
    """Nothing of that name is visible to this key."""


class Conflict(QstageError):
    """The request clashes with the present state of things."""


class Forbidden(QstageError):
    """The key is good and does not allow this."""


class Unavailable(QstageError):
    """The service cannot now. ``retry_after``: seconds it asked to be left alone, or None."""

    def __init__(self, message: str, *, retry_after: float | None = None, code: str = "", status: int = 0) -> None:
        super().__init__(message, code=code, status=status)
        self.retry_after = retry_after


class Unreachable(QstageError):
    """No answer: the name, the connection or the time ran out. The request may have been carried out."""


class UnsafeAddress(QstageError):
    """Plain http to anything but this machine: the key would travel in the clear."""


def error_from(status: int, problem: Mapping[str, Any], retry_after: float | None) -> QstageError:
    """Turn a problem document into the error that fits; ``problem`` may be empty when the body was none."""
    code = str(problem.get("type") or "").removeprefix(_PREFIX)
    title = str(problem.get("title") or f"the service answered {status}")
    message = str(problem.get("detail") or title)
    login_url = problem.get("login_url")
    if login_url or status == 401:
        return LoginNeeded(message, login_url=str(login_url) if login_url else None, code=code, status=status)
    if status in {400, 413, 415, 422}:
        return InvalidDocument(message, faults=_faults(problem.get("faults")), code=code, status=status)
    plain = {403: Forbidden, 404: NotFound, 409: Conflict}.get(status)
    if plain is not None:
        return plain(message, code=code, status=status)
    if status == 429 or status >= 500:
        return Unavailable(message, retry_after=retry_after, code=code, status=status)
    return QstageError(message, code=code, status=status)


def _faults(value: object) -> tuple[Fault, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(
        Fault(pointer=str(item.get("pointer", "")), detail=str(item.get("detail", "")))
        for item in value
        if isinstance(item, Mapping)
    )
