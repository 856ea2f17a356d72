"""Tasks: the real process groups that stand for jobs on nodes, and the site's scripts around them.

It starts, signals and watches them; when and why is the queue manager's. Each job has a room of its own
under the state directory, which holds the node file, the process's identity and, at the end, the exit
status. So a task that outlived its simulator is found again by the next one.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emulators.cobalt.jobs import Job

_LAUNCHER = Path(__file__).with_name("launcher.py")
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


Key = int | str
"""A job's task goes by its id; other rooms have names that begin with it."""


class LaunchError(Exception):
    """The task could not begin. ``exit_status`` is what the job ends with; the text is for its log."""

    def __init__(self, text: str, exit_status: int = 255) -> None:
        super().__init__(text)
        self.exit_status = exit_status


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A task is over. None is a status that nobody knows: the task was killed with its launcher, unseen."""

    exit_status: int | None


def environment(job: Job, nodefile: Path) -> dict[str, str]:
    """Return the environment a job is born with: its own variables, its user's, and Cobalt's, which win."""
    spec = job.spec
    account = pwd.getpwuid(os.getuid())
    start = int(job.started or 0)
    return {
        "PATH": spec.path or _DEFAULT_PATH,
        **spec.envs,
        "HOME": account.pw_dir,
        "USER": account.pw_name,
        "LOGNAME": account.pw_name,
        "SHELL": account.pw_shell,
        "COBALT_JOBID": str(job.jobid),
        "COBALT_NODEFILE": str(nodefile),
        "COBALT_PARTNAME": job.location[0] if job.location else "",
        "COBALT_PARTSIZE": str(spec.nodes),
        "COBALT_JOBSIZE": str(spec.procs),
        "COBALT_STARTTIME": str(start),
        "COBALT_ENDTIME": str(start + job.walltime_seconds),
    }


class Tasks:
    """The tasks of one simulator. ``wake`` is called, from any thread, when one of them ends."""

    def __init__(self, rooms: Path, wake: Callable[[], None]) -> None:
        self._rooms = rooms
        self._wake = wake
        self._started: dict[Key, subprocess.Popen[bytes]] = {}

    def start(self, job: Job, say: Callable[[str], None]) -> int:
        """Start the job's task and return its process group. ``say`` takes lines for the job's log.

        Raises LaunchError if it cannot begin at all; output that cannot be opened goes to /dev/null instead.
        """
        spec = job.spec
        room = self._rooms / str(job.jobid)
        room.mkdir(parents=True, exist_ok=True)
        nodefile = room / "nodefile"
        nodefile.write_text("".join(f"{node}\n" for node in job.location))
        variables = environment(job, nodefile)
        say("")
        say(f"Command: {shlex.join([spec.command, *spec.args])}")
        say("")
        say("Environment:")
        for name, value in variables.items():
            say(f"{name}={value}")
        say("")
        if not os.path.isdir(spec.outputdir):
            where = spec.outputdir
            raise LaunchError(f'ERROR: unable to change to the current working directory to "{where}"; terminating job')
        words = [sys.executable, "-I", "-S", str(_LAUNCHER), str(room / "exit"), f"{spec.umask:o}"]
        with contextlib.ExitStack() as files:
            stdin = files.enter_context(_reader(spec.inputfile, say))
            stdout = files.enter_context(_writer(spec.outputpath, spec.umask, "stdout", say))
            stderr = files.enter_context(_writer(spec.errorpath, spec.umask, "stderr", say))
            process = subprocess.Popen(
                [*words, spec.command, *spec.args],
                cwd=spec.outputdir,
                env=variables,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        return self._watch(job.jobid, room, process)

    def run(self, key: str, program: list[str]) -> None:
        """Run a Python program of the simulator's own, in a room of this name. Its output is kept there."""
        room = self._room(key)
        room.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, "-I", "-S", str(_LAUNCHER), str(room / "exit"), "22", sys.executable, "-I", "-S"]
        with (room / "said").open("wb") as said:
            process = subprocess.Popen(
                [*words, *program],
                cwd="/",
                env={"PATH": _DEFAULT_PATH},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self._watch(key, room, process)

    def begun(self, key: str) -> bool:
        """Tell whether it was ever run in this room, by this simulator or by one before it."""
        return (self._room(key) / "birth").exists()

    def said(self, key: str) -> list[str]:
        """Return what it has said, by lines."""
        with contextlib.suppress(FileNotFoundError):
            return (self._room(key) / "said").read_text(errors="replace").splitlines()
        return []

    def _watch(self, key: Key, room: Path, process: subprocess.Popen[bytes]) -> int:
        (room / "birth").write_text(f"{process.pid} {_birth(process.pid)}")
        self._started[key] = process
        threading.Thread(target=self._wait, args=(process,), daemon=True).start()
        return process.pid

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self._wake()

    def poll(self, jobid: Key) -> Ended | None:
        """Return how the task ended, or None while it runs."""
        process = self._started.get(jobid)
        if process is not None:
            if process.poll() is None and self.found(jobid) is not None:
                return None
            status = process.wait()  # at once: the thread that waits for it may just be a moment behind
            return Ended(exit_status=_read_exit(self._room(jobid), 128 - status if status < 0 else status))
        if self.found(jobid) is not None:
            return None
        return Ended(exit_status=_read_exit(self._room(jobid), None))

    def found(self, jobid: Key) -> int | None:
        """Return the process group of a living task, started by this simulator or by one before it."""
        try:
            pid, _, birth = (self._room(jobid) / "birth").read_text().partition(" ")
        except FileNotFoundError:
            return None
        return int(pid) if birth and _birth(int(pid)) == birth else None

    def signal(self, jobid: Key, number: int) -> None:
        """Send a signal to the whole group; a task that is gone already is no fault."""
        pid = self.found(jobid)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, number)

    def end_all(self, jobids: Sequence[Key], grace: float) -> None:
        """End these tasks: SIGTERM, and after ``grace`` seconds SIGKILL. On return none lives."""
        for jobid in jobids:
            self.signal(jobid, signal.SIGTERM)
        if not self._gone(jobids, grace):
            for jobid in jobids:
                self.signal(jobid, signal.SIGKILL)
            self._gone(jobids, grace)

    def _gone(self, jobids: Sequence[Key], patience: float) -> bool:
        deadline = time.monotonic() + patience
        while any(self.found(jobid) is not None for jobid in jobids):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)  # processes that this one did not start can only be looked at
        return True

    def forget(self, jobid: int) -> None:
        """Remove what the job left in the state directory."""
        for room in (self._room(jobid), *self._rooms.glob(f"{jobid}.*")):
            shutil.rmtree(room, ignore_errors=True)
        for key in [key for key in self._started if str(key).partition(".")[0] == str(jobid)]:
            del self._started[key]

    def undo(self, key: str) -> None:
        """Forget that anything was run in this room: it is to be run again."""
        self._started.pop(key, None)
        shutil.rmtree(self._room(key), ignore_errors=True)

    def _room(self, jobid: Key) -> Path:
        return self._rooms / str(jobid)


