"""Changing the document of a job that exists: a new revision, or a refusal that names what cannot be changed now."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.core.altering import altered, differing, merged, refusals
from chalicelib.core.document import LARGEST, Document, read_document
from chalicelib.core.errors import Conflict, FarSide, Fault, Invalid, NotFound
from chalicelib.core.holdings import Holding
from chalicelib.core.job import Job
from chalicelib.core.lifecycle import transition
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.jobs import Jobs, Postings, Tale
from chalicelib.core.ports.places import Sites
from chalicelib.core.posting import document_size
from chalicelib.core.sites import check_for_site
from chalicelib.service import fresh
from chalicelib.service.allowance import Allowance
from chalicelib.service.changing import MOST_TRIES
from chalicelib.service.targets import note_targets


def alter(
    job: Job, patch: Any, *, jobs: Jobs, postings: Postings, sites: Sites, allowance: Allowance, clock: Clock
) -> Job:
    """Apply a JSON merge patch to a job's document; returns the job, the same object if nothing differs.

    :raises Invalid: every fault of the document as it would be.
    :raises Conflict: a field may not be changed in the job's state, or an output would go where a live job's goes.
    """
    for _ in range(MOST_TRIES):
        now = clock.now()
        old = read_document(dict(jobs.documents([(job.ref, job.revision)])[job.ref]))
        new = _read(job, merged(old.raw, patch), sites)
        if not differing(old, new):
            return job
        if refused := refusals(job, old, new):
            raise Conflict("not-alterable", "; ".join(refused.values()))
        event = altered(job, old, new)
        grown = Holding(jobs=0, bytes=max(0, event.size - job.size))
        if grown.bytes:
            allowance.check(job.ref.user, grown)
        note_targets(jobs, postings, replace(job, name=new.name), new, now)
        if grown.bytes:
            allowance.take(job.ref.user, grown, job.ref.number)
        changed = transition(job, event, now)
        tale = Tale(version=changed.version, detail={"fields": list(event.fields)}, code=event.code)
        fact = fresh.inbox_item(now, (job.ref.number,))
        if jobs.save(changed, was=job.version, tales=(tale,), fact=fact, document=new.raw):
            return changed
        again = jobs.get(job.ref)
        if again is None:
            raise NotFound(f"There is no job {job.ref.number}.")
        job = again
    raise FarSide("dynamodb", "contention", f"job {job.ref} changes too often to be altered", transient=True)


def _read(job: Job, raw: Any, sites: Sites) -> Document:
    size = document_size(raw)
    if size > LARGEST:
        raise Invalid((Fault("", f"the document would be {size} bytes of JSON; it may have {LARGEST}"),))
    document = read_document(raw)
    site = sites.get(job.site)
    faults: list[Fault] = []
    if site is not None:
        check_for_site(document, site, "", faults)
    if faults:
        raise Invalid(tuple(faults))
    return document
