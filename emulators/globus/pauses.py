"""Pause rules of administrators: what they hold up, on which collection, for whom."""

from __future__ import annotations

from dataclasses import dataclass, field

from emulators.globus.errors import Document
from emulators.globus.ids import random_id
from emulators.globus.task_models import Task

FLAGS = (
    "pause_ls",
    "pause_mkdir",
    "pause_symlink",
    "pause_rename",
    "pause_task_delete",
    "pause_task_transfer_write",
    "pause_task_transfer_read",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRule:
    """``identity`` None means everyone."""

    id: str = field(default_factory=random_id)
    collection: str
    message: str
    start_time: float
    identity: str | None = None
    flags: frozenset[str] = frozenset(FLAGS)

    def holds(self, collection: str | None, identity: str, flag: str, now: float) -> bool:
        return (
            collection == self.collection
            and self.identity in (None, identity)
            and flag in self.flags
            and now >= self.start_time
        )


class Pauses:
    def __init__(self) -> None:
        self.rules: dict[str, PauseRule] = {}

    def of_task(self, task: Task, now: float) -> list[PauseRule]:
        """The rules that hold a task up."""
        if task.type == "DELETE":
            asked = [(task.source, "pause_task_delete")]
        else:
            asked = [(task.source, "pause_task_transfer_read"), (task.destination or "", "pause_task_transfer_write")]
        return [
            rule
            for rule in self.rules.values()
            if any(rule.holds(collection, task.owner, flag, now) for collection, flag in asked)
        ]

    def for_task(self, task: Task, now: float) -> PauseRule | None:
        return next(iter(self.of_task(task, now)), None)

    def for_call(self, collection: str, identity: str, flag: str, now: float) -> PauseRule | None:
        return next((rule for rule in self.rules.values() if rule.holds(collection, identity, flag, now)), None)


def document(rule: PauseRule, display_name: str, *, limited: bool, when: str) -> Document:
    return {
        "DATA_TYPE": "pause_rule_limited" if limited else "pause_rule",
        "id": rule.id,
        "message": rule.message,
        "start_time": when,
        "endpoint_id": rule.collection,
        "endpoint_display_name": display_name,
        "identity_id": rule.identity,
        **{flag: flag in rule.flags for flag in FLAGS},
    }
