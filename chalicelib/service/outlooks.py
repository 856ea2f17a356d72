"""Whether a user's login session lasts as long as their jobs need it: told when jobs are posted and when they are
looked at. Reads the user's profile once and each collection once a call, however many jobs are asked about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from chalicelib.core.consent import CollectionFacts, LoginDemand, LoginReason, data_access
from chalicelib.core.forecast import NOTHING_TO_SERVE, Expectations, Outlook, collections_of, outlook
from chalicelib.core.ids import CollectionId, JobNumber, UserId
from chalicelib.core.job import Job
from chalicelib.core.logins import LoginRequest, Profile, request_for
from chalicelib.core.ports.logins import ProfileStore
from chalicelib.core.ports.places import Collections
from chalicelib.core.sessions import NOBODY
from chalicelib.core.sites import Site

_MOST_WARM = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What is expected of a job, and the login that would help; None where none is needed."""

    outlook: Outlook
    link: LoginRequest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlooks:
    """One instance a process: it keeps facts of collections for as long as they count as true."""

    profiles: ProfileStore
    collections: Collections
    expected: Expectations
    _warm: dict[CollectionId, CollectionFacts] = field(default_factory=dict, repr=False)

    def of(self, user: UserId, jobs: Iterable[tuple[Job, Site | None]], now: datetime) -> Mapping[JobNumber, Prospect]:
        """The prospects of the user's jobs, by number. Jobs alike in all that matters are thought about once."""
        found = [(job, site) for job, site in jobs]
        wanted = {each for job, site in found if site for each in collections_of(job, site.home)}
        profile = self.profiles.load_profile(user) if wanted else None
        facts = self._facts(wanted, now)
        alike: dict[object, Prospect] = {}
        prospects = {}
        for job, site in found:
            key = (job.site, job.state, job.journey, job.legs, job.trail[-1:] and job.trail[-1].at)
            if key not in alike:
                alike[key] = self._prospect(user, job, site, profile, facts, now)
            prospects[job.ref.number] = alike[key]
        return prospects

    def _prospect(
        self,
        user: UserId,
        job: Job,
        site: Site | None,
        profile: Profile | None,
        facts: Mapping[CollectionId, CollectionFacts],
        now: datetime,
    ) -> Prospect:
        if site is None:
            return Prospect(outlook=NOTHING_TO_SERVE)
        session = profile.session if profile else NOBODY
        seen = outlook(job, site.home, facts, session, self.expected.at(site.queue_wait), now)
        if seen.until is None:
            return Prospect(outlook=seen)
        asked = LoginDemand(
            reason=LoginReason.SESSION,
            detail="",
            scopes=tuple(data_access(each) for each in seen.collections),
            session=seen.login,
        )
        return Prospect(outlook=seen, link=request_for(asked, user, consented=profile.scopes if profile else ()))

    def _facts(self, wanted: Iterable[CollectionId], now: datetime) -> Mapping[CollectionId, CollectionFacts]:
        """What is known, however old: facts change seldom, and the planner asks again when it plans."""
        asked = frozenset(wanted)
        cold = [each for each in asked if each not in self._warm or not self._warm[each].fresh_at(now)]
        if len(self._warm) >= _MOST_WARM:
            self._warm.clear()
        if cold:
            self._warm.update(self.collections.get(cold))
        return {each: self._warm[each] for each in asked if each in self._warm}
