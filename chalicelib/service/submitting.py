"""Batches from draft to task: the order of the writes is what makes each of them one Globus task.

1. fetch a submission id (an unused one costs nothing);
2. name the batch on the desk: from here on it exists;
3. claim each job's items, conditionally; a refusal drops out;
4. freeze the membership;
5. post; Globus answers a repeat with the same task;
6. save the task id.

After a crash the desk tells where it stopped: a batch that was never frozen was never posted, and is
dissolved (its claims are void, its jobs are still in the inbox); one that was frozen is posted again under
the same submission id, from the same membership.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial

from chalicelib.core.batch import Batch, Member, by_number, label
from chalicelib.core.desk import LiveBatch, Look
from chalicelib.core.drafting import Draft
from chalicelib.core.errors import FarSide, LoginNeeded
from chalicelib.core.events import LegsClaimed, LegsSettled
from chalicelib.core.globus_codes import Reach, Verdict, refusal
from chalicelib.core.ids import BatchId, JobNumber, TaskId
from chalicelib.core.job import Job, Leg, LegStatus, Stage
from chalicelib.core.paths import Location
from chalicelib.core.polling import FIRST_RETRY, interval, rest
from chalicelib.core.ports.transfer import IdenticalPaths
from chalicelib.core.progress import plannable, stage_of
from chalicelib.core.tokens import AccessToken
from chalicelib.service import fresh
from chalicelib.service.board import Turn
from chalicelib.service.changing import Step, in_turns

log = logging.getLogger(__name__)

DEADLINE = timedelta(days=3)
"""How long a task may take. Globus's own 24 h is too short for a large data set on a bad day."""

TRUSTED = timedelta(days=1)
"""A submission id older than this is not posted again before the task has been looked for by its label."""


UNAUTHORIZED = 401
"""Globus no longer takes the token: this says nothing about what was asked with it."""


def destinations(turn: Turn, waiting: Iterable[Job]) -> tuple[Location, ...]:
    """Where live batches write: nothing else may be sent there meanwhile.

    A stage-in writes below its own job's directory, so only what the waiting jobs have in flight themselves
    can be in their way. Their documents must have been read.
    """
    found = [
        turn.shelf.movement(job, Stage.STAGE_IN, leg.item, job.revision).destination
        for job in waiting
        if stage_of(job) is Stage.STAGE_IN
        for leg in job.in_flight
    ]
    for live in turn.board.plan.batches:
        batch = turn.frozen(live.batch) if live.route.stage is Stage.STAGE_OUT else None
        if batch is not None:
            turn.shelf.load(batch.numbers(), turn.board.live())
            found += [move.destination for move in turn.shelf.movements(batch)]
    return tuple(found)


def send(turn: Turn, token: AccessToken, wanted: Draft) -> None:
    """Make a batch of the draft and post it."""
    now = turn.clock.now()
    live = LiveBatch(
        batch=fresh.batch_id(),
        submission=turn.submissions.submission(token),
        route=wanted.route,
        opened_at=now,
        long=wanted.long,
    )
    turn.board.put(live)
    members = tuple(_claim(turn, live.batch, [move.member for move in wanted.movements]))
    if not members:
        turn.board.keep(turn.board.plan.without(live.batch))
        return
    batch = turn.freeze(
        Batch(
            id=live.batch,
            user=turn.board.user,
            submission=live.submission,
            route=live.route,
            members=members,
            deadline=now + DEADLINE,
            careful=wanted.careful,
        )
    )
    _post(turn, token, live, batch)


def drop_unfrozen(turn: Turn) -> None:
    """Take off the desk what was never frozen, so never posted: the claims of its jobs are void.

    Before anything that may fail, and before the inbox is tidied: a job that such a batch claims is found by its
    inbox item and by nothing else.
    """
    for live in turn.board.plan.batches:
        if live.task is None and turn.frozen(live.batch) is None:
            turn.board.keep(turn.board.plan.without(live.batch))
            turn.shelf.void(turn.board.live())


def resume(turn: Turn, token: AccessToken, live: LiveBatch) -> None:
    """Go on with a frozen batch whose task is not known."""
    if live.retry_at is not None and live.retry_at > turn.clock.now():
        return
    turn.check_time()
    batch = turn.frozen(live.batch)
    assert batch is not None, "what was never frozen has been dropped"
    turn.shelf.load(batch.numbers(), turn.board.live())
    if any(live.batch not in turn.shelf.jobs[number].moving_in() for number in batch.numbers()):
        # It was refused, and the pass that told its jobs so was cut off: what it had is planned again.
        dissolve(turn, live, batch.numbers())
        return
    if turn.clock.now() - live.opened_at > TRUSTED:
        found = turn.tasks.find(token, batch.label)
        if found is not None:
            turn.board.put(replace(live, task=found.id, sent_at=live.opened_at))
            return
    _post(turn, token, live, batch)


