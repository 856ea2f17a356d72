"""Staging by hand: the user moves the inputs, sees some time later that they are there, and submits the job; and in
the same way moves the outputs. Each data set is a Globus task of its own.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

from emulators.cobalt.replay.machine import Machine
from emulators.cobalt.staging.transfers import Transfers
from emulators.cobalt.staging.trips import Trip

_Act = Callable[[Machine, float], None]


class ByHand:
    """``reaction`` is how long, in seconds, it takes the user to see that something has ended, and to act."""

    def __init__(self, transfers: Transfers, reaction: float) -> None:
        self._transfers, self._reaction = transfers, reaction
        self._due: list[tuple[float, int, _Act]] = []
        self._order = count()

    def post(self, trip: Trip, now: float) -> None:
        staged = self._transfers.accept(trip.job.user, trip.inputs, now).ends
        trip.staged = staged

        def submit(machine: Machine, at: float) -> None:
            trip.eligible = at
            machine.submit(trip.job, at)

        self._at(staged + self._reaction, submit)

    def ended(self, trip: Trip, now: float) -> None:
        def take_out(_: Machine, at: float) -> None:
            trip.delivered = self._transfers.accept(trip.job.user, trip.outputs, at).ends

        self._at(now + self._reaction, take_out)

    def next_at(self) -> float | None:
        return self._due[0][0] if self._due else None

    def work(self, machine: Machine, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            _, _, act = heapq.heappop(self._due)
            act(machine, now)

    def _at(self, when: float, act: _Act) -> None:
        heapq.heappush(self._due, (when, next(self._order), act))
