"""Changing the document of a job that exists: a new revision, an order to its scheduler, or a refusal that names what
cannot be changed now. One patch may be both: what the scheduler has no part in is changed at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from chalicelib.core.altering import altered, differing, merged, refusals, split, terms_asked, terms_refused
from chalicelib.core.document import LARGEST, Document, read_document
from chalicelib.core.errors import Conflict, FarSide, Fault, Invalid, NotFound
from chalicelib.core.events import Altered, AlterOrdered
from chalicelib.core.holdings import Holding
from chalicelib.core.job import Job
from chalicelib.core.orders import Verb, patch_of, standing
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.jobs import Jobs, Postings
from chalicelib.core.ports.places import Sites
from chalicelib.core.posting import document_size
from chalicelib.core.sites import check_for_site
from chalicelib.service import fresh
from chalicelib.service.allowance import Allowance
from chalicelib.service.changing import MOST_TRIES, Step, walk
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
        wanted = _wanted(job, old, patch, sites)
        if not wanted.events:
            return job
        grown = Holding(jobs=0, bytes=max(0, wanted.size - job.size))
        if grown.bytes:
            allowance.check(job.ref.user, grown)
        note_targets(jobs, postings, replace(job, name=wanted.now.name), wanted.now, now)
        if grown.bytes:
            allowance.take(job.ref.user, grown, job.ref.number)
        steps = tuple(Step(event=event, detail=_detail(event)) for event in wanted.events)
        changed, tales = walk(job, steps, now, settle=False)
        fact = fresh.inbox_item(now, (job.ref.number,))
        document = wanted.now.raw if changed.revision != job.revision else None
        if jobs.save(changed, was=job.version, tales=tales, fact=fact, document=document):
            return changed
        again = jobs.get(job.ref)
        if again is None:
            raise NotFound(f"There is no job {job.ref.number}.")
        job = again
    raise FarSide("dynamodb", "contention", f"job {job.ref} changes too often to be altered", transient=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What a patch comes to: the document as it is to be now, what happens to the job, and the document's size in
    bytes once all of it is so."""

    now: Document
    events: tuple[Altered | AlterOrdered, ...]
    size: int


def _wanted(job: Job, old: Document, patch: Any, sites: Sites) -> _Wanted:
    asks = job.waits_there and isinstance(patch, dict)
    theirs, ours = split(patch) if asks else ({}, patch)
    new = _read(job, merged(old.raw, ours), sites)
    fields = differing(old, new)
    refused = dict(refusals(job, old, new))
    events: list[Altered | AlterOrdered] = [altered(job, old, new)] if fields else []
    whole = new
    if theirs:
        asked = standing(job.orders, Verb.ALTER)
        before = {} if asked is None else asked.terms
        whole = _read(job, merged(merged(new.raw, patch_of(before)), theirs), sites)
        refused |= terms_refused(job, new, whole)
        terms = terms_asked(new, whole, before)
        if terms and terms != before:
            events.append(AlterOrdered(terms=terms))
    if refused:
        raise Conflict("not-alterable", "; ".join(refused.values()))
    if theirs and (job.cancel_requested or job.overdue):
        raise Conflict("too-late", f"job {job.ref.number} is being ended")
    return _Wanted(now=new, events=tuple(events), size=document_size(whole.raw))


def _detail(event: Altered | AlterOrdered) -> dict[str, Any]:
    return dict(event.terms) if isinstance(event, AlterOrdered) else {"fields": list(event.fields)}


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
