"""The commands that lie in the simulator's ``bin``: qsub, qstat, qdel, qhold, qrls, qalter, qmove and qselect.

Each reads its command line as Cobalt does, asks the daemon, prints, and returns the exit status. They start
often, so they import little. The job's own log is begun here, by the submitter, as in Cobalt.
"""

from __future__ import annotations

import os
import pwd
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from string import Template
from typing import Any

from emulators.cobalt.alterations import qalter, qmove, qselect
from emulators.cobalt.filters import run_filters
from emulators.cobalt.wire import AbsentError, ask
from qstage.cobalt.errors import UsageError
from qstage.cobalt.jobids import (
    HoldOutcome,
    Report,
    deleted_report,
    dependencies_report,
    hold_report,
    parse_ids,
    release_report,
)
from qstage.cobalt.layout import date_text
from qstage.cobalt.qstat import parse_qstat, render, render_queues, select
from qstage.cobalt.qsub import Checks, Qsub, parse_qsub
from qstage.cobalt.rows import JobRow, QueueRow
from qstage.cobalt.states import StateWord

_SPEC_FIELDS = (
    *("command", "args", "nodes", "walltime", "cwd", "outputdir", "procs", "queue", "project", "outputpath"),
    *("errorpath", "cobalt_log_file", "inputfile", "envs", "attrs", "umask", "jobname", "notify", "user_hold"),
    *("user_list", "run_project", "preemptable", "script_preboot", "geometry", "kernel", "kerneloptions"),
    *("ion_kernel", "ion_kerneloptions"),
)


def main(command: str, state: str, argv: Sequence[str]) -> int:
    """Run one command against the simulator of this state directory; return its exit status."""
    try:
        report = _COMMANDS[command](state, argv)
    except UsageError as end:
        sys.stdout.write(end.stdout)
        sys.stderr.write(end.stderr)
        return end.exit_code
    except AbsentError as fault:
        component = "system" if command == "qsub" else "queue-manager"
        sys.stderr.write(f"component error: Failed to connect to {component}: {fault}\n\n")
        return 1
    sys.stdout.write(report.stdout)
    sys.stderr.write(report.stderr)
    return 0


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def _qsub(state: str, argv: Sequence[str]) -> Report:
    user = _user()
    job = parse_qsub(argv, read_script=_read_script, cwd=os.getcwd(), user=user, checks=_checks(state))
    if job.command is None:
        raise UsageError(1, stderr="interactive jobs are not simulated\n")
    spec: dict[str, Any] = {name: getattr(job, name) for name in _SPEC_FIELDS}
    depends = (job.dependencies or "none").split(":")
    spec |= {"user": user, "path": os.environ.get("PATH", "")}
    spec["dependencies"] = [] if depends[0].lower() == "none" else depends
    try:
        spec = _filtered(state, spec)
        answer = _unless_refused(ask(state, {"verb": "submit", "spec": spec}))
    except UsageError as end:
        raise UsageError(end.exit_code, stdout=job.stdout + end.stdout, stderr=job.stderr + end.stderr) from None
    jobid = answer["jobid"]
    warning = _begin_log(job, spec, jobid, answer["now"])
    return Report(stdout=f"{job.stdout}{jobid}\n", stderr=job.stderr + warning)


