"""Where a job's files come from and go to, by collection, and what it asks of the scheduler: what its status knows of
its document.

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

    ``walltime`` is in seconds. ``notify`` is the address that news of the job go to, "" for none. ``processes`` is 0,
    and ``queue`` and ``account`` are "", where the document says nothing of them.
    """

    inputs: tuple[CollectionId | None, ...] = ()
    outputs: tuple[CollectionId, ...] = ()
    walltime: int = 600
    notify: str = ""
    nodes: int = 1
    processes: int = 0
    queue: str = ""
    account: str = ""


def journey_of(document: Document) -> Journey:
    """The journey of a job with this document."""
    attributes = document.values["attributes"] or {}
    notify = document.values["notify"] or {}
    resources = document.values["resources"] or {}
    return Journey(
        inputs=tuple(None if item.source is None else item.source.collection for item in document.stage_in),
        outputs=tuple(item.collection for item in document.stage_out),
        walltime=attributes.get("duration") or 600,
        notify=notify.get("email") or "",
        nodes=resources.get("node_count") or 1,
        processes=resources.get("process_count") or 0,
        queue=attributes.get("queue_name") or "",
        account=attributes.get("account") or "",
    )
