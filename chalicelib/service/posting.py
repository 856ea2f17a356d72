"""The commit of a POST of jobs.

The order makes it whole or nothing, and safe to repeat:

1. validate everything; nothing is written for a request with a fault;
2. take numbers, check the caps (``service.allowance``) and the places of outputs, and put the posting under the
   idempotency key: it names the numbers;
3. write for whom its jobs wait: the edges, and on each of those jobs that somebody waits for it;
4. put each document and first status, if absent;
5. note the places that outputs go to; a place that a live job writes to is a conflict. The rows come first, so
   that whoever finds a note finds its job as well;
6. in one transaction: the posting is committed, the inbox names the jobs, the desk is woken, and
   its tally is raised, if it leaves room;
7. ring.

Rows without a committed posting are nobody's jobs: they are not shown and never planned. A repeat under the
same key finds the posting and goes on from step 3 with the same numbers.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.ahead import check_staging
from chalicelib.core.document import Document
from chalicelib.core.errors import FarSide, Fault, InFlight, Invalid
from chalicelib.core.holdings import Holding
from chalicelib.core.ids import JobNumber, JobRef, SiteId
from chalicelib.core.job import Job
from chalicelib.core.keys import Caller
from chalicelib.core.paths import Location
from chalicelib.core.ports.bell import Bell
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.jobs import Commit, Dependants, Jobs, Posting, Postings
from chalicelib.core.ports.places import Sites
from chalicelib.core.posting import (
    IN_FLIGHT,
    body_digest,
    contested,
    first_status,
    key_digest,
    read_documents,
)
from chalicelib.core.sites import Site, check_for_site
from chalicelib.service import fresh
from chalicelib.service.allowance import Allowance
from chalicelib.service.awaiting import note_dependants, parents_of
from chalicelib.service.doors import Doors
from chalicelib.service.outlooks import Outlooks, Prospect
from chalicelib.service.targets import note_targets, output_conflict, writes

_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """The answer to a POST: the same for each repeat under one key."""

    jobs: tuple[tuple[JobNumber, str], ...]
    replayed: bool
    prospects: Mapping[JobNumber, Prospect]
    """Whether the user's login session will last for each of them, as it is seen now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it was read: its documents in order, the sites they name, and what they add to a user's jobs."""

    raw: object
    documents: Sequence[Document]
    sites: Sequence[Site]
    adds: Holding


@dataclass(frozen=True, slots=True, kw_only=True)
class PostJobs:
    """Takes jobs on."""

    jobs: Jobs
    dependants: Dependants
    postings: Postings
    sites: Sites
    allowance: Allowance
    bell: Bell
    clock: Clock
    outlooks: Outlooks
    doors: Doors

    def post(self, caller: Caller, raw: object, key: str | None) -> Posted:
        """Commit the jobs of a request.

        :raises Invalid: every fault of every document, or a key that was used for another request.
        :raises Conflict: an output would go where a live job's output goes.
        :raises Forbidden: the key was made for longer than a site takes.
        :raises LoginNeeded: the caller's sign-in is not what a site demands.
        :raises TooMany: they would be more live jobs, or larger documents, than the caller may have.
        :raises InFlight: the first request under this key is still being answered.
        """
        documents = read_documents(raw)
        sites = self._check_sites(caller, documents, many=isinstance(raw, dict) and "jobs" in raw)
        parents = self._check_parents(caller, documents, many=isinstance(raw, dict) and "jobs" in raw)
        now = self.clock.now()
        adds = Holding(jobs=len(documents), bytes=sum(document.size for document in documents))
        asked = Asked(raw=raw, documents=documents, sites=[site for site in sites.values() if site], adds=adds)
        posting, mine = self._begin(caller, asked, key, now)
        answer = tuple((number, doc.name) for number, doc in zip(posting.numbers, documents, strict=True))
        rows = [
            (first_status(doc, self._ref(caller, number), caller.username, index, posting.key, now), doc.raw)
            for index, (number, doc) in enumerate(zip(posting.numbers, documents, strict=True))
        ]
        prospects = self.outlooks.of(caller.user, [(job, sites[job.site]) for job, _ in rows], now)
        if posting.committed:
            return Posted(jobs=answer, replayed=True, prospects=prospects)
        if not mine and now - posting.started_at < IN_FLIGHT:
            raise InFlight
        edges = [(parent.number, job.ref.number) for job, _ in rows for parent in job.parents]
        note_dependants(self.dependants, self.jobs, self.clock, parents, edges)
        self.postings.put_rows(rows)
        for job, document in zip((job for job, _ in rows), documents, strict=True):
            note_targets(self.jobs, self.postings, job, document, now, company=posting.numbers)
        self._commit(posting, adds)
        self.bell.ring(caller.user)
        return Posted(jobs=answer, replayed=not mine, prospects=prospects)

    def _commit(self, posting: Posting, adds: Holding) -> None:
        """Commit within the caps. What the desk's tally does not allow may be allowed by a count."""
        for _ in range(_TRIES):
            now = self.clock.now()
            fact = fresh.inbox_item(now, posting.numbers)
            if self.postings.commit(posting, fact, now, adds, self.allowance.caps) is not Commit.FULL:
                return
            self.allowance.check(posting.user, adds, posting=posting.key)
            self.allowance.include(posting.user, min(posting.numbers))
        raise FarSide("dynamodb", "Collision", "Other requests of yours were being answered.", transient=True)

    def _ref(self, caller: Caller, number: JobNumber) -> JobRef:
        return JobRef(user=caller.user, number=number)

    def _check_sites(
        self, caller: Caller, documents: Sequence[Document], *, many: bool
    ) -> Mapping[SiteId, Site | None]:
        """The sites of the documents. One that the caller may not use does not exist for them."""
        sites = {name: self.sites.get(name) for name in {document.site for document in documents}}
        faults: list[Fault] = []
        for index, document in enumerate(documents):
            pointer = f"/jobs/{index}" if many else ""
            site = sites[document.site]
            if site is None or not site.admits(caller.user, caller.username):
                faults.append(Fault(f"{pointer}/site", f"there is no site {document.site!r} that you may use"))
            else:
                check_for_site(document, site, pointer, faults)
                check_staging(document, site, pointer, faults)
        if faults:
            raise Invalid(tuple(faults))
        return sites

    def _check_parents(self, caller: Caller, documents: Sequence[Document], *, many: bool) -> Mapping[JobNumber, Job]:
        """The jobs that the documents wait for: the caller's own, live or ended."""
        if not any(document.depends_on for document in documents):
            return {}
        faults: list[Fault] = []
        pointers = [f"/jobs/{index}" if many else "" for index in range(len(documents))]
        found = parents_of(self.jobs, self.postings, caller.user, documents, pointers, faults)
        if faults:
            raise Invalid(tuple(faults))
        return found

    def _begin(self, caller: Caller, asked: Asked, key: str | None, now: datetime) -> tuple[Posting, bool]:
        """Find the posting of this key or put one; the flag tells whether it is this request's own.

        A request that a site's demands, a cap or another job's outputs do not allow is refused here, before
        anything of it is stored: who is refused again and again must not fill the table.
        """
        digest = secrets.token_hex(20) if key is None else key_digest(caller.user, "jobs", key)
        body = body_digest(asked.raw)
        posting = None if key is None else self.postings.find(caller.user, digest)
        mine = False
        if posting is None:
            self.doors.check(caller, asked.sites, now)
            taken = self.postings.numbers(caller.user, asked.adds.jobs)
            self.allowance.check(caller.user, asked.adds, taken.tally)
            self._check_targets(caller, taken.numbers, asked.documents, now)
            own = Posting(user=caller.user, key=digest, body=body, numbers=taken.numbers, started_at=now)
            posting = self.postings.begin(own)
            mine = posting.numbers == taken.numbers
        if posting.body != body:
            fault = Fault("", "this Idempotency-Key was used for another request; use a new one")
            raise Invalid((fault,), code="idempotency-mismatch")
        return posting, mine

    def _check_targets(
        self, caller: Caller, numbers: Sequence[JobNumber], documents: Sequence[Document], now: datetime
    ) -> None:
        """Refuse an output that goes where another's of this request, or of a live job, goes. A job that comes in at
        the same moment is met by the notes, which decide."""
        wanted: dict[str, tuple[JobNumber, int, Location]] = {}
        for index, (number, document) in enumerate(zip(numbers, documents, strict=True)):
            for name, (item, place) in contested(document, number, index).items():
                if name in wanted:
                    raise output_conflict(item, number, place, wanted[name][0])
                wanted[name] = (number, item, place)
        for name, noted in self.postings.noted(caller.user, list(wanted)).items() if wanted else ():
            if writes(self.jobs, self.postings, caller.user, noted, now):
                number, item, place = wanted[name]
                raise output_conflict(item, number, place, noted)
