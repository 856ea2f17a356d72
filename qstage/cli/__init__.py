"""The command line: ``qstage``. One command a file, loaded when it is called; built on ``qstage.Client`` alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status: 0 done, 1 refused or failed, 2 not understood."""
    from qstage.cli.app import run

    sys.exit(run(list(sys.argv[1:] if argv is None else argv)))
