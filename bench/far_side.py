"""Globus as the peer's simulation has it: calls that take their time, tasks that end well, three at once.

Real calls of the service's code meet it through ``core.ports.transfer``. It keeps its own time by the clock it is
given, so that it serves a run in real time and one in turned time alike.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chalicelib.core.batch import Batch, Movement
from chalicelib.core.consent import CollectionFacts
from chalicelib.core.ids import CollectionId, SubmissionId, TaskId
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.transfer import Skip, Task, TaskEvent, TaskStatus
from chalicelib.core.tokens import AccessToken

MOST_ACTIVE = 3


@dataclass(slots=True, kw_only=True)
class _Running:
    id: TaskId
    label: str
    items: int
    ends_at: datetime
    canceled: bool = False


@dataclass(slots=True, kw_only=True)
class FarSide:
    """``takes`` is how long a task moves data once it is one of the three; ``pause`` takes seconds.

    Each item counts as ``files_each`` files.
    """

    clock: Clock
    takes: timedelta = timedelta(seconds=10)
    submit_seconds: float = 0.0
    call_seconds: float = 0.0
    pause: Callable[[float], None] = lambda seconds: None
    files_each: int = 1
    calls: Counter[str] = field(default_factory=Counter)
    tasks: dict[SubmissionId, _Running] = field(default_factory=dict)
    most_active: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def submission(self, token: AccessToken) -> SubmissionId:
        self._spend("submission", self.call_seconds)
        return SubmissionId(f"s{self.calls['submission']}-{id(token)}")

    def submit(self, token: AccessToken, batch: Batch, movements: Sequence[Movement]) -> TaskId:
        self._spend("submit", self.submit_seconds)
        with self._lock:
            if batch.submission not in self.tasks:
                self.tasks[batch.submission] = self._accept(batch, len(movements))
            return self.tasks[batch.submission].id

    def _accept(self, batch: Batch, items: int) -> _Running:
        now = self.clock.now()
        ends = sorted((task.ends_at for task in self.tasks.values() if task.ends_at > now), reverse=True)
        begins = ends[MOST_ACTIVE - 1] if len(ends) >= MOST_ACTIVE else now
        self.most_active = max(self.most_active, min(len(ends), MOST_ACTIVE - 1) + 1)
        name = TaskId(f"task-{len(self.tasks) + 1}")
        return _Running(id=name, label=batch.label, items=items, ends_at=begins + self.takes)

    def cancel(self, token: AccessToken, task: TaskId) -> None:
        self._spend("cancel", self.call_seconds)
        for each in self.tasks.values():
            each.canceled = each.canceled or (each.id == task and each.ends_at > self.clock.now())

    def look(self, token: AccessToken, ids: Sequence[TaskId]) -> Mapping[TaskId, Task]:
        self._spend("look", self.call_seconds)
        with self._lock:
            return {task.id: self._seen(task) for task in self.tasks.values() if task.id in ids}

    def find(self, token: AccessToken, label: str) -> Task | None:
        self._spend("find", self.call_seconds)
        with self._lock:
            return next((self._seen(task) for task in self.tasks.values() if task.label == label), None)

    def skipped(self, token: AccessToken, task: TaskId) -> Sequence[Skip]:
        self._spend("skipped", self.call_seconds)
        return ()

    def delivered(self, token: AccessToken, task: TaskId) -> Sequence[str]:
        self._spend("delivered", self.call_seconds)
        return ()

    def errors(self, token: AccessToken, task: TaskId) -> Sequence[TaskEvent]:
        self._spend("errors", self.call_seconds)
        return ()

    def facts(self, token: AccessToken, collection: CollectionId) -> CollectionFacts:
        self._spend("facts", self.call_seconds)
        return CollectionFacts(id=collection, entity_type="GCSv5_guest_collection")

    def _seen(self, task: _Running) -> Task:
        over = self.clock.now() >= task.ends_at
        status = TaskStatus.SUCCEEDED if over else TaskStatus.ACTIVE
        return Task(
            id=task.id,
            status=TaskStatus.FAILED if task.canceled else status,
            label=task.label,
            files=task.items * self.files_each,
            files_done=task.items * self.files_each if over else 0,
            bytes=task.items * 1000 if over else 0,
            ok=True,
            paused=False,
            faults=0,
            skipped=0,
            nice_status=None,
            fatal=None,
            took=self.takes if over else None,
        )

    def _spend(self, call: str, seconds: float) -> None:
        with self._lock:
            self.calls[call] += 1
        self.pause(seconds)
