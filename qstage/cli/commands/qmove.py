"""``qstage qmove QUEUE ID…``: Cobalt's command, with Cobalt's words and exit status."""

from __future__ import annotations

import click

from qstage.cli import show
from qstage.cli.raw import RawCommand
from qstage.cli.session import connect
from qstage.client import Client, Conflict, NotFound
from qstage.cobalt.choosing import moved_report, parse_qmove
from qstage.cobalt.errors import UsageError
from qstage.cobalt.options import QMOVE


@click.command(cls=RawCommand, tables=(QMOVE, ()))
def qmove(words: tuple[str, ...]) -> int:
    """Move jobs that have not begun to run to another queue, as Cobalt's qmove does."""
    try:
        asked = parse_qmove(list(words), prog="qstage qmove")
        client = connect()
        moved = [one for one in asked.ids if _move(client, one, asked.queue)]
    except UsageError as end:
        click.echo(end.stdout, nl=False)
        click.echo(end.stderr, nl=False, err=True)
        return end.exit_code
    report = moved_report(asked.queue, moved)
    click.echo(report.stdout, nl=False)
    click.echo(report.stderr, nl=False, err=True)
    return 0


def _move(client: Client, one: int, queue: str) -> bool:
    """Whether there is such a job, and it was moved or is going to be."""
    try:
        job = client.job(one)
        if job.is_final:
            return False
        if job.state == "active":
            raise UsageError(1, stderr=f"job {one} is running; it cannot be moved\n")
        after = client.alter(one, {"attributes": {"queue_name": queue}})
    except NotFound:
        return False
    except Conflict as error:
        raise UsageError(1, stderr=f"qstage: {error}\n") from None
    if any(order.command == "alter" for order in after.pending):
        show.tell_asked(after)
    return True
