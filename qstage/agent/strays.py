"""Jobs of which an agent has no record: its journal is new, and the site's directories bear the marks of an old one's.

Their directories tell which they are; the service knows the rest (``Work.take``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from qstage.agent.jobdir import DirectoryRefused, NoDirectory, open_job_directory
from qstage.agent.policy import Policy

_REFERENCE = re.compile(r"[\w.-]{1,50}/[0-9]{1,12}")


def find_strays(policy: Policy, site: str) -> list[str]:
    """The site's jobs whose directories are where the service puts them, ``<directory>/<user's tag>/<job>``, below one
    of the policy's. What belongs to others, or cannot be read, is left out."""
    return sorted({job for path in _candidates(policy) if (job := _job_of(path, policy, site)) is not None})


def _candidates(policy: Policy) -> Iterator[str]:
    for root in policy.directories:
        for user in _directories(root):
            yield from _directories(user)


def _directories(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _job_of(path: str, policy: Policy, site: str) -> str | None:
    try:
        with open_job_directory(path, policy, create=False) as directory:
            owner = directory.owner() or {}
    except (DirectoryRefused, NoDirectory, OSError):
        return None
    job = owner.get("job")
    # The job itself could have written this: what is no reference would have the service refuse the whole call.
    known = isinstance(job, str) and _REFERENCE.fullmatch(job) is not None and owner.get("site") == site
    return str(job) if known else None
