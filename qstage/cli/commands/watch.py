"""``qstage watch [ID…]``: jobs as they go, with bars where a person looks on, else a line for each change."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import click

from qstage.cli import show
from qstage.cli.listing import state_word
from qstage.cli.progress import line, moved, part_done, remark
from qstage.cli.session import connect
from qstage.client import Client, Job

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

LIVE = "new,stage_in,staged,queued,active,stage_out"
_BAR = 24


@click.command()
@click.argument("ids", type=int, nargs=-1)
@click.option("--interval", type=click.FloatRange(min=0.2), default=2.0, show_default=True, help="Seconds a look.")
@click.option("--json", "as_json", is_flag=True, help="Print a job's JSON, on a line, each time that it has changed.")
def watch(ids: tuple[int, ...], interval: float, as_json: bool) -> int:
    """Watch jobs (all that live, unless IDs are given) until they have ended.

    Exit status 1 when one of them has failed or was canceled.
    """
    client = connect()
    live: AbstractContextManager[Live | None] = _opened() if show.is_terminal() and not as_json else nullcontext()
    with live as screen:
        tell = Lines(as_json) if screen is None else lambda jobs: screen.update(table(jobs), refresh=True)
        jobs = follow(client, ids, tell, lambda: time.sleep(interval))
    return int(any(job.state != "completed" for job in jobs))


def follow(
    client: Client, ids: Sequence[int], tell: Callable[[Sequence[Job]], object], pause: Callable[[], None]
) -> list[Job]:
    """Look until all have ended; return them as they ended. Without ids, those that live at the first look."""
    seen: dict[int, Job] = {}
    while True:
        for job in _look(client, ids or [number for number in seen if not seen[number].is_final], first=not seen):
            seen[job.id] = job
        jobs = [seen[number] for number in sorted(seen)]
        tell(jobs)
        if all(job.is_final for job in jobs):
            return jobs
        pause()


def _look(client: Client, ids: Sequence[int], *, first: bool) -> Iterator[Job]:
    """The jobs as they are: many by a listing of those that live, the few that have left it one by one."""
    if len(ids) == 1:
        yield client.job(ids[0])
        return
    wanted = set(ids)
    for job in client.all_jobs(state=LIVE):
        if job.id in wanted or (first and not ids):
            wanted.discard(job.id)
            yield job
    for number in sorted(wanted):
        yield client.job(number)


class Lines:
    """A line for each job that has changed, and each login link once."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._told: dict[int, object] = {}

    def __call__(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            now = job.raw if self._as_json else line(job)
            if self._told.get(job.id) == now:
                continue
            self._told[job.id] = now
            click.echo(json.dumps(job.raw, ensure_ascii=False) if self._as_json else show.plain(line(job)))
            if job.login_url and not job.is_final and not self._as_json and job.login_url not in self._told.values():
                self._told[-len(self._told) - 1] = job.login_url
                click.echo(f"sign in here: {job.login_url}")


def _opened() -> Live:
    from rich.live import Live

    return Live(auto_refresh=False)


def table(jobs: Sequence[Job]) -> Table:
    """The jobs as a table with bars, and the links that end waits below."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    rows = Table("job", "name", "state", "", "moved", "", box=None, pad_edge=False)
    for job in jobs:
        part = part_done(job)
        bar = Text("") if part is None else ProgressBar(total=1.0, completed=part, width=_BAR)
        words = (show.plain(text) for text in (moved(job), remark(job)))
        rows.add_row(str(job.id), job.name, str(state_word(job)), bar, *(Text(text) for text in words))
    links = dict.fromkeys(job.login_url for job in jobs if job.login_url and not job.is_final)
    whole = Table.grid()
    whole.add_row(rows)
    whole.add_row(Group(*(Text(f"sign in here: {link}") for link in links)))
    return whole
