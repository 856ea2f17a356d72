"""What a scheduler is told to change of a job that waits in its queue, and how it shows what it has changed.

Only what a scheduler's own commands can do is here; anything else is refused in words. Where a scheduler shows what
jobs ask for (Cobalt, Slurm), that decides whether a change took place: exit statuses and words do not, and an agent
that was killed in between finds its change made. Walltimes are whole minutes, rounded up, as at the submission.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qstage.agent.wire import Change, Lease


class Unable(Exception):
    """This agent cannot have that changed; the message says what, and by which scheduler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command, and the part of the change that it makes."""

    command: tuple[str, ...]
    change: Change


def steps(scheduler: str, native_id: str, change: Change, was: Lease) -> Sequence[Step]:
    """The commands that change a job, in an order in which limits of queues are least in the way.

    Raises ``Unable``.
    """
    match scheduler:
        case "cobalt":
            return _cobalt(native_id, change, was)
        case "slurm":
            return [Step(command=("scontrol", "update", f"JobId={native_id}", *_slurm(change)), change=change)]
        case "pbs" | "pbs_classic":
            return _pbs(native_id, change, was)
    raise Unable(f"this agent does not alter jobs of the scheduler {scheduler}")


def shown(scheduler: str, native_id: str) -> tuple[str, ...] | None:
    """The command that shows what a job asks for; None where its exit status has to do."""
    match scheduler:
        case "cobalt":
            return ("qstat", "-l", "--header=JobID:WallTime:Queue:Project:Nodes:Procs", native_id)
        case "slurm":
            return ("squeue", "--noheader", "--states=all", "--format=%l|%P|%a|%D", f"--jobs={native_id}")
    return None


def is_so(scheduler: str, change: Change, out: str) -> bool:
    """Whether the scheduler shows all of the change."""
    found = _cobalt_shows(out) if scheduler == "cobalt" else _slurm_shows(out)
    wanted = {
        "minutes": None if change.duration is None else _minutes(change.duration),
        "queue": change.queue_name,
        "account": change.account,
        "nodes": change.node_count,
        # squeue shows CPUs, of which a process may have more than one.
        "processes": None if scheduler == "slurm" else change.process_count,
    }
    return all(found.get(name) == str(value) for name, value in wanted.items() if value is not None)


def _cobalt(native_id: str, change: Change, was: Lease) -> Sequence[Step]:
    options: list[str] = []
    if change.duration is not None:
        options += ["-t", str(_minutes(change.duration))]
    if change.node_count is not None:
        options += ["-n", str(change.node_count)]
    if change.process_count is not None:
        options += ["--proccount", str(change.process_count)]
    if change.account is not None:
        options += ["-A", change.account]
    parts = []
    if options:
        parts.append(Step(command=("qalter", *options, native_id), change=change.but(queue_name=None)))
    if change.queue_name is not None:
        moved = Change(queue_name=change.queue_name)
        parts.append(Step(command=("qmove", change.queue_name, native_id), change=moved))
    return _in_order(parts, change, was)


def _in_order(parts: list[Step], change: Change, was: Lease) -> list[Step]:
    """A longer job moves before it grows, a shorter one after it has shrunk."""
    grows = change.duration is not None and change.duration > was.attributes.duration
    return parts[::-1] if grows else parts


def _slurm(change: Change) -> list[str]:
    words = {
        "TimeLimit": None if change.duration is None else _minutes(change.duration),
        "Partition": change.queue_name,
        "Account": change.account,
        "NumNodes": change.node_count,
        "NumTasks": change.process_count,
    }
    return [f"{name}={value}" for name, value in words.items() if value is not None]


def _pbs(native_id: str, change: Change, was: Lease) -> Sequence[Step]:
    if change.node_count is not None or change.process_count is not None:
        raise Unable("how many nodes a PBS job has stands in its select statement: this agent does not change that")
    parts = []
    if change.duration is not None:
        clock = f"walltime={_minutes(change.duration) // 60:02}:{_minutes(change.duration) % 60:02}:00"
        parts.append(Step(command=("qalter", "-l", clock, native_id), change=Change(duration=change.duration)))
    if change.account is not None:
        parts.append(Step(command=("qalter", "-A", change.account, native_id), change=Change(account=change.account)))
    if change.queue_name is not None:
        moved = Change(queue_name=change.queue_name)
        parts.append(Step(command=("qmove", change.queue_name, native_id), change=moved))
    return _in_order(parts, change, was)


def _minutes(seconds: int) -> int:
    return -(-seconds // 60)


def _cobalt_shows(out: str) -> Mapping[str, str]:
    fields = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in out.splitlines())
    }
    hours, minutes, *_ = [*fields.get("walltime", "").split(":"), ""]
    return {
        "minutes": str(int(hours) * 60 + int(minutes)) if hours.isdigit() and minutes.isdigit() else "",
        "queue": fields.get("queue", ""),
        "account": fields.get("project", ""),
        "nodes": fields.get("nodes", ""),
        "processes": fields.get("procs", ""),
    }


def _slurm_shows(out: str) -> Mapping[str, str]:
    names = ("limit", "queue", "account", "nodes")
    fields = dict(zip(names, out.strip().split("|"), strict=False))
    return {**fields, "minutes": str(_slurm_minutes(fields.get("limit", "")))}


def _slurm_minutes(limit: str) -> int | None:
    """``days-hours:minutes:seconds``, without what is nothing at its beginning."""
    days, _, clock = limit.rpartition("-")
    parts = clock.split(":")
    if not all(part.isdigit() for part in (*parts, *([days] if days else []))):
        return None
    hours, minutes, seconds = (int(part) for part in ["0", "0", "0", *parts][-3:])
    return int(days or 0) * 1440 + hours * 60 + minutes + (1 if seconds else 0)
