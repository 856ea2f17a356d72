"""Where the simulator writes what it says: each job's ``.cobaltlog``, and the accounting log.

A job's log is begun by qsub, as its owner, once it knows the id; Cobalt only ever appends. Lines that come
sooner wait a few seconds for the file, and are dropped if it never comes.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from pathlib import Path

from emulators.cobalt.jobs import Job
from emulators.cobalt.records import CobaltLog, Record, accounting_line
from qstage.cobalt.layout import date_text

_PATIENCE = 5.0


@dataclass(slots=True)
class _Early:
    """Lines for a log that does not exist yet, and since when they wait."""

    since: float
    lines: list[str] = field(default_factory=list)


class Journal:
    """Both logs of one simulator. ``accounting`` is the file of the latter."""

    def __init__(self, accounting: Path) -> None:
        self.accounting = accounting
        self._early: dict[Path, _Early] = {}

    def record(self, job: Job, record: Record, now: float) -> None:
        """Append a record to the accounting log."""
        with self.accounting.open("a") as file:
            file.write(accounting_line(now, job.jobid, record) + "\n")

    def say(self, job: Job, line: CobaltLog, now: float) -> None:
        """Append a line to the job's own log."""
        path = Path(job.spec.cobalt_log_file or "")
        text = f"{date_text(now)} {line.text}" if line.dated else line.text
        self._early.setdefault(path, _Early(time.monotonic())).lines.append(text)
        self.flush()

    def flush(self) -> None:
        """Write what can be written now, and give up on what waited too long."""
        for path, early in list(self._early.items()):
            if path.is_file():
                # A log that its owner made unwritable loses its lines; the job goes on, as it does in Cobalt.
                with contextlib.suppress(OSError), path.open("a") as file:
                    file.write("".join(line + "\n" for line in early.lines))
            elif time.monotonic() - early.since < _PATIENCE:
                continue
            del self._early[path]
