"""Keeps the execution environments of functions: starts them, gives each one event at a time, replaces the
dead.

Owns the processes and their time-outs, by the machine's time as Lambda's are. An event whose host dies, or
takes longer than the function's time-out, has failed: who sent it decides what that means. Function code
runs nowhere else.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulators.aws.function import read_frame, write_frame

_RUNTIME = Path(__file__).with_name("function.py")
_IMPORT_LIMIT = 30.0  # seconds an import may take before the host counts as broken


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an event came to: ``payload`` is the handler's answer, or Lambda's error object when
    ``failed``."""

    payload: Any
    failed: bool


def _error(kind: str, message: str) -> Outcome:
    return Outcome(payload={"errorType": kind, "errorMessage": message}, failed=True)


class Host:
    """One process. Not safe for two callers at once: a pool lends it to one."""

    def __init__(self, name: str, handler: str, project: Path, environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.ready = False
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", str(_RUNTIME), name, "--project", str(project)]
        command += ["--handler", handler, "--channel", str(theirs.fileno())]
        with log.open("ab") as output, theirs:
            self.process = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=project,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a terminal's Ctrl-C is for the stack, which ends its hosts in order
            )
        self._channel = ours

    def await_ready(self) -> Outcome | None:
        """Wait for the import. None when it is done, else the error that ended it."""
        if self.ready:
            return None
        said = self._read(_IMPORT_LIMIT)
        if said is None:
            return _error("Runtime.ExitError", f"{self.name}: the runtime ended while it imported app.py")
        if "error" in said:
            return Outcome(payload=said["error"], failed=True)
        self.ready = True
        return None

    def run(self, event: Any, seconds: float) -> Outcome:
        """Run one event within ``seconds``; a host that does not come back in time is killed."""
        if broken := self.await_ready():
            self.kill()
            return broken
        request_id = str(uuid.uuid4())
        frame = json.dumps({"id": request_id, "event": event, "seconds": seconds}).encode()
        deadline = time.monotonic() + seconds
        try:
            self._channel.settimeout(seconds)
            write_frame(self._channel, frame)
            said = self._read(deadline - time.monotonic())
        except TimeoutError:
            self.kill()
            return _error("Sandbox.Timedout", f"RequestId: {request_id} Task timed out after {seconds:.2f} seconds")
        except OSError:
            said = None
        if said is None:
            self.kill()
            return _error("Runtime.ExitError", f"RequestId: {request_id} Runtime exited without an answer")
        failed = "error" in said
        return Outcome(payload=said["error"] if failed else said["result"], failed=failed)

    def _read(self, seconds: float) -> dict[str, Any] | None:
        self._channel.settimeout(max(0.001, seconds))
        try:
            found: dict[str, Any] = json.loads(read_frame(self._channel))
        except TimeoutError:
            raise
        except (EOFError, OSError):
            return None
        return found

    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """End it at once, whatever it does, and take its exit status."""
        if self.alive():
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._channel.close()

    def strike(self) -> None:
        """SIGKILL, and nothing tidied: who waits for its answer finds out, as when a sandbox is lost."""
        if self.alive():
            self.process.send_signal(signal.SIGKILL)


class Pool:
    """Up to ``size`` hosts of one function. Callers queue when all are busy."""

    def __init__(
        self,
        name: str,
        *,
        handler: str,
        project: Path,
        environment: Mapping[str, str],
        timeout: float,
        size: int,
        log: Path,
    ) -> None:
        self.name, self.timeout, self.size = name, timeout, size
        self._how = (name, handler, project, environment, log)
        self._changed = threading.Condition()
        self._idle: list[Host] = []
        self._busy: set[Host] = set()
        self._stopped = False

    def warm(self, count: int = 1) -> None:
        """Start up to ``count`` hosts without waiting for them."""
        with self._changed:
            while len(self._idle) + len(self._busy) < min(count, self.size) and not self._stopped:
                self._idle.append(Host(*self._how))

    def await_ready(self) -> Outcome | None:
        """Wait until the hosts that were started are imported; the first one's error, or None."""
        with self._changed:
            hosts = list(self._idle)
        for host in hosts:
            if broken := host.await_ready():
                return broken
        return None

    def run(self, event: Any, *, patience: float | None = None) -> Outcome | None:
        """Run one event on a free host; None when none came free within ``patience`` seconds."""
        host = self._take(patience)
        if host is None:
            return None
        try:
            return host.run(event, self.timeout)
        except TimeoutError:
            host.kill()
            return _error("Runtime.ExitError", f"{self.name}: app.py took too long to import")
        finally:
            self._give_back(host)

    def _take(self, patience: float | None) -> Host | None:
        deadline = None if patience is None else time.monotonic() + patience
        with self._changed:
            while not self._stopped:
                while self._idle:
                    host = self._idle.pop()  # the last used is the warmest
                    if host.alive():
                        return self._lend(host)
                    host.kill()
                if len(self._busy) < self.size:
                    return self._lend(Host(*self._how))
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)
        return None

    def _lend(self, host: Host) -> Host:
        self._busy.add(host)
        self._changed.notify_all()
        return host

    def _give_back(self, host: Host) -> None:
        with self._changed:
            self._busy.discard(host)
            if host.alive() and not self._stopped:
                self._idle.append(host)
            else:
                host.kill()
                if host.ready and not self._stopped:
                    self._idle.append(Host(*self._how))  # one whose import failed waits for the next event
            self._changed.notify_all()

    def strike(self, *, within: float | None = None) -> int:
        """SIGKILL the hosts that run an event; without ``within`` the idle ones too. Returns how many.

        With ``within``, first wait up to that many seconds for an event to be under way.
        """
        with self._changed:
            if within is not None:
                self._changed.wait_for(lambda: bool(self._busy), within)
            struck = list(self._busy)
            for host in struck:
                host.strike()
            if within is None:
                for host in self._idle:
                    host.kill()
                struck += self._idle
                self._idle = [Host(*self._how) for _ in self._idle if not self._stopped]
            return len(struck)

    def busy(self) -> int:
        with self._changed:
            return len(self._busy)

    def stop(self) -> None:
        """End every host at once. Callers that wait get None."""
        with self._changed:
            self._stopped = True
            for host in self._busy:
                host.strike()
            for host in self._idle:
                host.kill()
            self._idle.clear()
            self._changed.notify_all()
