"""``qstage hold ID…``."""

from __future__ import annotations

import click

from qstage.cli import show
from qstage.cli.session import connect


@click.command()
@click.argument("ids", type=int, nargs=-1, required=True)
@click.option("--staging", is_flag=True, help="Keep their inputs back as well.")
@click.option("--json", "as_json", is_flag=True, help="Print what the service said.")
def hold(ids: tuple[int, ...], staging: bool, as_json: bool) -> int:
    """Keep jobs from starting until they are released."""
    client = connect()
    jobs = [client.hold(one, staging=staging) for one in ids]
    if as_json:
        show.json_out([job.raw for job in jobs])
        return int(any(job.is_final for job in jobs))
    for job in jobs:
        if job.is_final:
            click.echo(f"qstage: job {job.id} has ended already ({job.state})", err=True)
        else:
            click.echo(f"{job.id} {'asked to be ' if job.pending else ''}held ({job.state})")
            if job.pending:
                show.tell_asked(job)
    return int(any(job.is_final for job in jobs))
