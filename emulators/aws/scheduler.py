"""Fires the project's schedules by the shared clock, as EventBridge would.

The rule when the clock is turned: a schedule that came due any number of times since the last look fires
once. One whose last event still waits or runs is not fired again until that has ended; it then fires at
once if it came due meanwhile. A failed event is not repeated: the next due time is its retry.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from emulators.aws.hosts import Outcome, Pool
from emulators.aws.schedules import Schedule, parse_schedule
from emulators.clock import Clock

_LOOK = 0.02  # seconds between looks at the clock


def schedule_event(name: str, *, due: float, account: str, region: str) -> dict[str, Any]:
    """The event EventBridge sends for a schedule."""
    when = datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": account,
        "time": when,
        "region": region,
        "resources": [f"arn:aws:events:{region}:{account}:rule/{name}"],
        "detail": {},
    }


class Scheduler:
    """One thread that looks at the clock; each firing runs in its own."""

    def __init__(
        self, expressions: Mapping[str, str], pools: Mapping[str, Pool], clock: Clock, *, account: str, region: str
    ) -> None:
        now = clock.now()
        self._schedules: dict[str, Schedule] = {
            name: parse_schedule(text, start=now) for name, text in expressions.items()
        }
        self._due = {name: schedule.after(now) for name, schedule in self._schedules.items()}
        self._pools, self._clock = pools, clock
        self._account, self._region = account, region
        self._running: set[str] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="schedules", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def fire(self, name: str) -> Outcome | None:
        """Run a schedule's event now and wait for it; None if the stack stopped meanwhile."""
        return self._run(name, self._clock.now())

    def _watch(self) -> None:
        while not self._stopped.wait(_LOOK):
            now = self._clock.now()
            for name, due in self._due.items():
                if due is not None and due <= now:
                    self._start(name, due, now)

    def _start(self, name: str, due: float, now: float) -> None:
        with self._lock:
            if name in self._running:
                return
            self._running.add(name)
        self._due[name] = self._schedules[name].after(now)

        def run() -> None:
            try:
                self._run(name, due)
            finally:
                with self._lock:
                    self._running.discard(name)

        threading.Thread(target=run, name=f"schedule {name}", daemon=True).start()

    def _run(self, name: str, due: float) -> Outcome | None:
        return self._pools[name].run(schedule_event(name, due=due, account=self._account, region=self._region))
