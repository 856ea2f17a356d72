"""A job of the simulator: what was asked for, where it stands, and the word qstat shows for it.

All of it is data and frozen; ``life`` makes the next job from this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from qstage.cobalt.rows import JobRow
from qstage.cobalt.states import StateWord


class State(StrEnum):
    """Where a job stands, by the names of Cobalt's own state machine."""

    READY = "Ready"
    HOLD = "Hold"
    JOB_PROLOGUE = "Job_Prologue"
    RESOURCE_PROLOGUE = "Resource_Prologue"
    RUNNING = "Running"
    KILLING = "Killing"
    RESOURCE_EPILOGUE = "Resource_Epilogue"
    JOB_EPILOGUE = "Job_Epilogue"
    TERMINAL = "Terminal"


ON_NODES = frozenset(
    {State.JOB_PROLOGUE, State.RESOURCE_PROLOGUE, State.RUNNING, State.KILLING, State.RESOURCE_EPILOGUE}
)
"""The states in which a job has nodes, and is charged for them."""

_WORDS = {
    State.READY: StateWord.QUEUED,
    State.JOB_PROLOGUE: StateWord.STARTING,
    State.RESOURCE_PROLOGUE: StateWord.STARTING,
    State.RUNNING: StateWord.RUNNING,
    State.KILLING: StateWord.KILLING,
    State.RESOURCE_EPILOGUE: StateWord.EXITING,
    State.JOB_EPILOGUE: StateWord.EXITING,
    State.TERMINAL: StateWord.DONE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What was submitted. ``walltime`` is minutes; ``extra`` holds fields that only a filter sets
    (``stagein``)."""

    user: str
    command: str
    nodes: int
    walltime: int
    cwd: str
    args: tuple[str, ...] = ()
    procs: int | None = None
    queue: str = "default"
    project: str | None = None
    outputdir: str = ""
    outputpath: str | None = None
    errorpath: str | None = None
    cobalt_log_file: str | None = None
    inputfile: str | None = None
    envs: Mapping[str, str] = field(default_factory=dict)
    attrs: Mapping[str, str] = field(default_factory=dict)
    umask: int = 0o022
    jobname: str | None = None
    mode: str = "script"
    path: str = ""
    notify: str | None = None
    dependencies: tuple[str, ...] = ()
    user_hold: bool = False
    user_list: tuple[str, ...] = ()
    run_project: bool = False
    preemptable: bool = False
    script_preboot: bool = True
    geometry: tuple[int, ...] | None = None
    kernel: str = "default"
    kerneloptions: str | None = None
    ion_kernel: str = "default"
    ion_kerneloptions: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job in the queue. Times are seconds since the epoch.

    ``eligible_since`` is when the last hold ended. ``entered`` is when the present state began.
    ``killed_for`` is why it was told to end. ``pid`` is its process group once it runs.
    """

    jobid: int
    spec: Spec
    state: State
    submitted: float
    entered: float
    eligible_since: float
    user_hold: bool = False
    admin_hold: bool = False
    satisfied: frozenset[str] = frozenset()
    dep_failed: bool = False
    max_running: bool = False
    score: float = 0.0
    location: tuple[str, ...] = ()
    started: float | None = None
    task_started: float | None = None
    pid: int | None = None
    killed_for: str | None = None
    forced: bool = False
    exit_status: int | None = None

    @property
    def dep_hold(self) -> bool:
        return not set(self.spec.dependencies) <= self.satisfied

    @property
    def held(self) -> bool:
        return self.user_hold or self.admin_hold or self.dep_hold

    @property
    def word(self) -> StateWord:
        """Return the state qstat shows."""
        if self.state is State.READY and self.max_running:
            return StateWord.MAXRUN_HOLD
        if self.state is not State.HOLD:
            return _WORDS[self.state]
        if self.user_hold:
            return StateWord.USER_HOLD
        if self.dep_hold:
            return StateWord.DEP_FAIL if self.dep_failed else StateWord.DEP_HOLD
        return StateWord.ADMIN_HOLD

    @property
    def walltime_seconds(self) -> int:
        return self.spec.walltime * 60


def row_of(job: Job) -> JobRow:
    """Return what qstat may show of a job."""
    spec = job.spec
    return JobRow(
        jobid=job.jobid,
        user=spec.user,
        walltime=spec.walltime,
        nodes=spec.nodes,
        state=job.word,
        queue=spec.queue,
        submittime=job.submitted,
        jobname=spec.jobname or "N/A",
        location=job.location,
        starttime=job.started,
        procs=spec.procs,
        mode=spec.mode,
        preemptable=spec.preemptable,
        user_hold=job.user_hold,
        admin_hold=job.admin_hold,
        path=spec.path,
        outputdir=spec.outputdir,
        outputpath=spec.outputpath,
        errorpath=spec.errorpath,
        envs=spec.envs,
        command=spec.command,
        args=spec.args,
        kernel=spec.kernel,
        kerneloptions=spec.kerneloptions,
        ion_kernel=spec.ion_kernel,
        ion_kerneloptions=spec.ion_kerneloptions,
        project=spec.project,
        dependencies=", ".join(one + "*" * (one in job.satisfied) for one in spec.dependencies),
        notify=spec.notify,
        score=job.score,
        attrs=spec.attrs,
        user_list=spec.user_list,
        geometry=spec.geometry,
    )
