"""``qstage wait ID``: poll until a job has ended. Exit 0 completed, 1 failed or canceled, 124 time-out."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from qstage.cli import show
from qstage.cli.listing import reasons
from qstage.cli.progress import exit_words
from qstage.cli.session import connect
from qstage.client import Client, Job

FIRST, LONGEST = 1.0, 30.0
"""Seconds between looks, at first and at most."""


@click.command()
@click.argument("job_id", metavar="ID", type=int)
@click.option("--timeout", type=float, help="Seconds after which to give up, with exit status 124.")
@click.option("--json", "as_json", is_flag=True, help="Print the job at its end, and the rest on standard error.")
def wait(job_id: int, timeout: float | None, as_json: bool) -> int:
    """Wait until a job has ended; a login that it waits for is shown once."""

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    job = follow(connect(), job_id, timeout=timeout, sleep=time.sleep, now=time.monotonic, say=say)
    if as_json:
        show.json_out(job.raw)
    if not job.is_final:
        click.echo(f"{job_id} {job.state}: not ended after {timeout:g} s", err=True)
        return 124
    if job.state == "completed":
        return 0
    if job.error:
        click.echo(f"qstage: {job.failed_stage or 'job'}: {job.error.detail}", err=True)
    if job.state == "failed" and job.output_tail:
        click.echo(job.output_tail, err=True)
    return 1


def follow(
    client: Client,
    job_id: int,
    *,
    timeout: float | None,
    sleep: Callable[[float], None],
    now: Callable[[], float],
    say: Callable[[str], None],
) -> Job:
    """Look until the job has ended or the time is over; tell each new state, and each login link once."""
    end = None if timeout is None else now() + timeout
    pause, told, links = FIRST, "", set[str]()
    while True:
        job = client.job(job_id)
        line = _line(job)
        if line != told:
            say(line)
            told, pause = line, FIRST
        if job.login_url and not job.is_final and job.login_url not in links:
            links.add(job.login_url)
            say(f"sign in here: {job.login_url}")
        if job.is_final or (end is not None and now() >= end):
            return job
        sleep(pause if end is None else max(0.0, min(pause, end - now())))
        pause = min(pause * 1.5, LONGEST)


def _line(job: Job) -> str:
    waits = f"waits for {reasons(job)}" if job.waiting_for and not job.is_final else ""
    return ", ".join(filter(None, (f"{job.id} {job.state}", exit_words(job), waits)))
