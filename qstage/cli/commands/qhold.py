"""``qstage qhold ID…`` and ``qstage qrls ID…``: Cobalt's commands, with Cobalt's words and exit status."""

from __future__ import annotations

from collections.abc import Callable

import click

from qstage.cli import show
from qstage.cli.raw import RawCommand
from qstage.cli.session import connect
from qstage.cli.trouble import Refused
from qstage.client import Client, Job, NotFound
from qstage.cobalt.errors import UsageError
from qstage.cobalt.jobids import HoldOutcome, IdRequest, Report, hold_report, parse_ids, release_report
from qstage.cobalt.options import QHOLD, QRLS

_ON_NODES = frozenset({"active", "stage_out"})


@click.command(cls=RawCommand, tables=(QHOLD, ()))
def qhold(words: tuple[str, ...]) -> int:
    """Keep jobs from starting, as Cobalt's qhold does."""
    return _run("qhold", words, lambda client, one: client.hold(one), hold_report)


@click.command(cls=RawCommand, tables=(QRLS, ()))
def qrls(words: tuple[str, ...]) -> int:
    """Let held jobs go on, as Cobalt's qrls does."""
    return _run("qrls", words, lambda client, one: client.release(one), release_report)


def _run(
    command: str,
    words: tuple[str, ...],
    act: Callable[[Client, int], Job],
    tell: Callable[[tuple[int, ...], dict[int, HoldOutcome]], Report],
) -> int:
    try:
        asked: IdRequest = parse_ids(command, list(words), prog=f"qstage {command}")
    except UsageError as end:
        click.echo(end.stdout, nl=False)
        click.echo(end.stderr, nl=False, err=True)
        return end.exit_code
    if asked.dependencies:
        raise Refused("--dependencies: what a job waits for was said when it was submitted, and stays")
    client = connect()
    ordered: list[Job] = []
    found = {one: outcome for one in asked.ids if (outcome := _outcome(client, one, act, ordered)) is not None}
    report = tell(asked.ids, found)
    click.echo(report.stdout, nl=False)
    click.echo(report.stderr, nl=False, err=True)
    for job in ordered:
        show.tell_asked(job)
    return 0


def _outcome(client: Client, one: int, act: Callable[[Client, int], Job], ordered: list[Job]) -> HoldOutcome | None:
    """The hold before and after; None for a job that is not there. In Cobalt's eyes one that has ended is not.

    ``ordered`` gathers the jobs whose scheduler has only been asked.
    """
    try:
        before = client.job(one)
        if before.is_final:
            return None
        if before.state in _ON_NODES:
            return HoldOutcome(before=False, after=False, active=True)
        after = act(client, one)
    except NotFound:
        return None
    outcome = HoldOutcome(before=before.to_be_held, after=after.to_be_held, active=after.state in _ON_NODES)
    if after.pending and outcome.before != outcome.after:
        ordered.append(after)
    return outcome
