"""``qstage retry ID…``: failed jobs once more, from what failed of them."""

from __future__ import annotations

import click

from qstage.cli import show
from qstage.cli.session import connect
from qstage.client.errors import Conflict


@click.command()
@click.argument("ids", type=int, nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print what the service said.")
def retry(ids: tuple[int, ...], as_json: bool) -> int:
    """Try failed jobs again, from what failed of them."""
    client, status, raw = connect(), 0, []
    for one in ids:
        try:
            job = client.retry(one)
        except Conflict as error:
            click.echo(f"qstage: job {one}: {error}", err=True)
            status = 1
            continue
        raw.append(job.raw)
        if not as_json:
            click.echo(f"{one} {job.state}")
    if as_json:
        show.json_out(raw)
    return status
