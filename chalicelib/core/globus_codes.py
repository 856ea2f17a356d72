"""What Globus's codes mean for a job: one table for what a running task meets, one for what a submission is told.

A code that is in neither passes until the task's deadline, and is shown meanwhile: better late than wrong.
``docs/globus-codes.md`` is written from these tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from chalicelib.core.ports.transfer import TaskEvent


class Verdict(Enum):
    """What to do about it."""

    PASSES = "passes"
    """Globus goes on trying, or qstage does; shown meanwhile."""
    PERMANENT = "permanent"
    """Trying again cannot help: what it is about fails with Globus's words."""
    USER = "user must act"
    """Only a login helps: the job keeps its state and shows the link."""
    SPACE = "space"
    """The destination is full: what has not arrived waits for `space` and is tried again."""


class Reach(Enum):
    """What it is about."""

    ITEM = "an item"
    ROUTE = "the collections"
    USER = "all of the user's calls"


@dataclass(frozen=True, slots=True)
class Meaning:
    """One row. ``says`` is for people."""

    verdict: Verdict
    reach: Reach
    says: str


_P, _X, _U, _S = Verdict.PASSES, Verdict.PERMANENT, Verdict.USER, Verdict.SPACE
_I, _R, _A = Reach.ITEM, Reach.ROUTE, Reach.USER

TASK_CODES: Mapping[str, Meaning] = {
    "FILE_NOT_FOUND": Meaning(_X, _I, "the source does not exist, or a directory of the destination's path is a file"),
    "PERMISSION_DENIED": Meaning(_X, _I, "the source may not be read, or the destination not written"),
    "PATH_NOT_ALLOWED": Meaning(_X, _I, "the collection does not share this path"),
    "IS_A_DIRECTORY": Meaning(_X, _I, "the source is a directory: add a slash"),
    "NOT_A_DIRECTORY": Meaning(_X, _I, "the source is a file: leave the slash out"),
    "AMBIGUOUS_PATH": Meaning(_X, _I, "the path can mean two things"),
    "DELETED": Meaning(_X, _R, "the collection has been deleted"),
    "ENDPOINT_DELETED": Meaning(_X, _R, "the collection has been deleted"),
    "NO_SUCH_ENDPOINT": Meaning(_X, _R, "there is no such collection"),
    "NO_SPACE": Meaning(_S, _R, "the destination's disk is full"),
    "QUOTA_EXCEEDED": Meaning(_S, _R, "the quota at the destination is used up"),
    "AUTH": Meaning(_U, _R, "the login that the collection asks for has ended"),
    "CREDENTIAL_EXPIRED": Meaning(_U, _R, "the login that the collection asks for has ended"),
    "LOGIN_DENIED": Meaning(_U, _R, "the collection knows no account for the identity"),
    "CONNECTION_BROKEN": Meaning(_P, _R, "a connection between the collections broke"),
    "CONNECTION_RESET": Meaning(_P, _R, "a connection between the collections was reset"),
    "CONNECT_FAILED": Meaning(_P, _R, "a collection cannot be reached"),
    "ENDPOINT_ERROR": Meaning(_P, _R, "a collection failed in a way that Globus has no code for"),
    "ENDPOINT_TOO_BUSY": Meaning(_P, _R, "a collection has too much to do"),
    "EXPIRED": Meaning(_X, _R, "the task's deadline has passed"),
    "FILE_SIZE_CHANGED": Meaning(_P, _I, "the source changed while it was read"),
    "GC_NOT_CONNECTED": Meaning(_P, _R, "a personal collection is offline"),
    "GC_PAUSED": Meaning(_P, _R, "a personal collection is paused by its owner"),
    "PAUSED": Meaning(_P, _R, "an administrator has paused the collection"),
    "PAUSED_BY_ADMIN": Meaning(_P, _R, "an administrator has paused the collection"),
    "TIMEOUT": Meaning(_P, _R, "a collection took too long to answer"),
    "UNKNOWN": Meaning(_P, _R, "Globus does not know either"),
    "VERIFY_CHECKSUM": Meaning(_P, _I, "a file did not arrive as it was read, and is sent again"),
}
"""Codes of error events, ``nice_status`` and ``fatal_error``."""

