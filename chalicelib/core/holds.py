"""What a user's hold keeps from going on."""

from __future__ import annotations

from enum import StrEnum


class Hold(StrEnum):
    """A hold, by what it keeps back. A release ends either."""

    RUN = "run"
    """The job is not given to the scheduler; its inputs are moved all the same."""
    STAGING = "staging"
    """Nor does any more of its data set out to the site. What is under way arrives."""


def hold_of(value: bool | str) -> Hold | None:
    """What ``hold`` means in a document and in a request: true, false or ``staging``."""
    if value is False:
        return None
    return Hold.RUN if value is True else Hold(value)
