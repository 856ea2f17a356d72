"""One run of a task: waiting, retrying, holding and ending. What is moved is in ``transferring`` and ``deleting``.

A fault never ends a transfer: it is counted, told in an event, and the unit is tried again until the deadline.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from emulators.globus import deleting, transferring
from emulators.globus.holds import Hold, hold_of
from emulators.globus.run_errors import FaultError, StopError
from emulators.globus.task_models import Task

if TYPE_CHECKING:
    from emulators.globus.engine import Engine

_LOOK_AGAIN = 0.05


class Run:
    def __init__(self, engine: Engine, task: Task) -> None:
        self.engine = engine
        self.world = engine.world
        self.task = task
        self.modelled = 0.0
        self._start = engine.world.now()
        self._waiting = False
        self._over: Callable[[], bool] | None = None
        self._held: Hold | None = None

    def go(self) -> None:
        """The body of the thread. A defect of the emulator ends the task and is told on standard error."""
        task, engine = self.task, self.engine
        work = transferring.transfer if task.type == "TRANSFER" else deleting.delete
        try:
            with self.world.lock:
                task.started = True
                task.nice_status = "OK"
                details = '{\n  "type": "GridFTP Transfer",\n  "concurrency": 2\n}'
                task.log("STARTED", details, self._start)
            work(self)
            self._wait_polls()
            with self.world.lock:
                self.check()
                engine.end(task, "done", "SUCCEEDED", f"files_succeeded={task.files_transferred}")
        except StopError as stop:
            if stop.how:
                with self.world.lock:
                    engine.end(task, stop.how, stop.code, stop.details)
        except Exception:
            traceback.print_exc()
            with self.world.lock:
                if task.live:
                    engine.end(task, "failed", "UNKNOWN", "The emulator has a defect; see its standard error")

    # -- asked by readers, with the lock held --------------------------------------------------------------

    def due(self) -> bool:
        """Whether this run has something to do that a reader should wait for."""
        if not self.task.live:
            return False
        if not self._waiting:
            return self.world.pace.kind != "clock"
        now = self.world.now()
        if self.task.cancel_requested or now >= self.task.deadline:
            return True
        if self._held is not None or self._hold() is not None:
            return self._hold() != self._held
        return self._over is not None and self._over()

    def _hold(self) -> Hold | None:
        return hold_of(self.world, self.task)

    # -- asked by the work ---------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise ``StopError`` if the task must not go on."""
        if self.engine.closing:
            raise StopError("", "", "")
        if self.task.cancel_requested is not None:
            raise StopError("canceled", "CANCELED", self.task.cancel_requested)
        if self.world.now() >= self.task.deadline:
            raise StopError("expired", self.world.settings.expired_code, "The deadline has passed")

    def pace(self, seconds: float) -> None:
        """Account for modelled time, wait for it, and stand still while the task is held."""
        self.modelled += seconds
        with self.world.lock:
            self.check()
            self._gate()
            self._sleep_until(self._start + self.world.pace.seconds(self.modelled))

    def retry(self, units: int) -> None:
        """Wait before ``units`` units are tried again."""
        with self.world.lock:
            self.task.units_retrying = units
            before = self.task.polls
            if self.world.pace.kind == "poll":
                self._wait(lambda: self.task.polls > before)
            else:
                interval = self.world.settings.retry_interval
                self._sleep_until(self.world.now() + (self.world.pace.seconds(interval) or interval))
            self._start = self.world.now() - self.world.pace.seconds(self.modelled)
            self.task.units_retrying = 0
            self._gate()

    def fault(self, fault: FaultError) -> None:
        """Count a fault and show it."""
        with self.world.lock:
            self.task.faults += 1
            self.task.nice_status, self.task.nice_details = fault.code, fault.details
            self.task.log(fault.code, fault.details, self.world.now(), is_error=True)

    def better(self) -> None:
        """Nothing is wrong any more."""
        with self.world.lock:
            self.task.nice_status, self.task.nice_details = "OK", None

    # -- waiting, with the lock held -----------------------------------------------------------------------

    def _sleep_until(self, when: float) -> None:
        if self.world.now() < when:
            self._wait(lambda: self.world.now() >= when)

    def _wait_polls(self) -> None:
        pace = self.world.pace
        if pace.kind == "poll":
            with self.world.lock:
                self._wait(lambda: self.task.polls >= pace.polls)

    def _wait(self, over: Callable[[], bool]) -> None:
        try:
            while not over():
                self.check()
                self._gate()
                self._over = over
                self._waiting = True
                self.engine.changed.wait(_LOOK_AGAIN)
        finally:
            self._waiting, self._over = False, None
            self.engine.changed.notify_all()
        self.check()

    def _gate(self) -> None:
        """Stand still while the task is paused, its credentials are gone, or a collection is away."""
        while (hold := self._hold()) is not None:
            if hold.fails:
                raise StopError("failed", hold.code, hold.details)
            if hold != self._held:
                self._enter(hold)
            self.check()
            self._waiting = True
            self.engine.changed.wait(_LOOK_AGAIN)
            self._waiting = False
        if self._held is not None:
            self._leave(self._held)

    def _enter(self, hold: Hold) -> None:
        task = self.task
        self._held = hold
        task.status = "INACTIVE" if hold.kind == "inactive" else "ACTIVE"
        task.is_paused = hold.kind == "paused"
        task.nice_status, task.nice_details = hold.code, hold.details
        if hold.kind == "offline":
            task.faults += 1
        task.log(hold.event, hold.details, self.world.now(), is_error=hold.kind != "paused")
        self.engine.changed.notify_all()

    def _leave(self, hold: Hold) -> None:
        task = self.task
        self._held = None
        task.status, task.is_paused = "ACTIVE", False
        task.nice_status, task.nice_details = "OK", None
        if hold.kind == "paused":
            task.log("UNPAUSED", "The task goes on", self.world.now())
        self.engine.changed.notify_all()
