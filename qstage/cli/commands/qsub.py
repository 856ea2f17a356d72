"""``qstage qsub``: Cobalt's options, and staging. On success the integer id, and nothing else, is printed.

Exit status: 0 submitted, 1 refused, 2 not understood.
"""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qstage.cli import show
from qstage.cli.document import Script, Unmapped, make_document, read_extras
from qstage.cli.raw import RawCommand
from qstage.cli.session import connect
from qstage.cli.settings import load
from qstage.cli.staging import BadStaging
from qstage.cli.trouble import Refused
from qstage.cobalt.errors import UsageError
from qstage.cobalt.job import Checks, Qsub
from qstage.cobalt.options import QSUB
from qstage.cobalt.qsub import parse_qsub
from qstage.cobalt.words import Option

if TYPE_CHECKING:
    from collections.abc import Sequence

OPTIONS = (
    Option(dest="site", names=("--site",), takes="text", help="compute site to run at"),
    Option(
        dest="stage_in",
        names=("--stage-in",),
        takes="text",
        help="input: <collection>:<path>[=<target>]; repeatable",
    ),
    Option(
        dest="stage_out",
        names=("--stage-out",),
        takes="text",
        help="output: <source>=<collection>:<path>[?when]; repeatable",
    ),
    Option(dest="from_list", names=("--from-list",), takes="text", help="file of inputs, one a line"),
    Option(
        dest="staging",
        names=("--staging",),
        takes="text",
        help="eager: inputs move at once; just_in_time: the job is queued held, and they move when its start is near",
    ),
    Option(dest="tag", names=("--tag",), takes="text", help="<name>=<value>; repeatable"),
    Option(
        dest="cleanup",
        names=("--cleanup",),
        takes="nothing",
        help="remove the job's directory once its outputs have arrived",
    ),
    Option(dest="json", names=("--json",), takes="nothing", help="print the service's whole answer, not the id alone"),
    Option(
        dest="dry_run", names=("--dry-run",), takes="nothing", help="print the document, send nothing, need no service"
    ),
)
OWN_TAG = "#QSTAGE "
_LARGEST_READ = 1 << 20


@click.command(cls=RawCommand, tables=(QSUB, OPTIONS))
def qsub(words: tuple[str, ...]) -> int:
    """Submit a job, by Cobalt's options and staging."""
    settings = load()
    try:
        job = _parse(words)
        extras = read_extras(
            job.own_lines,
            job.added,
            collection=settings.collection,
            default_site=settings.site,
            longest=settings.longest,
            read_file=_read_text,
        )
        document = make_document(job, extras, _script(job))
    except UsageError as end:
        click.echo(end.stdout, nl=False)
        click.echo(end.stderr, nl=False, err=True)
        return end.exit_code
    except (Unmapped, BadStaging) as refusal:
        raise Refused(str(refusal)) from None
    # What Cobalt says on stdout beside the id ("Removing job dependencies") must not be taken for the id.
    click.echo(job.stdout + job.stderr, nl=False, err=True)
    flags = {name for name, _ in job.added}
    if "--dry-run" in flags:
        show.json_out(document)
        return 0
    done = connect(settings).submit(document)
    for warning in done.warnings:
        click.echo(f"qstage: {warning}", err=True)
    if "--json" in flags:
        show.json_out(done.raw)
    else:
        click.echo(done.jobs[0].id)
    return 0


def _parse(words: Sequence[str]) -> Qsub:
    return parse_qsub(
        words,
        read_script=_directives,
        cwd=".",
        user=getpass.getuser(),
        checks=Checks(
            place_command=lambda _cwd, word: word,
            is_runnable=lambda path: not _is_local(path) or os.access(path, os.R_OK | os.X_OK),
            known_jobs=lambda ids: set(ids),
            system_size=1_000_000,
        ),
        added=OPTIONS,
        own_tag=OWN_TAG,
        prog="qstage qsub",
    )


def _is_local(path: str) -> bool:
    """Whether the command is a file of this machine, to be shipped; else it is a path at the site.

    An absolute path is the site's, unless it is a script here: nobody means to ship /bin/bash.
    """
    if not os.path.isfile(path):
        return False
    return not path.startswith("/") or _head(path, 2) == b"#!"


def _head(path: str, size: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError:
        return b""


def _directives(path: str) -> str:
    """The text whose first lines may be directives; nothing for a command that lies at the site."""
    if not _is_local(path):
        return ""
    data = _head(path, _LARGEST_READ)
    return data.decode("utf-8", "replace") if data.startswith(b"#!") else ""


def _script(job: Qsub) -> Script | None:
    if job.command is None or not _is_local(job.command):
        return None
    try:
        content = Path(job.command).read_bytes()
    except OSError as error:
        raise Unmapped(f"{job.command} cannot be read: {error.strerror}") from None
    return Script(name=os.path.basename(job.command), content=content)


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadStaging(f"--from-list {path}: {error}") from None
