"""What one job waits for of another: which ends of a parent let its child start, and which never will.

A child's inputs move while it waits; only a site may not have it. The edge is written before the child is
committed, and a parent that knows of one (``Job.awaited``) tells the planner of its end in the same write as the
end itself. A parent that had ended before is found by the child's first look. So no end is missed, wherever a
process stops. There are no cycles: a parent has its number before its child has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from chalicelib.core.ids import JobNumber

MOST_PARENTS = 50
"""Jobs that one job may wait for: they are kept on its status."""


class When(StrEnum):
    """The end of a parent that lets its child start."""

    OK = "afterok"
    """It completed."""
    ANY = "afterany"
    """It ended, whichever way."""
    NOT_OK = "afternotok"
    """It failed or was cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """A job that another one waits for."""

    number: JobNumber
    when: When = When.OK

    def met_by(self, completed: bool) -> bool:
        """Whether an end of the parent is the one that was waited for."""
        return self.when is When.ANY or completed is (self.when is When.OK)


_WANTED = {
    When.OK: "completed",
    When.ANY: "ended",
    When.NOT_OK: "failed or was cancelled",
}


def broken_words(parent: Parent, ended: str) -> str:
    """Why a child will never start, for its user."""
    return f"job {parent.number} {ended}: this job was to start only after it {_WANTED[parent.when]} ({parent.when})"
