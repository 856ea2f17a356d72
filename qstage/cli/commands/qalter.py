"""``qstage qalter``: Cobalt's options on a submitted job, as a change of its document.

What a site has been given already cannot be changed any more; the service names what, and when it could have been.
Time, nodes, project and queue of a job that waits at the scheduler are changed there, by its own command: the site's
agent is asked, and what is printed is what was asked for. A queue is Cobalt's qmove to change; here it is ``-q``.
One departure: where a relative walltime would end below zero Cobalt says so and sets the figure as an absolute one;
this says so and changes nothing.
"""

from __future__ import annotations

import getpass
import math
from collections.abc import Mapping
from typing import Any

import click

from qstage.cli import show
from qstage.cli.document import Unmapped, inside
from qstage.cli.raw import JSON, RawCommand, taken
from qstage.cli.session import connect
from qstage.cli.trouble import Refused
from qstage.client import Client, Conflict, Job, NotFound
from qstage.cobalt.errors import UsageError
from qstage.cobalt.options import QALTER
from qstage.cobalt.qalter import Qalter, change_of, parse_qalter, refuse_running, told
from qstage.cobalt.words import Option

QUEUE = Option(dest="queue", names=("-q", "--queue"), help="move jobs in args to this queue")
OWN_OPTIONS = (QUEUE, JSON)
_NO_MEANING = {
    "dependencies": "--dependencies: what a job waits for was said when it was submitted, and stays",
    "user_list": "--run_users: a job belongs to the one who submits it",
    "run_project": "--run_project: a job belongs to the one who submits it",
    "mode": "--mode: only script",
    "geometry": "--geometry is for the shape of a Blue Gene partition; say the number of nodes with -n",
    "user_hold": "-h: qstage qhold holds a job, qstage qrls releases it",
    "defer": "--defer: a job that waits for data or a hold loses nothing by it",
    "enable_preboot": "--enable_preboot is for Blue Gene partitions",
    "disable_preboot": "--disable_preboot is for Blue Gene partitions",
}


@click.command(cls=RawCommand, tables=(QALTER, OWN_OPTIONS))
def qalter(words: tuple[str, ...]) -> int:
    """Change jobs that have not begun to run, by Cobalt's options."""
    try:
        plain, own = taken(words, OWN_OPTIONS)
        asked = parse_qalter(plain, user=getpass.getuser(), added=OWN_OPTIONS, prog="qstage qalter")
        for dest, why in _NO_MEANING.items():
            if dest in asked.given:
                raise Refused(why)
        return _alter(connect(), asked, as_json="json" in own | asked.added)
    except UsageError as end:
        click.echo(end.stdout, nl=False)
        click.echo(end.stderr, nl=False, err=True)
        return end.exit_code


def _alter(client: Client, asked: Qalter, *, as_json: bool) -> int:
    jobs = [job for one in asked.ids if (job := _found(client, one)) is not None]
    if any(job.state == "active" for job in jobs):
        raise refuse_running(asked)
    status, raw = 0, []
    for job in jobs:
        before = _fields(job)
        change = change_of(asked, before)
        if change.stderr:
            raise UsageError(1, stderr=change.stderr)
        fields = {name: value for name, value in change.fields.items() if name != "procs" or _says_procs(asked, job)}
        try:
            after = client.alter(job.id, _patch(fields))
        except Conflict as error:
            status = 1
            click.echo(f"qstage: {error}", err=True)
            continue
        raw.append(after.raw)
        if not as_json:
            click.echo(told(before, fields), nl=False)
            if any(order.command == "alter" for order in after.pending):
                show.tell_asked(after)
    if as_json:
        show.json_out(raw)
    elif not jobs:
        click.echo("Failed to match any jobs or queues\n", nl=False, err=True)  # as Cobalt: with status 0
    return status


def _found(client: Client, one: int) -> Job | None:
    """The job; None for one that is not there. In Cobalt's eyes one that has ended is not."""
    try:
        job = client.job(one)
    except NotFound:
        return None
    return None if job.is_final else job


def _says_procs(asked: Qalter, job: Job) -> bool:
    """Whether processes are counted at all: Cobalt follows the nodes with them, a document may leave them out."""
    return "procs" in asked.given or job.resources.get("process_count") is not None


def _fields(job: Job) -> dict[str, Any]:
    """What the job asks for now, by Cobalt's names."""
    found = {
        "walltime": str(math.ceil(int(job.attributes.get("duration") or 600) / 60)),
        "nodes": int(job.resources.get("node_count") or 1),
        "procs": job.resources.get("process_count"),
        "project": job.attributes.get("account"),
        "queue": job.attributes.get("queue_name"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _patch(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch of the document that makes these fields so."""
    patch: dict[str, Any] = {}
    for name, value in fields.items():
        match name:
            case "walltime":
                patch.setdefault("attributes", {})["duration"] = int(float(value) * 60)
            case "project":
                patch.setdefault("attributes", {})["account"] = value
            case "queue":
                patch.setdefault("attributes", {})["queue_name"] = value
            case "attrs":
                patch.setdefault("attributes", {})["custom_attributes"] = dict(value)
            case "nodes":
                patch.setdefault("resources", {})["node_count"] = value
            case "procs":
                patch.setdefault("resources", {})["process_count"] = value
            case "notify":
                patch["notify"] = {"email": value}
            case "outputpath" | "errorpath":
                member = "stdout_path" if name == "outputpath" else "stderr_path"
                patch[member] = _path(member, value)
            case _:
                raise Refused(f"{name} cannot be changed")
    return patch


def _path(member: str, text: str) -> str:
    try:
        return inside(member, text)
    except Unmapped as refusal:
        raise Refused(str(refusal)) from None
