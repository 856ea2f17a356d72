"""A Cobalt on one machine, as an object: start it, put its ``bin`` on a PATH, stop it.

    with CobaltSimulator(state, nodes=4) as cobalt:
        subprocess.run([cobalt.bin / "qsub", "-n1", "-t10", "run.sh"])

What is in ``state`` survives: a simulator made on the same directory goes on where the last one stopped.
Stopping ends the jobs that run; one that is killed leaves them running, and the next takes them over.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from emulators.clock import Clock, SystemClock
from emulators.cobalt.commands import COMMANDS
from emulators.cobalt.desk import Desk
from emulators.cobalt.install import install
from emulators.cobalt.journal import Journal
from emulators.cobalt.manager import QueueManager
from emulators.cobalt.server import Server
from emulators.cobalt.settings import Settings
from emulators.cobalt.store import Store
from emulators.cobalt.tasks import Tasks

_GRACE = 0.7  # seconds between SIGTERM and SIGKILL when the simulator itself stops


class CobaltSimulator:
    """One simulated machine.

    ``state`` is its directory, made if missing; ``bin`` is where its commands go (``state/bin``). ``clock``
    decides every time: walltimes, scores, delays. ``settings`` is everything else; ``nodes`` is short for
    the common case.
    """

    def __init__(
        self,
        state: Path,
        nodes: int = 4,
        *,
        clock: Clock | None = None,
        settings: Settings | None = None,
        bin: Path | None = None,
    ) -> None:
        self.state = state
        self.settings = settings or Settings(nodes=nodes)
        self.bin = bin or state / "bin"
        self.accounting = state / "accounting.log"
        self._clock = clock or SystemClock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self.broken = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Take up the work; on return the commands answer."""
        self.state.mkdir(parents=True, exist_ok=True)
        self._store = Store(self.state / "jobs.sqlite", self.settings.first_job_id)
        tasks = Tasks(self.state / "tasks", self.wake)
        self.manager = QueueManager(self.settings, self._store, tasks, Journal(self.accounting), self._clock)
        self._server = Server(self.state, Desk(self.manager, self.wake).answer)
        install(self.bin, self.state, COMMANDS)
        self._stopping.clear()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}),
            threading.Thread(target=self._passes),
        ]
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Ask for a scheduler pass now: something happened, or a clock was turned."""
        self._wake.set()

    def _passes(self) -> None:
        try:
            while not self._stopping.is_set():
                self.manager.step()
                self._wake.wait(self.settings.interval)
                self._wake.clear()
        except BaseException:
            self.broken.set()  # a fault of the simulator: whoever runs it must not wait for jobs any longer
            raise

    def stop(self) -> None:
        """End every task and put the work down; on return no process of a job lives."""
        if not self._threads:
            return
        self._stopping.set()
        self._wake.set()
        self._server.shutdown()
        for thread in self._threads:
            thread.join()
        self._threads = []
        self._server.server_close()
        self.manager.close(_GRACE)
        self._store.close()

    def environment(self) -> dict[str, str]:
        """Return what a shell needs to use the simulator: its commands first on the PATH."""
        path = os.environ.get("PATH", os.defpath)
        return {"PATH": f"{self.bin.resolve()}{os.pathsep}{path}", "COBALT_SIM": str(self.state.resolve())}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
