"""``python -m emulators.cobalt staging TRACE``: compare the ways of staging on a trace, and print what they come to."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from emulators.cobalt.replay.command import add_load_options, load
from emulators.cobalt.replay.machine import Rules
from emulators.cobalt.scores import Policy
from emulators.cobalt.staging import plot, report
from emulators.cobalt.staging.comparing import Line, Terms, compare
from emulators.globus.pace import Link

_WIDTHS = (29, 10, 8, 7, 10, 8, 8, 8, 8, 8)
_HEADER = (
    ("", "turnaround", "", "", "node-h", "scratch", "before", "jobs", "mean", "Globus"),
    ("staging", "mean h", "median m", "p90 h", "waiting", "TB-h", "start", "delayed", "delay m", "tasks"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    add_load_options(parser)
    parser.add_argument("--policy", action="append", type=Policy, choices=list(Policy), help="repeatable (default)")
    parser.add_argument("--seed", type=int, default=1, help="of the sizes (1)")
    parser.add_argument("--overhead", type=float, default=10.0, help="seconds of a Globus task besides its bytes (10)")
    parser.add_argument("--bandwidth", type=float, default=2e8, help="bytes a second of a Globus task (2e8)")
    parser.add_argument("--reaction", type=float, default=600.0, help="seconds until a user sees an end (600)")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put it into this page, and the plot beside it")


def run(options: argparse.Namespace) -> None:
    """Do what was asked for, or exit with what is wrong with it."""
    if options.overhead < 0 or options.bandwidth <= 0 or options.reaction < 0:
        sys.exit("a task takes no less than no time, and a user sees nothing before it is")
    jobs, nodes, said = load(options)
    jobs = tuple(replace(job, submitted=float(round(job.submitted))) for job in jobs)
    terms = Terms(
        link=Link(overhead=options.overhead, bandwidth=options.bandwidth),
        reaction=options.reaction,
        factor=options.requested_factor,
        seed=options.seed,
    )
    said = [*said, *report.assumptions(terms)]
    print("\n".join(said))
    found: dict[str, Sequence[Line]] = {}
    for policy in options.policy or [Policy.DEFAULT]:
        print(f"\npolicy {policy}\n" + "\n".join(_line(cells) for cells in _HEADER), flush=True)
        lines = []
        for line in compare(jobs, Rules(nodes=nodes, policy=policy), terms):
            print(_line(report.row(line)), flush=True)
            lines.append(line)
        found[str(policy)] = lines
    if options.write is not None:
        _write(options.write, said, found)


def _write(page: Path, said: Sequence[str], found: dict[str, Sequence[Line]]) -> None:
    picture = page.with_suffix(".svg")
    tables = "".join(f"Policy `{policy}`:\n\n{report.markdown(lines)}\n\n" for policy, lines in found.items())
    listed = "\n".join(f"- {each}" for each in said)
    try:
        report.put(page, f"{listed}\n\n{tables}![What each way of staging comes to]({picture.name})\n")
    except (ValueError, OSError) as fault:
        sys.exit(str(fault))
    picture.write_text(plot.draw(found), encoding="utf-8")


def _line(cells: Sequence[str]) -> str:
    first, *others = cells
    right = [cell.rjust(width) for cell, width in zip(others, _WIDTHS[1:], strict=True)]
    return "  ".join([first.ljust(_WIDTHS[0]), *right]).rstrip()
