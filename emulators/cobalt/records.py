"""What the simulator writes down: lines for a job's ``.cobaltlog`` and records of the accounting log.

The wording is Cobalt's. The accounting log is the PBS-like one that Cobalt's own simulator reads as a trace:
``MM/DD/YYYY HH:MM:SS;<type>;<jobid>;key=value …``, keys in order. Times in it are UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from emulators.cobalt.jobs import Job, Spec


@dataclass(frozen=True, slots=True)
class CobaltLog:
    """A line for the job's own log. ``dated`` lines begin with the time, as those of Cobalt's forker do."""

    text: str
    dated: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A record for the accounting log, without its time and its job."""

    kind: str
    fields: Mapping[str, object]


def clock_text(seconds: float) -> str:
    """Return a duration as H:MM:SS."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def resource_list(spec: Spec) -> dict[str, object]:
    return {"ncpus": spec.procs, "nodect": spec.nodes, "walltime": clock_text(spec.walltime * 60)}


def start_fields(job: Job) -> dict[str, object]:
    """Return the fields of an S record."""
    spec = job.spec
    fields: dict[str, object] = {
        "user": spec.user,
        "group": "unknown",
        "session": "unknown",
        "jobname": spec.jobname or "N/A",
        "queue": spec.queue,
        "cwd": spec.outputdir,
        "exe": spec.command,
        "args": list(spec.args),
        "mode": spec.mode,
        "ctime": job.submitted,
        "qtime": job.submitted,
        "etime": job.eligible_since,
        "start": job.started,
        "exec_host": ":".join(job.location),
        "Resource_List": resource_list(spec),
    }
    return fields if spec.project is None else fields | {"account": spec.project}


def end_fields(job: Job, now: float) -> dict[str, object]:
    """Return the fields of an E record. An exit status that nobody knows is "unknown"."""
    used = {
        "location": ":".join(job.location),
        "nodect": str(job.spec.nodes),
        "walltime": clock_text(now - (job.started or now)),
    }
    return start_fields(job) | {
        "end": now,
        "Exit_status": "unknown" if job.exit_status is None else job.exit_status,
        "resources_used": used,
        "approx_total_etime": 0,
        "priority_core_hours": 0,
    }


def accounting_line(now: float, jobid: int, record: Record) -> str:
    """Return a record as the line the log holds, without a newline."""
    flat: dict[str, object] = {"resource": "NOTSET"}
    for key, value in record.fields.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": text for inner, text in value.items()}
        else:
            flat[key] = value
    text = " ".join(f"{key}={_field(value)}" for key, value in sorted(flat.items()))
    return f"{datetime.fromtimestamp(now, UTC):%m/%d/%Y %H:%M:%S};{record.kind};{jobid};{text}"


def _field(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(_quoted(str(item)) for item in value)
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    if any(mark in text for mark in ' ",'):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text.replace("\n", "\\n")
