"""Runs one task and remembers how it ended. A program of its own: it imports nothing of this project.

    python -I -S launcher.py EXIT_FILE UMASK COMMAND [ARGUMENT ...]

It leads the task's process group, which outlives the simulator if that dies. It ignores the signals that
end the task, waits for the task's first process, writes its exit status (128 + n for signal n) to EXIT_FILE
in one step, and takes what is left of the group with it.
"""

from __future__ import annotations

import errno
import os
import signal
import sys

_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def _become(command: list[str]) -> None:
    """Replace this process by the command; if that fails, end with the status a shell would give."""
    for number in _PASSED_ON:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    try:
        os.execv(command[0], command)
    except OSError as fault:
        os.write(2, f"{fault}\n".encode())
        status = {errno.ENOENT: 127, errno.EACCES: 126, errno.EPERM: 126}.get(fault.errno or 0, 1)
        os._exit(status)


def main(arguments: list[str]) -> None:
    exit_file, umask, *command = arguments
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    os.umask(int(umask, 8))
    pid = os.fork()
    if pid == 0:
        _become(command)
    for number in _PASSED_ON:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    draft = f"{exit_file}.new"
    with open(draft, "w") as file:
        file.write(str(status if status >= 0 else 128 - status))
    os.replace(draft, exit_file)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