def dissolve(turn: Turn, live: LiveBatch, numbers: Iterable[JobNumber]) -> None:
    """Undo a batch of which Globus has no task: its items are planned again, by way of the inbox."""
    now = turn.clock.now()
    turn.desks.record(turn.board.user, fresh.inbox_item(now, tuple(numbers)), now)
    turn.board.keep(turn.board.plan.without(live.batch))
    turn.batches.drop(turn.board.user, live.batch)
    turn.shelf.void(turn.board.live())


def _claim(turn: Turn, batch: BatchId, members: list[Member]) -> Iterable[Member]:
    """Claim each job's items; those of a job that has changed its mind meanwhile drop out."""

    revisions = {member.number: member.revision for member in members}

    def claim(items: frozenset[int], job: Job) -> tuple[Step, ...]:
        free = items & {leg.item for leg in job.pending}
        # One that was altered meanwhile may come from elsewhere, and go elsewhere: it is planned anew.
        joins = free and plannable(job) and job.revision == revisions[job.ref.number]
        return (Step(event=LegsClaimed(batch=batch, items=frozenset(free))),) if joins else ()

    wanted = by_number(members)
    for some in in_turns(list(wanted)):
        changed = turn.shelf.change_many([(turn.shelf.jobs[n], partial(claim, wanted[n])) for n in some])
        for job in (job for job in changed if job is not None):
            yield from (Member(job.ref.number, leg.item, job.revision) for leg in job.legs if leg.batch == batch)


def _post(turn: Turn, token: AccessToken, live: LiveBatch, batch: Batch) -> None:
    try:
        task = _task(turn, token, batch)
    except LoginNeeded as need:
        dissolve(turn, live, batch.numbers())
        turn.board.note(need, turn.clock.now(), live.route)
        return
    except FarSide as fault:
        means = refusal(fault.code, fault.status, transient=fault.transient)
        if means.verdict is Verdict.PERMANENT:
            _refused(turn, live, batch, fault, halve=means.reach is Reach.ITEM)
        else:
            put_off(turn, live, fault)  # the batch stays on the desk and is posted again
        return
    turn.board.put(
        replace(live, task=task, items=len(batch.members), sent_at=turn.clock.now(), retry_at=None, look=Look())
    )
    log.info("batch sent", extra={"fields": {"user": batch.user, "batch": batch.id, "task": task}})


def put_off(turn: Turn, live: LiveBatch, fault: FarSide) -> None:
    """Show on a batch what Globus refused it for the time being; the user's other batches go on.

    :raises FarSide: the same, if it is about more than this batch.
    """
    means = refusal(fault.code, fault.status, transient=fault.transient)
    if means.reach is Reach.USER:
        raise fault
    now = turn.clock.now()
    paused = fault.code.endswith("OperationPaused")
    live = turn.board.plan.batch(live.batch) or live
    look = replace(live.look, trouble=fault.code, words=fault.detail, paused=paused)
    retry_at = rest(fault.retry_after, now) or now + max(FIRST_RETRY, interval(now - live.opened_at))
    turn.board.remember(replace(live, look=look, retry_at=retry_at))
    log.info("batch put off", extra={"fields": {"user": turn.board.user, "batch": live.batch, "cause": fault.code}})


def _task(turn: Turn, token: AccessToken, batch: Batch) -> TaskId:
    """Post the batch. Where a live task has a path of it: if that bears our label it is ours, else it is waited out."""
    try:
        return turn.submissions.submit(token, batch, turn.shelf.movements(batch))
    except IdenticalPaths:
        found = turn.tasks.find(token, label(batch.user, batch.id))
    if found is None:
        raise FarSide(
            "transfer",
            "IdenticalPaths",
            "another Globus task of yours is writing to the same paths; qstage waits for its end",
            transient=True,
        )
    return found.id


def _refused(turn: Turn, live: LiveBatch, batch: Batch, fault: FarSide, *, halve: bool) -> None:
    """Globus will not have this batch. A lone item fails with Globus's words; several are tried in halves.

    What is about the collections fails them all: no half would fare better.
    """
    log.warning("batch refused", extra={"fields": {"user": batch.user, "batch": batch.id, "cause": fault.code}})
    half = len(batch.members) // 2 if halve else 0
    task = TaskId("")
    for number, items in by_number(batch.members).items():

        def settled(job: Job, items: frozenset[int] = items) -> tuple[Step, ...]:
            legs = {leg.item: _refused_leg(leg, half, fault) for leg in job.legs if leg.item in items}
            event = LegsSettled(batch=batch.id, legs=legs, task=task)
            return (Step(event=event, detail={"code": fault.code, "words": [fault.detail]}),)

        turn.shelf.change(turn.shelf.jobs[number], settled)
    dissolve(turn, live, batch.numbers())


def _refused_leg(leg: Leg, half: int, fault: FarSide) -> Leg:
    if half:
        return Leg(item=leg.item, files=leg.files, bytes=leg.bytes, share=half)
    return Leg(item=leg.item, files=leg.files, bytes=leg.bytes, status=LegStatus.FAILED, error=fault.code)
