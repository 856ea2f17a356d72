"""Jobs as processes of this machine, by PSI/J's local executor; see ``schedulers``."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from qstage.agent.rules import Presence
from qstage.agent.wire import Change, Lease

if TYPE_CHECKING:
    import psij
from qstage.agent.psij_job import psij_job
from qstage.agent.schedulers import Receipt, Rejected, SchedulerAway


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
            job = psij_job(lease, script, directory, "local")
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
