"""PSI/J's executor for Cobalt, as Cobalt is.

PSI/J's own cannot submit to a real Cobalt, stops following every job at the first state it does not know,
and never reports a cancel. This one

- renders what Cobalt reads (``cobalt_script``), walltime and job name included;
- calls qsub, qstat and qdel by absolute paths, found once: in ``CobaltExecutorConfig.scheduler_path``, else
  in the directories of the variable QSTAGE_SCHEDULER_PATH, else on the PATH; one that is qstage's own is
  refused;
- knows every state word; one it does not know leaves its job as it was and its neighbours alone;
- never takes silence for an answer: while qstat is away nothing changes, however long;
- takes a job that left the list for completed only if the exit file it wrote says 0. Else it is canceled, if
  it was canceled here or Cobalt's log says that its owner deleted it, or failed, with the reason known.

``register()`` makes it known to PSI/J as ``qstage-cobalt``:

    register()
    config = CobaltExecutorConfig(scheduler_path=Path("/usr/bin"))
    psij.JobExecutor.get_instance("qstage-cobalt", config=config)

It takes whole nodes, as Cobalt does: cores, GPUs and memory of a job's resources say nothing here. The job
starts with the environment that Cobalt gives it and the variables of its spec; that of the submitter is
never inherited.
"""

from __future__ import annotations

import logging
import os
import pwd
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import IO, cast

import psij
from packaging.version import Version
from psij import InvalidJobException, Job, JobExecutorConfig, JobState, JobStatus, SubmitException
from psij.descriptor import Descriptor
from psij.executors.batch.batch_scheduler_executor import (
    UNKNOWN_ERROR,
    BatchSchedulerExecutor,
    BatchSchedulerExecutorConfig,
    _QueuePollThread,
)

from qstage.agent.cobalt_answers import (
    logged_exit_code,
    newest_log,
    records,
    status_of,
    submitted_id,
    was_deleted,
    was_too_long,
)
from qstage.agent.cobalt_script import (
    Launch,
    Request,
    UnfitError,
    custom_options,
    option_words,
    render,
    split_words,
)

NAME = "qstage-cobalt"
PATH_VARIABLE = "QSTAGE_SCHEDULER_PATH"
COMMAND_TIMEOUT = 60.0
"""Seconds that qstat or qdel may take. qsub may take any time: one that was cut off might have submitted."""

_COMMANDS = ("qsub", "qstat", "qdel")
_OWN_SHIM = re.compile(rb"\bqstage['\"]?\s+(qsub|qstat|qdel)\b")

logger = logging.getLogger(__name__)


class CobaltExecutorConfig(BatchSchedulerExecutorConfig):
    """What the executor is told.

    ``scheduler_path`` is the directory of qsub, qstat and qdel. ``exit_file_patience`` is how many seconds
    a job that left the list may take until its exit file is seen, as shared file systems show files late.
    """

    def __init__(
        self,
        launcher_log_file: Path | None = None,
        work_directory: Path | None = None,
        queue_polling_interval: int = 30,
        initial_queue_polling_delay: int = 2,
        queue_polling_error_threshold: int = 2,
        keep_files: bool = False,
        scheduler_path: Path | None = None,
        exit_file_patience: float = 60.0,
    ) -> None:
        super().__init__(
            launcher_log_file,
            work_directory,
            queue_polling_interval,
            initial_queue_polling_delay,
            queue_polling_error_threshold,
            keep_files,
        )
        self.scheduler_path = scheduler_path
        self.exit_file_patience = exit_file_patience


def find_commands(directories: str) -> dict[str, str]:
    """Return the absolute path of each command. Raises ValueError: missing, or qstage's own."""
    commands: dict[str, str] = {}
    for name in _COMMANDS:
        found = shutil.which(name, path=directories)
        if found is None:
            raise ValueError(f"Cobalt's {name} is not in {directories}: set {PATH_VARIABLE} to its directory")
        with open(found, "rb") as file:
            if _OWN_SHIM.search(file.read(4096)):
                raise ValueError(f"{found} is qstage's own {name}, not Cobalt's: set {PATH_VARIABLE}")
        commands[name] = os.path.abspath(found)
    return commands


