"""A site's scripts around a job: which run in which state, what they are told, and whose failure counts.

``job_prescripts`` run once, first; ``resource_prescripts`` when the nodes are made ready; ``resource_postscripts`` and
``job_postscripts`` on the way out. The job shows ``starting`` or ``exiting`` meanwhile and, but for the last of the
four, has its nodes. Each script gets the job's fields as ``key=value`` words, those that only a filter has set among
them (``stagein=...``). The first prescript that exits with another status than 0 ends the job; what postscripts exit
with does not matter.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from emulators.cobalt.filters import field_text
from emulators.cobalt.jobs import Job, Spec, State
from emulators.cobalt.settings import Settings

RUNNER = Path(__file__).with_name("hook_runner.py")
PROLOGUES = frozenset({State.JOB_PROLOGUE, State.RESOURCE_PROLOGUE})
EPILOGUES = frozenset({State.RESOURCE_EPILOGUE, State.JOB_EPILOGUE})
_NOT_TOLD = ("extra", "path")


def scripts(settings: Settings, state: State) -> tuple[str, ...]:
    """The scripts that run while a job is in this state."""
    found = {
        State.JOB_PROLOGUE: settings.job_prescripts,
        State.RESOURCE_PROLOGUE: settings.resource_prescripts,
        State.RESOURCE_EPILOGUE: settings.resource_postscripts,
        State.JOB_EPILOGUE: settings.job_postscripts,
    }
    return found.get(state, ())


def words(job: Job) -> list[str]:
    """What a script is told of a job: every field that it has."""
    told: dict[str, object] = {each.name: getattr(job.spec, each.name) for each in fields(Spec)}
    told = {name: value for name, value in told.items() if name not in _NOT_TOLD and value is not None}
    told |= {"jobid": job.jobid, "location": list(job.location), **job.spec.extra}
    return [f"{name}={field_text(value)}" for name, value in told.items()]


def room(job: Job) -> str:
    """What the run of a job's scripts in its present state is kept under."""
    return f"{job.jobid}.{job.state}"


def command(job: Job, programs: tuple[str, ...]) -> list[str]:
    """The command line of ``hook_runner`` that runs them all."""
    how = "stop" if job.state in PROLOGUES else "go"
    return [str(RUNNER), how, str(len(programs)), *programs, *words(job)]
