"""``qstage release ID…``."""

from __future__ import annotations

import click

from qstage.cli.session import connect


@click.command()
@click.argument("ids", type=int, nargs=-1, required=True)
def release(ids: tuple[int, ...]) -> None:
    """Let held jobs go on."""
    client = connect()
    for one in ids:
        job = client.release(one)
        click.echo(f"{one} released ({job.state})")
