"""``python -m emulators.cobalt replay TRACE``: replay a trace under one policy or several, and print the outcome."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from emulators.cobalt.policy import Backfill, Drain
from emulators.cobalt.queues import Queue, parse_queue
from emulators.cobalt.replay.figures import Figures, figures
from emulators.cobalt.replay.jobs import TraceError, TraceJob
from emulators.cobalt.replay.machine import Rules
from emulators.cobalt.replay.outcome_log import log_lines
from emulators.cobalt.replay.run import replay
from emulators.cobalt.replay.shaping import MINIMUM_WALLTIME, Shape, offered_load, shaped
from emulators.cobalt.replay.trace import Trace, read_trace
from emulators.cobalt.scores import Policy


def add_load_options(parser: argparse.ArgumentParser) -> None:
    """Add what says which load is replayed on which machine."""
    parser.add_argument("trace", type=Path, metavar="TRACE", help="SWF or Cobalt's accounting log; .gz is read too")
    parser.add_argument("--nodes", type=_count, help="nodes of the machine (as many as the trace says)")
    parser.add_argument("--procs-per-node", type=_count, default=1, help="processors of a node, for SWF (1)")
    parser.add_argument("--compress", type=_factor, default=1.0, help="how many times faster jobs arrive (1)")
    parser.add_argument(
        "--requested-factor",
        type=_factor,
        default=2.0,
        help="walltime = run time times this, where the trace has none (2)",
    )
    parser.add_argument("--first", type=_count, help="take only so many jobs")


def add_options(parser: argparse.ArgumentParser) -> None:
    add_load_options(parser)
    parser.add_argument("--policy", action="append", type=Policy, choices=list(Policy), help="repeatable (default)")
    parser.add_argument("--drain", action="append", type=Drain, choices=list(Drain), help="repeatable (backfill)")
    parser.add_argument("--backfill", action="append", type=Backfill, choices=list(Backfill), help="repeatable (ff)")
    parser.add_argument(
        "--queue",
        action="append",
        type=parse_queue,
        default=[],
        metavar="NAME[,priority=N][,policy=P]",
        help="a queue of the trace that is not like the others; repeatable",
    )
    parser.add_argument("--log", type=Path, help="write the Q, S and E records here; of one combination only")


def run(options: argparse.Namespace) -> None:
    """Do what was asked for, or exit with what is wrong with it."""
    jobs, nodes, said = load(options)
    print("\n".join(said))
    print()
    combinations = list(_combinations(options, nodes))
    if options.log is not None and len(combinations) > 1:
        sys.exit("--log takes one policy, one way to drain and one order of backfill")
    print(_HEADER)
    for rules in combinations:
        runs = replay(jobs, rules)
        print(_row(rules, figures(runs, nodes)), flush=True)
        if options.log is not None:
            with options.log.open("w", encoding="utf-8") as log:
                log.writelines(f"{line}\n" for line in log_lines(runs))


def _combinations(options: argparse.Namespace, nodes: int) -> Iterator[Rules]:
    """Every policy with every way to drain; the orders of backfill only where there is any."""
    queues: list[Queue] = options.queue
    for policy, drain in itertools.product(options.policy or [Policy.DEFAULT], options.drain or [Drain.BACKFILL]):
        orders = options.backfill or [Backfill.FIRST]
        for backfill in orders if drain is Drain.BACKFILL else orders[:1]:
            yield Rules(
                nodes=nodes,
                policy=policy,
                drain=drain,
                backfill=backfill,
                priorities={queue.name: queue.priority for queue in queues},
                policies={queue.name: queue.policy for queue in queues if queue.policy is not None},
            )


def load(options: argparse.Namespace) -> tuple[tuple[TraceJob, ...], int, list[str]]:
    """Return the jobs to replay, the machine's size, and the lines that say what they are."""
    try:
        trace = read_trace(options.trace, procs_per_node=options.procs_per_node)
    except (TraceError, OSError) as fault:
        sys.exit(f"{options.trace}: {fault}")
    nodes = options.nodes or trace.nodes
    if nodes is None:
        sys.exit(f"{options.trace} does not say how many nodes its machine had: give --nodes")
    shape = Shape(compress=options.compress, requested_factor=options.requested_factor, first=options.first)
    jobs, wide = shaped(trace.jobs, shape, nodes)
    if not jobs:
        sys.exit(f"{options.trace} has no job that fits {nodes} nodes")
    left_out = trace.left_out + wide
    return jobs, nodes, list(_told(options.trace.name, trace, shape, jobs, nodes, left_out))


def _told(
    name: str, trace: Trace, shape: Shape, jobs: Sequence[TraceJob], nodes: int, left_out: dict[str, int]
) -> Iterator[str]:
    days = (jobs[-1].submitted - jobs[0].submitted) / 86400
    yield f"{name}: {len(jobs)} jobs in {days:.1f} days on {nodes} nodes, load {offered_load(jobs, nodes):.2f}"
    if shape.compress != 1:
        yield f"arrivals compressed {shape.compress:g} times"
    if any(job.walltime is None for job in trace.jobs):
        least = MINIMUM_WALLTIME / 60
        yield f"walltime where the trace has none: run time x {shape.requested_factor:g}, at least {least:g} minutes"
    for reason, count in left_out.items():
        yield f"left out, {reason}: {count} jobs"


_COLUMNS = (
    ("policy", 10),
    ("drain", 10),
    ("backfill", 8),
    ("jobs", 6),
    ("killed", 6),
    ("mean", 6),
    ("median", 6),
    ("p90", 6),
    ("p99", 6),
    ("most", 6),
    ("mean", 6),
    ("median", 6),
    ("p90", 6),
    ("used", 6),
)
_WORDS = 3
"""The columns that hold words, and lean to the left."""


def _line(cells: Sequence[str]) -> str:
    aligned = [
        cell.ljust(width) if place < _WORDS else cell.rjust(width)
        for place, (cell, (_, width)) in enumerate(zip(cells, _COLUMNS, strict=True))
    ]
    return "  ".join(aligned).rstrip()


_HEADER = (
    f"{'':50}{'wait (minutes)':^38}  {'bounded slowdown':^22}".rstrip() + "\n" + _line([name for name, _ in _COLUMNS])
)


def _row(rules: Rules, found: Figures) -> str:
    wait, slow = found.wait, found.slowdown
    waits = [f"{value / 60:.1f}" for value in (wait.mean, wait.median, wait.p90, wait.p99, wait.most)]
    slows = [f"{value:.1f}" for value in (slow.mean, slow.median, slow.p90)]
    counts = [str(found.jobs), str(found.killed)]
    order = str(rules.backfill) if rules.drain is Drain.BACKFILL else "-"
    words = [str(rules.policy), str(rules.drain), order]
    return _line([*words, *counts, *waits, *slows, f"{found.utilisation:.1%}"])


def _count(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError(text)
    return value


def _factor(text: str) -> float:
    if not 0 < (value := float(text)) < 1e6:
        raise ValueError(text)
    return value
