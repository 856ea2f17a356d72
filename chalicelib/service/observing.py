"""Looking at what is under way, and settling what has ended."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from chalicelib.core.batch import Batch, Member
from chalicelib.core.consent import LoginReason
from chalicelib.core.desk import LiveBatch, Look, NoSpace, Route
from chalicelib.core.drafting import tells_rate
from chalicelib.core.errors import FarSide, LoginNeeded
from chalicelib.core.events import LegsSettled
from chalicelib.core.globus_codes import INACTIVE, Verdict, lasting, verdict, waits_for_user
from chalicelib.core.ids import JobNumber, TaskId
from chalicelib.core.job import Job, Leg, LegStatus, Stage
from chalicelib.core.polling import LONGEST_PATIENCE, try_for_space
from chalicelib.core.ports.transfer import Task, TaskEvent, TaskStatus
from chalicelib.core.progress import abandoned_by, is_timed, plannable, waits_to_try
from chalicelib.core.settling import (
    RENEWED,
    WITHDRAWN,
    Aboard,
    Settled,
    count_delivered,
    falls_short,
    lacks_login,
    out_of_space,
    proven,
    settle_all,
    settle_failure,
    settle_success,
)
from chalicelib.core.tokens import AccessToken
from chalicelib.service import fresh
from chalicelib.service.board import Turn
from chalicelib.service.changing import Step, in_turns
from chalicelib.service.submitting import UNAUTHORIZED, dissolve, put_off
from chalicelib.service.timing import note_deadlines

log = logging.getLogger(__name__)

GRACE = timedelta(minutes=10)
"""How long after a login a suspended task may take to go on before it is sent anew."""


def withdraw(turn: Turn, token: AccessToken) -> bool:
    """Cancel the tasks that none of their jobs wants any more; a job with company waits for the task's end.

    :returns: whether there was any.
    """
    found = False
    leaving = {batch for job in turn.shelf.jobs.values() if abandoned_by(job) for batch in job.moving_in()}
    for live in turn.board.plan.batches:
        if live.batch not in leaving or live.task is None or live.canceling is not None:
            continue
        batch = _frozen(turn, live)
        turn.shelf.load(batch.numbers(), turn.board.live())
        jobs = [turn.shelf.jobs[number] for number in batch.numbers()]
        # Who is over a deadline does not wait for the others: those go again, and what has arrived is compared.
        if all(abandoned_by(job) for job in jobs) or any(job.overdue for job in jobs):
            _cancel(turn, token, live, live.task, WITHDRAWN)
            found = True
    return found


def observe(turn: Turn, token: AccessToken) -> None:
    """Look at every live task in one call, and settle those that have ended."""
    ids = [live.task for live in turn.board.plan.batches if live.task is not None]
    if not ids:
        return
    turn.check_time()
    seen = turn.tasks.look(token, ids)
    others = sum(task.status is TaskStatus.ACTIVE and not task.paused for name, task in seen.items() if name not in ids)
    turn.board.plan = replace(turn.board.plan, looked_at=turn.clock.now(), others=others)
    for live in turn.board.plan.batches:
        if live.task is None:
            continue
        turn.check_time()
        try:
            _see_to(turn, token, live, seen.get(live.task))
        except FarSide as fault:
            put_off(turn, live, fault)


def _see_to(turn: Turn, token: AccessToken, live: LiveBatch, task: Task | None) -> None:
    # Absence from a list proves nothing: ask for that task.
    task = task or turn.tasks.find(token, _frozen(turn, live).label)
    if task is None:
        _missing(turn, live)
    elif task.status.ended:
        _settle(turn, token, live, task)
    else:
        _watch(turn, token, live, task)


def _missing(turn: Turn, live: LiveBatch) -> None:
    """Neither a list nor its label finds the task. Once its deadline is past it cannot be moving anything."""
    batch = _frozen(turn, live)
    if turn.clock.now() > batch.deadline:
        log.error("task lost", extra={"fields": {"user": batch.user, "batch": batch.id, "task": live.task}})
        dissolve(turn, live, batch.numbers())
    else:
        turn.board.remember(replace(live, look=replace(live.look, trouble="TASK_UNKNOWN")))


def _watch(turn: Turn, token: AccessToken, live: LiveBatch, task: Task) -> None:
    """A task that goes on: note what it does, and do not let it fail for ever."""
    if live.canceling is not None:
        # It was to end and has not: the call may never have been made. A repeat does no harm.
        turn.submissions.cancel(token, task.id)
        return
    if task.status is TaskStatus.INACTIVE:
        _suspended(turn, token, live, task)
        return
    look = Look(files=task.files_done, bytes=task.bytes, paused=task.paused, bytes_per_second=task.rate)
    if not task.ok:
        events = turn.tasks.errors(token, task.id)
        full = next((event for event in events[:1] if verdict(event.code) is Verdict.SPACE), None)
        worst = next(iter(lasting(events)), full)
        shown = worst or (events[0] if events else None)
        if shown is not None:
            look = replace(look, trouble=shown.code, words=f"{shown.description} {shown.detail}".strip())
        if worst is not None:
            _cancel(turn, token, replace(live, look=look), task.id, worst.code)
            return
        if shown is not None and verdict(shown.code) is Verdict.USER:
            _ask_for_login(turn, live, LoginReason.SESSION, look, since=shown.time)
            return
    _go_on(turn, live)
    if look != live.look:
        turn.board.remember(replace(live, look=look))


def _suspended(turn: Turn, token: AccessToken, live: LiveBatch, task: Task) -> None:
    """A task without a credential. Globus may take it up again after a login; if it does not, it is sent anew."""
    words = "Globus has suspended the transfer: its credential has expired"
    look = Look(trouble=INACTIVE, words=words, suspended=True)
    if live.signed_in_at is None:
        _ask_for_login(turn, live, LoginReason.REFUSED, look)
    elif turn.clock.now() - live.signed_in_at < GRACE:
        turn.board.remember(replace(live, look=look))
        turn.board.wake_by(live.signed_in_at + GRACE)
    else:
        _cancel(turn, token, replace(live, look=look), task.id, RENEWED)


def _ask_for_login(turn: Turn, live: LiveBatch, reason: LoginReason, look: Look, since: datetime | None = None) -> None:
    """Only the user can help this task; the others go on, and it is looked at until it does.

    ``since``: when Globus said so. What it said before the last login counts no longer.
    """
    turn.board.remember(replace(live, look=look))
    if since is None or live.signed_in_at is None or since > live.signed_in_at:
        _note_login(turn, live.route, reason, look.words or str(reason))


def _note_login(turn: Turn, route: Route, reason: LoginReason, words: str) -> None:
    session = turn.renewal((route.source, route.destination))
    turn.board.note(LoginNeeded(reason, words, session=session), turn.clock.now(), route)


def _go_on(turn: Turn, live: LiveBatch) -> None:
    """A task that waited for a login does so no longer; what else waits for one goes on waiting."""
    need, code = turn.board.plan.need, live.look.trouble
    if need is not None and code is not None and waits_for_user(code):
        turn.board.plan = replace(turn.board.plan, need=need.without(live.route))


def _cancel(turn: Turn, token: AccessToken, live: LiveBatch, task: TaskId, why: str) -> None:
    """Write down why first: the next look must not take the end of the task for somebody else's doing."""
    turn.board.put(replace(live, canceling=why))
    turn.submissions.cancel(token, task)
    log.info("task canceled", extra={"fields": {"user": turn.board.user, "task": task, "cause": why}})