class CobaltExecutor(BatchSchedulerExecutor):
    """Submits to Cobalt and follows what it submitted; the module's text says how."""

    _NAME_ = NAME

    def __init__(self, url: str | None = None, config: JobExecutorConfig | None = None) -> None:
        """Find the commands. Raises ValueError if they are not there, or the work directory cannot be
        used."""
        settings = config if isinstance(config, BatchSchedulerExecutorConfig) else CobaltExecutorConfig()
        if config is not None and settings is not config:
            settings.work_directory = config.work_directory
            settings.launcher_log_file = config.launcher_log_file
        if re.search(r"\s", str(settings.work_directory)):
            raise ValueError(f"Cobalt drops the blanks of a script's path: {settings.work_directory}")
        directory = getattr(settings, "scheduler_path", None)
        self._commands = find_commands(
            str(directory or os.environ.get(PATH_VARIABLE) or os.environ.get("PATH", os.defpath))
        )
        self._patience = float(getattr(settings, "exit_file_patience", 60.0))
        self._canceled: set[str] = set()
        self._missing_since: dict[str, float] = {}
        self._attached: set[str] = set()
        self._lock = threading.Lock()
        super().__init__(url=url, config=settings)

    # Submitting.

    def submit(self, job: Job) -> None:
        """Submit the job. Raises InvalidJobException for what Cobalt cannot be told, SubmitException for a
        refusal."""
        try:
            super().submit(job)
        except Exception:
            self._clean_submit_script(job)
            raise

    def generate_submit_script(self, job: Job, context: dict[str, object], submit_file: IO[str]) -> None:
        """Write the batch script. Raises InvalidJobException for what Cobalt cannot be told."""
        assert job.spec is not None
        psij_context = cast("dict[str, object]", context["psij"])
        try:
            text = render(
                split_words(self._words(job))[0],
                launch=_launch(job, cast("list[str]", psij_context["launch_command"])),
                environment=job.spec.environment or {},
                work=str(self.work_directory.absolute()),
                ticket=job.id,
            )
        except UnfitError as reason:
            raise InvalidJobException(str(reason)) from reason
        submit_file.write(text)

    def get_submit_command(self, job: Job, submit_file_path: Path) -> list[str]:
        path = submit_file_path.absolute()
        path.chmod(0o700)
        return [self._commands["qsub"], *split_words(self._words(job))[1], str(path)]

    def _words(self, job: Job) -> list[str]:
        assert job.spec is not None
        spec, attributes = job.spec, job.spec.attributes
        resources = cast("psij.ResourceSpecV1", spec.resources)
        if attributes is None or attributes.duration is None:
            raise UnfitError("Cobalt needs a duration")
        request = Request(
            nodes=resources.computed_node_count,
            processes=resources.computed_process_count,
            walltime=attributes.duration.total_seconds(),
            cwd=None if spec.directory is None else str(spec.directory.absolute()),
            name=spec.name,
            queue=attributes.queue_name,
            reservation=attributes.reservation_id,
            project=attributes.account,
            custom=custom_options(attributes.custom_attributes),
        )
        return option_words(request, f"{self.work_directory.absolute()}/$jobid.cobaltlog")

    def job_id_from_submit_output(self, out: str) -> str:
        native_id = submitted_id(out)
        if native_id is None:
            raise SubmitException(f"qsub named no job id: {out.strip()}")
        return native_id

    # Asking.

    def get_status_command(self, native_ids: Collection[str]) -> list[str]:
        return [self._commands["qstat"], "-l", "--header=JobID:State", *native_ids]

    def parse_status_output(self, exit_code: int, out: str) -> dict[str, JobStatus]:
        """Return what qstat says of each job it lists. Raises RuntimeError if it says nothing that counts."""
        if exit_code != 0:
            if _says_none(exit_code, out):
                return {}
            raise RuntimeError(f"qstat exited with {exit_code}: {out.strip()}")
        return {fields["jobid"]: status_of(fields.get("state", "")) for fields in records(out)}

    def get_list_command(self) -> list[str]:
        return [self._commands["qstat"], "-l", "--header=JobID:JobName", "-u", self._current_user()]

    def parse_list_output(self, out: str) -> list[str]:
        return [fields["jobid"] for fields in records(out)]

    def find_by_name(self, name: str) -> str | None:
        """Return the id of the user's newest listed job of this name, or None."""
        try:
            out = self._run_command(self.get_list_command())
        except subprocess.CalledProcessError as error:
            if _says_none(error.returncode, error.output or ""):
                return None
            raise
        ids = [int(fields["jobid"]) for fields in records(out) if fields.get("jobname") == name]
        return str(max(ids)) if ids else None

    def _current_user(self) -> str:
        return pwd.getpwuid(os.getuid()).pw_name  # os.getlogin() wants a terminal

    # Canceling.

    def get_cancel_command(self, native_id: str) -> list[str]:
        return [self._commands["qdel"], native_id]

    def cancel(self, job: Job) -> None:
        """Delete the job. Its state changes when it is gone from the queue."""
        if job.native_id is not None and not job.status.final:
            with self._lock:
                self._canceled.add(job.native_id)
        super().cancel(job)

    def process_cancel_command_output(self, exit_code: int, out: str) -> None:
        raise SubmitException(f"qdel exited with {exit_code}: {out.strip()}")

    def attach(self, job: Job, native_id: str) -> None:
        """Follow a job that was submitted before; its exit file is believed whoever wrote it."""
        self._attached.add(job.id)
        super().attach(job, native_id)

    # Following.

    def verdict(self, job: Job, listed: JobStatus | None) -> JobStatus:
        """Return how a job stands, given what qstat listed of it: None if it was not listed."""
        assert job.native_id is not None
        if listed is not None:
            self._missing_since.pop(job.native_id, None)
            return listed
        since = self._missing_since.setdefault(job.native_id, time.monotonic())
        code, log = self._exit_code(job), self._cobalt_log(job.native_id)
        if code == 0:
            return JobStatus(JobState.COMPLETED, exit_code=0)
        if job.native_id in self._canceled or was_deleted(log):
            return JobStatus(JobState.CANCELED, exit_code=code)
        if was_too_long(log):
            return JobStatus(JobState.FAILED, exit_code=code, message="over its walltime")
        if code is not None:
            return JobStatus(JobState.FAILED, exit_code=code)
        if time.monotonic() - since < self._patience:
            return JobStatus(JobState.ACTIVE, message="left the queue; waiting for its exit status")
        message = "left the queue without an exit status"
        return JobStatus(JobState.FAILED, exit_code=logged_exit_code(log), message=message)

    def _exit_code(self, job: Job) -> int | None:
        """Return what the job's own exit file says; one of an earlier job with its id says nothing."""
        try:
            code, _, ticket = (self.work_directory / f"{job.native_id}.ec").read_text().strip().partition(" ")
            return int(code) if job.id in self._attached or ticket == job.id else None
        except (OSError, ValueError):
            return None  # not there, or not to be read now

    def _cobalt_log(self, native_id: str) -> str:
        """Return Cobalt's log of this job, empty if there is none yet."""
        try:
            text = (self.work_directory / f"{native_id}.cobaltlog").read_text(errors="replace")
        except OSError:
            return ""
        return newest_log(text, native_id)

    def _read_aux_files(self, job: Job, status: JobStatus) -> None:
        """Add to a failure what the script itself said, and tidy up. The verdict has read all else."""
        base = self.work_directory / str(job.native_id)
        self._missing_since.pop(str(job.native_id), None)
        try:
            out = base.with_name(base.name + ".out")
            if status.state == JobState.FAILED and status.message is None and out.exists():
                status.message = out.read_text(errors="replace").strip() or None
            if not cast("BatchSchedulerExecutorConfig", self.config).keep_files:
                for ending in (".ec", ".out", ".cobaltlog"):
                    base.with_name(base.name + ending).unlink(missing_ok=True)
        except OSError as fault:
            logger.warning("files of Cobalt job %s: %s", job.native_id, fault)

    def _run_command(self, cmd: list[str]) -> str:
        """Run a scheduler's command; return its stdout. Raises CalledProcessError with all it said."""
        patience = None if cmd[0] == self._commands["qsub"] else COMMAND_TIMEOUT
        done = subprocess.run(  # noqa: S603 - an absolute path, no shell
            cmd, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=patience
        )
        if done.returncode != 0:
            said = "\n".join(part for part in (done.stdout, done.stderr) if part)
            raise subprocess.CalledProcessError(done.returncode, cmd, output=said or UNKNOWN_ERROR)
        return done.stdout

    def _start_queue_poll_thread(self) -> _QueuePollThread:
        name = f"{self.name} queue polling"
        thread = _PollThread(name, cast("BatchSchedulerExecutorConfig", self.config), self)
        thread.start()
        return thread


