"""The site's scheduler, through PSI/J's executors.

Submitting, canceling and every scheduler's words are PSI/J's. Asking for states is done here, by the executor's
own status command and parser, in the agent's rhythm: PSI/J's polling thread declares every job failed when a
scheduler is away for three polls, and an agent that runs from cron does not live until its first.

``Queue`` serves the executors that drive a batch scheduler by its commands; ``Direct`` those that have none
(local). PSI/J is imported only when a scheduler is opened.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from qstage.agent import alterations, cobalt_told, slurm_answers
from qstage.agent.rules import Presence
from qstage.agent.runscript import NATIVE_ID
from qstage.agent.surroundings import ForeignCommand, pin
from qstage.agent.wire import Change, Lease
from qstage.cobalt.submission import ADOPT

if TYPE_CHECKING:
    import psij
    from psij.executors.batch.batch_scheduler_executor import BatchSchedulerExecutor

COMMAND_TIMEOUT = 60.0
"""Seconds that a scheduler's command may take."""

_NAME_ATTRIBUTE = {"slurm": "slurm.job-name", "pbs": "pbs.N", "pbs_classic": "pbs.N", "lsf": "lsf.J"}
"""PSI/J 0.9 never names a job; these directives do."""

_PLAIN_OWNER = re.compile(r"[A-Za-z0-9._@+-]{1,200}")
"""A username that can stand in a directive. Whose job it is stands in Slurm's comment, for the site's people."""

_FIND = {
    "slurm": ("squeue", "--me", "--noheader", "--format=%i", "--name={name}"),
    "pbs": ("qselect", "-N", "{name}"),
    "pbs_classic": ("qselect", "-N", "{name}"),
    "lsf": ("bjobs", "-noheader", "-o", "jobid", "-J", "{name}"),
}
_HOLD = {
    "cobalt": ("qhold", "{id}"),
    "slurm": ("scontrol", "hold", "{id}"),
    "pbs": ("qhold", "{id}"),
    "pbs_classic": ("qhold", "{id}"),
    "lsf": ("bstop", "{id}"),
}
_RELEASE = {
    "cobalt": ("qrls", "{id}"),
    "slurm": ("scontrol", "release", "{id}"),
    "pbs": ("qrls", "{id}"),
    "pbs_classic": ("qrls", "{id}"),
    "lsf": ("bresume", "{id}"),
}


_SUBMIT_HELD = {"cobalt": "-h", "slurm": "--hold"}
"""How a submission itself says that the job is to be held: a second command would come after it has started."""

_ASKED_AT_ONCE = 10
"""Slurm's users ask for one job at a time when it would start, and each question takes a job number."""


class Rejected(Exception):
    """The scheduler would not: take a job, hold it, let go of it, alter it. The message is the scheduler's own words.

    ``done`` is what it did change, of an alteration that takes more than one command.
    """

    def __init__(self, words: str, done: Change | None = None) -> None:
        super().__init__(words)
        self.done = done or Change()


class SchedulerAway(Exception):
    """The scheduler could not be asked. Nothing is known; the same may be tried again."""


class WrongSite(Exception):
    """The agent must not start here: the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the scheduler calls the job, and what PSI/J called the submission."""

    native_id: str
    ticket: str


