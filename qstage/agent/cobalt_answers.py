"""What Cobalt's commands and logs say, read into PSI/J's terms. Pure: text in, values out."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from datetime import UTC, datetime

from psij import JobState, JobStatus

_FIELD = re.compile(r"(\S+?)\s*: ?(.*)")
_SUBMITTED = re.compile(r"^\s*(\d+)\b", re.MULTILINE)
_EXIT_LINE = re.compile(r"task completed normally with an exit code of (\d+);")

_STATES = {
    "queued": JobState.QUEUED,
    "user_hold": JobState.QUEUED,
    "dep_hold": JobState.QUEUED,
    "dep_fail": JobState.QUEUED,
    "admin_hold": JobState.QUEUED,
    "maxrun_hold": JobState.QUEUED,
    "starting": JobState.ACTIVE,
    "running": JobState.ACTIVE,
    "exiting": JobState.ACTIVE,
    "killing": JobState.ACTIVE,  # its processes may still live: it is over when it is gone
    "preempting": JobState.ACTIVE,
    "preempted": JobState.ACTIVE,
    "done": JobState.ACTIVE,
}

logger = logging.getLogger(__name__)


def submitted_id(out: str) -> str | None:
    """Return the job id that qsub printed, of any number of digits, or None."""
    found = _SUBMITTED.findall(out)
    return str(found[-1]) if found else None


def newest_log(text: str, native_id: str) -> str:
    """Return what follows the last ``Jobid:`` line of a log: logs of a reused id add up."""
    return text.rpartition(f"Jobid: {native_id}\n")[2]


def was_deleted(log: str) -> bool:
    """Tell whether Cobalt's log says that the job's owner deleted it."""
    return "user delete requested" in log


def was_too_long(log: str) -> bool:
    """Tell whether Cobalt's log says that the walltime ended the job."""
    return "maximum execution time exceeded" in log


def logged_exit_code(log: str) -> int | None:
    """Return the exit status in Cobalt's log, if it is there."""
    said = _EXIT_LINE.search(log)
    return int(said[1]) if said else None


def status_of(word: str) -> JobStatus:
    """Return the status of a state word. One that is new to us cannot take a job back, nor end it."""
    state = _STATES.get(word)
    if state is None:
        logger.warning("Cobalt shows a state that is not known here: %s", word)
        return JobStatus(JobState.QUEUED, message=f"Cobalt's state is {word}")
    return JobStatus(state)


def records(out: str) -> list[dict[str, str]]:
    """Read qstat's vertical layout: ``Name: value`` lines, each job begun by its first, unindented field."""
    found: list[dict[str, str]] = []
    for line in out.splitlines():
        match = _FIELD.fullmatch(line.strip())
        if match is None:
            continue
        if not line[0].isspace():
            found.append({})
        if found:
            found[-1][match[1].lower()] = match[2].strip()
    return [record for record in found if record.get("jobid", "").isdigit()]


def expected_starts(out: str, native_ids: Collection[str]) -> dict[str, float | None]:
    """Return the Est_Start_Time that qstat shows of these jobs, where times are in UTC; None where it shows none."""
    found: dict[str, float | None] = {}
    for fields in records(out):
        if fields["jobid"] in native_ids:
            try:
                shown = datetime.fromisoformat(fields.get("est_start_time", ""))
            except ValueError:
                found[fields["jobid"]] = None
            else:
                found[fields["jobid"]] = shown.replace(tzinfo=UTC).timestamp()
    return found
