"""What Slurm's squeue says of jobs. Pure: the question's words, and text in, values out.

PSI/J's own question prints a reason in words, cut at blanks, and its parser gives up on all jobs at the first
reason it does not know; Slurm has more of them with each version. States are a closed list of two letters.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from qstage.agent.rules import Presence

STATUS_COMMAND = ("squeue", "--me", "--noheader", "--states=all", "--format=%A|%t")

_QUEUED = ("PD", "CF", "RD", "RF", "RH", "RQ", "RV", "SE")
"""Waits, or will again: a requeued job (RQ, RH, SE) has its id still, and may run once more."""
_ACTIVE = ("R", "CG", "S", "SI", "SO", "ST", "RS")
_ENDED = ("BF", "CA", "CD", "DL", "F", "NF", "OOM", "PR", "TO")
_STATES = (
    dict.fromkeys(_QUEUED, Presence.QUEUED)
    | dict.fromkeys(_ACTIVE, Presence.ACTIVE)
    | dict.fromkeys(_ENDED, Presence.GONE)
)


def read_presence(out: str, native_ids: Collection[str]) -> Mapping[str, Presence]:
    """What each id is doing. One in a state that is new to us is left out: it cannot be told."""
    listed = dict(line.split("|", 1) for line in out.split() if "|" in line)
    gone = {native: Presence.GONE for native in native_ids if native not in listed}
    told = {native: _STATES[listed[native]] for native in native_ids if listed.get(native) in _STATES}
    return {**gone, **told}


_START = re.compile(r"\bto start at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\b")


def read_start(told: str) -> float | None:
    """When a job would start, by what ``sbatch --test-only`` says where times are in UTC; None if it does not say."""
    found = _START.search(told)
    return None if found is None else datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp()