class Scheduler(Protocol):
    """One site's scheduler. Every method may raise ``SchedulerAway``."""

    def submit(self, lease: Lease, script: str, directory: str) -> Receipt:
        """Give a job to the scheduler, under a hold if its data is not there. Raises ``Rejected`` with its words when
        it will not have it."""
        ...

    @property
    def can_hold(self) -> bool:
        """Whether it takes jobs under a hold, before their data is there."""
        ...

    def expected_starts(self, held: Collection[str]) -> Mapping[str, float | None]:
        """When it would start each of these jobs, which it holds, were they let go now; None where it does not say.
        One that is missing was not asked about."""
        ...

    def presence(self, native_ids: Mapping[str, str]) -> Mapping[str, Presence]:
        """What each native id (with its run script) is doing. One that is missing could not be told."""
        ...

    @property
    def keeps_walltime(self) -> bool:
        """Whether it ends jobs that run longer than they asked for; else the agent does."""
        ...

    def cancel(self, native_id: str, script: str) -> None:
        """End a job, queued or running. One that is gone is no error."""
        ...

    def find(self, name: str) -> str | None:
        """The native id of a job of this name; None when there is none, or when it cannot be told."""
        ...

    def hold(self, native_id: str) -> None:
        """Keep a queued job from starting. To do so twice is to do it once. Raises ``Rejected``."""
        ...

    def release(self, native_id: str) -> None:
        """Let a held job start. One that is not held is let go already. Raises ``Rejected``."""
        ...

    def alter(self, native_id: str, change: Change, was: Lease) -> None:
        """Ask for something else for a job that has not begun. To do so twice is to do it once. Raises ``Rejected``."""
        ...

    def forget(self, native_id: str, ticket: str | None) -> None:
        """Tidy up after a job that has ended."""
        ...


def open_scheduler(name: str, work: Path, path: tuple[str, ...]) -> Scheduler:
    """Open the scheduler ``name``, with ``path`` as the only place its commands come from.

    Raises ``WrongSite`` for an unknown name, or when a command of that path is qstage's own.
    """
    if name not in NATIVE_ID:
        raise WrongSite(f"scheduler {name!r} is not one of {', '.join(NATIVE_ID)}")
    if any(character.isspace() for character in str(work)):
        raise WrongSite(f"PSI/J's launchers cannot live in a path with blanks: {work}")
    try:
        pin(path)
    except ForeignCommand as error:
        raise WrongSite(str(error)) from None
    import psij
    from psij.executors.batch.batch_scheduler_executor import (
        BatchSchedulerExecutor,
        BatchSchedulerExecutorConfig,
    )

    # PSI/J's own thread never wakes, and tidies up nothing: see the module's docstring.
    idle: dict[str, Any] = {
        "work_directory": work,
        "queue_polling_interval": 10**6,
        "initial_queue_polling_delay": 10**6,
        "keep_files": True,
    }
    try:
        if name == "cobalt":
            executor = _open_cobalt(idle)
        else:
            executor = psij.JobExecutor.get_instance(name, config=BatchSchedulerExecutorConfig(**idle))
    except (ValueError, ImportError) as error:
        raise WrongSite(f"the scheduler {name} cannot be used here: {error}") from error
    if isinstance(executor, BatchSchedulerExecutor):
        return Queue(name, executor)
    return Direct(executor)


def _open_cobalt(idle: dict[str, Any]) -> psij.JobExecutor:
    """PSI/J's own executor cannot submit to a real Cobalt; ours can."""
    import psij

    from qstage.agent import cobalt_executor

    os.environ[cobalt_executor.PATH_VARIABLE] = os.environ["PATH"]
    cobalt_executor.register()
    config = cobalt_executor.CobaltExecutorConfig(**idle)
    return psij.JobExecutor.get_instance(cobalt_executor.NAME, config=config)


def _job(lease: Lease, script: str, directory: str, scheduler: str) -> psij.Job:
    """The PSI/J job that runs a run script. Environment and redirections are the run script's business."""
    import psij

    wanted, size = lease.attributes, lease.resources
    custom = _custom(wanted.custom, scheduler)
    if scheduler in _NAME_ATTRIBUTE:
        custom.setdefault(_NAME_ATTRIBUTE[scheduler], lease.scheduler_name)
    if scheduler == "slurm" and _PLAIN_OWNER.fullmatch(lease.owner):
        custom.setdefault("slurm.comment", f"qstage/{lease.owner}/{lease.id}")
    spec = psij.JobSpec(
        name=lease.scheduler_name,
        executable="/bin/bash",
        arguments=[script],
        directory=Path(directory),
        # Not None: PSI/J's local executor takes that for "all of the agent's own".
        environment={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} if scheduler == "local" else {},
        inherit_environment=False,
        resources=psij.ResourceSpecV1(
            node_count=size.node_count,
            process_count=size.process_count,
            processes_per_node=size.processes_per_node,
            cpu_cores_per_process=size.cpu_cores_per_process,
            gpu_cores_per_process=size.gpu_cores_per_process,
            exclusive_node_use=size.exclusive_node_use,
            memory=size.memory,
        ),
        attributes=psij.JobAttributes(
            duration=timedelta(seconds=wanted.duration),
            queue_name=wanted.queue_name,
            account=wanted.account,
            reservation_id=wanted.reservation_id,
            custom_attributes=custom,
        ),
    )
    return psij.Job(spec)


