"""Runs tasks: at most three of a kind for each user at a time, the rest queued, each run in a thread of its own.

The lock is held to change a task, never while a file is copied. Whoever reads a task first lets the engine come to
rest (``settle``), so that what a turned clock or the pace calls for has happened before the answer is written.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable

from emulators.globus import task_runs
from emulators.globus.task_models import Task
from emulators.globus.world import World

_LOOK_AGAIN = 0.05  # real seconds between looks at a clock that another process may turn
_PATIENCE = {"once": 30.0, "poll": 30.0, "clock": 2.0}  # real seconds that a reader waits for due work


class Engine:
    def __init__(self, world: World) -> None:
        self.world = world
        self.changed = threading.Condition(world.lock)
        self.closing = False
        self._runs: dict[str, task_runs.Run] = {}
        self._threads: set[threading.Thread] = set()

    # -- called by handlers, with the lock held ------------------------------------------------------------

    def submit(self, task: Task) -> None:
        self.world.tasks.add(task)
        self._promote(task)

    def cancel(self, task: Task, details: str, *, admin: str | None = None, message: str | None = None) -> None:
        """Ask a task to end. A queued one ends here; a running one when its run notices."""
        task.cancel_requested = details
        task.canceled_by_admin, task.admin_message = admin, message
        if task.id not in self._runs:
            self.end(task, "canceled", "CANCELED", details)
        self.changed.notify_all()

    def settle(self, tasks: Iterable[Task]) -> None:
        """Wait until what is due for these tasks has happened; for no longer than the pace's patience."""
        ids = {task.id for task in tasks}
        self._settle(lambda: self._runs.keys() & ids)

    def settle_owner(self, owner: str) -> None:
        """The same for all tasks of a user."""
        self._settle(lambda: self.world.tasks.running(owner))

    def _settle(self, running: Callable[[], Collection[str]]) -> None:
        self._expire_queued()
        patience = time.monotonic() + _PATIENCE[self.world.pace.kind]
        self.changed.notify_all()
        while time.monotonic() < patience and any(self._runs[each].due() for each in running()):
            self.changed.wait(_LOOK_AGAIN)
            self._expire_queued()

    def wait_ended(self, task: Task, patience: float) -> bool:
        """Wait up to ``patience`` real seconds for a task to end."""
        self.changed.notify_all()
        self.changed.wait_for(lambda: not task.live, patience)
        return not task.live

    def notify(self) -> None:
        """Something that a waiting run looks at has changed."""
        self.changed.notify_all()

    def _expire_queued(self) -> None:
        for task in self.world.tasks.overdue(self.world.now()):
            self.end(task, "expired", self.world.settings.expired_code, "The deadline has passed")

    # -- called by runs, with the lock held ----------------------------------------------------------------

    def end(self, task: Task, how: str, code: str, details: str) -> None:
        """End a task: ``how`` is done, canceled, expired or failed. The next queued one starts."""
        now = self.world.now()
        task.status = "SUCCEEDED" if how == "done" else "FAILED"
        task.completion_time = now
        task.nice_status = task.nice_details = None
        task.is_paused = False
        task.units_retrying = 0
        if how != "done":
            task.ended_as = how  # type: ignore[assignment]
        if how in ("failed", "expired"):
            task.fatal = (code, code.replace("_", " ").lower())
        task.log(code, details, now, is_error=how != "done")
        self.world.tasks.ended(task)
        self._runs.pop(task.id, None)
        self._promote(task)
        self.changed.notify_all()

    def _promote(self, last: Task) -> None:
        """Start what waits for its turn where a task has come or gone."""
        lane = self.world.tasks.lane(last)
        while not self.closing and len(lane.running) < self.world.settings.active_tasks:
            task = lane.next()
            if task is None:
                return
            lane.running[task.id] = task
            self._start(task)

    def _start(self, task: Task) -> None:
        run = task_runs.Run(self, task)
        self._runs[task.id] = run
        thread = threading.Thread(target=self._thread, args=(run,), name=f"task-{task.id[:8]}", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _thread(self, run: task_runs.Run) -> None:
        try:
            run.go()
        finally:
            with self.world.lock:
                self._threads.discard(threading.current_thread())

    def close(self) -> None:
        """Stop every run where it is; what was not whole is gone."""
        with self.world.lock:
            self.closing = True
            self.changed.notify_all()
            threads = list(self._threads)
        for thread in threads:
            thread.join(timeout=10)