def _settle(turn: Turn, token: AccessToken, live: LiveBatch, task: Task) -> None:
    """Settle every job of an ended task, and only then take the batch off the desk."""
    _go_on(turn, live)
    batch = _frozen(turn, live)
    turn.shelf.load_claimed(batch.id, batch.numbers(), turn.board.live())
    results: dict[JobNumber, dict[int, Settled]] = defaultdict(dict)
    told = _told(turn, token, live, task)
    if words := lacks_login(task, told, live.canceling):
        _note_login(turn, live.route, LoginReason.SESSION, words)
    full = _full(turn, live, task, told)
    waits = None if full is None else () if full.since < turn.clock.now() else (full.words,)
    for member, settled in _results(turn, token, live, task, batch, told, full).items():
        results[member.number][member.item] = settled
    for some in in_turns(batch.numbers()):
        turn.check_time()
        steps = [(turn.shelf.jobs[n], _settling(live, task, results[n], waits)) for n in some if n in results]
        turn.shelf.change_many([(job, partial(_only, step)) for job, step in steps])
    again = [number for number in batch.numbers() if _goes_on(turn.shelf.jobs[number])]
    if again:
        now = turn.clock.now()
        turn.desks.record(turn.board.user, fresh.inbox_item(now, tuple(again)), now)
    note_deadlines(turn, (turn.shelf.jobs[number] for number in batch.numbers()))
    plan = turn.board.plan.without(live.batch)
    if full is not None:
        plan = plan.with_full(full)
    elif task.status is TaskStatus.SUCCEEDED:
        took = task.took or turn.clock.now() - (live.sent_at or live.opened_at)
        plan = plan.without_full(live.route.destination).with_usual(live.route, took, tells_rate(task.bytes, task.rate))
    turn.board.keep(plan)
    turn.batches.drop(turn.board.user, live.batch)
    log.info(
        "batch settled",
        extra={"fields": {"user": turn.board.user, "batch": live.batch, "task": task.id, "status": str(task.status)}},
    )


