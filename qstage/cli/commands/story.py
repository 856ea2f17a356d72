"""``qstage story ID``: all that happened to a job, oldest first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from qstage.cli import show
from qstage.cli.session import connect


@click.command()
@click.argument("job_id", metavar="ID", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print what the service said.")
def story(job_id: int, as_json: bool) -> None:
    """Tell what happened to a job."""
    told = connect().story(job_id)
    if as_json:
        show.json_out(told.raw)
        return
    rows = [
        (f"{entry.time:%Y-%m-%d %H:%M:%S}" if entry.time else "-", entry.event, entry.state, _words(entry.detail))
        for entry in told.entries
    ]
    show.columns(("time", "event", "state", "detail"), rows)


def _words(detail: Mapping[str, Any]) -> str:
    return "; ".join(f"{name}: {_value(value)}" for name, value in detail.items() if value not in (None, "", [], {}))


def _value(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)
