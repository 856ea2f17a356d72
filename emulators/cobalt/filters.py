"""A site's filters, run by qsub, qalter and qmove as Cobalt runs them: on the submitter's side, as the submitter.

Each gets the job's fields as ``key=value`` words. What it says on stderr is passed on; each line ``key=value`` that it
prints sets or adds that field; an exit status other than 0 ends the command. A list is joined by colons, of which
those inside are escaped on the way in, and split at every colon on the way out: that is Cobalt's.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from qstage.cobalt.errors import UsageError


def run_filters(filters: Sequence[str], job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the job's fields after every filter. Raises UsageError where one of them fails."""
    fields = dict(job)
    for program in filters:
        _apply(_ask(program, fields), fields, program)
    return fields


def _ask(program: str, fields: Mapping[str, Any]) -> str:
    import subprocess  # only where there is a filter

    words = [f"{name}={field_text(value)}" for name, value in fields.items()]
    try:
        done = subprocess.run([program, *words], capture_output=True, text=True, errors="surrogateescape", check=False)
    except OSError as fault:
        text = f"Filter failure: please contact Administrator: {fault}: {program}\n"
        raise UsageError(1, stderr=text) from None
    said = done.stderr.rstrip("\n")
    said = f"{said}\n" if said else ""
    if done.returncode != 0:
        raise UsageError(1, stderr=f"{said}Filter {program} failed\n")
    sys.stderr.write(said)
    return done.stdout


def field_text(value: object) -> str:
    """A field's value as filters and scripts are told it."""
    if isinstance(value, list | tuple):
        return ":".join(str(part).replace("\\", "\\\\").replace(":", "\\:") for part in value)
    return str(dict(value)) if isinstance(value, Mapping) else str(value)


def _apply(out: str, fields: dict[str, Any], program: str) -> None:
    for line in out.split("\n"):
        name, equals, value = line.strip().partition("=")
        if not equals:
            continue
        present = fields.get(name)
        if isinstance(present, list | tuple):
            fields[name] = value.split(":")
        elif isinstance(present, Mapping):
            fields[name] = {**present, **_pairs(value, program)}
        else:
            fields[name] = value


def _pairs(value: str, program: str) -> Mapping[Any, Any]:
    import ast  # a dictionary as Python writes it; Cobalt evaluates whatever stands there

    try:
        read = ast.literal_eval(value)
    except (SyntaxError, ValueError) as fault:
        text = f"Filter failure: please contact Administrator: {fault}: {program}\n"
        raise UsageError(1, stderr=text) from None
    if not isinstance(read, dict):
        text = f"Filter failure: please contact Administrator: {value} is not a dictionary: {program}\n"
        raise UsageError(1, stderr=text)
    return read
