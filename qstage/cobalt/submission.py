"""A job as Cobalt shows it to a site's submit filter, and the answer of a filter: ``key=value`` words in, lines out.

Pure. Cobalt's client runs each filter, as the user, once a job has been checked and before it has an id: ``jobid=*``.
Lists come joined by colons, with a backslash before those inside; dictionaries as Python writes them. Each line that
a filter prints sets that field of the job. A filter is also run by qalter and qmove, whose jobs have an id.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Mapping, Sequence

from qstage.cobalt.job import Qsub

ADOPT = "cobalt.adopt"
"""The custom attribute of a document whose job is at the scheduler already. Its one value is HELD."""
HELD = "held"
"""The job waits in Cobalt under a user hold: an agent releases it in place of submitting one."""

_COLON = re.compile(r"(?<!\\)(?:\\\\)*:")


class BadField(ValueError):
    """A word that is not as Cobalt writes it; the message names it."""


def read_fields(words: Sequence[str]) -> dict[str, str]:
    """The fields of a filter's command line. Raises ``BadField``."""
    for word in words:
        if "=" not in word:
            raise BadField(f"{word!r} is not key=value: this command is run by Cobalt's qsub, as one of its filters")
    pairs = (word.partition("=") for word in words)
    return {name: value for name, _, value in pairs}


def is_new(fields: Mapping[str, str]) -> bool:
    """Whether qsub is about to submit this job; else it is there, and qalter or qmove changes it."""
    return fields.get("jobid", "*") == "*"


def read_job(fields: Mapping[str, str]) -> Qsub:
    """The job of these fields, without what Cobalt itself sees to: paths of its output, umask, dependencies.

    Raises ``BadField`` for one that is missing or cannot be read.
    """
    cwd = fields.get("cwd", "")
    return Qsub(
        argv=(),
        command=fields.get("command"),
        args=_list(fields.get("args", "")),
        nodes=_number(fields, "nodes"),
        walltime=_number(fields, "walltime"),
        cwd=cwd,
        outputdir=cwd,
        user_list=(),
        procs=_number(fields, "procs") if fields.get("procs") not in (None, "None") else None,
        project=fields.get("project"),
        queue=fields.get("queue", "default"),
        envs=_pairs(fields, "envs"),
        user_hold=fields.get("user_hold") not in (None, "", "False", "None"),
        jobname=fields.get("jobname"),
        mode=fields.get("mode"),
        given=frozenset({"queue"} & fields.keys()),
    )


def _number(fields: Mapping[str, str], name: str) -> int:
    try:
        return int(float(fields[name]))
    except (KeyError, ValueError):
        raise BadField(f"{name}={fields.get(name)} is not a number") from None


def _list(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    parts, start = [], 0
    for found in _COLON.finditer(text):
        parts.append(text[start : found.end() - 1])
        start = found.end()
    return tuple(re.sub(r"\\(.)", r"\1", part) for part in (*parts, text[start:]))


def _pairs(fields: Mapping[str, str], name: str) -> dict[str, str]:
    text = fields.get(name, "{}")
    try:
        read = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        read = None
    if not isinstance(read, dict):
        raise BadField(f"{name}={text} is not a dictionary")
    return {str(key): str(value) for key, value in read.items()}


def scheduler_name(directory: str, attempt: int = 1) -> str:
    """The name of the scheduler's job that belongs to a job's directory, ``…/<user tag>/<name>-<number>``."""
    above, name = posixpath.split(directory.rstrip("/"))
    return f"{name}-{posixpath.basename(above)}" + ("" if attempt == 1 else f"-{attempt}")


def held_lines(
    *, number: int, url: str, directory: str, sources: Sequence[str], targets: Sequence[str]
) -> tuple[str, ...]:
    """What a filter prints of a job that qstage has taken: it is held, found by its name, and runs in its directory.

    ``stagein``, ``stageout``, ``stageid`` and ``url`` are fields that Cobalt has and hands to the site's prologues.
    """
    fields = {
        "user_hold": "True",
        "jobname": scheduler_name(directory),
        "command": f"{directory.rstrip('/')}/.qstage/run.sh",
        "stageid": str(number),
        "url": url,
        "stagein": " ".join(sources),
        "stageout": " ".join(targets),
    }
    return tuple(f"{name}={value}" for name, value in fields.items() if value)
