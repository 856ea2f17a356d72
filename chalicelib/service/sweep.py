"""The sweep: the bell for what nobody rang for. A lost message costs a minute, never a job."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.core.ports.bell import Bell
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.desks import Desks
from chalicelib.core.shards import WAKE_SHARDS

MOST_A_SHARD = 1000
"""Desks of one shard that one sweep rings for; those beyond are the next one's, longest overdue first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Rings for every desk whose time has come."""

    desks: Desks
    bell: Bell
    clock: Clock

    def run(self) -> int:
        """Ring for what is due; returns how many desks that were."""
        rung = 0
        for shard in range(WAKE_SHARDS):
            for user in self.desks.due(shard, self.clock.now(), MOST_A_SHARD):
                self.bell.ring(user)
                rung += 1
        return rung
