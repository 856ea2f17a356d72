"""What must survive a crash: the jobs held, and the reports not yet answered.

An append-only file of JSON lines, each flushed to the disk before the act that it announces. One line changes a
job and adds its reports together, so there is no moment at which one of them is lost. A last line cut short by a
crash announces an act that did not begin, and is ignored; anything else unreadable stops the agent, because going
on without knowing what was submitted is how jobs run twice. Opening rewrites the file to what still matters.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from qstage.agent.rules import Held
from qstage.agent.wire import Report


class JournalDamaged(Exception):
    """The journal cannot be read, and it is not the last line only."""


class Journal:
    """The jobs held (by the service's reference) and the reports unanswered (by a running number, in order).

    The caller holds the site's lock: two writers would mix their lines.
    """

    def __init__(self, path: Path) -> None:
        self.instance = str(uuid.uuid4())
        self.held: dict[str, Held] = {}
        self.reports: dict[int, Report] = {}
        self.searched = True
        """Whether jobs that it does not know were looked for (``strays``): a journal that is new may have had another
        before it."""
        self._path = path
        self._next = 1
        self._fd = -1

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read what is there (nothing is fine) and begin a clean file. Raises ``JournalDamaged``."""
        journal = cls(path)
        journal._load()
        journal._rewrite()
        return journal

    def close(self) -> None:
        """Close the file; the journal stays readable in memory."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def put(self, held: Held, reports: Iterable[Report] = ()) -> None:
        """Keep a job as it now is, and what is to be reported of it. On return both are on the disk."""
        self._append({"put": held.to_plain(), "say": self._numbered(reports)})

    def say(self, report: Report) -> None:
        """Keep a report about a job that is not held."""
        self._append({"say": self._numbered([report])})

    def drop(self, job: str) -> None:
        """Forget a job; its reports stay until they are answered."""
        if job in self.held:
            self._append({"drop": job})

    def answered(self, numbers: Iterable[int]) -> None:
        """Forget reports that were answered."""
        done = [number for number in numbers if number in self.reports]
        if done:
            self._append({"answered": done})

    def has_searched(self) -> None:
        """Every job that was found is kept, or is none of ours any more."""
        self._append({"searched": True})

    def _numbered(self, reports: Iterable[Report]) -> list[list[Any]]:
        said = []
        for report in reports:
            said.append([self._next, report.to_wire()])
            self._next += 1
        return said

    def _append(self, entry: dict[str, Any]) -> None:
        data = (json.dumps(entry, ensure_ascii=True, separators=(",", ":")) + "\n").encode()
        while data:
            data = data[os.write(self._fd, data) :]
        os.fsync(self._fd)
        self._take(entry)

    def _take(self, entry: dict[str, Any]) -> None:
        if "instance" in entry:
            self.instance = str(entry["instance"])
        self.searched = bool(entry.get("searched", self.searched))
        if "put" in entry:
            held = Held.from_plain(entry["put"])
            self.held[held.job] = held
        for number, said in entry.get("say", ()):
            self.reports[number] = Report.from_wire(said)
            self._next = max(self._next, number + 1)
        if "drop" in entry:
            self.held.pop(entry["drop"], None)
        for number in entry.get("answered", ()):
            self.reports.pop(number, None)

    def _load(self) -> None:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            self.searched = False
            return
        *lines, last = data.split(b"\n")
        if last:
            lines.append(last)
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
                self._take(entry)
            except (ValueError, KeyError, TypeError) as error:
                if number == len(lines) and last:
                    return
                raise JournalDamaged(
                    f"{self._path} cannot be read at line {number} ({error}): move it away, and the agent goes "
                    "on with the jobs whose directories it finds (docs/sites.md, No job runs twice)"
                ) from error

    def _rewrite(self) -> None:
        """Begin a new file with what still matters, and put it in the old one's place."""
        draft = self._path.with_name(self._path.name + ".new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(draft, flags, 0o600)
        self._append({"instance": self.instance, "searched": self.searched})
        for held in tuple(self.held.values()):
            self._append({"put": held.to_plain()})
        if self.reports:
            self._append({"say": [[number, said.to_wire()] for number, said in self.reports.items()]})
        draft.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
