"""Whether a user may hold as much as a POST brings: by the tally on the desk, and by a count where that says no."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.core.errors import FarSide
from chalicelib.core.holdings import RECOUNT, Caps, Holding, Tally, refusal
from chalicelib.core.ids import JobNumber, UserId
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.holdings import Holdings, LiveRow
from chalicelib.core.posting import IN_FLIGHT
from chalicelib.core.rates import seconds_until

_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """``caps`` are the deployment's, the same for each user."""

    holdings: Holdings
    caps: Caps
    clock: Clock

    def check(self, user: UserId, adds: Holding, tally: Tally | None = None, *, posting: str | None = None) -> None:
        """Return if the user may hold ``adds`` more; by then the tally on the desk says so too.

        ``tally`` is the desk's, where the caller has just read it. The rows of ``posting`` are not counted: they
        are what is asked for. Raises TooMany, with the figures.
        """
        for _ in range(_TRIES):
            seen = self.holdings.tally(user) if tally is None else tally
            if self.caps.allow(seen.holding + adds):
                return
            now = self.clock.now()
            if seen.fresh(now):
                assert seen.counted_at is not None
                raise refusal(self.caps, seen.holding, adds, seconds_until(seen.counted_at + RECOUNT, now))
            counted = self._count(user, seen, posting, now)
            tally = counted if self.holdings.keep(user, counted, was=seen) else None
        raise FarSide("dynamodb", "Collision", "Other requests of yours were being answered.", transient=True)

    def take(self, user: UserId, adds: Holding, first: JobNumber) -> None:
        """Raise the tally by jobs that come alive again, with numbers from ``first`` on. Raises TooMany.

        Call it before they do: what is cut off between the two leaves the tally too high, which a count puts right.
        """
        for _ in range(_TRIES):
            self.check(user, adds)
            seen = self.holdings.tally(user)
            more = replace(seen, holding=seen.holding + adds, first=min(seen.first, first))
            if self.caps.allow(more.holding) and self.holdings.keep(user, more, was=seen):
                return
        raise FarSide("dynamodb", "Collision", "Other requests of yours were being answered.", transient=True)

    def include(self, user: UserId, first: JobNumber) -> None:
        """Have later counts begin no higher than ``first``: jobs with these numbers are about to be live."""
        for _ in range(_TRIES):
            seen = self.holdings.tally(user)
            if seen.first <= first or self.holdings.keep(user, replace(seen, first=first), was=seen):
                return
        raise FarSide("dynamodb", "Collision", "Other requests of yours were being answered.", transient=True)

    def _count(self, user: UserId, seen: Tally, posting: str | None, now: datetime) -> Tally:
        rows = [row for row in self.holdings.live(user, seen.first) if row.posted is None or row.posted != posting]
        real = [row for row in rows if row.posted is None or now - row.created_at < IN_FLIGHT]
        asked = [row for row in rows if row.posted is not None and now - row.created_at >= IN_FLIGHT]
        done = self.holdings.committed(user, {row.posted for row in asked if row.posted is not None})
        real += [row for row in asked if row.posted in done]
        first = min((row.number for row in real), default=seen.next)
        return Tally(holding=_sum(real), counted_at=now, first=first)


def _sum(rows: Iterable[LiveRow]) -> Holding:
    total = Holding()
    for row in rows:
        total += Holding(jobs=1, bytes=row.bytes)
    return total
