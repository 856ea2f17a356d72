"""What a login does to a user's jobs, and what they wait for meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.core.consent import LoginDemand, data_access
from chalicelib.core.desk import LoginNeed
from chalicelib.core.ids import UserId
from chalicelib.core.job import FINAL, State
from chalicelib.core.ports.bell import Bell
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.desks import Desks
from chalicelib.core.ports.jobs import Jobs, Wanted
from chalicelib.service import fresh


@dataclass(frozen=True, slots=True, kw_only=True)
class Waking:
    """Implements ``core.ports.auth.Wake`` and ``LoginNeeds``, and ``core.ports.tokens.LiveUsers``."""

    desks: Desks
    jobs: Jobs
    bell: Bell
    clock: Clock

    def look_again(self, user: UserId) -> None:
        """Have the planner find out what the user's jobs wait for now."""
        self.desks.record(user, fresh.inbox_item(self.clock.now(), ()), self.clock.now())
        self.bell.ring(user)

    def user_signed_in(self, user: UserId) -> None:
        """Have the planner try again what waited for the login."""
        now = self.clock.now()
        self.desks.record(user, fresh.inbox_item(now, (), login=True), now)
        self.bell.ring(user)

    def current(self, user: UserId) -> LoginDemand | None:
        """Why the user has to sign in, or None."""
        desk = self.desks.read(user)
        return None if desk is None or desk.plan.need is None else demand(desk.plan.need)

    def has_live_jobs(self, user: UserId) -> bool:
        """Whether any job of the user is not final."""
        wanted = Wanted(states=frozenset(set(State) - FINAL))
        page = self.jobs.list(user, wanted, 1, None)
        while not page.jobs and page.marker is not None:
            page = self.jobs.list(user, wanted, 1, page.marker)
        return bool(page.jobs)


def demand(need: LoginNeed) -> LoginDemand:
    """A need as the login that ends it has to meet it: it asks for every collection that is held up.

    Of a way that is held up it asks for both ends: which of them have a consent to give is seen at the login.
    """
    ends = {each for route in need.routes for each in (route.source, route.destination)}
    held_up = tuple(data_access(each) for each in sorted(ends.union(need.collections or ())))
    scopes = tuple(dict.fromkeys((*need.scopes, *held_up)))
    return LoginDemand(reason=need.reason, detail=need.words, scopes=scopes, session=need.session)
