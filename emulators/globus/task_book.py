"""Every task, found by id, by owner, by submission id, by what it moves. The caller holds the world's lock.

Whatever is asked at every call has an index here, so that a call costs the same however many tasks live.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from emulators.globus.config import Settings
from emulators.globus.task_models import Task

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class Lane:
    """A user's tasks of one type: those that run, and those that wait for their turn, oldest first.

    One that ended while it waited is passed over when its turn comes.
    """

    running: dict[str, Task] = field(default_factory=dict)
    waiting: deque[Task] = field(default_factory=deque)

    def next(self) -> Task | None:
        """The next task to start, taken off the queue; None if nobody waits."""
        while self.waiting:
            task = self.waiting.popleft()
            if task.live:
                return task
        return None


class TaskBook:
    def __init__(self, settings: Settings) -> None:
        self._identical = settings.identical
        self._tasks: dict[str, Task] = {}
        self._by_owner: dict[str, list[Task]] = {}
        self._submissions: dict[tuple[str, str], Task] = {}
        self._live: dict[str, Task] = {}
        self._pending: Counter[str] = Counter()
        self._places: Counter[str | None] = Counter()
        self._moving: Counter[Hashable] = Counter()
        self._deadlines: list[tuple[float, int, Task]] = []
        self._order = itertools.count()
        self._lanes: dict[tuple[str, str], Lane] = {}

    def add(self, task: Task) -> None:
        self._tasks[task.id] = task
        self._by_owner.setdefault(task.owner, []).append(task)
        self._submissions[task.owner, task.submission_id] = task
        self._live[task.id] = task
        self.lane(task).waiting.append(task)
        self.dated(task)
        self._count(task, 1)

    def ended(self, task: Task) -> None:
        """The task is live no more."""
        del self._live[task.id]
        self.lane(task).running.pop(task.id, None)
        self._count(task, -1)

    def _count(self, task: Task, by: int) -> None:
        _add(self._pending, [task.owner], by)
        _add(self._places, {task.source, task.destination}, by)
        _add(self._moving, self._keys(task), by)

    def _keys(self, task: Task) -> list[Hashable]:
        """What makes two transfers of a user conflict: all their paths together, or any of them."""
        if task.type != "TRANSFER":
            return []
        pairs = task.pairs()
        return [(task.owner, pairs)] if self._identical == "set" else [(task.owner, pair) for pair in pairs]

    # -- looking up ----------------------------------------------------------------------------------------

    def get(self, task_id: str) -> Task | None:
        return self._tasks.get(task_id)

    def submitted(self, owner: str, submission_id: str) -> Task | None:
        return self._submissions.get((owner, submission_id))

    def of(self, owner: str) -> list[Task]:
        """A user's tasks, oldest first."""
        return self._by_owner.get(owner, [])

    def pending(self, owner: str) -> int:
        """How many of a user's tasks have not ended."""
        return self._pending[owner]

    def moving(self, task: Task) -> bool:
        """Whether a live transfer of the same user moves what this one would."""
        return any(key in self._moving for key in self._keys(task))

    def in_use(self, collection_id: str) -> bool:
        """Whether a live task reads from a collection or writes to it."""
        return collection_id in self._places

    def all_live(self) -> list[Task]:
        return list(self._live.values())

    def all(self) -> list[Task]:
        return list(self._tasks.values())

    # -- turns and deadlines -------------------------------------------------------------------------------

    def lane(self, task: Task) -> Lane:
        return self._lane(task.owner, task.type)

    def _lane(self, owner: str, kind: str) -> Lane:
        return self._lanes.setdefault((owner, kind), Lane())

    def running(self, owner: str) -> list[str]:
        """The ids of a user's tasks that are worked on."""
        return [each for kind in ("TRANSFER", "DELETE") for each in self._lane(owner, kind).running]

    def dated(self, task: Task) -> None:
        """The task has a deadline, or another than before."""
        heapq.heappush(self._deadlines, (task.deadline, next(self._order), task))

    def overdue(self, now: float) -> Iterator[Task]:
        """The waiting tasks whose deadline has passed. A running one sees to its own."""
        while self._deadlines and self._deadlines[0][0] <= now:
            _, _, task = heapq.heappop(self._deadlines)
            if task.live and task.deadline <= now and task.id not in self.lane(task).running:
                yield task


def _add(counter: Counter[K], keys: Iterable[K], by: int) -> None:
    for key in keys:
        counter[key] += by
        if not counter[key]:
            del counter[key]
