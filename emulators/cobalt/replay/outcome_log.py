"""Writes what a replay did as Cobalt's accounting log: Q, S and E records, which ``accounting`` reads again.

``hold`` and ``overhead`` are qsim's words, and 0 in a replay without data. A trace does not say how a job ended, so
``Exit_status`` is 143 of those that their walltime killed and "unknown" of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emulators.cobalt.records import Record, accounting_line, clock_text
from emulators.cobalt.replay.jobs import TraceJob
from emulators.cobalt.replay.machine import Run

_KILLED = 143
_ENDED, _SUBMITTED, _STARTED, _ENDED_AT_ONCE = range(4)
"""In which order the records of one second stand, as things happen in a replay."""


def log_lines(runs: Sequence[Run]) -> Iterator[str]:
    """Return the log's lines in the order of time, without newlines."""
    events = [event for run in runs for event in _events(run)]
    for at, _, jobid, record in sorted(events, key=lambda event: event[:3]):
        yield accounting_line(at, jobid, record)


def _events(run: Run) -> Iterator[tuple[float, int, int, Record]]:
    job = run.job
    asked = _asked(job)
    started = asked | {
        "ctime": job.submitted,
        "qtime": job.submitted,
        "etime": job.submitted,
        "start": run.start,
        "exec_host": ":".join(run.nodes),
    }
    used = {"nodect": len(run.nodes), "walltime": clock_text(run.end - run.start)}
    ended = started | {
        "end": run.end,
        "runtime": run.end - run.start,
        "Exit_status": _KILLED if run.killed else "unknown",
        "hold": 0,
        "overhead": 0,
        "resources_used": used,
    }
    yield job.submitted, _SUBMITTED, job.jobid, Record("Q", asked)
    yield run.start, _STARTED, job.jobid, Record("S", started)
    yield run.end, _ENDED if run.end > run.start else _ENDED_AT_ONCE, job.jobid, Record("E", ended)


def _asked(job: TraceJob) -> dict[str, object]:
    assert job.walltime is not None, "a job that ran has a walltime"
    wanted = {"ncpus": job.nodes, "nodect": job.nodes, "walltime": clock_text(job.walltime)}
    fields: dict[str, object] = {"user": job.user, "queue": job.queue, "Resource_List": wanted}
    return fields if job.project is None else fields | {"account": job.project}
