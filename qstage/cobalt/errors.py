"""How a Cobalt command ends before it did its work: one exception that carries all the caller has to
print."""

from __future__ import annotations


class UsageError(Exception):
    """The command stops here, with this exit status and these texts.

    ``exit_code`` is Cobalt's: 2 for what its option parser refuses, 1 for what its own checks refuse, and 0
    for ``--help`` and ``--version``, which end a command without fault. ``stdout`` and ``stderr`` are
    complete, with their newlines, and include whatever the command had already said before it stopped.
    """

    def __init__(self, exit_code: int, stdout: str = "", stderr: str = "") -> None:
        super().__init__(stderr.strip() or stdout.strip())
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr
