"""The commands that change or choose jobs that are there: qalter, qmove and qselect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from emulators.cobalt.filters import run_filters
from emulators.cobalt.wire import ask
from qstage.cobalt.choosing import NO_MATCH, moved_report, parse_qmove, parse_qselect, selected_report
from qstage.cobalt.errors import UsageError
from qstage.cobalt.job import Checks
from qstage.cobalt.jobids import Report
from qstage.cobalt.qalter import change_of, parse_qalter, refuse_running, told
from qstage.cobalt.rows import JobRow
from qstage.cobalt.states import HELD, StateWord

Rows = Callable[[Mapping[str, Any]], Sequence[JobRow]]
_WAITING = {*HELD, StateWord.QUEUED, StateWord.MAXRUN_HOLD}
_ASKED = ("project", "notify", "walltime", "mode", "procs", "nodes", "queue", "user")
"""What Cobalt's qalter asks of a job before it changes it: only of these can it tell what they were."""


def qalter(state: str, argv: Sequence[str], user: str, checks: Checks, rows: Rows) -> Report:
    request = parse_qalter(argv, user=user, checks=checks)
    chosen = _chosen(rows(ask(state, {"verb": "jobs"})), request.ids, user)
    out, err = request.stdout, request.stderr
    try:
        if any(row.state not in _WAITING for row in chosen):
            raise refuse_running(request)
        if request.defers:
            out += _defer(state, request.ids)
            if request.only_defers:
                return Report(stdout=out, stderr=err)
        for row in chosen:
            before = {name: getattr(row, name) for name in _ASKED}
            change = change_of(request, before)
            err += change.stderr
            fields = _alter(state, row.jobid, before, change.fields, user)
            out += told(before, {name: value for name, value in fields.items() if name not in ("tag", "jobid")})
    except UsageError as end:
        raise UsageError(end.exit_code, out + end.stdout, err + end.stderr) from None
    return Report(stdout=out, stderr=err + ("" if chosen else NO_MATCH))


def _defer(state: str, ids: Sequence[int]) -> str:
    done = ask(state, {"verb": "defer", "ids": ids})["deferred"]
    return f"updating scores for jobs: {', '.join(map(str, done))}\n" if done else "no jobs matched\n"


def qmove(state: str, argv: Sequence[str], user: str, rows: Rows) -> Report:
    request = parse_qmove(argv)
    moved = []
    for row in _chosen(rows(ask(state, {"verb": "jobs"})), request.ids, user):
        before = {name: getattr(row, name) for name in (*_ASKED, "attrs")}
        _alter(state, row.jobid, before, {"queue": request.queue}, user)
        moved.append(row.jobid)
    return moved_report(request.queue, moved)


def qselect(state: str, argv: Sequence[str], rows: Rows) -> Report:
    request = parse_qselect(argv)
    return selected_report(rows(ask(state, {"verb": "jobs"})), request)


def _chosen(rows: Sequence[JobRow], ids: Sequence[int], user: str) -> list[JobRow]:
    return [row for row in rows if row.jobid in ids and row.user == user]


def _alter(
    state: str, jobid: int, before: Mapping[str, Any], fields: Mapping[str, Any], user: str
) -> Mapping[str, Any]:
    """Show the filters the changed job, then change it; return the fields that differ or were never asked for."""
    filters = ask(state, {"verb": "filters"})["filters"]
    whole = run_filters(filters, {"tag": "job", "jobid": jobid, **before, **fields})
    names = [*fields, *(name for name, value in whole.items() if name not in fields and before.get(name) != value)]
    changed = {name: whole[name] for name in names if name not in ("tag", "jobid", "user")}
    answer = ask(state, {"verb": "alter", "id": jobid, "changes": changed, "user": user})
    if "refused" in answer:
        raise UsageError(1, stderr=answer["refused"])
    return changed
