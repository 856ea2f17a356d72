"""Cobalt's qstat: which jobs, which columns, in which order, and the text.

    request = parse_qstat(argv, environ={...})
    chosen = select(rows, request, queue_names)
    text = render(chosen, request, now)

It renders rows it is given and asks nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any

from qstage.cobalt.errors import UsageError
from qstage.cobalt.layout import human, table, vertical
from qstage.cobalt.options import QSTAT
from qstage.cobalt.rows import QUEUE_HEADER, JobRow, QueueRow, job_cells, queue_cells
from qstage.cobalt.usage import read_options
from qstage.cobalt.words import Given, Option, Table, plain_int


def _columns(text: str) -> tuple[str, ...]:
    return tuple(text.split())


DEFAULT_HEADER = ("JobID", "User", "WallTime", "Nodes", "State", "Location")
FULL_HEADER = _columns(
    "JobID JobName User WallTime QueuedTime RunTime TimeRemaining Nodes State Location Mode Procs "
    "Preemptable Queue StartTime Index"
)
LONG_HEADER = _columns(
    "JobID JobName User WallTime QueuedTime RunTime TimeRemaining Nodes State Location Mode Procs "
    "Preemptable User_Hold Admin_Hold Queue StartTime Index SubmitTime Path OutputDir ErrorPath "
    "OutputPath Envs Command Args Kernel KernelOptions ION_Kernel ION_KernelOptions Project "
    "Dependencies short_state Notify Score Maxtasktime attrs dep_frac user_list Geometry "
    "Est_Start_Time"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Qstat:
    """A qstat command line. ``names`` are job ids or queues; empty means all."""

    header: tuple[str, ...]
    names: tuple[str, ...] = ()
    long: bool = False
    queues: bool = False
    reverse: bool = False
    sort: tuple[str, ...] | None = None
    user: str | None = None
    added: frozenset[str] = frozenset()
    """Those of the added options that were given, by their dests."""


def parse_qstat(
    argv: Sequence[str], *, environ: Mapping[str, str], added: tuple[Option, ...] = (), prog: str = "qstat"
) -> Qstat:
    """Read a qstat command line; ``environ`` may hold (C)QSTAT_HEADER and (C)QSTAT_HEADER_FULL.

    ``added`` are flags that Cobalt's qstat does not have.
    """
    texts: dict[str, str] = {}
    flags: set[str] = set()
    more: set[str] = set()

    def meet(given: Given) -> None:
        if given.added:
            more.add(given.option.dest)
        elif given.value is None:
            flags.add(given.option.dest)
        else:
            texts[given.option.dest] = str(given.value)

    names = read_options("qstat", Table(QSTAT, added), argv, meet, prog)
    return Qstat(
        header=_choose_header(flags, texts.get("header"), environ),
        names=names,
        long="long" in flags,
        queues="queues" in flags,
        reverse="reverse" in flags,
        sort=tuple(texts["sort"].split(":")) if "sort" in texts else None,
        user=texts.get("user"),
        added=frozenset(more),
    )


def _choose_header(flags: set[str], typed: str | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    if "queues" in flags:
        return QUEUE_HEADER
    if {"full", "long"} <= flags:
        return LONG_HEADER
    if "full" in flags:
        custom_full = environ.get("CQSTAT_HEADER_FULL", environ.get("QSTAT_HEADER_FULL"))
        return FULL_HEADER if custom_full is None else tuple(custom_full.split(":"))
    custom = typed if typed is not None else environ.get("CQSTAT_HEADER", environ.get("QSTAT_HEADER"))
    return DEFAULT_HEADER if custom is None else tuple(custom.split(":"))


def select(rows: Sequence[JobRow], request: Qstat, queue_names: Collection[str]) -> list[JobRow]:
    """Return the rows asked for.

    Raises UsageError: for a bad name, and, silently with status 1, for names that match nothing.
    """
    chosen = [row for row in rows if request.user in (None, row.user)]
    if not request.names:
        return chosen
    ids: set[int] = set()
    queues: set[str] = set()
    for name in request.names:
        if name in queue_names:
            queues.add(name)
        elif name != "*":
            ids.add(_job_id(name))
    if "*" not in request.names:
        chosen = [row for row in chosen if row.jobid in ids or row.queue in queues]
    if not chosen:
        raise UsageError(1)
    return chosen


def _job_id(name: str) -> int:
    try:
        return plain_int(name)
    except ValueError:
        raise UsageError(1, stderr=f"{name} is not a valid jobid or queue name\n") from None


def render(rows: Sequence[JobRow], request: Qstat, now: float) -> str:
    """Return the table, or with ``-l`` the vertical form, of these jobs at the moment ``now``."""
    width = max((len(str(row.jobid)) for row in rows), default=0)
    return _lay_out([job_cells(row, width, now) for row in rows], request)


def render_queues(rows: Sequence[QueueRow], request: Qstat) -> str:
    """Return what ``qstat -Q`` prints of these queues."""
    return _lay_out([queue_cells(row) for row in rows], request)


def _lay_out(cells: Sequence[Mapping[str, str]], request: Qstat) -> str:
    names = [name.lower() for name in request.header]
    lines = [[cell.get(name, "-") for name in names] for cell in cells]
    keys = [names.index(key.lower()) for key in request.sort or ("score",) if key.lower() in names] or [0]
    lines.sort(key=_sort_key(keys))
    if request.reverse:
        lines.reverse()
    if "score" in names:
        place = names.index("score")
        for line in lines:
            line[place] = human(float(line[place]))
    header = ["S" if name == "short_state" else typed for name, typed in zip(names, request.header, strict=True)]
    return vertical(header, lines) if request.long else table(header, lines)


def _sort_key(places: Sequence[int]) -> Callable[[Sequence[str]], Any]:
    """Return a key that compares these columns in turn: as numbers where both are, else as text."""

    def compare(left: Sequence[str], right: Sequence[str]) -> int:
        for place in places:
            one, other = left[place], right[place]
            try:
                order = (float(one) > float(other)) - (float(one) < float(other))
            except ValueError:
                order = (one > other) - (one < other)
            if order:
                return order
        return 0

    return cmp_to_key(compare)
