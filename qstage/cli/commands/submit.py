"""``qstage submit FILE``: a script with ``#SBATCH`` or ``#PBS`` lines, or job documents as JSON, as they are."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from qstage.cli import show
from qstage.cli.session import connect
from qstage.cli.settings import Settings, load
from qstage.cli.trouble import Refused

_OWN = (
    ("site", "--site", "ID", "Compute site to run at."),
    ("stage-in", "--stage-in", "COLLECTION:PATH[=TARGET]", "Input."),
    ("stage-out", "--stage-out", "SOURCE=COLLECTION:PATH[?WHEN]", "Output."),
    ("from-list", "--from-list", "FILE", "File of inputs, one a line."),
    ("staging", "--staging", "WHEN", "When inputs move: eager, or just_in_time for the job's start."),
    ("tag", "--tag", "NAME=VALUE", "Tag."),
)


def _own_options(command: click.Command) -> click.Command:
    for name, option, metavar, words in reversed(_OWN):
        command.params.insert(
            1, click.Option([option, name.replace("-", "_")], multiple=True, metavar=metavar, help=words)
        )
    return command


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.argument("arguments", nargs=-1)
@click.option("--cleanup", is_flag=True, help="Remove the job's directory once its outputs have arrived.")
@click.option("--as", "dialect", type=click.Choice(("slurm", "pbs")), help="Whose directives count, if both are there.")
@click.option("--dry-run", is_flag=True, help="Print the document, send nothing, need no service.")
@click.option("--json", "as_json", is_flag=True, help="Print the service's whole answer, not the ids alone.")
@click.option("--idempotency-key", help="Under one key the same documents make their jobs once.")
def submit(
    file: Path,
    arguments: tuple[str, ...],
    cleanup: bool,
    dialect: str | None,
    dry_run: bool,
    as_json: bool,
    idempotency_key: str | None,
    **own: tuple[str, ...],
) -> None:
    """Submit FILE: a script by its #SBATCH or #PBS lines, with ARGUMENTS, or job documents as JSON.

    A script may say the options below in #QSTAGE lines as well. Of JSON (- is standard input), FILE holds one
    document, a list of up to 1,000, or {"jobs": [...]}. The ids are printed.
    """
    settings = load()
    added = [(name, value) for name, *_ in _OWN for value in own[name.replace("-", "_")]]
    added += [("cleanup", "")] if cleanup else []
    text = _read(file)
    if text.lstrip()[:1] in {"{", "["}:
        if arguments or added or dialect:
            raise Refused(f"{file} is a job document: what it says is in it")
        documents = _documents(text, file)
    else:
        documents = _script(text, file, arguments, added, dialect, settings)
    if dry_run:
        show.json_out(documents)
        return
    done = connect(settings).submit(documents, idempotency_key=idempotency_key)
    for warning in done.warnings:
        click.echo(f"qstage: {warning}", err=True)
    if as_json:
        show.json_out(done.raw)
        return
    for job in done.jobs:
        click.echo(job.id)


_own_options(submit)


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{file} cannot be read: {error}") from None


def _documents(text: str, file: Path) -> Any:
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise Refused(f"{file} is not JSON: {error}") from None
    return raw["jobs"] if isinstance(raw, dict) and set(raw) == {"jobs"} else raw


def _script(
    text: str,
    file: Path,
    arguments: tuple[str, ...],
    added: list[tuple[str, str]],
    dialect: str | None,
    settings: Settings,
) -> dict[str, Any]:
    from qstage.cli.dialects.lines import BadDirective, read_lines
    from qstage.cli.dialects.pbs import read_pbs
    from qstage.cli.dialects.slurm import read_sbatch
    from qstage.cli.dialects.wanted import script_document
    from qstage.cli.document import Script, Unmapped, read_extras
    from qstage.cli.staging import BadStaging

    if str(file) == "-":
        raise Refused("a script is read from a file, whose name it keeps")
    readers = {"slurm": read_sbatch, "pbs": read_pbs}
    try:
        lines = read_lines(text)
        there = [name for name, found in lines.of.items() if found]
        if dialect is None and len(there) > 1:
            raise Refused(f"{file} has #SBATCH and #PBS lines: say whose count with --as slurm or --as pbs")
        chosen = dialect or (there[0] if there else "slurm")
        extras = read_extras(
            lines.own,
            added,
            collection=settings.collection,
            default_site=settings.site,
            longest={},
            read_file=lambda path: _read(Path(path)),
        )
        script = Script(name=file.name, content=text.encode())
        return script_document(readers[chosen](lines.of[chosen]), extras, script, arguments)
    except (BadDirective, BadStaging, Unmapped) as refusal:
        raise Refused(str(refusal)) from None
