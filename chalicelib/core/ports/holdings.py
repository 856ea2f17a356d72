"""Counting what a user's live jobs amount to. See ``core.holdings`` for when it is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chalicelib.core.holdings import Tally
from chalicelib.core.ids import JobNumber, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRow:
    """A row that is not in a final state. ``posted`` as in ``core.job.Job``: None once anything has happened."""

    number: JobNumber
    bytes: int
    posted: str | None
    created_at: datetime


class Holdings(Protocol):
    """All reads are strongly consistent."""

    def tally(self, user: UserId) -> Tally:
        """Return the tally on the user's desk; the first one if there is no desk."""
        ...

    def live(self, user: UserId, first: JobNumber) -> Iterator[LiveRow]:
        """Yield the live rows from number ``first`` on, lowest first; those of no committed POST as well."""
        ...

    def committed(self, user: UserId, postings: Iterable[str]) -> frozenset[str]:
        """Return those of the postings that are committed. In as few calls as the store allows."""
        ...

    def keep(self, user: UserId, tally: Tally, *, was: Tally) -> bool:
        """Replace the tally, but for ``next``, if it is still the same as ``was``; False, nothing written, if not."""
        ...
