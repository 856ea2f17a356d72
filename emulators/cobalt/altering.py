"""What qalter and qmove do to a job, as pure functions: the next job, and what must be said of it.

Only a job that waits can be altered. The fields come as qalter or a filter wrote them, often as text; one that a job
does not have is kept beside the others (``Spec.extra``), as Cobalt keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from emulators.cobalt import life
from emulators.cobalt.jobs import Job, Spec
from emulators.cobalt.records import Record, resource_list

_LISTS = ("args", "dependencies", "user_list")
_NUMBERS = ("nodes", "procs", "umask")
_OWN = ("user", "extra", "jobid", "tag", "defer", "all_dependencies")
"""Not for a change to set as a field."""


def changed_spec(spec: Spec, changes: Mapping[str, Any]) -> Spec:
    """Return the spec with these fields. Raises ValueError for a text that is not the number it should be."""
    known = {each.name for each in fields(Spec)}
    values: dict[str, Any] = {}
    extra = dict(spec.extra)
    for name, value in changes.items():
        if name in _OWN:
            continue
        if name not in known:
            extra[name] = str(value)
        elif name in _LISTS:
            values[name] = tuple(value)
        elif name == "walltime":
            values[name] = int(float(value))
        elif name in _NUMBERS:
            values[name] = int(value)
        elif name in ("user_hold", "run_project", "preemptable", "script_preboot"):
            values[name] = bool(value)  # any text is true, "False" too: so it is in Cobalt
        else:
            values[name] = value
    return replace(spec, **values, extra=extra)


def read_spec(document: Mapping[str, Any]) -> Spec:
    """Return the spec of what qsub, and the filters after it, made of a job. Raises ValueError, KeyError."""
    bare = Spec(user=document["user"], command="", nodes=0, walltime=0, cwd="")
    values = {name: value for name, value in document.items() if value is not None}
    if "geometry" in values:
        values["geometry"] = tuple(values["geometry"])
    return changed_spec(bare, values)


def alter(job: Job, changes: Mapping[str, Any], now: float) -> life.Step:
    """Give a waiting job new fields, and the holds that follow from them. Raises ValueError as ``changed_spec``."""
    plain = {name: value for name, value in changes.items() if name not in ("dependencies", "user_hold")}
    job = replace(job, spec=changed_spec(job.spec, plain))
    where = {"queue": job.spec.queue, "Resource_List": resource_list(job.spec), "user": job.spec.user}
    where |= {} if job.spec.project is None else {"account": job.spec.project}
    effects: tuple[life.Effect, ...] = (Record("Q", where),)
    if "dependencies" in changes:
        job, more = life.depend(job, tuple(changes["dependencies"]), now)
        effects += more
    if "score" in changes:
        job = replace(job, score=float(changes["score"]))
    if changes.get("user_hold") and not job.user_hold:
        job, more = life.hold(job, now)
        effects += more
    return job, (*effects, Record("QA", where))


def defer(job: Job) -> life.Step:
    """Take a job's score away."""
    spec = job.spec
    said = resource_list(spec) | {"score_from": job.score, "score_to": 0.0}
    return replace(job, score=0.0), (Record("QA", {"queue": spec.queue, "Resource_List": said, "user": spec.user}),)
