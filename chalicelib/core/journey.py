"""Where a job's files come from and go to, by collection, and how long it runs: what its status knows of its document.

Kept on the status, so that a listing or a forecast of many jobs reads no document. Whoever gives a job another
document gives it the journey of that one.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.core.document import Document
from chalicelib.core.ids import CollectionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """``inputs`` and ``outputs`` name the far collection of each item, by its index; None for a linked input.

    ``walltime`` is in seconds. ``notify`` is the address that news of the job go to, "" for none.
    """

    inputs: tuple[CollectionId | None, ...] = ()
    outputs: tuple[CollectionId, ...] = ()
    walltime: int = 600
    notify: str = ""


def journey_of(document: Document) -> Journey:
    """The journey of a job with this document."""
    attributes = document.values["attributes"] or {}
    notify = document.values["notify"] or {}
    return Journey(
        inputs=tuple(None if item.source is None else item.source.collection for item in document.stage_in),
        outputs=tuple(item.collection for item in document.stage_out),
        walltime=attributes.get("duration") or 600,
        notify=notify.get("email") or "",
    )
