"""From a qsub command line, as Cobalt's grammar read it, to a job document. Pure.

What has a meaning in a document is mapped; what is for hardware or habits that a document does not know is
refused in plain words, never ignored.
"""

from __future__ import annotations

import base64
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qstage.cli import staging
from qstage.cobalt.job import Qsub
from qstage.cobalt.starter import starter

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
}
STARTER = "qsub-start.sh"
"""The script that travels with a job whose line says a directory, an umask or a log; see ``qstage.cobalt.starter``."""
_EMAIL = re.compile(r"[^\s@<>]+@[^\s@<>]+")
_EXPANDED = re.compile(r"\$(jobid|COBALT_JOBID)\b")


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
    staging: str | None = None
    """eager or just_in_time; None where nothing is said of it."""
    longest: int | None = None
    """Minutes that ``-t 0`` stands for at the site; None where nobody has said."""


def read_extras(
    own_lines: Sequence[str],
    added: Sequence[tuple[str, str | None]],
    *,
    collection: Callable[[str], str],
    default_site: str | None,
    longest: Mapping[str, int],
    read_file: Callable[[str], str],
) -> Extras:
    """Gather our own options: a script's ``#QSTAGE`` lines first, then the command line's (name, value)."""
    words = [staging.read_directive(line) for line in own_lines]
    words += [(name.removeprefix("--"), value) for name, value in added]
    sites = [value for name, value in words if name == "site" and value]
    inputs: list[dict[str, Any]] = []
    for name, value in words:
        if name == "stage-in" and value is not None:
            inputs.append(staging.read_stage_in(value, collection))
        elif name == "from-list" and value is not None:
            inputs += staging.read_list(read_file(value), collection)
    outputs = [staging.read_stage_out(value, collection) for name, value in words if name == "stage-out" and value]
    site = sites[-1] if sites else default_site
    return Extras(
        site=site,
        longest=longest.get(site or ""),
        stage_in=tuple(inputs),
        stage_out=tuple(outputs),
        tags=staging.read_tags([value for name, value in words if name == "tag" and value]),
        cleanup=any(name == "cleanup" for name, _ in words),
        staging=staging.read_staging([value for name, value in words if name == "staging" and value]),
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
        "attributes": _attributes(job, extras.longest),
    }
    files = [shipped(script)] if script is not None else []
    if {"umask", "cwd"} & job.given or job.cobalt_log_file is not None:
        files.append(_started(document["executable"], job))
        document["executable"] = STARTER
    if files:
        document["files"] = files
    paths = {"stdin_path": job.inputfile, "stdout_path": job.outputpath, "stderr_path": job.errorpath}
    document |= {name: inside(name, path) for name, path in paths.items() if path is not None}
    optional: Sequence[tuple[str, Any]] = (
        ("environment", {name: _unexpanded("--env", value) for name, value in job.envs.items()}),
        ("stage_in", list(extras.stage_in)),
        ("stage_out", list(extras.stage_out)),
        ("tags", extras.tags),
        ("depends_on", _parents(job)),
        ("hold", job.user_hold),
        ("cleanup", extras.cleanup),
        ("staging", extras.staging),
        ("notify", _notify(job)),
    )
    return document | {name: value for name, value in optional if value}


def _refuse(job: Qsub) -> None:
    for dest, words in _NO_MEANING.items():
        if dest in job.given:
            raise Unmapped(words)
    if job.mode not in (None, "script"):
        raise Unmapped(_NO_MEANING["interactive"] if job.mode == "interactive" else f"--mode {job.mode}: only script")


def _parents(job: Qsub) -> list[dict[str, Any]]:
    """The jobs it waits for: as in Cobalt, they must end well."""
    text = job.dependencies or ""
    if text.lower() in {"", "none"}:
        return []
    return [{"job": number, "when": "afterok"} for number in parent_ids("--dependencies", text)]


def parent_ids(option: str, text: str) -> list[int]:
    """Job ids joined by colons, each once."""
    words = text.split(":")
    wrong = [word for word in words if not (word.isascii() and word.isdigit())]
    if wrong:
        raise Unmapped(f"{option} {text}: {wrong[0]!r} is not the id of a job")
    return list(dict.fromkeys(int(word) for word in words))


def _started(command: str, job: Qsub) -> dict[str, str]:
    """The script that starts the command as the line says: in what directory, under what umask, with what log."""
    text = starter(
        command,
        umask=job.umask if "umask" in job.given else None,
        cwd=job.cwd if "cwd" in job.given else None,
        log=None if job.cobalt_log_file is None else inside("cobalt_log_file", job.cobalt_log_file),
        argv=[word for word in job.argv if word != "--dry-run"],  # which prints just what would be sent without it
    )
    return {"path": STARTER, "content": text, "mode": "0755"}


def _notify(job: Qsub) -> dict[str, str]:
    if job.notify is None:
        return {}
    if not _EMAIL.fullmatch(job.notify):
        raise Unmapped(f"-M {job.notify}: must be one e-mail address")
    return {"email": job.notify}


def _unexpanded(option: str, text: str) -> str:
    """Cobalt puts the job's id in place of $jobid; here it is known only when the job runs."""
    if _EXPANDED.search(text):
        raise Unmapped(f"{option} {text}: the id cannot be put in here; a job finds it in QSTAGE_JOB_ID")
    return text


def _name(job: Qsub) -> str:
    if job.jobname is not None:
        _unexpanded("--jobname", job.jobname)
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


def _attributes(job: Qsub, longest: int | None) -> dict[str, Any]:
    attributes: dict[str, Any] = {"duration": _minutes(job, longest) * 60}
    if "queue" in job.given:
        attributes["queue_name"] = job.queue
    if job.project is not None:
        attributes["account"] = job.project
    if job.attrs:
        attributes["custom_attributes"] = dict(job.attrs)
    return attributes


def _minutes(job: Qsub, longest: int | None) -> int:
    if job.walltime > 0:
        return job.walltime
    if job.walltime < 0:
        raise Unmapped(f"-t: {job.walltime} minutes are less than none")
    if longest is None:
        raise Unmapped(
            "-t 0 asks for the queue's maximum, which this machine does not know: say it once, in minutes, with: "
            "qstage site use ID --longest MINUTES"
        )
    return longest


_OPTIONS = {"stdin_path": "-i", "stdout_path": "-o", "stderr_path": "-e", "cobalt_log_file": "--debuglog"}


def inside(name: str, path: str) -> str:
    """A path in the job's directory, where ``--cwd`` and ``-O`` are already part of it."""
    plain = posixpath.normpath(_unexpanded(_OPTIONS[name], path))
    if plain.startswith("/") or plain.split("/")[0] == ".." or plain == ".":
        raise Unmapped(f"{_OPTIONS[name]} {path}: must lie in the job's own directory: name it relative to that")
    return plain


def shipped(script: Script) -> dict[str, str]:
    """A local file as one that travels with the job. Raises ``Unmapped`` for one that is too large."""
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
