"""``python -m qstage.cli``: the same as ``qstage``."""

from qstage.cli import main

main()
