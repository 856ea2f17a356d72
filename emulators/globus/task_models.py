"""Tasks: what was asked for (frozen) and how far it has come (changed by the engine alone, under the lock)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from emulators.globus.auth_models import Session

Side = Literal["source", "destination"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing to move, or (without a destination) to delete."""

    source_path: str
    destination_path: str = ""
    recursive: bool | None = None
    external_checksum: str | None = None
    checksum_algorithm: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterRule:
    method: Literal["include", "exclude"]
    name: str
    type: Literal["file", "dir"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    sync_level: int | None = None
    verify_checksum: bool = False
    preserve_timestamp: bool = False
    encrypt_data: bool = False
    skip_source_errors: bool = False
    fail_on_quota_errors: bool = False
    delete_destination_extra: bool = False
    recursive: bool | None = None
    ignore_missing: bool = False
    interpret_globs: bool = False
    filter_rules: tuple[FilterRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    code: str
    description: str
    details: str
    is_error: bool
    time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A file that arrived."""

    source_path: str
    destination_path: str
    size: int
    checksum: str | None
    algorithm: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A source error that was skipped, as the submission allowed."""

    source_path: str
    destination_path: str
    code: str
    details: str
    time: float
    is_directory: bool
    external_checksum: str | None
    algorithm: str | None


@dataclass(slots=True, kw_only=True)
class Task:
    id: str
    type: Literal["TRANSFER", "DELETE"]
    owner: str
    client: str
    session: Session | None
    submission_id: str
    source: str
    destination: str | None
    items: tuple[Item, ...]
    options: Options
    label: str | None
    request_time: float
    deadline: float

    status: Literal["ACTIVE", "INACTIVE", "SUCCEEDED", "FAILED"] = "ACTIVE"
    started: bool = False
    completion_time: float | None = None
    nice_status: str | None = "Queued"
    nice_details: str | None = None
    fatal: tuple[str, str] | None = None
    faults: int = 0
    is_paused: bool = False
    cancel_requested: str | None = None
    canceled_by_admin: str | None = None
    admin_message: str | None = None
    paused_by_admin: str | None = None
    credentials_expired: bool = False
    polls: int = 0

    files: int = 0
    directories: int = 0
    symlinks: int = 0
    files_skipped: int = 0
    files_transferred: int = 0
    bytes_transferred: int = 0
    bytes_checksummed: int = 0
    units_done: int = 0
    units_lost: int = 0
    units_retrying: int = 0
    ended_as: Literal["", "canceled", "expired", "failed"] = ""
    events: list[Event] = field(default_factory=list)
    moved: list[Moved] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def live(self) -> bool:
        return self.status in ("ACTIVE", "INACTIVE")

    @property
    def units(self) -> int:
        """Subtasks: the scan, every file and directory, and what was skipped before it became one."""
        return 1 + self.files + self.directories + self.units_lost

    def pairs(self) -> frozenset[tuple[str, str | None, str, str]]:
        """What is moved from where to where: tasks with the same pairs are identical."""
        return frozenset((self.source, self.destination, i.source_path, i.destination_path) for i in self.items)

    def log(self, code: str, details: str, now: float, *, is_error: bool = False) -> None:
        words = code.replace("_", " ").lower()
        self.events.append(Event(code=code, description=words, details=details, is_error=is_error, time=now))
