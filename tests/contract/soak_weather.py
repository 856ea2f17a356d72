"""The bad weather of a soak: what goes wrong, by the seed, between the service and everybody else.

Calls of Globus fail by the emulator's own switches, so that a refusal, a reset, a late or a cut answer is met by the
unmodified SDK. ``met`` counts what was done, to be printed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from chalicelib.core.sync import SyncRequest
from chalicelib.service.sync import Synced
from emulators.globus.control import Controls

FAILING = 0.10
LOST, DOUBLED, LATE = 0.2, 0.2, 0.1
TIMEOUT, SLOW = 0.5, 0.7
"""Seconds: how long the adapter waits for an answer, and how late a slow one comes. Its effect is there by then."""

TRANSFER, TOKENS = "/v0.10/*", "/v2/oauth2/token"
KINDS = ("429", "503", "reset_before", "reset_after", "truncate", "slow")


class CallLost(Exception):
    """A call of the site did not arrive, or its answer did not."""


@dataclass
class Weather:
    """Hung at a house's gate: the next request of a tenth of all calls of Globus fails."""

    walk: random.Random
    controls: Controls
    calm: bool = False
    calls: int = 0
    met: Counter[str] = field(default_factory=Counter)

    def __call__(self, call: str, moment: str) -> None:
        if moment != "before":
            return
        if call.startswith("globus."):
            self.calls += 1
            if not self.calm and self.walk.random() < FAILING:
                self._fail(TRANSFER)
        elif call == "access.access_token" and not self.calm and self.walk.random() < FAILING and not self._waiting():
            self._fail(TOKENS)

    def _waiting(self) -> bool:
        """Whether a fault waits already: few calls for tokens go out, and one fault is to meet one."""
        return bool(self.controls.overview()["faults_waiting"])

    def clear_up(self) -> None:
        """From now on nothing fails."""
        if not self.calm:
            self.calm = True
            self.controls.clear_faults()

    def _fail(self, path: str) -> None:
        kind = self.walk.choice(KINDS)
        self.met[f"{'Transfer' if path == TRANSFER else 'Auth'}: {kind}"] += 1
        match kind:
            case "429":
                self.controls.fail(path=path, status=429, headers={"Retry-After": "5"})
            case "503":
                self.controls.fail(path=path, status=503)
            case "slow":
                self.controls.fail("slow", path=path, seconds=SLOW)
            case "reset_before" | "reset_after" | "truncate":
                self.controls.fail(kind, path=path)

    def rings(self) -> int:
        """How often a ring arrives."""
        if not self.calm and self.walk.random() < LOST:
            self.met["ring lost"] += 1
            return 0
        if self.walk.random() < DOUBLED:
            self.met["ring doubled"] += 1
            return 2
        return 1

    def wire(self, deliver: Callable[[SyncRequest], Synced]) -> Callable[[SyncRequest], Synced]:
        """The way of the site's calls: they get lost, come twice, and come once more after newer ones."""
        old: list[SyncRequest] = []

        def carry(request: SyncRequest) -> Synced:
            if not self.calm and self.walk.random() < LOST / 2:
                self.met["site's call lost"] += 1
                raise CallLost
            answer = deliver(request)
            old.append(request)
            if self.walk.random() < DOUBLED:
                self.met["site's call doubled"] += 1
                answer = deliver(request)
            if self.walk.random() < LATE:
                self.met["site's call late again"] += 1
                deliver(self.walk.choice(old[-5:]))
            del old[:-5]
            if not self.calm and self.walk.random() < LOST / 2:
                self.met["site's answer lost"] += 1
                raise CallLost
            return answer

        return carry
