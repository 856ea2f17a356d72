"""Curves of cost against size: their exponents, and how they are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emulators.aws.meter import MeteredClient, Tally


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
        slope = float(sum((a - x) * (b - y) for a, b in logs) / sum((a - x) ** 2 for a, _ in logs))
        return round(slope, 6) + 0.0  # what is flat is 0, and not a hair below it


def cost(spent: Tally) -> float:
    """Write units, read units and calls together."""
    return spent.writes + spent.reads + sum(spent.calls.values())


def cost_of(meter: MeteredClient, act: Callable[[], object]) -> float:
    before = meter.snapshot()
    act()
    return cost(meter.snapshot() - before)


WIDTH, HEIGHT, EDGE = 720, 440, 60
_COLOURS = ("#1b6ca8", "#c0392b", "#27873d", "#8e44ad", "#b9770e", "#16a085", "#7f8c8d", "#d35480")


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
