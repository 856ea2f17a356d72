"""What a user is told without asking: that only they can help, or soon will have to.

A notice is about one user and one cause, however many jobs that concerns. Its ``cause`` is the same each time it
would be sent, so that whoever gets it twice can tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from chalicelib.core.desk import LoginNeed
from chalicelib.core.ids import CollectionId, JobNumber, UserId
from chalicelib.core.job import Job
from chalicelib.core.sessions import NEVER

MOST_JOBS = 20
"""Jobs that a notice names, and addresses that it carries; the rest are counted."""

SCHEMA = 1


class Kind(StrEnum):
    """What a notice is about."""

    LOGIN_NEEDED = "login_needed"
    """Jobs wait until the user has signed in."""
    SESSION_ENDS = "session_ends"
    """The login session ends, or does not serve, before jobs are done with what demands it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One message. ``at`` is when the session ends, None where there is no such moment ahead."""

    kind: Kind
    cause: str
    user: UserId
    username: str
    jobs: tuple[JobNumber, ...]
    count: int
    emails: tuple[str, ...]
    detail: str
    login_url: str
    sent_at: datetime
    at: datetime | None = None

    def values(self) -> dict[str, Any]:
        """The message as JSON; see docs/api.md."""
        return {
            "schema": SCHEMA,
            "kind": self.kind,
            "cause": self.cause,
            "user": {"id": self.user, "username": self.username},
            "jobs": list(self.jobs),
            "count": self.count,
            "emails": list(self.emails),
            "detail": self.detail,
            "at": None if self.at is None or self.at == NEVER else _stamp(self.at),
            "login_url": self.login_url,
            "sent_at": _stamp(self.sent_at),
        }


def login_cause(need: LoginNeed) -> str:
    """What makes two wants of a login the same: that nobody signed in between them."""
    return f"{Kind.LOGIN_NEEDED}:{need.since.astimezone(UTC).isoformat(timespec='seconds')}"


def session_cause(collection: CollectionId, until: datetime) -> str:
    """What makes two ends of a session the same."""
    moment = "never" if until == NEVER else until.astimezone(UTC).isoformat(timespec="seconds")
    return f"{Kind.SESSION_ENDS}:{collection}:{moment}"


def addresses(jobs: Iterable[Job]) -> tuple[str, ...]:
    """The addresses that these jobs name, each once."""
    found = dict.fromkeys(job.journey.notify for job in jobs if job.journey is not None and job.journey.notify)
    return tuple(found)[:MOST_JOBS]


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
