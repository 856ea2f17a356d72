"""``qstage shim DIR``: bare ``qsub qstat qdel`` and their kin for those whose fingers want them.

They are written where the user says and nowhere else; qstage installs none. A site's agent refuses to start with a
PATH on which they would stand for the scheduler's own.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

import click

from qstage.cli.trouble import Refused

COMMANDS = ("qsub", "qstat", "qdel", "qhold", "qrls", "qalter")
MARK = "# Written by qstage shim: calls qstage"


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def shim(directory: Path) -> None:
    """Write bare qsub, qstat, qdel, qhold, qrls and qalter into DIRECTORY.

    Put it first on the PATH of those shells where they are to mean qstage's.
    """
    foreign = [name for name in COMMANDS if not _is_ours(directory / name)]
    if foreign:
        raise Refused(f"{directory / foreign[0]} is there already and not one of these: nothing was written")
    directory.mkdir(parents=True, exist_ok=True)
    for name in COMMANDS:
        path = directory / name
        draft = path.with_name(f".{name}.new")
        draft.write_text(f'#!/bin/sh\n{MARK} {name}\nexec {_qstage()} {name} "$@"\n')
        draft.chmod(0o755)
        draft.replace(path)
    click.echo(f'export PATH={shlex.quote(os.path.abspath(directory))}:"$PATH"')


def _qstage() -> str:
    found = shutil.which("qstage")
    return shlex.quote(os.path.abspath(found)) if found else f"{shlex.quote(sys.executable)} -m qstage.cli"


def _is_ours(path: Path) -> bool:
    try:
        return MARK in path.read_text(errors="replace")
    except FileNotFoundError:
        return True
