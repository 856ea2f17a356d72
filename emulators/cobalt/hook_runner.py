"""Runs a site's scripts one after the other. A program of its own: it imports nothing of this project.

    python -I -S hook_runner.py stop|go COUNT SCRIPT ... KEY=VALUE ...

Each script gets all the words. With ``stop`` the first that exits with another status than 0 ends it, with that status;
with ``go`` it goes on, and ends with 0. What went wrong is on standard output.
"""

from __future__ import annotations

import subprocess
import sys


def main(arguments: list[str]) -> int:
    how, count, *rest = arguments
    scripts, words = rest[: int(count)], rest[int(count) :]
    for script in scripts:
        try:
            status = subprocess.run([script, *words], stdin=subprocess.DEVNULL, check=False).returncode
        except OSError as fault:
            print(f"{fault}", flush=True)
            status = 127
        if status != 0:
            status = status if status > 0 else 128 - status
            print(f"script {script} exited with status {status}", flush=True)
            if how == "stop":
                return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
