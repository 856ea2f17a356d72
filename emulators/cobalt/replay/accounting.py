"""Reads Cobalt's accounting log, as qsim does: the records of a job are merged, and tell when it came and how it ran.

Two kinds of lines, which may stand side by side:

    10/01/2026 00:00:03;E;17;Resource_List.nodect=4 Resource_List.walltime=0:30:00 start=… end=…
    jobid=17;qtime=2026-10-01 00:00:03;Resource_List.walltime=1800;Resource_List.nodect=4;start=<date>;end=<date>

Times without a zone are read as UTC. Records that are not about a job (nodes, reservations) are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from emulators.cobalt.replay.jobs import Found, TraceError, TraceJob

_JOB_RECORDS = frozenset({"Q", "S", "E"})
_DATED = re.compile(r"\d\d/\d\d/\d{4} ")
_PAIR = re.compile(r"""\s*([\w.]+)=((?:"(?:[^"\\]|\\.)*"|[^\s"])*)(?=\s|$)""")
_SUBMITTED = "submitted"
_NODES, _WALLTIME = "Resource_List.nodect", "Resource_List.walltime"


def is_line(line: str) -> bool:
    """Whether a trace that begins with this line is such a log."""
    return bool(_DATED.match(line)) or line.startswith("jobid=")


def read(lines: Iterable[tuple[int, str]]) -> Found:
    """Read numbered lines. Raises TraceError."""
    jobs: dict[int, dict[str, str | float]] = {}
    for number, line in lines:
        if line.strip():
            jobid, fields = _flat(number, line) if line.startswith("jobid=") else _record(number, line)
            if jobid is not None:
                jobs.setdefault(jobid, {}).update(fields)
    found = Found()
    for jobid, fields in jobs.items():
        lacking = _lacks(fields)
        if lacking is None:
            found.jobs.append(_job(jobid, fields))
        else:
            found.left_out[lacking] += 1
    return found


def _record(number: int, line: str) -> tuple[int | None, dict[str, str | float]]:
    parts = line.rstrip("\n").split(";", 3)
    if len(parts) != 4:
        raise TraceError(number, "a record is <time>;<type>;<job>;<key=value ...>")
    when, kind, job, text = parts
    at = _time(number, when, "%m/%d/%Y %H:%M:%S")
    if kind not in _JOB_RECORDS:
        return None, {}
    if not job.isdecimal():
        raise TraceError(number, f"no job id: {job!r}")
    fields: dict[str, str | float] = {}
    for key, value in _pairs(number, text):
        fields.setdefault(key, value)
    return int(job), _read(number, fields) | ({_SUBMITTED: at} if kind == "Q" else {})


def _flat(number: int, line: str) -> tuple[int | None, dict[str, str | float]]:
    fields: dict[str, str | float] = {}
    for part in line.strip().rstrip(";").split(";"):
        key, equals, value = part.partition("=")
        if not equals:
            raise TraceError(number, f"no key=value: {part!r}")
        fields.setdefault(key, value)
    job = str(fields["jobid"])
    if not job.isdecimal():
        raise TraceError(number, f"no job id: {job!r}")
    for key, named in (("qtime", _SUBMITTED), ("start", "start"), ("end", "end")):
        if key in fields:
            fields[named] = _time(number, str(fields[key]), "%Y-%m-%d %H:%M:%S")
    return int(job), _read(number, fields)


def _pairs(number: int, text: str) -> Iterable[tuple[str, str]]:
    at = 0
    while text[at:].strip():
        match = _PAIR.match(text, at)
        if match is None:
            raise TraceError(number, f"no key=value: {text[at:].strip()[:40]!r}")
        yield match[1], match[2].strip('"')
        at = match.end()


def _read(number: int, fields: Mapping[str, str | float]) -> dict[str, str | float]:
    """Return the fields with those that are counted with as numbers."""
    numbers: dict[str, str | float] = {}
    for key in (_NODES, "start", "end", "runtime"):
        if key in fields:
            numbers[key] = _number(number, key, fields[key])
    if _WALLTIME in fields:
        numbers[_WALLTIME] = _duration(number, str(fields[_WALLTIME]))
    return dict(fields) | numbers


def _number(number: int, key: str, value: str | float) -> float:
    try:
        found = float(value)
    except ValueError:
        raise TraceError(number, f"{key} is no number: {value!r}") from None
    if not 0 <= found < 1e12:
        raise TraceError(number, f"{key} is out of range: {value}")
    return found


def _duration(number: int, text: str) -> float:
    """Read H:MM:SS, or seconds."""
    if match := re.fullmatch(r"(\d+):(\d\d):(\d\d)", text):
        hours, minutes, seconds = (int(part) for part in match.groups())
        return hours * 3600.0 + minutes * 60 + seconds
    return _number(number, _WALLTIME, text)


def _time(number: int, text: str, pattern: str) -> float:
    try:
        return datetime.strptime(text, pattern).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise TraceError(number, f"no time: {text!r}") from None


def _lacks(fields: Mapping[str, str | float]) -> str | None:
    for key, said in ((_SUBMITTED, "no submission"), (_NODES, "no nodes"), (_WALLTIME, "no walltime")):
        if not fields.get(key):
            return said
    if "runtime" not in fields and not ("start" in fields and "end" in fields):
        return "no end"
    return "ends before its start" if _ran(fields) < 0 else None


def _ran(fields: Mapping[str, str | float]) -> float:
    """Return the run time: the difference, or the field that qsim also takes."""
    if "start" in fields and "end" in fields:
        return float(fields["end"]) - float(fields["start"])
    return float(fields["runtime"])


def _job(jobid: int, fields: Mapping[str, str | float]) -> TraceJob:
    project = fields.get("account")
    return TraceJob(
        jobid=jobid,
        submitted=float(fields[_SUBMITTED]),
        runtime=_ran(fields),
        walltime=float(fields[_WALLTIME]),
        nodes=int(float(fields[_NODES])),
        user=str(fields.get("user", "unknown")),
        queue=str(fields.get("queue", "default")),
        project=None if project is None else str(project),
    )
