"""Writes the simulator's commands into a directory: small programs that need no environment to find it.

The commands themselves hold no path: all that depends on this machine is in one hidden file beside them.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

_RUNNER = """\
#!/bin/sh
exec {python} -I -S -c 'import sys
sys.path.insert(0, sys.argv[1])
from emulators.cobalt.commands import main
sys.exit(main(sys.argv[3], sys.argv[2], sys.argv[4:]))' {root} {state} "$@"
"""
_COMMAND = """\
#!/bin/sh
exec "${{0%/*}}/.cobalt" {command} "$@"
"""


def install(directory: Path, state: Path, commands: tuple[str, ...]) -> None:
    """Write the commands for the simulator whose state is in ``state``; what stood there is replaced."""
    directory.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).resolve().parents[2]
    words = {"python": sys.executable, "root": str(root), "state": str(state.resolve())}
    _write(directory / ".cobalt", _RUNNER.format(**{name: shlex.quote(word) for name, word in words.items()}))
    for command in commands:
        _write(directory / command, _COMMAND.format(command=command))


def _write(path: Path, program: str) -> None:
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(program)
    draft.chmod(0o755)
    draft.replace(path)
