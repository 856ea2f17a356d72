"""One pass over a claimed desk: read the inbox, observe what is under way, settle it, plan, submit.

Nothing is remembered between passes but what is stored. A pass can end between any two of its lines: what it
did is found again by the next, and what it did not is still due.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from chalicelib.core.batch import Movement, room, route_of
from chalicelib.core.company import joined, waits_until
from chalicelib.core.desk import InboxItem, Plan, Route, Trouble
from chalicelib.core.drafting import Draft, draft, long_slots
from chalicelib.core.due import due
from chalicelib.core.errors import FarSide, LoginNeeded
from chalicelib.core.events import DelayOver, StagingDue
from chalicelib.core.globus_codes import waits_for_user
from chalicelib.core.ids import JobNumber, UserId
from chalicelib.core.job import Job, Leg, Stage, State
from chalicelib.core.just_in_time import begin_at, usual_time, ways_in
from chalicelib.core.polling import FIRST_RETRY, ask_for_login, interval, is_due, next_look, rest
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.desks import Batches, Desks
from chalicelib.core.ports.jobs import Dependants, Jobs
from chalicelib.core.ports.places import Sites
from chalicelib.core.ports.transfer import Submissions, Tasks
from chalicelib.core.progress import plannable, stage_of, waits_for_start, waits_to_try
from chalicelib.core.sessions import NOBODY, Session
from chalicelib.core.tokens import AccessToken, bought_since
from chalicelib.service.board import Board, OutOfTime, Shelf, Turn
from chalicelib.service.changing import Step, in_turns
from chalicelib.service.depending import settle_dependencies
from chalicelib.service.inbox import MOST_LISTED, Inbox, inbox_of
from chalicelib.service.observing import observe, withdraw
from chalicelib.service.submitting import UNAUTHORIZED, destinations, drop_unfrozen, resume, send
from chalicelib.service.timing import keep_deadlines, merge_notes, note_deadlines
from chalicelib.service.watching import Watching

log = logging.getLogger(__name__)


class AccessTokens(Protocol):
    """Gives the user's access token, renewed where needed; raises LoginNeeded or FarSide."""

    def access_token(self, user: UserId, now: datetime, *, rejected: int | None = None) -> AccessToken:
        """A token for a pass that begins now, and another than version ``rejected``."""
        ...

    def forget(self, user: UserId, before: datetime) -> None:
        """Revoke at Globus, and remove, the tokens of a login before that moment. Safe to repeat. Raises FarSide."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """Makes passes."""

    desks: Desks
    batches: Batches
    jobs: Jobs
    dependants: Dependants
    sites: Sites
    submissions: Submissions
    tasks: Tasks
    access: AccessTokens
    clock: Clock
    watching: Watching

    def make(self, board: Board, time_left: Callable[[], timedelta]) -> datetime | None:
        """Do what is due, and return when to look again; None if nothing is under way."""
        shelf = Shelf(user=board.user, jobs_port=self.jobs, sites_port=self.sites, now=self.clock.now)
        turn = Turn(
            board=board,
            shelf=shelf,
            batches=self.batches,
            desks=self.desks,
            submissions=self.submissions,
            tasks=self.tasks,
            clock=self.clock,
            time_left=time_left,
            renewal=lambda collections: self.watching.known.renewal(collections, self.clock.now()),
        )
        try:
            all_read = self._pass(turn)
        except OutOfTime:
            all_read = False
        return self.clock.now() if not all_read else _next_look(board, self.clock.now())

    def _pass(self, turn: Turn) -> bool:
        """Do what is due; returns whether that was all of the inbox that can be seen to."""
        board, shelf, began = turn.board, turn.shelf, self.clock.now()
        inbox = inbox_of(self.desks.inbox(board.user, MOST_LISTED), began)
        signed_in = inbox.login
        if signed_in and (board.plan.need is not None or board.plan.batches):
            # Stored at once: the item that says so goes before the desk is closed.
            board.keep(_signed_in(board.plan, self.clock.now()))
        shelf.load(inbox.named(), board.live())
        drop_unfrozen(turn)
        settle_dependencies(turn, self.jobs, self.dependants)
        for job in [job for job in shelf.jobs.values() if waits_to_try(job)]:
            self._wait_to_try(turn, job)
        for job in [job for job in shelf.jobs.values() if waits_for_start(job)]:
            self._wait_for_start(turn, job)
        keep_deadlines(turn, inbox.notes, lambda: self._session(turn))
        for some in in_turns([job for job in shelf.jobs.values() if due(job) is not None]):
            turn.check_time()
            shelf.change_many([(job, lambda _: ()) for job in some])
        watch = board.plan.watch
        near = watch is not None and (signed_in or (watch.at is not None and watch.at <= self.clock.now()))
        waits = bool(inbox.backlog) or any(plannable(job) for job in shelf.jobs.values())
        left_at = max((item.logout for item in inbox.facts if item.logout is not None), default=None)
        left = left_at is None
        waits = waits or board.plan.need is not None
        if inbox.asks or board.plan.batches or waits or self.watching.wanted(turn, all_jobs=near):
            left = self._with_globus(turn, inbox, left_at, all_jobs=near)
            self.watching.telling.login_needed(turn)
        elif board.plan.trouble is not None:
            # Nothing is left that it could hold up.
            board.plan = replace(board.plan, trouble=None)
        note_deadlines(turn, shelf.jobs.values())
        merge_notes(turn, inbox.notes)
        # A wish to be signed out stays in the inbox until Globus has taken it.
        kept = [item for item in inbox.facts if (not left and item.logout) or _announced(turn, item, began)]
        tidied = inbox.tidy(turn, self.watching.unlearnt(turn), kept)
        return not inbox.more or not tidied

    def _session(self, turn: Turn) -> Session:
        """How the user is signed in, as their tokens tell; nohow while these cannot be had."""
        try:
            return self.access.access_token(turn.board.user, self.clock.now()).session
        except (LoginNeeded, FarSide):
            return NOBODY

    def _wait_to_try(self, turn: Turn, job: Job) -> None:
        """Let a job's next try begin at its time, and have the desk woken by then."""
        assert job.not_before is not None, "it waits for a time"
        turn.check_time()
        if job.not_before > self.clock.now() and not job.cancel_requested:
            turn.board.wake_by(job.not_before)
        else:
            turn.shelf.apply(job, Step(event=DelayOver()))

    def _wait_for_start(self, turn: Turn, job: Job) -> None:
        """Let a job's inputs set out when its start is near, and have the desk woken by then."""
        turn.check_time()
        now = self.clock.now()
        ways = ways_in(job, turn.shelf.site(job.site).home)
        at = begin_at(job.starts_at, usual_time(turn.board.plan, ways), now)
        if at > now:
            turn.board.wake_by(at)
        else:
            turn.shelf.apply(job, Step(event=StagingDue()))

    def _with_globus(self, turn: Turn, inbox: Inbox, left_at: datetime | None, *, all_jobs: bool) -> bool:
        """Observe and submit. What the far side refuses is kept on the desk, where people can see it.

        A user who signed out everywhere is signed out first; returns whether that, if it was wished for, is done.
        """
        now = self.clock.now()
        board = turn.board
        before = board.plan.trouble
        if before is not None and before.until is not None and before.until > now:
            return left_at is None  # Globus asked to be left alone until then
        left = left_at is None
        try:
            if left_at is not None:
                self.access.forget(board.user, left_at)
                left = True
            token = self.access.access_token(board.user, now)
            need = board.plan.need
            if need is not None and bought_since(token.version, need.since):
                # A login came, and whoever was to tell of it died between storing its tokens and saying so.
                board.plan = _signed_in(board.plan, now)
            elif need is not None and need.collections is None:
                # It was about the token itself; if it still holds, Globus says so again.
                board.plan = replace(board.plan, need=None, resumed_at=now)
            try:
                self._move(turn, token, inbox)
            except FarSide as fault:
                if fault.status != UNAUTHORIZED:
                    raise
                # Globus no longer takes this token, whatever its time: renew it, or learn that it is refused.
                token = self.access.access_token(board.user, now, rejected=token.version)
                self._move(turn, token, inbox)
            self.watching.look(turn, token, all_jobs=all_jobs)
        except LoginNeeded as need:
            log.info("login needed", extra={"fields": {"user": board.user, "cause": str(need.reason)}})
            board.note(need, now)
            board.plan = replace(board.plan, trouble=None)
        except FarSide as fault:
            log.warning("far side failed", extra={"fields": {"user": board.user, "cause": fault.code}})
            since = now if before is None else before.since
            until = rest(fault.retry_after, self.clock.now())
            trouble = Trouble(code=fault.code, words=fault.detail, since=since, until=until)
            board.plan = replace(board.plan, trouble=trouble)
        else:
            board.plan = replace(board.plan, trouble=None)
        return left

    def _move(self, turn: Turn, token: AccessToken, inbox: Inbox) -> None:
        if withdraw(turn, token) or is_due(turn.board.plan, self.clock.now()):
            observe(turn, token)
        for live in turn.board.plan.batches:
            if live.task is None:
                resume(turn, token, live)
        more = True
        while more and room(turn.board.plan, self.clock.now()) > 0:
            more = inbox.read_on(turn)
            self._submit(turn, token)

    def _submit(self, turn: Turn, token: AccessToken) -> None:
        """Send what of the jobs at hand there is room for."""
        plan, now = turn.board.plan, self.clock.now()
        free = room(plan, now)
        waiting = sorted((job for job in turn.shelf.jobs.values() if plannable(job)), key=lambda job: job.ref)
        if not waiting:
            return
        wanted, occupied = _without_lingering(turn, _wanted(turn, waiting)), destinations(turn, waiting)
        for each in draft(wanted, occupied, free, long=long_slots(plan, now), rate=plan.usual_rate):
            turn.check_time()
            if not turn.held_up(each.route):
                _note_stream(turn, each)
                send(turn, token, each)


