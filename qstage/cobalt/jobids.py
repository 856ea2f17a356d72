"""Cobalt's commands on job ids: qdel, qhold and qrls. Their command lines, and what they print of the
outcome.

Deleting, holding and releasing is done elsewhere; these functions take what was known before and after.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from qstage.cobalt.errors import UsageError
from qstage.cobalt.layout import table
from qstage.cobalt.options import QDEL, QHOLD, QRLS
from qstage.cobalt.usage import read_options, usage_text
from qstage.cobalt.words import Given, Option, Table, plain_int

_TABLES = {"qdel": QDEL, "qhold": QHOLD, "qrls": QRLS}


@dataclass(frozen=True, slots=True, kw_only=True)
class IdRequest:
    """A command line of job ids: each once, ascending. ``dependencies`` is ``qrls --dependencies``; ``added`` are
    those of the added options that were given."""

    ids: tuple[int, ...]
    dependencies: bool = False
    added: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOutcome:
    """One job that was found: its user hold before and after, and whether it runs already."""

    before: bool
    after: bool
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a command prints. The exit status is 0: a hold that failed is news, not a fault."""

    stdout: str
    stderr: str = ""


def parse_ids(
    command: str, argv: Sequence[str], *, added: tuple[Option, ...] = (), prog: str | None = None
) -> IdRequest:
    """Read the command line of ``qdel``, ``qhold`` or ``qrls``, with flags that Cobalt's has not. Raises UsageError."""
    flags: set[str] = set()
    more: set[str] = set()

    def meet(given: Given) -> None:
        (more if given.added else flags).add(given.option.dest)

    words = read_options(command, Table(_TABLES[command], added), argv, meet, prog)
    ids = read_ids(command, words, prog)
    return IdRequest(ids=ids, dependencies="dependencies" in flags, added=frozenset(more))


def read_ids(command: str, words: Sequence[str], prog: str | None = None) -> tuple[int, ...]:
    """Read the job ids that end a command line: each once, ascending. Raises UsageError."""
    if not words:
        raise UsageError(1, stdout=usage_text(command, prog), stderr="No Jobid(s) given\n\n")
    ids: set[int] = set()
    for word in words:
        if word == "*":
            continue
        try:
            ids.add(plain_int(word))
        except ValueError:
            raise UsageError(1, stderr=f"jobid must be an integer: {word}\n") from None
    return tuple(sorted(ids))


def deleted_report(deleted: Sequence[tuple[int, str]]) -> Report:
    """Return what qdel prints for these (job id, user); for none, nothing at all."""
    if not deleted:
        return Report(stdout="")
    rows = [(str(jobid), user) for jobid, user in deleted]
    return Report(stdout="      Deleted Jobs\n" + table(("JobID", "User"), rows))


def hold_report(asked: Collection[int], found: Mapping[int, HoldOutcome]) -> Report:
    """Return what qhold prints."""
    done = [one for one, job in found.items() if job.after and not job.before]
    reasons = {
        one: "already in state 'user hold'" if job.before else "is already active"
        for one, job in found.items()
        if one not in done
    }
    return _report(asked, found, done, reasons, "Placed user hold on jobs: ", "   Failed to place user hold on jobs: ")


def release_report(asked: Collection[int], found: Mapping[int, HoldOutcome]) -> Report:
    """Return what qrls prints."""
    done = [one for one, job in found.items() if job.before and not job.after]
    reasons: dict[int, str] = {}
    for one, job in found.items():
        if job.active and not job.before:
            reasons[one] = "is already active and does not have a pending 'user hold'"
        elif job.active:
            reasons[one] = "is already active"
        elif not job.before:
            reasons[one] = "does not have a 'user hold'"
    placed, failed = "   Removed user hold on jobs: ", "   Failed to remove user hold on jobs: "
    return _report(asked, found, done, reasons, placed, failed)


def dependencies_report(freed: Sequence[int]) -> Report:
    """Return what ``qrls --dependencies`` prints."""
    lines = ["   Removed dependencies from jobs: ", *(f"      {one}" for one in freed)]
    return Report(stdout="".join(line + "\n" for line in lines))


def _report(
    asked: Collection[int],
    found: Mapping[int, HoldOutcome],
    done: Sequence[int],
    reasons: Mapping[int, str],
    done_title: str,
    failed_title: str,
) -> Report:
    failed = [one for one in asked if one not in done]
    lines: list[str] = []
    if failed:
        lines.append(failed_title)
        lines += [f"      job {one} {reasons.get(one, 'not found')}" for one in failed]
    if done:
        lines.append(done_title)
        lines += [f"      {one}" for one in done]
    stderr = "" if found else "   No jobs found.\nFailed to match any jobs\n"
    return Report(stdout="".join(line + "\n" for line in lines), stderr=stderr)
