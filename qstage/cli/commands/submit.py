"""``qstage submit FILE.json``: one job document, or a list of them, or ``{"jobs": [...]}``, as it is."""

from __future__ import annotations

import json
from typing import IO

import click

from qstage.cli.session import connect
from qstage.cli.trouble import Refused


@click.command()
@click.argument("file", type=click.File("r"))
@click.option("--idempotency-key", help="Under one key the same documents make their jobs once.")
def submit(file: IO[str], idempotency_key: str | None) -> None:
    """Submit the job document(s) of FILE (- is standard input); print the ids."""
    try:
        raw = json.load(file)
    except ValueError as error:
        raise Refused(f"{file.name} is not JSON: {error}") from None
    if isinstance(raw, dict) and set(raw) == {"jobs"}:
        raw = raw["jobs"]
    if not isinstance(raw, dict | list):
        raise Refused(f"{file.name} is neither a document nor a list of documents")
    done = connect().submit(raw, idempotency_key=idempotency_key)
    for warning in done.warnings:
        click.echo(f"qstage: {warning}", err=True)
    for job in done.jobs:
        click.echo(job.id)
