"""How Cobalt lays out what it prints: the table, the vertical form, times, sizes and lists of nodes.

Every function is text in, text out. Which columns and which rows is ``qstat``'s to say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNITS = ("  ", " K", " M", " G", " T", " P")
_NODE = re.compile(r"(\D+)(\d+)")
_NUMBER = re.compile(r"\d+")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table: columns as wide as their widest cell, each ended by two blanks, and a rule."""
    lines = [header, *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(header))]
    texts = ["".join(f"{cell:{width}}  " for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([texts[0], "=" * len(texts[0]), *texts[1:]]) + "\n"


def vertical(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return each row as lines ``name: value``, the first flush left, and a blank line after each row."""
    width = max(len(name) for name in header) + 1
    lines: list[str] = []
    for row in rows:
        lines.append(f"{header[0]}: {row[0]}")
        lines += [f"    {name.ljust(width)}: {cell}" for name, cell in zip(header[1:], row[1:], strict=True)]
        lines.append("")
    return "".join(line + "\n" for line in lines)


def hours_minutes(minutes: int) -> str:
    """Return a walltime as HH:MM:00."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}:00"


def elapsed(seconds: float) -> str:
    """Return a duration as HH:MM:SS, hours unbounded."""
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def date_text(seconds: float, zone: tzinfo = UTC) -> str:
    """Return a moment as ``Sun Nov 22 16:02:00 2026 +0000 (UTC)``, whatever the locale."""
    moment = datetime.fromtimestamp(seconds, zone)
    day = f"{_DAYS[moment.weekday()]} {_MONTHS[moment.month - 1]} {moment.day:02d}"
    return f"{day} {moment:%H:%M:%S %Y %z} ({moment.tzname()})"


def human(value: float) -> str:
    """Return a score as Cobalt abbreviates it: one decimal, thousands as K, M, G; never below 0.1."""
    for unit in _UNITS[:-1]:
        if value < 1000.0:
            return f"{max(value, 0.1):5.1f}{unit}"
        value /= 1000.0
    return f"{max(value, 0.1):5.1f}{_UNITS[-1]}"


def merge_nodes(names: Sequence[str]) -> str:
    """Return node names as ranges: ``node[1-4],node7``.

    Names of one prefix whose numbers differ in digits make ``[node9-10]``: so writes Cobalt. If the first
    name does not end its letters with a number, the list is only sorted.
    """
    if len(names) > 1 and _NODE.match(names[0]) is None:
        return ",".join(sorted(names))
    numbers: dict[str, list[str]] = {}
    merged: list[str] = []
    for name in names:
        match = _NODE.match(name)
        if match is None:
            merged.append(name)
        else:
            numbers.setdefault(match[1], []).append(match[2])
    for prefix in sorted(numbers):
        merged += _ranges(prefix, numbers[prefix])
    return ",".join(sorted(merged, key=_first_number))


def _ranges(prefix: str, digits: Sequence[str]) -> list[str]:
    widths = {len(text) for text in digits}
    width = widths.pop() if len(widths) == 1 else 0
    runs: list[list[int]] = []
    for number in sorted({int(text) for text in digits}):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [_range(prefix, run[0], run[-1], width) for run in runs]


def _range(prefix: str, first: int, last: int, width: int) -> str:
    if first == last:
        return f"{prefix}{first:0{width}d}"
    if width:
        return f"{prefix}[{first:0{width}d}-{last:0{width}d}]"
    return f"[{prefix}{first}-{last}]"


def _first_number(name: str) -> str:
    match = _NUMBER.search(name)
    return match[0] if match else name  # compared as text: node10 comes before node2, as Cobalt has it
