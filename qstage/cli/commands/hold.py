"""``qstage hold ID…``."""

from __future__ import annotations

import click

from qstage.cli.session import connect


@click.command()
@click.argument("ids", type=int, nargs=-1, required=True)
def hold(ids: tuple[int, ...]) -> int:
    """Keep jobs from going on until they are released."""
    client, status = connect(), 0
    for one in ids:
        job = client.hold(one)
        if job.is_final:
            click.echo(f"qstage: job {one} has ended already ({job.state})", err=True)
            status = 1
        else:
            click.echo(f"{one} held ({job.state})")
    return status
