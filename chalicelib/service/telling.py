"""Telling users what only they can do something about: once for each cause, by the operator's topic.

The message goes out first and its cause is stored on the desk after it: a crash between the two repeats the
message, which says by its ``cause`` that it is the same.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from chalicelib.core.consent import LoginDemand
from chalicelib.core.desk import LoginNeed, Watch
from chalicelib.core.errors import FarSide
from chalicelib.core.forecast import held_up
from chalicelib.core.globus_codes import waits_for_user
from chalicelib.core.ids import UserId
from chalicelib.core.job import FINAL, Job, State
from chalicelib.core.logins import login_address, request_for
from chalicelib.core.notices import MOST_JOBS, Kind, Notice, addresses, login_cause
from chalicelib.core.ports.jobs import Jobs, Wanted
from chalicelib.core.ports.notices import Notices
from chalicelib.service.board import Turn
from chalicelib.service.waking import demand

log = logging.getLogger(__name__)

MOST_PAGES = 20
"""Pages of a listing that one look at all live jobs may read."""

TRY_AGAIN = timedelta(minutes=5)
"""When a notice that was not taken is tried again."""

_PAGE = 200
_LIVE = frozenset(set(State) - FINAL)


class Consents(Protocol):
    """Tells what a user has consented to, for the link that asks for all of it again."""

    def consented(self, user: UserId) -> tuple[str, ...]:
        """The scopes of the user's last login; () if there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """Makes notices and hands them over. ``base_url`` is where the API is reached."""

    notices: Notices
    consents: Consents
    jobs: Jobs
    base_url: str

    def login_needed(self, turn: Turn) -> None:
        """Tell the user of the login that their jobs wait for."""
        need, watch = turn.board.plan.need, turn.board.plan.watch or Watch()
        if need is None or login_cause(need) in watch.told:
            return
        waiting = self._waiting(turn, need)
        if not waiting:
            return
        if self.send(turn, Kind.LOGIN_NEEDED, login_cause(need), waiting, demand(need)):
            others = tuple(each for each in watch.told if not each.startswith(Kind.LOGIN_NEEDED))
            self.keep(turn, replace(watch, told=(*others, login_cause(need))))
        else:
            self.keep(turn, replace(watch, at=turn.clock.now() + TRY_AGAIN))

    def send(
        self, turn: Turn, kind: Kind, cause: str, jobs: Sequence[Job], asked: LoginDemand, at: datetime | None = None
    ) -> bool:
        """Hand a notice about these jobs over; False if it was not taken."""
        turn.check_time()
        user = turn.board.user
        notice = Notice(
            kind=kind,
            cause=cause,
            user=user,
            username=jobs[0].owner,
            jobs=tuple(job.ref.number for job in jobs[:MOST_JOBS]),
            count=len(jobs),
            emails=addresses(jobs),
            detail=asked.detail,
            login_url=login_address(self.base_url, request_for(asked, user, consented=self.consents.consented(user))),
            sent_at=turn.clock.now(),
            at=at,
        )
        try:
            self.notices.publish(notice)
        except FarSide as fault:
            log.warning("notice not taken", extra={"fields": {"user": user, "cause": fault.code}})
            return False
        log.info("notice sent", extra={"fields": {"user": user, "kind": str(kind), "cause": cause}})
        return True

    def keep(self, turn: Turn, watch: Watch) -> None:
        """Store what was told at once: the less lies between the message and this, the fewer repeats."""
        turn.board.keep(replace(turn.board.plan, watch=watch))

    def live(self, turn: Turn, pages: int = MOST_PAGES) -> Iterator[Job]:
        """The user's live jobs: those at hand, then those of the listing, as far as one look may read."""
        yield from (job for job in turn.shelf.jobs.values() if not job.state.final)
        marker: str | None = None
        for _ in range(pages):
            turn.check_time()
            page = self.jobs.list(turn.board.user, Wanted(states=_LIVE), _PAGE, marker)
            for job in page.jobs:
                # One that still names its POST is not known to be committed: it is at hand, or nobody's.
                if job.posted is None and job.ref.number not in turn.shelf.jobs:
                    yield job
            marker = page.marker
            if marker is None:
                return

    def _waiting(self, turn: Turn, need: LoginNeed) -> list[Job]:
        """The jobs that the need holds up. Those with something to move are at hand: the inbox names them."""
        if need.collections is None:
            return list(self.live(turn, pages=1))
        still = [
            live.batch
            for live in turn.board.plan.batches
            if live.look.trouble is not None and waits_for_user(live.look.trouble)
        ]
        for batch in still:
            frozen = turn.batches.get(turn.board.user, batch)
            turn.shelf.load(frozen.numbers()[:MOST_JOBS] if frozen else (), turn.board.live())
        return [
            job
            for job in turn.shelf.jobs.values()
            if held_up(job, turn.shelf.site(job.site).home, need) or job.moving_in().intersection(still)
        ]
