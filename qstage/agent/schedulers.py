"""The site's scheduler, through PSI/J's executors.

Submitting, canceling and every scheduler's words are PSI/J's. Asking for states is done here, by the executor's
own status command and parser, in the agent's rhythm: PSI/J's polling thread declares every job failed when a
scheduler is away for three polls, and an agent that runs from cron does not live until its first.

``batch_queue`` serves the executors that drive a batch scheduler by its commands; ``direct`` those that have
none. PSI/J is imported only when a scheduler is opened.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from qstage.agent.rules import Presence
from qstage.agent.runscript import NATIVE_ID
from qstage.agent.surroundings import ForeignCommand, pin
from qstage.agent.wire import Change, Lease

if TYPE_CHECKING:
    import psij


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
    from qstage.agent.batch_queue import BatchQueue
    from qstage.agent.direct import Direct

    return BatchQueue(name, executor) if isinstance(executor, BatchSchedulerExecutor) else Direct(executor)


def _open_cobalt(idle: dict[str, Any]) -> psij.JobExecutor:
    """PSI/J's own executor cannot submit to a real Cobalt; ours can."""
    import psij

    from qstage.agent import cobalt_executor

    os.environ[cobalt_executor.PATH_VARIABLE] = os.environ["PATH"]
    cobalt_executor.register()
    config = cobalt_executor.CobaltExecutorConfig(**idle)
    return psij.JobExecutor.get_instance(cobalt_executor.NAME, config=config)
