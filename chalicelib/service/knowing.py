"""What is known of the collections that a pass deals with, and how the planner gets to know more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chalicelib.core.consent import CollectionFacts, SessionDemand, joined
from chalicelib.core.forecast import collections_of
from chalicelib.core.ids import CollectionId, UserId
from chalicelib.core.job import Job
from chalicelib.core.ports.places import Collections
from chalicelib.core.ports.transfer import Endpoints
from chalicelib.core.tokens import AccessToken
from chalicelib.service.board import Turn

MOST_LEARNT = 20
"""Collections that one pass asks Globus about; the rest are left to the next."""

HIDDEN = timedelta(minutes=10)
"""How long a collection that Globus did not show to a user is not asked about again."""

_MOST_WARM = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """One instance a process: it keeps facts for as long as they count as true."""

    collections: Collections
    endpoints: Endpoints
    _warm: dict[CollectionId, CollectionFacts] = field(default_factory=dict, repr=False)
    _hidden: dict[tuple[UserId, CollectionId], datetime] = field(default_factory=dict, repr=False)

    def facts(self, wanted: Iterable[CollectionId], now: datetime) -> Mapping[CollectionId, CollectionFacts]:
        """What is known of these, however old; what is not known is absent."""
        asked = frozenset(wanted)
        if len(self._warm) >= _MOST_WARM:
            self._warm.clear()
        cold = [each for each in asked if each not in self._warm or not self._warm[each].fresh_at(now)]
        if cold:
            self._warm.update(self.collections.get(cold))
        return {each: self._warm[each] for each in asked if each in self._warm}

    def unknown(self, turn: Turn) -> Sequence[CollectionId]:
        """The collections of the jobs at hand that Globus should be asked about."""
        now = turn.clock.now()
        used = self.in_use(turn, turn.shelf.jobs.values())
        facts = self.facts(used, now)
        return sorted(
            each for each in used if (each not in facts or not facts[each].fresh_at(now)) and self._shown(turn, each)
        )

    def learn(self, turn: Turn, token: AccessToken) -> None:
        """Ask Globus as the user, a call for each; what it does not show to them stays unknown.

        :raises FarSide: Globus did not answer.
        """
        learnt: list[CollectionFacts] = []
        for each in self.unknown(turn)[:MOST_LEARNT]:
            turn.check_time()
            found = self.endpoints.facts(token, each)
            if found is None:
                if len(self._hidden) >= _MOST_WARM:
                    self._hidden.clear()
                self._hidden[turn.board.user, each] = turn.clock.now()
            else:
                learnt.append(found.after(self._warm.get(each)))
        if learnt:
            now = turn.clock.now()
            self.collections.put(learnt, now)
            self._warm.update({each.id: replace(each, learnt_at=now) for each in learnt})

    def in_use(self, turn: Turn, jobs: Iterable[Job]) -> frozenset[CollectionId]:
        """The collections that what remains of these jobs touches."""
        live = (job for job in jobs if not job.state.final and job.journey is not None)
        return frozenset(each for job in live for each in collections_of(job, turn.shelf.site(job.site).home))

    def renewal(self, collections: Iterable[CollectionId], now: datetime) -> SessionDemand:
        """The sign-in that meets what is known of these collections; a fresh one in any case."""
        return replace(joined(each.login for _, each in sorted(self.facts(collections, now).items())), fresh=True)

    def _shown(self, turn: Turn, collection: CollectionId) -> bool:
        at = self._hidden.get((turn.board.user, collection))
        return at is None or turn.clock.now() - at >= HIDDEN
