"""Failures on order: what the next matching calls or files meet. Also the record of every request seen.

A fault is matched on method and path (a shell pattern), counts down, and is gone. It is chosen by whoever drives the
emulator; nothing here happens by chance.
"""

from __future__ import annotations

import fnmatch
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from emulators.globus.errors import Document

FaultKind = Literal["answer", "reset_before", "reset_after", "slow", "truncate"]


@dataclass(slots=True, kw_only=True)
class CallFault:
    """``answer`` replies with ``status`` and ``body`` and has no effect; the resets close the connection before or
    after the effect; ``slow`` answers ``seconds`` of real time after it; ``truncate`` sends half of the body."""

    kind: FaultKind
    path: str = "*"
    method: str = "*"
    times: int = 1
    skip: int = 0
    status: int = 500
    body: Document | str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def matches(self, method: str, path: str) -> bool:
        return self.method in ("*", method) and fnmatch.fnmatchcase(path, self.path)


@dataclass(slots=True, kw_only=True)
class FileFault:
    """``corrupt`` changes a byte on the way to a file whose path ends so; ``code`` makes the file fail with it."""

    path: str
    times: int = 1
    corrupt: bool = False
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request as it came; no header, no body, no query value of Auth's (they hold codes)."""

    method: str
    path: str
    query: dict[str, list[str]]
    user: str | None
    status: int
    time: float


class FaultBoard:
    """Faults that wait and requests that were seen. The caller holds the world's lock."""

    def __init__(self) -> None:
        self.calls: list[CallFault] = []
        self.files: list[FileFault] = []
        self.seen: deque[Seen] = deque(maxlen=200_000)

    def for_call(self, method: str, path: str) -> CallFault | None:
        """The first fault that waits for this call, counted down."""
        for fault in self.calls:
            if fault.matches(method, path):
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self.calls.remove(fault)
                return fault
        return None

    def for_file(self, path: str, *, corrupt: bool) -> FileFault | None:
        for fault in self.files:
            if fault.corrupt == corrupt and path.endswith(fault.path):
                fault.times -= 1
                if fault.times <= 0:
                    self.files.remove(fault)
                return fault
        return None

    def clear(self) -> None:
        self.calls.clear()
        self.files.clear()