LASTING: Mapping[str, int] = {"FILE_SIZE_CHANGED": 10, "VERIFY_CHECKSUM": 5}
"""Codes that pass, and are permanent for a file that has met them this often."""

SUBMIT_CODES: Mapping[str, Meaning] = {
    "IdenticalPaths": Meaning(_P, _R, "another task is writing to the same paths: adopted if it is ours, else awaited"),
    "Conflict": Meaning(_P, _R, "another task is writing to the same paths: adopted if it is ours, else awaited"),
    "TooManyPendingJobs": Meaning(_P, _A, "a hundred tasks of the user are pending"),
    "OperationPaused": Meaning(_P, _R, "an administrator has paused the collection"),
    "GCDisconnected": Meaning(_P, _R, "a personal collection is offline"),
    "EndpointError": Meaning(_P, _R, "a collection did not answer as it should"),
    "ExternalError": Meaning(_P, _R, "a collection did not answer as it should"),
    "EndpointDeleted": Meaning(_X, _R, "the collection has been deleted"),
    "EndpointNotFound": Meaning(_X, _R, "there is no such collection"),
    "EndpointPermissionDenied": Meaning(_X, _R, "the collection does not let this identity in"),
    "PermissionDenied": Meaning(_X, _R, "the collection does not let this identity in"),
    "BadRequest": Meaning(_X, _I, "Globus does not understand an item"),
}
"""The last part of a refusal's code (``ClientError.Conflict.TooManyPendingJobs``). What is not here goes by status."""

SUBMIT_STATUSES: Mapping[int | None, Meaning] = {
    None: Meaning(_P, _A, "Globus did not answer"),
    401: Meaning(_P, _A, "Globus no longer takes the token: it is renewed at once"),
    408: Meaning(_P, _A, "Globus took too long to answer"),
    429: Meaning(_P, _A, "too many requests: nothing is asked before the Retry-After is over"),
    500: Meaning(_P, _A, "Globus failed"),
    502: Meaning(_P, _A, "Globus failed"),
    503: Meaning(_P, _A, "Globus is down for maintenance: asked again after its Retry-After"),
    504: Meaning(_P, _A, "Globus took too long to answer"),
}
"""Refusals whose code is not in the table, by HTTP status; any other status is permanent for an item."""

_OTHERWISE = Meaning(_X, _I, "Globus will not have an item")
_UNHEARD = Meaning(_P, _R, "a code that qstage has never heard of")


def meaning(code: str) -> Meaning:
    """What a code of a task means; codes come in either case."""
    return TASK_CODES.get(code.upper(), _UNHEARD)


def verdict(code: str) -> Verdict:
    return meaning(code).verdict


def lasting(events: Sequence[TaskEvent]) -> list[TaskEvent]:
    """Those of a task's error events that no further attempt will cure, in their order."""
    often = Counter((event.code.upper(), event.detail) for event in events)
    return [
        event
        for event in events
        if verdict(event.code) is Verdict.PERMANENT
        or often[event.code.upper(), event.detail] >= LASTING.get(event.code.upper(), len(events) + 1)
    ]


def refusal(code: str, status: int | None, *, transient: bool = False) -> Meaning:
    """What it means that Globus refused a call so."""
    parts = code.split(".")
    named = next((SUBMIT_CODES[part] for part in (parts[-1], *parts) if part in SUBMIT_CODES), None)
    if named is not None and not (named.verdict is Verdict.PERMANENT and transient):
        return named
    return SUBMIT_STATUSES.get(status, SUBMIT_STATUSES[None] if transient else _OTHERWISE)


INACTIVE = "INACTIVE"
"""What a look notes of a task that Globus suspended for want of a credential."""


def waits_for_user(trouble: str) -> bool:
    """Whether a task with this trouble stands still until its user has signed in."""
    return trouble == INACTIVE or verdict(trouble) is Verdict.USER


SKIP_ERRORS: Mapping[str, str] = {"FILE_NOT_FOUND": "source_missing", "PERMISSION_DENIED": "source_denied"}
"""What a skipped source is called in a job's ``error``."""