def _wanted(turn: Turn, waiting: Sequence[Job]) -> list[tuple[Leg, Movement, Stage]]:
    """The pending items that nothing but room keeps back."""
    turn.shelf.documents_of((job.ref.number, job.revision) for job in waiting)
    wanted = []
    for job in waiting:
        stage = stage_of(job)
        assert stage is not None, "a plannable job is in a stage"
        for leg in job.pending:
            move = turn.shelf.movement(job, stage, leg.item, job.revision)
            if not turn.held_up(route_of(move, stage)):
                wanted.append((leg, move, stage))
    return wanted


def _without_lingering(
    turn: Turn, wanted: Sequence[tuple[Leg, Movement, Stage]]
) -> Sequence[tuple[Leg, Movement, Stage]]:
    """Those that do not wait for company. What is sent for a second time has waited long enough."""
    ends: dict[Route, dict[JobNumber, datetime]] = {}
    for leg, move, stage in wanted:
        if stage is Stage.STAGE_OUT and leg.share is None:
            ends.setdefault(route_of(move, stage), {})[move.member.number] = _ended_at(turn, move.member.number)
    lingering = set()
    for route, jobs in ends.items():
        until = waits_until(turn.board.plan.stream(route), route, list(jobs.values()))
        if until is not None and until > turn.clock.now():
            turn.board.wake_by(until)
            lingering.add(route)
    return [each for each in wanted if each[0].share is not None or route_of(each[1], each[2]) not in lingering]


