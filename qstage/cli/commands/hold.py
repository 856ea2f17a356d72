"""``qstage hold ID…``."""

from __future__ import annotations

import click

from qstage.cli.session import connect


@click.command()
@click.argument("ids", type=int, nargs=-1, required=True)
def hold(ids: tuple[int, ...]) -> None:
    """Keep jobs from going on until they are released."""
    client = connect()
    for one in ids:
        job = client.hold(one)
        click.echo(f"{one} held ({job.state})")
