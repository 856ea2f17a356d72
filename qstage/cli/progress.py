"""How far a job's files have come, in words and as a part of the whole. Pure."""

from __future__ import annotations

from qstage.cli.listing import reasons, state_word
from qstage.client.results import Job

_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def human(size: float) -> str:
    """A size as people read it, by thousands: 4.2 GB."""
    for unit in _UNITS[:-1]:
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} {_UNITS[-1]}"


def part_done(job: Job) -> float | None:
    """How much of the present stage is done, from 0 to 1; None where nothing moves.

    By bytes where the whole is counted, else by items: nobody counts the bytes of inputs beforehand.
    """
    staging = job.staging
    if staging is None or staging.items == 0:
        return None
    if staging.bytes_total:
        return min(1.0, staging.bytes / staging.bytes_total)
    return staging.done / staging.items


def moved(job: Job) -> str:
    """What has moved, in words; empty where nothing moves."""
    staging = job.staging
    if staging is None or staging.items == 0:
        return ""
    whole = f" of {human(staging.bytes_total)}" if staging.bytes_total else ""
    rate = f", {human(staging.bytes_per_second)}/s" if staging.bytes_per_second else ""
    return f"{human(staging.bytes)}{whole}{rate}, {staging.done} of {staging.items} items"


def exit_words(job: Job) -> str:
    """The exit code in words; empty where there is none.

    That of a canceled job is not told: the signal made it, and whether it was seen is chance.
    """
    return "" if job.exit_code is None or job.state == "canceled" else f"exit code {job.exit_code}"


def remark(job: Job) -> str:
    """What else is to be said: how it ended, why it waits, what its files stumble over."""
    if job.is_final:
        said = exit_words(job)
        return said if job.error is None else f"{job.failed_stage or 'job'}: {job.error.detail}"
    if job.staging and job.staging.trouble:
        return job.staging.trouble.detail
    return f"waits for {reasons(job)}" if job.waiting_for else ""


def line(job: Job) -> str:
    """One job in one line."""
    return "  ".join(filter(None, (str(job.id), str(state_word(job)), moved(job), remark(job))))
