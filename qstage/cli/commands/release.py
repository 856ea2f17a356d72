"""``qstage release ID…``."""

from __future__ import annotations

import click

from qstage.cli.session import connect


@click.command()
@click.argument("ids", type=int, nargs=-1, required=True)
def release(ids: tuple[int, ...]) -> int:
    """Let held jobs go on."""
    client, status = connect(), 0
    for one in ids:
        job = client.release(one)
        if job.is_final:
            click.echo(f"qstage: job {one} has ended already ({job.state})", err=True)
            status = 1
        else:
            click.echo(f"{one} released ({job.state})")
    return status
