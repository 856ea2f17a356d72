"""``qstage qstat``: Cobalt's table with our states, why jobs wait, and the login link under the table.

Cobalt's options (``-f -l --header --sort --reverse -u``, ids), and ``--all`` (ended jobs too) and ``--json``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

import click

from qstage.cli import show
from qstage.cli.raw import JSON, RawCommand, taken
from qstage.cli.session import connect, username
from qstage.cli.settings import load
from qstage.client import Client, Job, NotFound
from qstage.cobalt.errors import UsageError
from qstage.cobalt.options import QSTAT
from qstage.cobalt.qstat import Qstat, parse_qstat, render
from qstage.cobalt.words import Option

LIVE = "new,stage_in,staged,queued,active,stage_out"
OWN_OPTIONS = (
    Option(dest="all", names=("--all",), takes="nothing", help="show jobs that have ended, too"),
    JSON,
)


@click.command(cls=RawCommand, tables=(QSTAT, OWN_OPTIONS))
def qstat(words: tuple[str, ...]) -> int:
    """Show jobs, in Cobalt's layout."""
    plain, own = taken(words, OWN_OPTIONS)
    try:
        request = parse_qstat(plain, environ=os.environ, added=OWN_OPTIONS, prog="qstage qstat")
        own |= request.added
        ids = _ids(request)
    except UsageError as end:
        click.echo(end.stdout, nl=False)
        click.echo(end.stderr, nl=False, err=True)
        return end.exit_code
    settings = load()
    client = connect(settings)
    jobs = _named(client, ids) if ids else list(_listed(client, ended="all" in own))
    if ids and not jobs:
        return 1  # as Cobalt: unknown ids alone are answered by silence
    if "json" in own:
        show.json_out([job.raw for job in jobs])
        return 0
    _print(client, jobs, request, username(settings, client) if jobs else "")
    return 0


def _ids(request: Qstat) -> list[int]:
    if request.queues:
        raise UsageError(1, stderr="-Q: the queues are the site's scheduler's; see: qstage site list\n")
    wrong = [name for name in request.names if not name.isascii() or not name.isdigit()]
    if wrong:
        raise UsageError(1, stderr=f"{wrong[0]} is not a valid jobid or queue name\n")
    return sorted({int(name) for name in request.names})


def _named(client: Client, ids: Iterable[int]) -> list[Job]:
    found = []
    for one in ids:
        try:
            found.append(client.job(one))
        except NotFound:
            continue
    return found


def _listed(client: Client, *, ended: bool) -> Iterable[Job]:
    """The user's jobs; those that have ended are asked for only with ``--all``."""
    return client.all_jobs(state=None if ended else LIVE)


def _print(client: Client, jobs: list[Job], request: Qstat, user: str) -> None:
    from qstage.cli import listing

    if listing.needs_document(request.header):
        jobs = [job if job.document is not None else client.job(job.id) for job in jobs]
    rows = [listing.row(job, user) for job in jobs]
    chosen = [row for row in rows if request.user in (None, row.user)]
    click.echo(render(chosen, request, time.time()), nl=False)
    for line in listing.notes(jobs):
        click.echo(line)
