"""A batch scheduler driven by its commands; see ``schedulers``."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from qstage.agent import alterations, cobalt_told, slurm_answers
from qstage.agent.rules import Presence
from qstage.agent.wire import Change, Lease

if TYPE_CHECKING:
    import psij
    from psij.executors.batch.batch_scheduler_executor import BatchSchedulerExecutor
from qstage.agent.psij_job import presence_of, psij_job
from qstage.agent.schedulers import Receipt, Rejected, SchedulerAway

COMMAND_TIMEOUT = 60.0
"""Seconds that a scheduler's command may take."""

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


class BatchQueue:
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
            job = psij_job(lease, script, directory, self._name)
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
        return {native: presence_of(known.get(native)) for native in native_ids}

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
            try:
                found: str | None = own(name)
            except subprocess.CalledProcessError as error:
                raise SchedulerAway(f"the scheduler does not answer: {str(error.output).strip()}") from error
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
