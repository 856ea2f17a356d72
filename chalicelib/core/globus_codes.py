"""What Globus's task error codes mean for a job: do they pass, are they permanent, must the user act?

The codes are those of Globus Transfer's event lists and ``fatal_error``. One that is not in the table passes
until the task's deadline, and is shown meanwhile: better late than wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Verdict(Enum):
    """What to do about an error of a running task."""

    PASSES = "passes"
    PERMANENT = "permanent"
    USER = "user"


_P, _X, _U = Verdict.PASSES, Verdict.PERMANENT, Verdict.USER

TASK_CODES: Mapping[str, Verdict] = {
    "AMBIGUOUS_PATH": _X,
    "DELETED": _X,
    "ENDPOINT_DELETED": _X,
    "FILE_NOT_FOUND": _X,
    "IS_A_DIRECTORY": _X,
    "NOT_A_DIRECTORY": _X,
    "PATH_NOT_ALLOWED": _X,
    "PERMISSION_DENIED": _X,
    "NO_SUCH_ENDPOINT": _X,
    "AUTH": _U,
    "CREDENTIAL_EXPIRED": _U,
    "LOGIN_DENIED": _U,
    "CONNECTION_BROKEN": _P,
    "CONNECTION_RESET": _P,
    "CONNECT_FAILED": _P,
    "ENDPOINT_ERROR": _P,
    "ENDPOINT_TOO_BUSY": _P,
    "FILE_SIZE_CHANGED": _P,
    "GC_NOT_CONNECTED": _P,
    "GC_PAUSED": _P,
    "NO_SPACE": _P,
    "PAUSED": _P,
    "QUOTA_EXCEEDED": _P,
    "TIMEOUT": _P,
    "UNKNOWN": _P,
    "VERIFY_CHECKSUM": _P,
}


def verdict(code: str) -> Verdict:
    return TASK_CODES.get(code.upper(), Verdict.PASSES)


INACTIVE = "INACTIVE"
"""What a look notes of a task that Globus suspended for want of a credential."""


def waits_for_user(trouble: str) -> bool:
    """Whether a task with this trouble stands still until its user has signed in."""
    return trouble == INACTIVE or verdict(trouble) is Verdict.USER


SKIP_ERRORS: Mapping[str, str] = {"FILE_NOT_FOUND": "source_missing", "PERMISSION_DENIED": "source_denied"}
"""What a skipped source is called in a job's ``error``."""
