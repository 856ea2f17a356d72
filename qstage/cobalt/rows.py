"""What Cobalt's lists show of a job and of a queue, and each column's text.

A row may carry columns that Cobalt does not have (``more``); they are printed when a header names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from qstage.cobalt.layout import date_text, elapsed, hours_minutes, merge_nodes
from qstage.cobalt.states import StateWord

QUEUE_HEADER = (
    *("Name", "Users", "Groups", "MinTime", "MaxTime", "MaxRunning", "MaxQueued"),
    *("MaxUserNodes", "MaxNodeHours", "TotalNodes", "State"),
)
_ESTIMATE_SHADOW = 300.0  # a start is never promised sooner than this many seconds from now


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """What qstat may know of a job. Times are seconds since the epoch, ``walltime`` is minutes."""

    jobid: int
    user: str
    walltime: int
    nodes: int
    state: StateWord | str
    queue: str
    submittime: float
    jobname: str = "N/A"
    location: tuple[str, ...] = ()
    starttime: float | None = None
    endtime: float | None = None
    """When its process ended. Cobalt never shows one: there such a job is gone."""
    procs: int | None = None
    mode: str = "script"
    preemptable: bool = False
    user_hold: bool = False
    admin_hold: bool = False
    path: str | None = None
    outputdir: str | None = None
    outputpath: str | None = None
    errorpath: str | None = None
    envs: Mapping[str, str] = field(default_factory=dict)
    command: str | None = None
    args: tuple[str, ...] = ()
    kernel: str = "default"
    kerneloptions: str | None = None
    ion_kernel: str = "default"
    ion_kerneloptions: str | None = None
    project: str | None = None
    dependencies: str = ""
    notify: str | None = None
    score: float = 0.0
    attrs: Mapping[str, str] = field(default_factory=dict)
    user_list: tuple[str, ...] = ()
    geometry: tuple[int, ...] | None = None
    est_start_time: float | None = None
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """What ``qstat -Q`` shows of a queue. Times are minutes; None is no limit."""

    name: str
    users: str | None = None
    groups: str | None = None
    mintime: int | None = None
    maxtime: int | None = None
    maxrunning: int | None = None
    maxqueued: int | None = None
    maxusernodes: int | None = None
    maxnodehours: int | None = None
    totalnodes: int | None = None
    state: str = "running"


def job_cells(row: JobRow, id_width: int, now: float) -> dict[str, str]:
    """Return every column of a job by its lower-case name, as Cobalt prints it."""
    started = row.starttime
    until = now if row.endtime is None else row.endtime
    left = 0.0 if started is None or row.endtime is not None else max(0.0, row.walltime * 60 - (now - started))
    estimate = row.est_start_time
    moment = None if not estimate else datetime.fromtimestamp(max(now + _ESTIMATE_SHADOW, estimate), UTC)
    cells = {
        "jobid": str(row.jobid).rjust(id_width),
        "walltime": hours_minutes(row.walltime),
        "queuedtime": elapsed((now if started is None else started) - row.submittime),
        "runtime": "N/A" if started is None else elapsed(until - started),
        "timeremaining": "N/A" if started is None else elapsed(left),
        "starttime": "N/A" if started is None else date_text(started),
        "submittime": date_text(row.submittime),
        "location": _location(row.location),
        "envs": " ".join(f"{name}={value}" for name, value in row.envs.items()),
        "args": " ".join(row.args),
        "short_state": row.state.short if isinstance(row.state, StateWord) else row.state[:1].upper(),
        "user_list": ":".join(row.user_list),
        "geometry": "Any" if row.geometry is None else "x".join(str(part) for part in row.geometry),
        "attrs": str(dict(row.attrs)),
        "est_start_time": "-" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}",
        "dep_frac": "None",
    }
    plain = (
        "jobname user nodes state mode procs preemptable user_hold admin_hold queue path outputdir "
        "errorpath outputpath command kernel kerneloptions ion_kernel ion_kerneloptions project "
        "dependencies notify score"
    )
    cells |= {name: str(getattr(row, name)) for name in plain.split()}
    return {name.lower(): text for name, text in row.more.items()} | cells


def _location(names: tuple[str, ...]) -> str:
    if len(names) > 1:
        return merge_nodes(names)
    return names[0] if names else "None"


def queue_cells(row: QueueRow) -> dict[str, str]:
    cells = {name.lower(): str(getattr(row, name.lower())) for name in QUEUE_HEADER}
    for name, minutes in (("mintime", row.mintime), ("maxtime", row.maxtime)):
        if minutes is not None:
            cells[name] = hours_minutes(minutes)
    return cells