def _read_exit(room: Path, otherwise: int | None) -> int | None:
    try:
        return int((room / "exit").read_text())
    except (FileNotFoundError, ValueError):
        return otherwise


def _birth(pid: int) -> str:
    """Return what tells a process from a later one with its number; "" for one that is dead."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        if os.path.isdir("/proc/self"):
            return ""
        return _birth_without_proc(pid)
    return "" if after_name[0] in "ZX" else after_name[19]


def _birth_without_proc(pid: int) -> str:
    result = subprocess.run(["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True)
    return "-".join(result.stdout.split())


def _reader(path: str | None, say: Callable[[str], None]) -> contextlib.AbstractContextManager[int]:
    try:
        return _Descriptor(os.open(path or os.devnull, os.O_RDONLY))
    except OSError as fault:
        say(f"ERROR: unable to open stdin file {path}; redirecting to /dev/null: {fault}")
        return _Descriptor(os.open(os.devnull, os.O_RDONLY))


def _writer(
    path: str | None, umask: int, name: str, say: Callable[[str], None]
) -> contextlib.AbstractContextManager[int]:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    try:
        descriptor = os.open(path or os.devnull, flags, 0o666 & ~umask)
    except OSError as fault:
        say(f"ERROR: error opening {name} file {path}: {fault}")
        say(f"WARNING: sending {name} to /dev/null")
        return _Descriptor(os.open(os.devnull, os.O_WRONLY))
    say(f"Info: {name} sent to {path}")
    return _Descriptor(descriptor)


class _Descriptor(contextlib.AbstractContextManager[int]):
    def __init__(self, number: int) -> None:
        self._number = number

    def __enter__(self) -> int:
        return self._number

    def __exit__(self, *_: object) -> None:
        os.close(self._number)
