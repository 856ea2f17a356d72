"""How the cost of a pass and of a sweep grows with what there is, as exponents of a power law, and as a plot.

Cost is units and calls of DynamoDB, by the meter on Amazon's own DynamoDB Local: they do not depend on the machine.
The first pass after N jobs came in does N jobs' worth of work, so it may grow as they do; a look at N jobs that are
under way, a pass beside N jobs that wait at their site, and a sweep over users that have nothing due must not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.far_side import FarSide
from bench.house import House, TurnedTime, a_document, a_user, dynamodb_stores
from chalicelib.core.desk import InboxItem
from emulators.aws.dynamodb_local import DynamoDBLocal
from emulators.aws.meter import MeteredClient, Tally

PLOT = Path(__file__).parents[1] / "docs" / "growth.svg"
JOBS, USERS = (100, 1000, 10_000), (10, 100, 1000)
A_POST = 1000


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Cost against size."""

    title: str
    points: tuple[tuple[int, float], ...]

    @property
    def exponent(self) -> float:
        """The slope of the straight line that fits best on two logarithmic axes."""
        logs = [(math.log(size), math.log(cost)) for size, cost in self.points]
        x, y = (sum(column) / len(logs) for column in zip(*logs, strict=True))
        return float(sum((a - x) * (b - y) for a, b in logs) / sum((a - x) ** 2 for a, _ in logs))


def cost(spent: Tally) -> float:
    """Write units, read units and calls together."""
    return spent.writes + spent.reads + sum(spent.calls.values())


def measure() -> dict[str, float]:
    """Measure every curve, and draw them."""
    with DynamoDBLocal() as server:
        due, under_way, beside = _passes(server)
        sweeps, idle = _sweeps(server)
    curves = (due, under_way, beside, sweeps, idle)
    for curve in curves:
        print(f"{curve.title:<46} {curve.exponent:>5.2f}   " + ", ".join(f"{n:,}: {c:,.0f}" for n, c in curve.points))
    PLOT.write_text(draw(curves))
    return {
        "reconcile_growth": round(due.exponent, 2),
        "reconcile_idle_growth": round(max(under_way.exponent, beside.exponent), 2),
        "sweep_growth": round(sweeps.exponent, 2),
        "sweep_idle_growth": round(idle.exponent, 2),
    }


def _passes(server: DynamoDBLocal) -> tuple[Curve, Curve, Curve]:
    due, look, beside = [], [], []
    for count in JOBS:
        client, clock = server.client(), TurnedTime()
        meter = MeteredClient(client)
        house = House(clock=clock, stores=dynamodb_stores(meter, client), globus=FarSide(clock=clock))
        for start in range(0, count, A_POST):
            house.post([a_document() for _ in range(min(A_POST, count - start))])
        due.append((count, _cost_of(meter, partial(_answer, house))))
        clock.at = max(clock.at, house.bell.next_at() or clock.at)
        look.append((count, _cost_of(meter, partial(_answer, house, rounds=1))))
        _finish(house)
        house.post([a_document()])
        beside.append((count, _cost_of(meter, partial(_answer, house, rounds=1))))
        _clear(client)
    return (
        Curve(title="a user's passes, N jobs due", points=tuple(due)),
        Curve(title="a look at N jobs under way", points=tuple(look)),
        Curve(title="a pass for one job, N others at their site", points=tuple(beside)),
    )


def _answer(house: House, rounds: int = 100) -> None:
    """Make the passes that are due now."""
    for _ in range(rounds):
        users = house.bell.due()
        if not users:
            return
        for user in dict.fromkeys(users):
            house.wake(user)


def _finish(house: House) -> None:
    """Let every task end, until nothing rings any more."""
    clock = house.clock
    assert isinstance(clock, TurnedTime)
    while (at := house.bell.next_at()) is not None:
        clock.at = max(clock.at, at)
        _answer(house)


def _sweeps(server: DynamoDBLocal) -> tuple[Curve, Curve]:
    due, idle = [], []
    for count in USERS:
        client, clock = server.client(), TurnedTime()
        meter = MeteredClient(client)
        house = House(clock=clock, stores=dynamodb_stores(meter, client), globus=FarSide(clock=clock))
        for number in range(count):
            house.desks.record(a_user(number), InboxItem(id=f"{number:08}"), clock.at)
        due.append((count, _cost_of(meter, house.sweep.run) + 1.0 * house.bell.count))
        _answer(house)
        idle.append((count, _cost_of(meter, house.sweep.run)))
        _clear(client)
    return (
        Curve(title="a sweep, N users due", points=tuple(due)),
        Curve(title="a sweep, N users with nothing due", points=tuple(idle)),
    )


def _cost_of(meter: MeteredClient, act: Callable[[], object]) -> float:
    before = meter.snapshot()
    act()
    return cost(meter.snapshot() - before)


def _clear(client: object) -> None:
    tables = client.list_tables()["TableNames"]  # type: ignore[attr-defined]
    for name in tables:
        client.delete_table(TableName=name)  # type: ignore[attr-defined]


WIDTH, HEIGHT, EDGE = 720, 440, 60
_COLOURS = ("#1b6ca8", "#c0392b", "#27873d", "#8e44ad", "#b9770e")


def draw(curves: Sequence[Curve]) -> str:
    """The curves on two logarithmic axes, as SVG."""
    sizes = [size for curve in curves for size, _ in curve.points]
    costs = [found for curve in curves for _, found in curve.points]
    left, right = math.floor(math.log10(min(sizes))), math.ceil(math.log10(max(sizes)))
    low, high = math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs)))

    def place(size: float, found: float) -> str:
        x = EDGE + (math.log10(size) - left) / (right - left) * (WIDTH - 2 * EDGE)
        y = HEIGHT - EDGE - (math.log10(found) - low) / (high - low) * (HEIGHT - 2 * EDGE)
        return f"{x:.1f},{y:.1f}"

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + 20 * len(curves)}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{EDGE}" y="24" font-size="14">Units and calls of DynamoDB against N (both axes logarithmic)</text>',
    ]
    for power in range(left, right + 1):
        x = place(10**power, 10**low).split(",")[0]
        lines.append(f'<path d="M{x} {EDGE}V{HEIGHT - EDGE}" stroke="#ddd"/>')
        lines.append(f'<text x="{x}" y="{HEIGHT - EDGE + 18}" text-anchor="middle">{10**power:,}</text>')
    for power in range(low, high + 1):
        y = place(10**left, 10**power).split(",")[1]
        lines.append(f'<path d="M{EDGE} {y}H{WIDTH - EDGE}" stroke="#ddd"/>')
        lines.append(f'<text x="{EDGE - 6}" y="{y}" text-anchor="end" dominant-baseline="middle">{10**power:,}</text>')
    for index, (curve, colour) in enumerate(zip(curves, _COLOURS, strict=False)):
        path = "L".join(place(size, found) for size, found in curve.points)
        lines.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        under = HEIGHT - 16 + 20 * index
        lines.append(f'<path d="M{EDGE} {under - 4}h24" stroke="{colour}" stroke-width="2"/>')
        lines.append(f'<text x="{EDGE + 32}" y="{under}">{curve.title}: exponent {curve.exponent:.2f}</text>')
    return "\n".join([*lines, "</svg>", ""])
