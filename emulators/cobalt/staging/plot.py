"""Draws what the ways of staging come to: one panel for each figure, one bar for each way, one colour a policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

from emulators.cobalt.staging.comparing import Line

WIDTH, LABELS, PANEL, GAP, BAR, EDGE = 1080, 190, 190, 22, 11, 60
_COLOURS = ("#1b6ca8", "#b9770e", "#27873d", "#8e44ad")
_PANELS: tuple[tuple[str, Callable[[Line], float]], ...] = (
    ("mean turnaround, hours", lambda line: line.account.turnaround.mean / 3600),
    ("node-hours waiting for data", lambda line: line.account.node_hours_waiting),
    ("scratch, terabyte-hours", lambda line: line.account.scratch),
    ("jobs delayed by data", lambda line: line.account.delayed),
)


def draw(found: Mapping[str, Sequence[Line]]) -> str:
    """The lines of each policy, as SVG."""
    ways = [line.way for line in next(iter(found.values()))]
    row = BAR * len(found) + 14
    height = EDGE + row * len(ways) + 40
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for place, way in enumerate(ways):
        at = f'x="{LABELS - 8}" y="{EDGE + row * place + BAR * len(found) / 2}"'
        lines.append(f'<text {at} text-anchor="end" dominant-baseline="middle">{escape(way)}</text>')
    for index, (title, value) in enumerate(_PANELS):
        left = LABELS + index * (PANEL + GAP)
        lines.append(f'<text x="{left}" y="{EDGE - 16}" font-weight="bold">{title}</text>')
        lines += _bars([[value(line) for line in own] for own in found.values()], left, row)
    for number, policy in enumerate(found):
        x, colour = LABELS + 160 * number, _COLOURS[number % len(_COLOURS)]
        lines.append(f'<rect x="{x}" y="{height - 24}" width="12" height="12" fill="{colour}"/>')
        lines.append(f'<text x="{x + 18}" y="{height - 14}">policy {escape(policy)}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _bars(values: Sequence[Sequence[float]], left: int, row: int) -> Iterator[str]:
    """One panel: a bar for each way and policy, and its value beside it."""
    most = max(max(own) for own in values) or 1.0
    for number, own in enumerate(values):
        for place, value in enumerate(own):
            y, long = EDGE + row * place + BAR * number, value / most * (PANEL - 48)
            fill = _COLOURS[number % len(_COLOURS)]
            yield f'<rect x="{left}" y="{y}" width="{max(long, 0.5):.1f}" height="{BAR - 2}" fill="{fill}"/>'
            yield f'<text x="{left + long + 4:.1f}" y="{y + BAR - 3}" font-size="10">{_said(value)}</text>'


def _said(value: float) -> str:
    return f"{value:.2f}" if 0 < value < 10 else f"{value:,.0f}"
