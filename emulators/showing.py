"""How the demo shows jobs on their way: a live table on a terminal, a line for each change otherwise."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table


class Staging(Protocol):
    """How far a job's staging is."""

    @property
    def items(self) -> int: ...
    @property
    def done(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def files(self) -> int: ...


class Job(Protocol):
    """What is shown of a job."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def native_id(self) -> str | None: ...
    @property
    def exit_code(self) -> int | None: ...
    @property
    def waiting_for(self) -> tuple[str, ...]: ...
    @property
    def staging(self) -> Staging | None: ...


class Show:
    """Between enter and exit, the place where the demo speaks."""

    def __init__(self) -> None:
        self._console = Console()
        self._began = time.monotonic()
        self._live: Live | None = None
        self._last: dict[int, str] = {}

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, words: str) -> None:
        """Say something that stays."""
        console = self._live.console if self._live is not None else self._console
        console.print(f"{self._age():6.1f} s  {words}", markup=False, highlight=False, soft_wrap=True)

    def jobs(self, jobs: Sequence[Job]) -> None:
        """Show how the jobs stand now."""
        if self._live is not None:
            self._live.update(self._table(jobs))
            return
        for job in jobs:
            line = f"job {job.id}  {job.state:<10} {_about(job)}".rstrip()
            if self._last.get(job.id) != line:
                self._last[job.id] = line
                self.say(line)

    def _table(self, jobs: Sequence[Job]) -> Table:
        table = Table("job", "name", "state", "", box=None)
        for job in jobs:
            table.add_row(str(job.id), job.name, job.state, _about(job))
        return table

    def _age(self) -> float:
        return time.monotonic() - self._began


def _about(job: Job) -> str:
    """What there is to say besides the state."""
    words = []
    if job.staging is not None:
        words.append(f"{job.staging.done} of {job.staging.items} items")
        if job.staging.bytes:
            words.append(f"{job.staging.files} files, {job.staging.bytes / 1e6:.1f} MB moved")
    if job.native_id is not None:
        words.append(f"{job.native_id} at the scheduler")
    if job.exit_code is not None:
        words.append(f"exit code {job.exit_code}")
    if job.waiting_for:
        words.append(f"waits for {', '.join(job.waiting_for)}")
    return ", ".join(words)
