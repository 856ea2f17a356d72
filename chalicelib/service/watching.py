"""Watching over a user's login session while their jobs need it, and warning of its end in time.

Part of a pass of the planner. What is kept is on the desk (``core.desk.Watch``): the collections in use that demand
something of a sign-in, when to look at all live jobs next, and what the user has been told. All jobs are looked at
only when an end comes close or when the user has signed in; otherwise those that the pass has at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from chalicelib.core.consent import LoginDemand, LoginReason, data_access, joined
from chalicelib.core.desk import Watch
from chalicelib.core.forecast import Expectations, Outlook, alert_at, collections_of, outlook
from chalicelib.core.ids import CollectionId, JobNumber
from chalicelib.core.job import Job
from chalicelib.core.notices import Kind, session_cause
from chalicelib.core.sessions import Session, good_until
from chalicelib.core.tokens import AccessToken
from chalicelib.service.board import Turn
from chalicelib.service.knowing import Knowledge
from chalicelib.service.telling import TRY_AGAIN, Telling

SOONEST_AGAIN = timedelta(minutes=15)
"""How soon jobs that are expected to be done in time are looked at again while an end comes close."""

SOON = timedelta(seconds=5)
"""How soon what could not be learnt now is asked for again."""

Ends = Mapping[CollectionId, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """Compares what collections in use demand with the session that the user's tokens carry."""

    known: Knowledge
    telling: Telling
    expected: Expectations

    def wanted(self, turn: Turn, *, all_jobs: bool) -> bool:
        """Whether there is something to learn or to compare: a reason to get the user's token."""
        return all_jobs or bool(self.known.unknown(turn))

    def unlearnt(self, turn: Turn) -> frozenset[JobNumber]:
        """The jobs at hand of which a collection is still to be learnt: the inbox keeps them until it is."""
        unknown = frozenset(self.known.unknown(turn))
        if not unknown:
            return frozenset()
        turn.board.wake_by(turn.clock.now() + SOON)
        jobs = turn.shelf.jobs.values()
        return frozenset(job.ref.number for job in jobs if unknown & self.known.in_use(turn, [job]))

    def look(self, turn: Turn, token: AccessToken, *, all_jobs: bool) -> None:
        """Learn what is not known of the collections in use, and warn of a session that will not last.

        ``all_jobs``: the time to look at all that live has come, or the user has signed in.
        """
        self.known.learn(turn, token)
        watch = turn.board.plan.watch or Watch()
        names = self._demanding(turn, turn.shelf.jobs.values()) | frozenset(watch.collections)
        if not names or not token.session:
            # Nothing demands anything, or it is not known who signed in: there is no moment to wait for.
            turn.board.plan = replace(turn.board.plan, watch=replace(watch, at=None) if watch.told else None)
            return
        jobs: Sequence[Job] = list(turn.shelf.jobs.values())
        if all_jobs:
            jobs = list(self.telling.live(turn))
            names = self._demanding(turn, jobs)
        ends = self._ends(turn, names, token.session)
        watch, taken = self._warn(turn, token.session, jobs, ends, watch)
        causes = {session_cause(each, until) for each, until in ends.items()}
        told = tuple(each for each in watch.told if each in causes or each.startswith(Kind.LOGIN_NEEDED))
        at = self._next(ends, told, turn.clock.now()) if taken else turn.clock.now() + TRY_AGAIN
        kept = Watch(collections=tuple(sorted(names)), at=at, told=told)
        turn.board.plan = replace(turn.board.plan, watch=kept if names or told else None)

    def _demanding(self, turn: Turn, jobs: Iterable[Job]) -> frozenset[CollectionId]:
        """Those of the collections in use that demand something of a sign-in."""
        facts = self.known.facts(self.known.in_use(turn, jobs), turn.clock.now())
        return frozenset(each for each, known in facts.items() if known.demand)

    def _ends(self, turn: Turn, names: Iterable[CollectionId], session: Session) -> Ends:
        facts = self.known.facts(names, turn.clock.now())
        found = {each: good_until(session, known.demand) for each, known in facts.items()}
        return {each: until for each, until in found.items() if until is not None}

    def _warn(self, turn: Turn, session: Session, jobs: Iterable[Job], ends: Ends, watch: Watch) -> tuple[Watch, bool]:
        """Tell of the ends that are due and that jobs will not be done by.

        Returns the watch with what was told, and False if something was to be told and was not taken.
        """
        now = turn.clock.now()
        due = {
            each
            for each, until in ends.items()
            if alert_at(until, self.expected) <= now and session_cause(each, until) not in watch.told
        }
        if not due:
            return watch, True
        seen = [(job, self._outlook(turn, job, session)) for job in jobs]
        failing = [(job, found) for job, found in seen if due.intersection(found.collections)]
        met = sorted({each for _, found in failing for each in found.collections} & due)
        if not met:
            return watch, True
        until = min(ends[each] for each in met)
        asked = LoginDemand(
            reason=LoginReason.SESSION,
            detail=_words(until, now),
            scopes=tuple(data_access(each) for each in met),
            session=joined(found.login for _, found in failing),
        )
        causes = [session_cause(each, ends[each]) for each in met]
        if not self.telling.send(turn, Kind.SESSION_ENDS, causes[0], [job for job, _ in failing], asked, until):
            return watch, False
        told = replace(watch, told=(*watch.told, *causes))
        self.telling.keep(turn, told)
        return told, True

    def _outlook(self, turn: Turn, job: Job, session: Session) -> Outlook:
        site, now = turn.shelf.site(job.site), turn.clock.now()
        facts = self.known.facts(collections_of(job, site.home), now)
        return outlook(job, site.home, facts, session, self.expected.at(site.queue_wait), now)

    def _next(self, ends: Ends, told: Sequence[str], now: datetime) -> datetime | None:
        """When to look at all live jobs: before each end that the user has not been told of, and again until it."""
        moments = []
        for each, until in ends.items():
            if session_cause(each, until) in told or until <= now:
                continue
            at = alert_at(until, self.expected)
            moments.append(at if at > now else now + max((until - now) / 2, SOONEST_AGAIN))
        return min(moments, default=None)


def _words(until: datetime, now: datetime) -> str:
    if until <= now:
        return "Your sign-in at Globus does not meet what a collection of your jobs demands: they will wait for you."
    moment = f"{until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return f"Your sign-in at Globus counts until {moment}, and jobs of yours are expected to need it for longer."