def _told(turn: Turn, token: AccessToken, live: LiveBatch, task: Task) -> Sequence[TaskEvent]:
    """The error events of a task that did not succeed. One that was withdrawn needs no reason."""
    if task.status is not TaskStatus.FAILED or live.canceling == WITHDRAWN:
        return ()
    return turn.tasks.errors(token, task.id)


def _full(turn: Turn, live: LiveBatch, task: Task, told: Sequence[TaskEvent]) -> NoSpace | None:
    """What to keep of a destination that turned out to be full."""
    if task.status is not TaskStatus.FAILED or (sign := out_of_space(task, told, live.canceling)) is None:
        return None
    now = turn.clock.now()
    before = turn.board.plan.no_space(live.route.destination)
    since = now if before is None else before.since
    words = sign if isinstance(sign, str) else f"{sign.code}: {sign.description} {sign.detail}".strip()
    return NoSpace(collection=live.route.destination, words=words, since=since, again_at=try_for_space(since, now))


def _results(
    turn: Turn,
    token: AccessToken,
    live: LiveBatch,
    task: Task,
    batch: Batch,
    told: Sequence[TaskEvent],
    full: NoSpace | None,
) -> Mapping[Member, Settled]:
    legs = _legs(turn, batch)
    proves = live.route.stage is Stage.STAGE_OUT and not batch.careful
    short = proves and falls_short(legs.values(), task)
    if task.status is TaskStatus.SUCCEEDED and not task.skipped and not short:
        return settle_all(legs)  # no document has to be read for that
    aboard = _aboard(turn, batch, legs)
    if task.status is TaskStatus.FAILED:
        patient = full is None or turn.clock.now() - full.since < LONGEST_PATIENCE
        arrived = proven(aboard, _moved(turn, token, live, task)) if len(aboard) > 1 else frozenset[Member]()
        return settle_failure(aboard, task, told, live.canceling, arrived=arrived, patient=patient)
    skips = turn.tasks.skipped(token, task.id) if task.skipped else ()
    delivered = count_delivered(aboard, turn.tasks.delivered(token, task.id)) if short else None
    return settle_success(aboard, skips, delivered)


def _moved(turn: Turn, token: AccessToken, live: LiveBatch, task: Task) -> Sequence[str]:
    """What a task had moved before it failed. Where Globus will not tell, nothing is taken for proven."""
    if live.canceling == WITHDRAWN or not task.files_done:
        return ()
    try:
        return turn.tasks.delivered(token, task.id)
    except FarSide as fault:
        if fault.transient or fault.status == UNAUTHORIZED:
            raise
        return ()


def _only(step: Step, job: Job) -> tuple[Step, ...]:
    return (step,)


def _settling(live: LiveBatch, task: Task, own: Mapping[int, Settled], waits: tuple[str, ...] | None) -> Step:
    """``waits``: what to tell a job that has something left to go to a full disk; None if the disk is not full."""
    words = [word for settled in own.values() for word in settled.words]
    legs = {item: settled.leg for item, settled in own.items()}
    waiting = frozenset[str]()
    if waits is not None and any(leg.status is LegStatus.PENDING for leg in legs.values()):
        words += waits
        waiting = frozenset({"space"})
    detail = {"task": task.id, "words": words} if words else None
    return Step(event=LegsSettled(batch=live.batch, legs=legs, task=task.id, waiting=waiting), detail=detail)


def _legs(turn: Turn, batch: Batch) -> Mapping[Member, Leg]:
    """Every item of the batch, those that a crashed settling had done among them.

    A task is judged whole: without its culprit or its short item, blame would fall on those that are left. The
    verdict on an item that has been settled is ignored by its job.
    """
    jobs = turn.shelf.jobs
    legs = {(number, leg.item): leg for number in batch.numbers() for leg in jobs[number].legs}
    return {member: legs.get((member.number, member.item), Leg(item=member.item)) for member in batch.members}


def _aboard(turn: Turn, batch: Batch, legs: Mapping[Member, Leg]) -> list[Aboard]:
    found = []
    for move in turn.shelf.movements(batch):
        document = turn.shelf.documents[(move.member.number, move.member.revision)]
        items = document.stage_in if batch.route.stage is Stage.STAGE_IN else document.stage_out
        found.append(Aboard(leg=legs[move.member], movement=move, optional=items[move.member.item].optional))
    return found


def _frozen(turn: Turn, live: LiveBatch) -> Batch:
    batch = turn.frozen(live.batch)
    assert batch is not None, f"batch {live.batch} has a task and was never frozen"
    return batch


def _goes_on(job: Job) -> bool:
    """Whether more of the job's data is to move in this stage, now or at its next try."""
    return plannable(job) or waits_to_try(job) or is_timed(job)
