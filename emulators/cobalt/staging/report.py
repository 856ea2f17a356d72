"""Writes a comparison down: as a table for people, and into the page of the docs that has a place for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from emulators.cobalt.staging.comparing import INSIDE, Line, Terms
from emulators.cobalt.staging.ledger import LATE
from emulators.cobalt.staging.planner import ROUND
from emulators.cobalt.staging.sizes import MOST, QUANTILES

BEGIN, END = "<!-- what follows is written by the command above -->", "<!-- so far -->"

HEADER = (
    "staging",
    "turnaround, mean h",
    "median min",
    "p90 h",
    "node-h waiting for data",
    "scratch TB-h",
    "before the start",
    "jobs delayed",
    "mean delay, min",
    "Globus tasks",
)


def row(line: Line) -> tuple[str, ...]:
    found, took = line.account, line.account.turnaround
    return (
        line.way,
        f"{took.mean / 3600:.2f}",
        f"{took.median / 60:.1f}",
        f"{took.p90 / 3600:.2f}",
        f"{found.node_hours_waiting:,.0f}",
        f"{found.scratch:,.0f}",
        f"{found.scratch_before_start:,.0f}",
        f"{found.delayed:,}",
        f"{found.delay / 60:.1f}",
        "-" if line.way == INSIDE else f"{line.tasks:,}",
    )


def assumptions(terms: Terms) -> Sequence[str]:
    """What was assumed, a line each."""
    sizes = ", ".join(f"p{share * 100:.0f} {_bytes(size)}" for share, size in QUANTILES)
    link = terms.link
    return (
        f"one input and one output a job, sizes drawn (seed {terms.seed}) from {sizes}; none above {_bytes(MOST)}",
        f"a Globus task takes {link.overhead:g} s and its bytes at {_bytes(link.bandwidth)}/s; three a user at a time",
        f"by hand, the user sees at once, or {terms.reaction / 60:g} minutes later, that something has ended",
        f"inside the allocation, {terms.factor:g} times the time of its transfers is added to a job's walltime",
        f"qstage's agent comes every {ROUND} s",
        f"delayed: a job that begins over {LATE / 60:g} minutes later than without data",
    )


def _bytes(count: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:g} {unit}"
    return f"{count:g} bytes"


def put(page: Path, words: str) -> None:
    """Put the words where the page has its place for them.

    :raises ValueError: it has none.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no lines {BEGIN!r} and {END!r}")
    page.write_text(f"{before}{BEGIN}\n\n{words}\n{END}{after}", encoding="utf-8")


def markdown(lines: Sequence[Line]) -> str:
    cells = [HEADER, tuple("---" if not place else "--:" for place in range(len(HEADER))), *map(row, lines)]
    return "\n".join("| " + " | ".join(each) + " |" for each in cells)