def _custom(attributes: Mapping[str, str], scheduler: str) -> dict[str, object]:
    """Custom attributes as the executor takes them; none is silently left out.

    ``<scheduler>.<option>`` is an option of the scheduler's submit command. A name without a dot is one of
    Cobalt's ``--attrs``, and means nothing to others.
    """
    prefix = {"pbs_classic": "pbs"}.get(scheduler, scheduler) + "."
    attributes = {name: value for name, value in attributes.items() if name != ADOPT}  # that is for the agent alone
    custom: dict[str, object] = {name: value for name, value in attributes.items() if name.startswith(prefix)}
    plain = {name: value for name, value in attributes.items() if "." not in name}
    strange = sorted(set(attributes) - set(custom) - (set(plain) if scheduler == "cobalt" else set()))
    if strange:
        raise Rejected(f"the custom attribute {strange[0]!r} means nothing to this site's scheduler, {scheduler}")
    if plain:
        if any(":" in text or "=" in text for pair in plain.items() for text in pair):
            raise Rejected("Cobalt's --attrs cannot hold a colon or an equals sign in a name or value")
        custom["cobalt.attrs"] = ":".join(f"{name}={value}" for name, value in plain.items())
    return custom


class Queue:
    """A batch scheduler driven by its commands: Cobalt, Slurm, PBS, LSF."""

    def __init__(self, name: str, executor: BatchSchedulerExecutor) -> None:
        self._name = name
        self._executor = executor
        self.keeps_walltime = True
        self.can_hold = name in _SUBMIT_HELD
        self._held: set[str] = set()
        self._plain_words = executor.get_submit_command
        executor.get_submit_command = self._submit_words  # type: ignore[method-assign, assignment]
        # PSI/J's own waits for a submit command for ever: one that hangs would stop the agent.
        executor._run_command = self._command  # type: ignore[method-assign]
        if name != "cobalt":  # whose executor is ours, and does so itself
            from qstage.agent.launching import InPlace

            executor._launchers["single"] = InPlace()

    def submit(self, lease: Lease, script: str, directory: str) -> Receipt:
        import psij

        try:
            job = _job(lease, script, directory, self._name)
            if not lease.staged:
                self._held.add(job.id)
            self._executor.submit(job)
        except psij.InvalidJobException as error:
            raise Rejected(str(error)) from error
        except psij.SubmitException as error:
            # Nor does it tell "I was too slow to tell you that I took it": one that has no such job said no.
            self._check_it_answers("0")
            native = self.find(lease.scheduler_name)
            if native is not None:
                return Receipt(native_id=native, ticket=job.id)
            raise Rejected(str(error).strip() or "the scheduler gave no reason") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SchedulerAway(f"the scheduler's submit command cannot be run: {error}") from error
        if job.native_id is None:
            raise SchedulerAway("the scheduler took the job and named no id")
        return Receipt(native_id=job.native_id, ticket=job.id)

    def _submit_words(self, job: psij.Job, path: Path) -> list[str]:
        """The words of a submission; of one that is to be held they say so themselves."""
        program, *rest = self._plain_words(job, path)
        if job.id not in self._held:
            return [program, *rest]
        self._held.discard(job.id)
        return [program, _SUBMIT_HELD[self._name], *rest]

    def expected_starts(self, held: Collection[str]) -> Mapping[str, float | None]:
        if not held:
            return {}
        if self._name == "cobalt":
            from qstage.agent.cobalt_answers import expected_starts

            words = [self._executor.get_status_command([])[0], "-l", "--header=JobID:Est_Start_Time", *held]
            code, out, _ = self._ask(words, TZ="UTC")
            return expected_starts(out, held) if code == 0 else {}
        return {native: self._slurm_start(native) for native in list(held)[:_ASKED_AT_ONCE]}

    def _slurm_start(self, native_id: str) -> float | None:
        """What Slurm would say of the start, were the same submitted now: of a job that it holds it says nothing."""
        code, script, _ = self._ask(["scontrol", "write", "batch_script", native_id, "-"])
        if code != 0:
            return None
        _, _, told = self._ask(["sbatch", "--test-only"], script, TZ="UTC")
        return slurm_answers.read_start(told)

    def presence(self, native_ids: Mapping[str, str]) -> Mapping[str, Presence]:
        if not native_ids:
            return {}
        if self._name == "slurm":
            return self._slurm_presence(native_ids)
        code, out = self._run(self._executor.get_status_command(list(native_ids)))
        try:
            known = self._executor.parse_status_output(code, out)
        except Exception as error:  # the parsers raise AssertionError, KeyError, RuntimeError, ValueError …
            raise SchedulerAway(f"the scheduler's answer cannot be read: {error}") from error
        return {native: _presence(known.get(native)) for native in native_ids}

    def _slurm_presence(self, native_ids: Collection[str]) -> Mapping[str, Presence]:
        code, out = self._run(slurm_answers.STATUS_COMMAND)
        if code != 0:
            raise SchedulerAway(f"the scheduler does not answer: {out.strip()}")
        return slurm_answers.read_presence(out, native_ids)

    def cancel(self, native_id: str, script: str) -> None:
        code, out = self._run(self._executor.get_cancel_command(native_id))
        if code != 0 and self.presence({native_id: script}).get(native_id) is not Presence.GONE:
            raise SchedulerAway(f"canceling {native_id} failed: {out.strip()}")

    def find(self, name: str) -> str | None:
        own = getattr(self._executor, "find_by_name", None)
        if own is not None:
            found: str | None = own(name)
            return found
        template = _FIND.get(self._name)
        if template is None:
            return None
        code, out = self._run([word.format(name=name) for word in template])
        if code != 0 and self._name != "lsf":  # whose bjobs fails also where there is no such job
            raise SchedulerAway(f"the scheduler does not answer: {out.strip()}")
        words = out.split()
        return words[0] if words and words[0][0].isdigit() else None

    def hold(self, native_id: str) -> None:
        self._tell("hold", _HOLD, native_id)

    def release(self, native_id: str) -> None:
        self._tell("release", _RELEASE, native_id)

    def forget(self, native_id: str, ticket: str | None) -> None:
        names = [f"{native_id}{ending}" for ending in (".ec", ".out", ".nodefile", ".cobaltlog")]
        for name in [*names, f"{ticket}.job"] if ticket else names:
            with contextlib.suppress(FileNotFoundError):
                (self._executor.work_directory / name).unlink()

    def alter(self, native_id: str, change: Change, was: Lease) -> None:
        try:
            steps = alterations.steps(self._name, native_id, change, was)
        except alterations.Unable as error:
            raise Rejected(str(error)) from error
        done = Change()
        for step in steps:
            code, out = self._run(step.command)
            if not self._took(native_id, step.change, code):
                raise Rejected(
                    out.strip() or f"the scheduler would not alter job {native_id}, and gave no reason", done
                )
            done = done.also(step.change)

    def _took(self, native_id: str, change: Change, code: int) -> bool:
        """Whether a change took place: the scheduler shows it, or, where it shows nothing, said so."""
        command = alterations.shown(self._name, native_id)
        if command is None:
            if code != 0:
                self._check_it_answers(native_id)
            return code == 0
        status, out = self._run(command)
        if status != 0:
            self._check_it_answers(native_id)
        return alterations.is_so(self._name, change, out)

    def _tell(self, verb: str, commands: Mapping[str, tuple[str, ...]], native_id: str) -> None:
        template = commands.get(self._name)
        if template is None:
            raise Rejected(f"this agent does not {verb} jobs of the scheduler {self._name}")
        code, out = self._run([word.format(id=native_id) for word in template])
        if self._name == "cobalt" and code == 0:
            refusal = cobalt_told.refusal_of(verb, out)
            if refusal is not None:
                raise Rejected(refusal)
        elif code != 0:
            self._check_it_answers(native_id)
            raise Rejected(out.strip() or f"the scheduler would not {verb} job {native_id}, and gave no reason")

    def _check_it_answers(self, native_id: str) -> None:
        """A scheduler says no and "I am down" by the same exit status. One that answers has said no."""
        self.presence({native_id: ""})

    def _command(self, cmd: list[str]) -> str:
        """Run a command for PSI/J, and fail as its own runner does."""
        code, out = self._run(cmd)
        if code != 0:
            raise subprocess.CalledProcessError(code, cmd, output=out)
        return out

    def _run(self, command: Collection[str]) -> tuple[int, str]:
        code, out, told = self._ask(command)
        # As PSI/J's own runner has it: what went wrong is in both.
        return code, out if code == 0 else out + told

    def _ask(self, command: Collection[str], given: str = "", **more: str) -> tuple[int, str, str]:
        """Run a command, with an input and more variables; return its exit status, output and error."""
        try:
            done = subprocess.run(  # noqa: S603 - a scheduler's command from the pinned path, no shell
                list(command),
                input=given,
                env={**os.environ, **more},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SchedulerAway(f"the scheduler's command cannot be run: {error}") from error
        return done.returncode, done.stdout, done.stderr


class Direct:
    """No scheduler: processes of this machine, by PSI/J's local executor. For trying things out.

    Its walltime is kept by the agent. Jobs end with the machine, and with a terminal's Ctrl-C.
    """

    def __init__(self, executor: psij.JobExecutor) -> None:
        self._executor = executor
        self._jobs: dict[str, psij.Job] = {}
        self.keeps_walltime = False
        self.can_hold = False

    def expected_starts(self, held: Collection[str]) -> Mapping[str, float | None]:
        return {}

    def submit(self, lease: Lease, script: str, directory: str) -> Receipt:
        import psij

        try:
            job = _job(lease, script, directory, "local")
            self._executor.submit(job)
        except psij.InvalidJobException as error:
            raise Rejected(str(error)) from error
        except psij.SubmitException as error:
            raise SchedulerAway(str(error)) from error
        native = str(job.native_id)
        self._jobs[native] = job
        return Receipt(native_id=native, ticket=job.id)

    def presence(self, native_ids: Mapping[str, str]) -> Mapping[str, Presence]:
        return {
            native: Presence.ACTIVE if _process(native, script) else Presence.GONE
            for native, script in native_ids.items()
        }

    def cancel(self, native_id: str, script: str) -> None:
        root = _process(native_id, script)
        if root is not None:
            for process in [*root.children(recursive=True), root]:
                with contextlib.suppress(_no_such_process()):
                    process.kill()

    def find(self, name: str) -> str | None:
        return None

    def hold(self, native_id: str) -> None:
        raise Rejected("processes of this machine are not held: they have been started")

    def release(self, native_id: str) -> None:
        raise Rejected("processes of this machine are not held: they have been started")

    def alter(self, native_id: str, change: Change, was: Lease) -> None:
        raise Rejected("processes of this machine are not altered: they have been started")

    def forget(self, native_id: str, ticket: str | None) -> None:
        self._jobs.pop(native_id, None)


def _process(native_id: str, script: str) -> Any:
    """The live process of that id, if it runs that script (ids are used again)."""
    import psutil  # type: ignore[import-untyped]

    try:
        process = psutil.Process(int(native_id))
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process if script in process.cmdline() else None
    except (psutil.Error, ValueError):
        return None


def _no_such_process() -> type[Exception]:
    import psutil

    error: type[Exception] = psutil.Error
    return error


def _presence(status: psij.JobStatus | None) -> Presence:
    from psij import JobState

    if status is None or status.final:
        return Presence.GONE
    return Presence.ACTIVE if status.state is JobState.ACTIVE else Presence.QUEUED
