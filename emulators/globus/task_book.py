"""Every task, found by id, by owner, by submission id. The caller holds the world's lock."""

from __future__ import annotations

from emulators.globus.task_models import Task


class TaskBook:
    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._by_owner: dict[str, list[Task]] = {}
        self._submissions: dict[tuple[str, str], Task] = {}
        self._live: dict[str, dict[str, Task]] = {}

    def add(self, task: Task) -> None:
        self._tasks[task.id] = task
        self._by_owner.setdefault(task.owner, []).append(task)
        self._submissions[task.owner, task.submission_id] = task
        self._live.setdefault(task.owner, {})[task.id] = task

    def ended(self, task: Task) -> None:
        del self._live[task.owner][task.id]

    def get(self, task_id: str) -> Task | None:
        return self._tasks.get(task_id)

    def submitted(self, owner: str, submission_id: str) -> Task | None:
        return self._submissions.get((owner, submission_id))

    def of(self, owner: str) -> list[Task]:
        """A user's tasks, oldest first."""
        return self._by_owner.get(owner, [])

    def live(self, owner: str) -> list[Task]:
        """A user's tasks that have not ended, oldest first."""
        return list(self._live.get(owner, {}).values())

    def all_live(self) -> list[Task]:
        return [task for tasks in self._live.values() for task in tasks.values()]

    def all(self) -> list[Task]:
        return list(self._tasks.values())
