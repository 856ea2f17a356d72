"""Writes the simulator's commands into a directory: small programs that need no environment to find it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

_PROGRAM = """\
#!/bin/sh
exec {python} -I -S -c 'import sys
sys.path.insert(0, sys.argv[1])
from emulators.cobalt.commands import main
sys.exit(main(sys.argv[2], sys.argv[3], sys.argv[4:]))' {root} {command} {state} "$@"
"""


def install(directory: Path, state: Path, commands: tuple[str, ...]) -> None:
    """Write the commands for the simulator whose state is in ``state``; what stood there is replaced."""
    directory.mkdir(parents=True, exist_ok=True)
    root = Path(__file__).resolve().parents[2]
    for command in commands:
        program = _PROGRAM.format(
            python=shlex.quote(sys.executable),
            root=shlex.quote(str(root)),
            command=command,
            state=shlex.quote(str(state.resolve())),
        )
        draft = directory / f".{command}.new"
        draft.write_text(program)
        draft.chmod(0o755)
        draft.replace(directory / command)
