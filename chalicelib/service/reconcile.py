"""The one loop: what a user's jobs need next is derived from what is stored, and done.

A wake claims the user's desk, makes one pass over what is due, and closes the desk with the time of the next
look. See ``core.desk`` for the protocol; ``service.passing`` for what a pass does.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.desk import Desk, Plan, abandoned, backoff, closed
from chalicelib.core.ids import UserId
from chalicelib.core.ports.bell import LONGEST_DELAY, Bell
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.desks import Desks
from chalicelib.service.board import Board, ClaimLost
from chalicelib.service.passing import Passing

log = logging.getLogger(__name__)

FAILURES_THAT_ALARM = 3
"""This many claims in a row without a close are logged as an error, which an alarm counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """Serves wakes. ``life`` is the longest that the function around it can run."""

    desks: Desks
    bell: Bell
    clock: Clock
    passing: Passing
    life: timedelta

    def wake(self, user: UserId, time_left: Callable[[], timedelta]) -> bool:
        """Make one pass for the user, unless the wake is for nothing or another planner is at work.

        :param time_left: tells how long the function may still run.
        :returns: whether a pass was made.
        :raises Exception: whatever broke the pass; the desk rests and is looked at again.
        """
        now = self.clock.now()
        desk = self.desks.read(user)
        if desk is None or not desk.claimable(now):
            return False
        plan = desk.claimed(now, self.life)
        if not self.desks.keep_plan(user, plan, was=desk.plan.version):
            return False
        if plan.failures > FAILURES_THAT_ALARM:
            log.error("desk keeps failing", extra={"fields": {"user": user, "failures": plan.failures}})
        board = Board(user=user, plan=plan, desks=self.desks)
        try:
            next_look = self.passing.make(board, time_left)
        except ClaimLost:
            return False
        except Exception:
            self._rest(board)
            raise
        self._close(desk, board.plan, next_look)
        return True

    def _close(self, desk: Desk, plan: Plan, next_look: datetime | None) -> None:
        """Give the desk back; ring for the next look, or at once if a fact came in meanwhile."""
        done = closed(plan)
        if self.desks.close(desk.user, done, was=plan.version, seq=desk.seq, wake_at=next_look):
            if next_look is not None:
                self._ring(desk.user, next_look)
            return
        now = self.clock.now()
        if self.desks.close(desk.user, done, was=plan.version, seq=None, wake_at=now):
            self.bell.ring(desk.user)

    def _rest(self, board: Board) -> None:
        """After a pass that broke: look again later, and later each time."""
        at = self.clock.now() + backoff(board.plan.failures)
        plan = abandoned(board.plan)
        self.desks.close(board.user, plan, was=board.plan.version, seq=None, wake_at=at)

    def _ring(self, user: UserId, at: datetime) -> None:
        """A delayed message makes the next look punctual; beyond its reach the sweep does."""
        delay = max(0, math.ceil((at - self.clock.now()).total_seconds()))
        if delay <= LONGEST_DELAY:
            self.bell.ring(user, delay)
