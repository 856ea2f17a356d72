"""How things are printed: JSON as the service said it, plain columns, and colour only for people."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from qstage.client.results import Job


def is_terminal() -> bool:
    """Whether a person reads standard output in colour."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def json_out(value: Any) -> None:
    """Print JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a list: a rich table where a person reads it, plain columns elsewhere."""
    if is_terminal():
        from rich.console import Console
        from rich.table import Table

        table = Table(*header, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*(plain(cell) for cell in row))
        Console().print(table, markup=False)
        return
    widths = [max(len(line[place]) for line in [header, *rows]) for place in range(len(header))]
    for line in [header, *rows]:
        click.echo("  ".join(f"{plain(cell):{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def fields(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one a line."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        click.echo(f"{name:{width}}  {plain(value)}")


def tell_asked(job: Job) -> None:
    """Say, beside what a command prints, that the last word is not the service's."""
    words = f"qstage: job {job.id} is at the scheduler: {job.site}'s agent asks it, and qstat shows what it says"
    click.echo(plain(words), err=True)


def plain(text: str) -> str:
    """Text from elsewhere must not steer the reader's terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
