"""Where news for people go."""

from __future__ import annotations

from typing import Protocol

from chalicelib.core.notices import Notice


class Notices(Protocol):
    """Takes news that only a person can act on. Who gets them, and how, is the operator's to say."""

    def publish(self, notice: Notice) -> None:
        """Hand the notice over. One that is handed over twice may arrive twice.

        :raises FarSide: it was not taken; try again later.
        """
        ...
