"""How a run is stopped, and what Transfer calls the errors of a file system."""

from __future__ import annotations

import errno

from emulators.globus.config import Settings
from emulators.globus.task_models import Side


class StopError(Exception):
    """The task ends now: canceled, expired, failed; or the emulator closes (``how`` is empty)."""

    def __init__(self, how: str, code: str, details: str) -> None:
        super().__init__(details)
        self.how, self.code, self.details = how, code, details


class FaultError(Exception):
    """Something went wrong with one unit. ``skippable`` only where the source is at fault."""

    def __init__(self, code: str, details: str, side: Side, *, skippable: bool = False) -> None:
        super().__init__(details)
        self.code, self.details, self.side, self.skippable = code, details, side, skippable


def fault_of(error: OSError, side: Side, path: str, settings: Settings) -> FaultError:
    """What Transfer calls an error of the file system."""
    number = error.errno
    reason = error.strerror or "System error"
    if number in (errno.ENOENT, errno.ELOOP) or (number == errno.ENOTDIR and side == "source"):
        code = "FILE_NOT_FOUND"
    elif number in (errno.EACCES, errno.EPERM, errno.EROFS):
        code = "PERMISSION_DENIED"
    elif number in (errno.ENOSPC, errno.EDQUOT):
        code = settings.quota_code
    elif number == errno.ENOTDIR:
        code = settings.not_a_directory_code
    elif number == errno.EISDIR:
        code = settings.is_a_directory_code
    else:
        code = "ENDPOINT_ERROR"
    ftp = {"FILE_NOT_FOUND": "PATH_NOT_FOUND"}.get(code, code)
    details = (
        f"Error (transfer)\nFile: {path}\nMessage: Fatal FTP response\n---\n"
        f"Details: 550-GlobusError: v=1 c={ftp}\\r\\n550-GridFTP-Error: {reason}\\r\\n550 End.\\r\\n"
    )
    skippable = side == "source" and code in ("FILE_NOT_FOUND", "PERMISSION_DENIED")
    return FaultError(code, details, side, skippable=skippable)
