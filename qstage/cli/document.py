"""From a qsub command line, as Cobalt's grammar read it, to a job document. Pure.

What has a meaning in a document is mapped; what is for hardware or habits that a document does not know is
refused in plain words, never ignored.
"""

from __future__ import annotations

import base64
import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from qstage.cli import staging
from qstage.cobalt.job import Qsub

LARGEST_SCRIPT = 128 * 1024
"""Bytes. A document may have 256 KB, and base64 needs a third more."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NO_MEANING = {
    "geometry": "--geometry is for the shape of a Blue Gene partition; say the number of nodes with -n",
    "kernel": "--kernel is for Blue Gene compute nodes",
    "kerneloptions": "--kerneloptions is for Blue Gene compute nodes",
    "ion_kernel": "--ion_kernel is for Blue Gene I/O nodes",
    "ion_kerneloptions": "--ion_kerneloptions is for Blue Gene I/O nodes",
    "interactive": "-I: a staged job cannot be interactive, for it starts when its data is there",
    "preemptable": "--preemptable: whether a job may be preempted is the site's scheduler's to say",
    "disable_preboot": "--disable_preboot is for Blue Gene partitions",
    "user_list": "--run_users: a job belongs to the one who submits it",
    "run_project": "--run_project: a job belongs to the one who submits it",
    "cwd": "--cwd: every job has a directory of its own at the site; its inputs are staged into it",
    "cobalt_log_file": "--debuglog: qstage keeps the log of a job itself; read it with: qstage story ID",
    "umask": "--umask: say umask in the script",
    "dependencies": "--dependencies: qstage cannot make a job wait for another yet",
    "notify": "--notify: qstage cannot send mail yet; qstage wait ID waits for a job",
}


class Unmapped(ValueError):
    """An option that has no place in a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A local file that is the command: it travels in the document."""

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What qsub's own grammar does not have."""

    site: str | None = None
    stage_in: tuple[dict[str, Any], ...] = ()
    stage_out: tuple[dict[str, Any], ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    cleanup: bool = False


def read_extras(
    job: Qsub, *, collection: Callable[[str], str], default_site: str | None, read_file: Callable[[str], str]
) -> Extras:
    """Gather our own options: the script's ``#QSTAGE`` lines first, then the command line's."""
    words = [staging.read_directive(line) for line in job.own_lines]
    words += [(name.removeprefix("--"), value) for name, value in job.added]
    sites = [value for name, value in words if name == "site" and value]
    inputs: list[dict[str, Any]] = []
    for name, value in words:
        if name == "stage-in" and value is not None:
            inputs.append(staging.read_stage_in(value, collection))
        elif name == "from-list" and value is not None:
            inputs += staging.read_list(read_file(value), collection)
    outputs = [staging.read_stage_out(value, collection) for name, value in words if name == "stage-out" and value]
    return Extras(
        site=sites[-1] if sites else default_site,
        stage_in=tuple(inputs),
        stage_out=tuple(outputs),
        tags=staging.read_tags([value for name, value in words if name == "tag" and value]),
        cleanup=any(name == "cleanup" for name, _ in words),
    )


def make_document(job: Qsub, extras: Extras, script: Script | None) -> dict[str, Any]:
    """The document of a qsub command line. Raises ``Unmapped`` for what has no place in one."""
    _refuse(job)
    if extras.site is None:
        raise Unmapped("no site: --site ID, or a default with: qstage site use ID")
    document: dict[str, Any] = {
        "name": _name(job),
        "site": extras.site,
        "executable": script.name if script else job.command,
        "arguments": list(job.args),
        "resources": {"node_count": job.nodes} | ({"process_count": job.procs} if job.procs else {}),
        "attributes": _attributes(job),
    }
    if script is not None:
        document["files"] = [_shipped(script)]
    paths = {"stdin_path": job.inputfile, "stdout_path": job.outputpath, "stderr_path": job.errorpath}
    document |= {name: _inside(name, path) for name, path in paths.items() if path is not None}
    optional: Sequence[tuple[str, Any]] = (
        ("environment", dict(job.envs)),
        ("stage_in", list(extras.stage_in)),
        ("stage_out", list(extras.stage_out)),
        ("tags", extras.tags),
        ("hold", job.user_hold),
        ("cleanup", extras.cleanup),
    )
    return document | {name: value for name, value in optional if value}


def _refuse(job: Qsub) -> None:
    for dest, words in _NO_MEANING.items():
        if dest in job.given:
            raise Unmapped(words)
    if job.mode not in (None, "script"):
        raise Unmapped(_NO_MEANING["interactive"] if job.mode == "interactive" else f"--mode {job.mode}: only script")
    if job.walltime < 1:
        raise Unmapped("-t 0: say how many minutes the job needs; qstage does not know the queue's maximum")


def _name(job: Qsub) -> str:
    if job.jobname is not None:
        if not _NAME.fullmatch(job.jobname):
            raise Unmapped(
                f"--jobname {job.jobname!r}: letters, digits, dot, underscore and hyphen only, at most 64, "
                "the first a letter or digit"
            )
        return job.jobname
    stem = posixpath.basename(job.outputpath).removesuffix(".output") if job.outputpath else ""
    for text in (stem, posixpath.basename(job.command or "").rsplit(".", 1)[0]):
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).lstrip("._-")[:64]
        if plain:
            return plain
    return "job"


def _attributes(job: Qsub) -> dict[str, Any]:
    attributes: dict[str, Any] = {"duration": job.walltime * 60}
    if "queue" in job.given:
        attributes["queue_name"] = job.queue
    if job.project is not None:
        attributes["account"] = job.project
    if job.attrs:
        attributes["custom_attributes"] = dict(job.attrs)
    return attributes


def _inside(name: str, path: str) -> str:
    option = {"stdin_path": "-i", "stdout_path": "-o", "stderr_path": "-e"}[name]
    if path.startswith("/"):
        raise Unmapped(f"{option} {path}: must lie in the job's own directory: name it relative to that")
    return posixpath.normpath(path)


def _shipped(script: Script) -> dict[str, str]:
    if len(script.content) > LARGEST_SCRIPT:
        raise Unmapped(
            f"{script.name} has {len(script.content)} bytes, more than travels with a job "
            f"({LARGEST_SCRIPT}): stage it in, and name it as a path at the site"
        )
    try:
        return {"path": script.name, "content": script.content.decode(), "mode": "0755"}
    except UnicodeDecodeError:
        content = base64.b64encode(script.content).decode()
        return {"path": script.name, "content": content, "encoding": "base64", "mode": "0755"}
