"""``qstage cobalt-filter``: the submit filter of a Cobalt whose users stage by ``#QSTAGE`` lines in their scripts.

Cobalt's qsub runs it with the job as ``key=value`` words. A script without such lines is none of its business. Of one
with them a job is registered with the service, and what is printed holds Cobalt's until the data is there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qstage.cli.document import Script, Unmapped, make_document, read_extras
from qstage.cli.raw import RawCommand
from qstage.cli.session import connect
from qstage.cli.settings import Settings, load
from qstage.cli.staging import BadStaging
from qstage.cli.trouble import Refused
from qstage.cobalt.directives import read_directives
from qstage.cobalt.submission import ADOPT, HELD, BadField, held_lines, is_new, read_fields, read_job

if TYPE_CHECKING:
    from collections.abc import Mapping

OWN_TAG = "#QSTAGE "


@click.command(cls=RawCommand)
def cobalt_filter(words: tuple[str, ...]) -> int:
    """Be Cobalt's submit filter: register jobs with #QSTAGE lines, and hold them until staged."""
    try:
        fields = read_fields(words)
        script = _staging_script(fields) if is_new(fields) else None
        if script is None:
            return 0
        settings = load()
        document = _document(fields, script, settings)
    except (BadField, BadStaging, Unmapped) as refusal:
        raise Refused(str(refusal)) from None
    return _register(settings, document)


def _staging_script(fields: Mapping[str, str]) -> Script | None:
    """The job's script, if it has lines for us. What cannot be read is Cobalt's to refuse."""
    path = Path(fields.get("command", ""))
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if not content.startswith(b"#!") or not read_directives(_text(content), own_tag=OWN_TAG).own_lines:
        return None
    return Script(name=path.name, content=content)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _document(fields: Mapping[str, str], script: Script, settings: Settings) -> dict[str, Any]:
    job = read_job(fields)
    extras = read_extras(
        read_directives(_text(script.content), own_tag=OWN_TAG).own_lines,
        (),
        collection=settings.collection,
        default_site=settings.site,
        longest=settings.longest,
        read_file=lambda path: "",
    )
    document = make_document(job, extras, script)
    document["attributes"]["custom_attributes"] = {ADOPT: HELD}
    return document


def _register(settings: Settings, document: dict[str, Any]) -> int:
    client = connect(settings)
    done = client.submit(document)
    made = done.jobs[0]
    directory = client.job(made.id).directory
    if directory is None:
        raise Refused(f"the service names no directory for job {made.id} at {document['site']}")
    for warning in done.warnings:
        click.echo(f"qstage: {warning}", err=True)
    click.echo(f"qstage: job {made.id} starts when its inputs are there; see: qstage qstat {made.id}", err=True)
    lines = held_lines(
        number=made.id,
        url=made.url,
        directory=directory,
        sources=[item["source"] for item in document.get("stage_in", ())],
        targets=[item["target"] for item in document.get("stage_out", ())],
    )
    click.echo("\n".join(lines))
    return 0
