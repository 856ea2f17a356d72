"""Signing out everywhere: every key, every browser, and the tokens at Globus.

The public function can neither unseal the tokens nor read the client's secret, so it writes the wish down: an inbox
item on the user's desk. The planner, which may, revokes the tokens at Globus and removes their record (see
``service.tokens``). What this function may, it does at once. Each step is safe to repeat, and the key that the
request came with goes last, so that a request that was cut off can be sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.ids import UserId
from chalicelib.core.job import FINAL, Job, State
from chalicelib.core.keys import JOBS, Caller, KeyKind
from chalicelib.core.ports.bell import Bell
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.desks import Desks
from chalicelib.core.ports.jobs import Wanted
from chalicelib.core.ports.logins import LoginStore
from chalicelib.core.progress import needs_globus
from chalicelib.service import fresh
from chalicelib.service.jobs import ManageJobs

MOST_NAMED = 200
"""Jobs that the answer names."""
_MOST_PAGES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a user signed out of. ``stops``: live jobs, newest first, that still need Globus and now wait for a
    login; ``more`` if there may be others that are not named."""

    keys: int
    browsers: int
    stops: tuple[Job, ...]
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """The one verb."""

    logins: LoginStore
    jobs: ManageJobs
    desks: Desks
    bell: Bell
    clock: Clock

    def leave(self, caller: Caller) -> Left:
        """Sign the caller out everywhere. Agents' tokens stay: they open a site's sync and nothing of the user's."""
        caller.require(JOBS)
        stops, more = self._stopped(caller)
        now = self.clock.now()
        # From here on older browsers are signed out, and no terminal that was approved before gets its key.
        self.logins.note_departure(caller.user, now)
        self.desks.record(caller.user, fresh.inbox_item(now, (), logout=now), now)
        self.bell.ring(caller.user)
        browsers = self._end_sessions(caller.user, now)
        return Left(keys=self._end_keys(caller), browsers=browsers, stops=tuple(stops), more=more)

    def _end_sessions(self, user: UserId, now: datetime) -> int:
        found = [session for session in self.logins.sessions_of(user) if session.signed_in_at <= now]
        for session in found:
            self.logins.remove_session(session.cookie_hash)
        return sum(1 for session in found if now < session.expires_at)

    def _end_keys(self, caller: Caller) -> int:
        ids = [key.id for key in self.logins.keys_of(caller.user) if key.kind is KeyKind.KEY]
        own = [caller.key_id] if caller.key_id else []
        others = [each for each in ids if each not in own]
        return sum(self.logins.remove_key(each, caller.user) for each in (*others, *own))

    def _stopped(self, caller: Caller) -> tuple[Sequence[Job], bool]:
        wanted = Wanted(states=frozenset(set(State) - FINAL))
        found: list[Job] = []
        marker: str | None = None
        for _ in range(_MOST_PAGES):
            page, marker = self.jobs.page(caller, wanted, MOST_NAMED, marker)
            found += (seen.job for seen in page if needs_globus(seen.job))
            if marker is None or len(found) >= MOST_NAMED:
                break
        return found[:MOST_NAMED], marker is not None or len(found) > MOST_NAMED
