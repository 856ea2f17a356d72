"""Globus Transfer as the planner needs it. One call of a method is one call to Globus, or a few pages of one.

Every method may raise ``errors.LoginNeeded`` (with what the login must bring) or ``errors.FarSide`` (transient
or not, in Globus's own words). None of them retries: the loop is the retry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from chalicelib.core.batch import Batch, Movement
from chalicelib.core.consent import CollectionFacts
from chalicelib.core.errors import FarSide
from chalicelib.core.ids import CollectionId, SubmissionId, TaskId
from chalicelib.core.tokens import AccessToken


class TaskStatus(StrEnum):
    """Globus's own four words."""

    ACTIVE = "ACTIVE"
    """Also while queued at Globus, paused, or failing again and again: see the other fields."""
    INACTIVE = "INACTIVE"
    """Suspended, because the user's credential expired. It goes on after a login."""
    SUCCEEDED = "SUCCEEDED"
    """Done, though items may have been skipped."""
    FAILED = "FAILED"
    """Failed, past its deadline, or cancelled by anyone."""

    @property
    def ended(self) -> bool:
        return self in (TaskStatus.SUCCEEDED, TaskStatus.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What one look at a task tells."""

    id: TaskId
    status: TaskStatus
    label: str
    files: int
    """Files that the task has to move, 0 until it has scanned."""
    files_done: int
    """Files moved, or found to be there already."""
    bytes: int
    ok: bool
    """False while an active task's last attempt at something failed."""
    paused: bool
    faults: int
    skipped: int
    """Items skipped because of a fault at their source."""
    nice_status: str | None
    fatal: str | None
    """The code of the error that ended a failed task, where Globus gives one."""
    expired: bool = False
    """It failed because its deadline passed."""
    admin: str | None = None
    """What the administrator said who cancelled it; None if none did."""
    rate: int = 0
    """Bytes a second since it was accepted."""
    took: timedelta | None = None
    """From its acceptance to its end; None while it goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """One path that a task skipped, and why."""

    source_path: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvent:
    """One error event of a task, newest first in a list."""

    code: str
    description: str
    detail: str
    time: datetime


class Submissions(Protocol):
    """Beginning and ending tasks as one user."""

    def submission(self, token: AccessToken) -> SubmissionId:
        """Fetch a submission id. It costs nothing to leave one unused."""
        ...

    def submit(self, token: AccessToken, batch: Batch, movements: Sequence[Movement]) -> TaskId:
        """Post the batch and return its task. Safe to repeat: Globus answers ``Duplicate`` with the same task.

        :raises IdenticalPaths: a live task already has the same paths.
        :raises TooManyTasks: Globus has a hundred tasks of this user pending.
        """
        ...

    def cancel(self, token: AccessToken, task: TaskId) -> None:
        """Ask for the task's end. It ends FAILED, or as it would have if it was faster. Safe to repeat."""
        ...


class Tasks(Protocol):
    """Watching tasks as one user."""

    def look(self, token: AccessToken, ids: Sequence[TaskId]) -> Mapping[TaskId, Task]:
        """Look at these tasks and at what else of the user's is under way, in one list call.

        A task that is missing from the answer may still exist; one that was not asked for is in it only while it
        goes on.
        """
        ...

    def find(self, token: AccessToken, label: str) -> Task | None:
        """Find the newest task with exactly this label."""
        ...

    def skipped(self, token: AccessToken, task: TaskId) -> Sequence[Skip]:
        """List what an ended task skipped."""
        ...

    def delivered(self, token: AccessToken, task: TaskId) -> Sequence[str]:
        """List the destination paths of the files that an ended task moved."""
        ...

    def errors(self, token: AccessToken, task: TaskId) -> Sequence[TaskEvent]:
        """List the latest error events of a task (at most 50), newest first."""
        ...


class Endpoints(Protocol):
    """What one user can learn of collections."""

    def facts(self, token: AccessToken, collection: CollectionId) -> CollectionFacts | None:
        """Return what Globus says of the collection; None if it does not show it to this user."""
        ...


class IdenticalPaths(FarSide):
    """A live task already has a path of this batch; whose it is, only its label tells."""


class TooManyTasks(FarSide):
    """Globus takes no more tasks of this user until some have ended."""
