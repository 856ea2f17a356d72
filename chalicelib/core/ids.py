"""The ids that qstage passes around, each a type of its own, and how the shorter ones are derived."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import NewType

UserId = NewType("UserId", str)
"""A Globus Auth identity id: the ``sub`` of a verified id token."""

JobNumber = NewType("JobNumber", int)
"""A job's number, unique for its user, counting from 1001. It is the id that users see."""

SiteId = NewType("SiteId", str)
"""The short name of a compute site, unique in a deployment."""

CollectionId = NewType("CollectionId", str)
"""The UUID of a Globus collection."""

BatchId = NewType("BatchId", str)
"""Names one planned Globus task; the task's label carries it."""

SubmissionId = NewType("SubmissionId", str)
"""Globus's id of an intention to submit: posted twice, it makes one task."""

TaskId = NewType("TaskId", str)
"""Globus's id of a transfer task."""

FIRST_NUMBER = JobNumber(1001)
"""Where each user's job numbers begin. Scripts written for Cobalt and PSI/J expect four digits or more."""


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class JobRef:
    """What addresses a job in the whole deployment."""

    user: UserId
    number: JobNumber

    def __str__(self) -> str:
        """The text a site uses for the job, and gives back."""
        return f"{self.user}/{self.number}"

    @classmethod
    def parse(cls, text: str) -> JobRef | None:
        """Read what ``str`` wrote; None for anything else."""
        user, slash, number = text.rpartition("/")
        if not slash or not user or not number.isascii() or not number.isdigit() or len(number) > 10:
            return None
        return cls(user=UserId(user), number=JobNumber(int(number)))


def user_tag(user: UserId) -> str:
    """A short name for a user in paths and labels: twelve lower-case letters and digits (60 bits)."""
    digest = hashlib.sha256(user.encode()).digest()
    return base64.b32encode(digest)[:12].decode().lower()
