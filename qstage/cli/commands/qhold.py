"""``qstage qhold ID…`` and ``qstage qrls ID…``: Cobalt's commands, with Cobalt's words and exit status."""

from __future__ import annotations

from collections.abc import Callable

import click

from qstage.cli import show
from qstage.cli.raw import JSON, RawCommand, taken
from qstage.cli.session import connect
from qstage.cli.trouble import Refused
from qstage.client import Client, Job, NotFound
from qstage.cobalt.errors import UsageError
from qstage.cobalt.jobids import HoldOutcome, IdRequest, Report, hold_report, parse_ids, release_report
from qstage.cobalt.options import QHOLD, QRLS

_ON_NODES = frozenset({"active", "stage_out"})


OWN_OPTIONS = (JSON,)


@click.command(cls=RawCommand, tables=(QHOLD, OWN_OPTIONS))
def qhold(words: tuple[str, ...]) -> int:
    """Keep jobs from starting, as Cobalt's qhold does."""
    return _run("qhold", words, lambda client, one: client.hold(one), hold_report)


@click.command(cls=RawCommand, tables=(QRLS, OWN_OPTIONS))
def qrls(words: tuple[str, ...]) -> int:
    """Let held jobs go on, as Cobalt's qrls does."""
    return _run("qrls", words, lambda client, one: client.release(one), release_report)


def _run(
    command: str,
    words: tuple[str, ...],
    act: Callable[[Client, int], Job],
    tell: Callable[[tuple[int, ...], dict[int, HoldOutcome]], Report],
) -> int:
    plain, own = taken(words, OWN_OPTIONS)
    try:
        asked: IdRequest = parse_ids(command, plain, added=OWN_OPTIONS, prog=f"qstage {command}")
    except UsageError as end:
        click.echo(end.stdout, nl=False)
        click.echo(end.stderr, nl=False, err=True)
        return end.exit_code
    if asked.dependencies:
        raise Refused("--dependencies: what a job waits for was said when it was submitted, and stays")
    client = connect()
    after: list[Job] = []
    found = {one: outcome for one in asked.ids if (outcome := _outcome(client, one, act, after)) is not None}
    if "json" in own | asked.added:
        show.json_out([job.raw for job in after])
        return 0
    report = tell(asked.ids, found)
    click.echo(report.stdout, nl=False)
    click.echo(report.stderr, nl=False, err=True)
    for job in after:
        if job.pending and found[job.id].before != found[job.id].after:
            show.tell_asked(job)
    return 0


def _outcome(client: Client, one: int, act: Callable[[Client, int], Job], after: list[Job]) -> HoldOutcome | None:
    """The hold before and after; None for a job that is not there. In Cobalt's eyes one that has ended is not.

    ``after`` gathers the jobs as they then are.
    """
    try:
        before = client.job(one)
        if before.is_final:
            return None
        job = before if before.state in _ON_NODES else act(client, one)
    except NotFound:
        return None
    after.append(job)
    if before.state in _ON_NODES:
        return HoldOutcome(before=False, after=False, active=True)
    return HoldOutcome(before=before.to_be_held, after=job.to_be_held, active=job.state in _ON_NODES)