def _filtered(state: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Return the spec as the site's filters leave it. They see only what the system could run."""
    filters = ask(state, {"verb": "filters"})["filters"]
    if not filters:
        return spec
    _unless_refused(ask(state, {"verb": "validate", "spec": spec}))
    said = {name: value for name, value in spec.items() if value is not None and name != "dependencies"}
    said |= {"tag": "job", "jobid": "*"}
    if spec["dependencies"]:
        said["all_dependencies"] = ":".join(spec["dependencies"])
    return {"dependencies": spec["dependencies"], **run_filters(filters, said)}


def _unless_refused(answer: dict[str, Any]) -> dict[str, Any]:
    if "refused" in answer:
        raise UsageError(1, stderr=answer["refused"])
    return answer


def _read_script(path: str) -> str | None:
    if not os.path.isfile(path):
        return None
    if not os.access(path, os.X_OK | os.R_OK):
        return ""  # refused next, for what it is
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read()


def _checks(state: str) -> Checks:
    def has_user(name: str) -> bool:
        try:
            pwd.getpwnam(name)
        except KeyError:
            return False
        return True

    def known(ids: Iterable[str]) -> set[str]:
        return set(ask(state, {"verb": "known", "ids": list(ids)})["known"])

    return Checks(
        is_dir=os.path.isdir,
        is_file=os.path.isfile,
        is_runnable=lambda path: os.access(path, os.X_OK | os.R_OK),
        has_user=has_user,
        known_jobs=known,
    )


def _begin_log(job: Qsub, spec: Mapping[str, Any], jobid: int, now: float) -> str:
    """Begin the job's log; return the warning if that is impossible."""
    os.umask(job.umask)
    given = spec.get("cobalt_log_file")
    path = f"{spec['outputdir']}/{jobid}.cobaltlog"
    if given is not None:
        path = Template(given).safe_substitute(jobid=jobid, COBALT_JOBID=jobid)
    lines = (
        f"Jobid: {jobid}",
        f"qsub {' '.join(job.argv)}",
        f"{date_text(now)} submitted with cwd set to: {job.cwd}",
    )
    try:
        with open(path, "a", encoding="utf-8", errors="surrogateescape") as file:
            file.write("".join(line + "\n" for line in lines))
    except OSError as fault:
        return f"WARNING: failed to create cobalt log file at: {path}\nWARNING:     Error information: {fault}\n"
    return ""


def _qstat(state: str, argv: Sequence[str]) -> Report:
    request = parse_qstat(argv, environ=os.environ)
    answer = ask(state, {"verb": "jobs"})
    queues = [QueueRow(**row) for row in answer["queues"]]
    if request.queues:
        chosen = [row for row in queues if not request.names or row.name in request.names]
        if request.names and not chosen:
            raise UsageError(1)
        return Report(stdout=render_queues(chosen, request))
    rows = select([_row(row) for row in answer["jobs"]], request, {row.name for row in queues})
    return Report(stdout=render(rows, request, answer["now"]))


def _row(document: Mapping[str, Any]) -> JobRow:
    values = dict(document)
    for name in ("location", "args", "user_list", "geometry"):
        if values[name] is not None:
            values[name] = tuple(values[name])
    return JobRow(**values | {"state": StateWord(values["state"])})


def _qdel(state: str, argv: Sequence[str]) -> Report:
    request = parse_ids("qdel", argv)
    answer = ask(state, {"verb": "delete", "ids": request.ids, "user": _user()})
    time.sleep(answer["pause"])  # Cobalt's qdel sleeps before it prints
    return deleted_report([(jobid, user) for jobid, user in answer["deleted"]])


def _qhold(state: str, argv: Sequence[str]) -> Report:
    request = parse_ids("qhold", argv)
    answer = ask(state, {"verb": "hold", "ids": request.ids, "user": _user()})
    return hold_report(request.ids, _outcomes(answer))


def _qrls(state: str, argv: Sequence[str]) -> Report:
    request = parse_ids("qrls", argv)
    question = {"ids": request.ids, "user": _user()}
    if request.dependencies:
        return dependencies_report(ask(state, {"verb": "free", **question})["freed"])
    return release_report(request.ids, _outcomes(ask(state, {"verb": "release", **question})))


def _rows(answer: Mapping[str, Any]) -> list[JobRow]:
    return [_row(row) for row in answer["jobs"]]


def _qalter(state: str, argv: Sequence[str]) -> Report:
    return qalter(state, argv, _user(), _checks(state), _rows)


def _qmove(state: str, argv: Sequence[str]) -> Report:
    return qmove(state, argv, _user(), _rows)


def _qselect(state: str, argv: Sequence[str]) -> Report:
    return qselect(state, argv, _rows)


def _outcomes(answer: Mapping[str, Any]) -> dict[int, HoldOutcome]:
    return {int(jobid): HoldOutcome(**outcome) for jobid, outcome in answer["found"].items()}


_COMMANDS: dict[str, Callable[[str, Sequence[str]], Report]] = {
    "qsub": _qsub,
    "qstat": _qstat,
    "qdel": _qdel,
    "qhold": _qhold,
    "qrls": _qrls,
    "qalter": _qalter,
    "qmove": _qmove,
    "qselect": _qselect,
}
COMMANDS = tuple(_COMMANDS)
