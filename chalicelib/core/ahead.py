"""Jobs that their scheduler has, held, before their data is there: which these are, and where that can be.

There are two ways into that. A document that says ``staging: just_in_time`` asks for it: the site submits the job under
a hold at once. And a submit filter of Cobalt's may have left the job in the queue before it was ever posted
(``docs/cobalt.md``): the site finds it there. From then on they are one: the site says what the scheduler calls the
job, lets it go when all inputs have arrived, and ends it where the job ends before.
"""

from __future__ import annotations

from chalicelib.core.batch import legs_to_stage_in
from chalicelib.core.document import JUST_IN_TIME, Document
from chalicelib.core.errors import Fault
from chalicelib.core.job import Ahead
from chalicelib.core.sites import Site

HOLDING = frozenset({"cobalt", "slurm"})
"""Schedulers that take a job under a hold in the submission itself, find it by its name, and let it go: tried with
each. PBS and LSF could; Flux, and processes without a scheduler, have no such hold."""

ADOPT, HELD = "cobalt.adopt", "held"
"""The custom attribute, and its value, of a job that a submit filter has left at the scheduler."""


def ahead_of(document: Document) -> Ahead | None:
    """How a new job with this document stands with its scheduler. One without inputs to move waits for nothing."""
    custom = (document.values["attributes"] or {}).get("custom_attributes") or {}
    if custom.get(ADOPT) == HELD:
        return Ahead.FILED
    return Ahead.WANTED if awaits_start(document) else None


def awaits_start(document: Document) -> bool:
    """Whether its inputs are to wait until the start of the job is near."""
    return document.staging == JUST_IN_TIME and bool(legs_to_stage_in(document))


def check_staging(document: Document, site: Site, pointer: str, faults: list[Fault]) -> None:
    """Add a fault if the document wants of the site what its scheduler is not known to do."""
    if document.staging == JUST_IN_TIME and site.scheduler not in HOLDING:
        detail = (
            f"cannot be {JUST_IN_TIME} at site {site.id}: its scheduler, {site.scheduler}, is not asked to hold a job "
            f"before its data is there ({' and '.join(sorted(HOLDING))} are); leave it out, or say eager"
        )
        faults.append(Fault(pointer=f"{pointer}/staging", detail=detail))
    if ahead_of(document) is Ahead.FILED and site.scheduler != "cobalt":
        detail = f"{ADOPT}: {HELD} is for jobs that Cobalt has; the scheduler of site {site.id} is {site.scheduler}"
        faults.append(Fault(pointer=f"{pointer}/attributes/custom_attributes/{ADOPT}", detail=detail))
