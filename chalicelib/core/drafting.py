"""Which pending items go out together, and in what order.

Items share a batch if they share route and options. Stage-outs go before stage-ins, and among each the batch with
the oldest job first: one of each route and kind before the second of any. A batch has caps on its items, its bytes
and the minutes that it is expected to take, where sizes are known (those of outputs are: the site counted them); an
item that would burst them goes in a later batch, and the small ones behind it do not wait for it. Of Globus's three
tasks one is kept for small batches: at most two may be long, by what is known of them or by how long they have run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chalicelib.core.batch import MOST_ITEMS, Movement, is_worked_on, route_of
from chalicelib.core.desk import Plan, Route
from chalicelib.core.job import Leg, Stage
from chalicelib.core.paths import Location
from chalicelib.core.transfer_options import Options

MOST_BYTES = 2 * 10**12
MOST_SECONDS = 30 * 60.0
"""What one task may be expected to take, unless a single item takes longer by itself."""

SMALL_ITEMS = 500
SMALL_SECONDS = 5 * 60.0
"""A batch with more than either of these is long."""

MOST_LONG = 2
"""Long batches at a time: the rest of Globus's tasks are for small ones."""

ASSUMED_RATE = 100_000_000
"""Bytes a second that a route moves of which nothing is known."""

LARGE = 10**9
"""Bytes that a task has to have moved for its rate to be that of its route."""

PER_FILE = 0.02
"""Seconds that Globus spends on each file besides its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A batch to be: the items that would go."""

    route: Route
    movements: tuple[Movement, ...]
    careful: bool = False
    long: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Caps:
    items: int
    bytes: float = MOST_BYTES
    seconds: float = MOST_SECONDS


@dataclass(slots=True, kw_only=True)
class _Load:
    """What a batch has so far."""

    movements: list[Movement] = field(default_factory=list)
    bytes: int = 0
    seconds: float = 0.0

    def add(self, leg: Leg, move: Movement, seconds: float) -> None:
        self.movements.append(move)
        self.bytes += leg.bytes or 0
        self.seconds += seconds

    def has_room(self, leg: Leg, seconds: float, caps: _Caps) -> bool:
        if len(self.movements) >= caps.items:
            return False
        return self.bytes + (leg.bytes or 0) <= caps.bytes and self.seconds + seconds <= caps.seconds

    @property
    def long(self) -> bool:
        return len(self.movements) > SMALL_ITEMS or self.seconds > SMALL_SECONDS


@dataclass(slots=True, kw_only=True)
class _Group:
    """Items that may share a batch, the oldest first, less those that have gone into one."""

    route: Route
    share: int | None
    rate: int
    entries: list[tuple[Leg, Movement]]

    def draft(self, taken: _Ground, *, may_be_long: bool) -> Draft | None:
        """Take the next batch out of the group; None if nothing of it can go now."""
        caps = _Caps(items=min(self.share or MOST_ITEMS, MOST_ITEMS))
        if not may_be_long:
            caps = _Caps(items=min(caps.items, SMALL_ITEMS), seconds=SMALL_SECONDS)
        load, left = _Load(), []
        for leg, move in self.entries:
            seconds = expected_seconds(leg, self.rate)
            alone = may_be_long and not load.movements
            fits = len(load.movements) < caps.items and (alone or load.has_room(leg, seconds, caps))
            if fits and not taken.meets(move.destination):
                load.add(leg, move, seconds)
            else:
                left.append((leg, move))
        self.entries = left
        if not load.movements:
            return None
        taken.take(move.destination for move in load.movements)
        careful = self.share is not None
        return Draft(route=self.route, movements=tuple(load.movements), careful=careful, long=load.long)


def expected_seconds(leg: Leg, rate: int) -> float:
    """How long the item is expected to take at so many bytes a second; 0 if nothing is known of its size."""
    return (leg.bytes or 0) / rate + (leg.files or 0) * PER_FILE


def tells_rate(moved: int, rate: int) -> int:
    """The rate of a task, if it moved enough to tell what the route is capable of; else 0."""
    return rate if moved >= LARGE else 0


def long_slots(plan: Plan, now: datetime) -> int:
    """How many more long batches may be sent. One that has run for long is long, whatever was expected of it."""
    patience = timedelta(seconds=SMALL_SECONDS)
    live = sum(is_worked_on(each) and (each.long or now - each.opened_at > patience) for each in plan.batches)
    return max(0, MOST_LONG - live)


def draft(
    wanted: Iterable[tuple[Leg, Movement, Stage]],
    occupied: Iterable[Location],
    most: int,
    *,
    long: int = MOST_LONG,
    rate: Callable[[Route], int | None] = lambda route: None,
) -> tuple[Draft, ...]:
    """Gather pending items into at most ``most`` batches, at most ``long`` of them long.

    ``occupied`` are the destinations of live batches: an item that would write to the same place waits, and
    so does one that would collide with another in a different draft.
    """
    taken = _Ground(occupied)
    drafts: list[Draft] = []
    for groups in _groups(wanted, rate):
        while groups and len(drafts) < most:
            going = []
            for group in groups:
                made = group.draft(taken, may_be_long=long > 0) if len(drafts) < most else None
                if made is not None:
                    drafts.append(made)
                    long -= made.long
                    going.append(group)
            groups = going
    return tuple(drafts)


def _groups(
    wanted: Iterable[tuple[Leg, Movement, Stage]], rate: Callable[[Route], int | None]
) -> tuple[Sequence[_Group], Sequence[_Group]]:
    """The groups of the stage-outs and those of the stage-ins, each by its oldest job."""
    found: dict[tuple[Route, Options, int | None], list[tuple[Leg, Movement]]] = defaultdict(list)
    for leg, move, stage in sorted(wanted, key=lambda each: each[1].member):
        found[(route_of(move, stage), move.options, leg.share)].append((leg, move))
    groups = [
        _Group(route=route, share=share, rate=rate(route) or ASSUMED_RATE, entries=entries)
        for (route, _, share), entries in found.items()
    ]
    outs = [group for group in groups if group.route.stage is Stage.STAGE_OUT]
    return outs, [group for group in groups if group.route.stage is not Stage.STAGE_OUT]


class _Ground:
    """Places that are taken. A question costs a look-up for each step of a path, however many are taken."""

    def __init__(self, places: Iterable[Location]) -> None:
        self._taken: set[Location] = set()
        self._lines: set[Location] = set()
        self.take(places)

    def take(self, places: Iterable[Location]) -> None:
        for place in places:
            line = _line(place)
            self._taken.add(line[0])
            self._lines.update(line)

    def meets(self, place: Location) -> bool:
        """Whether the place is one that is taken, or holds one, or lies in one."""
        line = _line(place)
        return line[0] in self._lines or not self._taken.isdisjoint(line)


def _line(place: Location) -> list[Location]:
    """The place and all directories above it, written without the last slash."""
    at = place.path.rstrip("/")
    line = [Location(place.collection, at)]
    while at:
        at = at.rpartition("/")[0]
        line.append(Location(place.collection, at))
    return line
