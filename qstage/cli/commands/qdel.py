"""``qstage qdel ID…``: ask for jobs to be canceled. As Cobalt's, it prints those it found."""

from __future__ import annotations

import click

from qstage.cli import show
from qstage.cli.raw import JSON, RawCommand, taken
from qstage.cli.session import connect, username
from qstage.cli.settings import load
from qstage.client.errors import NotFound
from qstage.cobalt.errors import UsageError
from qstage.cobalt.jobids import deleted_report, parse_ids
from qstage.cobalt.options import QDEL

OWN_OPTIONS = (JSON,)


@click.command(cls=RawCommand, tables=(QDEL, OWN_OPTIONS))
def qdel(words: tuple[str, ...]) -> int:
    """Cancel jobs."""
    plain, own = taken(words, OWN_OPTIONS)
    try:
        asked = parse_ids("qdel", plain, added=OWN_OPTIONS, prog="qstage qdel")
    except UsageError as end:
        click.echo(end.stdout, nl=False)
        click.echo(end.stderr, nl=False, err=True)
        return end.exit_code
    settings = load()
    client = connect(settings)
    deleted, raw = [], []
    for one in asked.ids:
        try:
            job = client.cancel(one)
        except NotFound:
            continue
        raw.append(job.raw)
        if job.is_final and job.state != "canceled":
            click.echo(f"qstage: job {one} has ended already ({job.state})", err=True)
            continue
        deleted.append(one)
    if "json" in own | asked.added:
        show.json_out(raw)
        return 0
    user = username(settings, client) if deleted else ""
    report = deleted_report([(one, user) for one in deleted])
    click.echo(report.stdout, nl=False)
    return 0