def _note_stream(turn: Turn, sent: Draft) -> None:
    """Remember when the jobs of a batch of outputs ended: by that is told whether others are to be expected."""
    if sent.route.stage is not Stage.STAGE_OUT or sent.careful:
        return
    ends = [_ended_at(turn, number) for number in {move.member.number for move in sent.movements}]
    stream = joined(turn.board.plan.stream(sent.route), sent.route, ends)
    if stream is not None:
        turn.board.plan = turn.board.plan.with_stream(stream)


def _ended_at(turn: Turn, number: JobNumber) -> datetime:
    return turn.shelf.jobs[number].updated_at


def _signed_in(plan: Plan, now: datetime) -> Plan:
    """The plan after a login: nothing is known to need one, and what stood still may go on."""
    batches = tuple(
        replace(live, signed_in_at=now) if live.look.trouble and waits_for_user(live.look.trouble) else live
        for live in plan.batches
    )
    return replace(plan, need=None, resumed_at=now, batches=batches)


def _announced(turn: Turn, item: InboxItem, began: datetime) -> bool:
    """Whether what the item tells of may still be on its way: a job that this pass read at its site may have ended."""
    if item.until is None or item.until <= began:
        return False
    found = (turn.shelf.jobs.get(number) for number in item.numbers)
    if not any(job is not None and _at_site(job) for job in found):
        return False
    known = turn.board.announced_until
    turn.board.announced_until = item.until if known is None else min(known, item.until)
    return True


def _at_site(job: Job) -> bool:
    """Whether its site may be about to say something of it."""
    ahead = job.ahead is not None and not job.state.final
    return ahead or job.state in (State.STAGED, State.QUEUED, State.ACTIVE)


def _next_look(board: Board, now: datetime) -> datetime | None:
    """When what is under way wants to be looked at, or what failed to be tried again."""
    need, trouble, watch = board.plan.need, board.plan.trouble, board.plan.watch
    # A time that has passed without a look waits for something else: the login, or who signed in.
    watched = watch.at if watch is not None and watch.at is not None and watch.at > now else None
    looks: list[datetime | None] = [board.announced_until, board.deadline_at]
    if trouble is not None:
        asked = trouble.until is not None and trouble.until > now
        looks.append(trouble.until if asked else now + max(FIRST_RETRY, interval(now - trouble.since)))
    elif need is not None and need.collections is None:
        looks.append(watched)
    else:
        looks += [next_look(board.plan), board.wake_at, watched]
        looks += [live.retry_at or now + FIRST_RETRY for live in board.plan.batches if live.task is None]
    if need is not None:
        looks.append(ask_for_login(need.since, now))
    return min((at for at in looks if at is not None), default=None)