class _PollThread(_QueuePollThread):
    """PSI/J's polling, but a job that is not listed is judged, and a qstat that fails is only asked again."""

    def _get_job_status(self, native_id: str, status_map: dict[str, JobStatus]) -> JobStatus:
        executor = cast("CobaltExecutor", self.executor())
        with self._jobs_lock:
            job = self._jobs[native_id][0]
        return executor.verdict(job, status_map.get(native_id))

    def _handle_poll_error(self, exec: BatchSchedulerExecutor, immediate: bool, ex: Exception, msg: str) -> None:
        logger.warning("Cobalt could not be asked; nothing is known until it answers: %r", ex)


def _says_none(exit_code: int, out: str) -> bool:
    """Whether qstat tells that it lists none of the jobs that it was asked for: it does so by saying nothing."""
    return exit_code == 1 and out.strip() in ("", UNKNOWN_ERROR)


def _launch(job: Job, launch_command: list[str]) -> Launch:
    """Return what the script runs: the job's own command, or that of a launcher that does more than start it.

    PSI/J's "single" launcher is a shell that dies of the signal its command could have handled: it is left out.
    """
    spec = job.spec
    assert spec is not None
    if (spec.launcher or "single") != "single":
        return Launch(command=launch_command)
    assert spec.executable is not None
    return Launch(
        command=[spec.executable, *(spec.arguments or [])],
        stdin=str(spec.stdin_path or "/dev/null"),
        stdout=str(spec.stdout_path or "/dev/null"),
        stderr=str(spec.stderr_path or "/dev/null"),
        before=str(spec.pre_launch) if spec.pre_launch else None,
        after=str(spec.post_launch) if spec.post_launch else None,
    )


def register() -> None:
    """Make the executor known to PSI/J under ``NAME``; a repeat changes nothing."""
    descriptor = Descriptor(
        name=NAME, nice_name="Cobalt", version=Version("1.0.0"), cls=f"{__name__}.{CobaltExecutor.__name__}"
    )
    psij.JobExecutor.register_executor(descriptor, str(Path(__file__).resolve().parents[2]))
