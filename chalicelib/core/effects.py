"""What each event changes of a job, its state apart: that is ``core.lifecycle``'s, which calls these and no other does.

An effect is given a job to which its event can happen, and returns what is so after it; the same object where nothing
is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from chalicelib.core.batch import MOST_ITEMS
from chalicelib.core.dependencies import Parent
from chalicelib.core.events import (
    Active,
    Altered,
    AlteredThere,
    AlterOrdered,
    Awaited,
    Canceled,
    CancelRefused,
    CancelRequested,
    Cleaned,
    CleanupRefused,
    Completed,
    DelayOver,
    DependencyBroken,
    DependencyMet,
    Event,
    Exited,
    Failed,
    Gone,
    Held,
    HeldAhead,
    HoldPlaced,
    HoldReleased,
    Leased,
    LegsClaimed,
    LegsReleased,
    LegsSettled,
    NotReleased,
    Offered,
    Ordered,
    OrderRefused,
    Overdue,
    Queued,
    Rejected,
    Released,
    RunRetried,
    StagedIn,
    StageInRetried,
    StageOutRetried,
    StagingDue,
    TriedAgain,
    Unheld,
    Withdrawn,
)
from chalicelib.core.holds import Hold
from chalicelib.core.job import DEADLINE, Ahead, Job, Leg, LegStatus, Outcome, Stage, State
from chalicelib.core.orders import Order, Orders, Verb, standing, stands, with_order, without

ORDER_ERRORS = frozenset(f"{verb}_refused" for verb in Verb)
"""What a job is said to stumble over when an order was refused. It is news until the run ends, or another order."""


def _claim(job: Job, event: LegsClaimed) -> Job:
    moving = tuple(
        replace(leg, status=LegStatus.MOVING, batch=event.batch) if leg.item in event.items else leg for leg in job.legs
    )
    return replace(job, legs=moving, waiting_for=job.waiting_for - {"slot", "space", "paused_collection"})


def _release(job: Job, event: LegsReleased) -> Job:
    return replace(job, legs=tuple(_back(leg) if leg.batch == event.batch else leg for leg in job.legs))


def _back(leg: Leg) -> Leg:
    return replace(leg, status=LegStatus.PENDING, batch=None) if leg.status is LegStatus.MOVING else leg


def _settle(job: Job, event: LegsSettled) -> Job:
    legs = tuple(
        event.legs.get(leg.item, leg) if leg.batch == event.batch and leg.status is LegStatus.MOVING else leg
        for leg in job.legs
    )
    bad = any(leg.status is LegStatus.FAILED for leg in legs)
    waiting = job.waiting_for | (event.waiting if any(leg.status is LegStatus.PENDING for leg in legs) else frozenset())
    new = bad and (job.told is None or job.error in ORDER_ERRORS)
    return replace(job, legs=legs, waiting_for=waiting, told=job.version + 1 if new else job.told)


def _staged(job: Job, event: StagedIn) -> Job:
    there = job.ahead if job.may_be_held else None
    return replace(job, legs=(), overdue=False, ahead=there, awaits_start=False, waiting_for=job.waiting_for & {"hold"})


def _lease(job: Job, event: Leased) -> Job:
    return replace(job, epoch=event.epoch, leased_until=event.until, not_before=None)


def _queued(job: Job, event: Queued) -> Job:
    job = replace(_let_go_after_all(job), native_id=event.native_id, leased_until=None, ahead=None, starts_at=None)
    if job.state is State.QUEUED or job.hold is None:
        return job
    # It was held while it was on its way: now only the scheduler can.
    waiting = job.waiting_for - {"hold"}
    return replace(job, hold=None, waiting_for=waiting, orders=_ordered(job, Verb.HOLD))


def _active(job: Job, event: Active) -> Job:
    # It has got its nodes after all: that it was late to get them is over.
    in_time = replace(job, overdue=False, error=None, told=None) if job.overdue else _let_go_after_all(job)
    # What runs is not held, whoever let it go.
    waiting = job.waiting_for - {"hold"}
    known = replace(in_time, native_id=event.native_id, leased_until=None, ahead=None, starts_at=None)
    return replace(known, hold=None, waiting_for=waiting)


def _not_released(job: Job, event: NotReleased) -> Job:
    """It is news once of a lease, and none of a job that is to end."""
    said = any((mark.code, mark.note) == (event.code, event.note) for mark in job.trail)
    if said or job.cancel_requested or job.overdue or not job.may_be_held:
        return job
    return replace(job, error=event.code, told=job.version + 1)


def _let_go_after_all(job: Job) -> Job:
    return replace(job, error=None, told=None) if job.error == NotReleased.code else job


def _ordered(job: Job, verb: Verb, terms: Mapping[str, Any] | None = None) -> Orders:
    """The job's orders with one that is numbered by the version which the event makes."""
    return with_order(job.orders, Order(number=job.version + 1, verb=verb, terms=terms or {}))


def _hold(job: Job, event: HoldPlaced) -> Job:
    if job.state is not State.QUEUED:
        return replace(job, hold=event.hold, waiting_for=job.waiting_for | {"hold"})
    asked = standing(job.orders, Verb.HOLD, Verb.RELEASE)
    held = job.hold is not None if asked is None else asked.verb is Verb.HOLD
    return job if held else replace(_unrefused(job), orders=_ordered(job, Verb.HOLD))


def _let_go(job: Job, event: HoldReleased) -> Job:
    if job.state is not State.QUEUED:
        return replace(job, hold=None, waiting_for=job.waiting_for - {"hold"})
    asked = standing(job.orders, Verb.HOLD, Verb.RELEASE)
    held = job.hold is not None if asked is None else asked.verb is Verb.HOLD
    return replace(_unrefused(job), orders=_ordered(job, Verb.RELEASE)) if held else job


def _order_alteration(job: Job, event: AlterOrdered) -> Job:
    asked = standing(job.orders, Verb.ALTER)
    if asked is not None and asked.terms == event.terms:
        return job
    return replace(_unrefused(job), orders=_ordered(job, Verb.ALTER, event.terms))


def _unrefused(job: Job) -> Job:
    """A new order makes what was said of an earlier one old news."""
    return replace(job, error=None, told=None) if job.error in ORDER_ERRORS else job


def _answered(job: Job, event: Ordered) -> Job:
    return replace(_unrefused(job), orders=without(job.orders, event.order), answered=max(job.answered, event.order))


def _held(job: Job, event: Held) -> Job:
    job = _answered(job, event)
    if job.state is not State.QUEUED:
        return job
    return replace(job, hold=job.hold or Hold.RUN, waiting_for=job.waiting_for | {"hold"})


def _released(job: Job, event: Released) -> Job:
    return replace(_answered(job, event), hold=None, waiting_for=job.waiting_for - {"hold"})


def _altered_there(job: Job, event: AlteredThere) -> Job:
    job = _answered(job, event)
    return job if event.change is None else _alter(job, event.change)


def _order_refused(job: Job, event: OrderRefused) -> Job:
    stood = stands(job.orders, event.order)
    job = _answered(job, event)
    if event.change is not None:
        job = _alter(job, event.change)
    return replace(job, error=f"{event.verb}_refused", told=job.version + 1) if stood else job


def _held_ahead(job: Job, event: HeldAhead) -> Job:
    if job.ahead is None or job.ahead.in_vain:  # said again, after what became of it
        return job
    return replace(job, ahead=Ahead.HELD, native_id=event.native_id, starts_at=event.starts_at, leased_until=None)


def _gone(job: Job, event: Gone) -> Job:
    if job.ahead is None or job.ahead.in_vain:
        return job
    after = Ahead.REFUSED if event.left else Ahead.GONE
    epoch = job.epoch + (not event.left)  # said again, it must not be taken for news of another try
    return replace(
        job, epoch=epoch, ahead=after, starts_at=None, leased_until=None, error=event.error, told=job.version + 1
    )


def _unheld(job: Job, event: Unheld) -> Job:
    if job.ahead is None:
        return job
    # The lease is over: what is said of it again must not be taken for news of another try.
    return replace(job, epoch=job.epoch + 1, ahead=None, native_id=None, starts_at=None, leased_until=None)


def _exit(job: Job, event: Exited) -> Job:
    if job.overdue and event.outcome is Outcome.CANCELED and not job.cancel_requested:
        # It was ended for its lateness before it ever ran: there is nothing of it to move.
        event, error, told = replace(event, legs=()), DEADLINE, job.told
    else:
        error, told = None, None
    return replace(
        job,
        overdue=False,
        told=told,
        answered=0,
        ahead=None,
        starts_at=None,
        native_id=event.native_id or job.native_id,
        leased_until=None,
        outcome=event.outcome,
        exit_code=event.exit_code,
        legs=event.legs,
        exited=job.version + 1,
        error=error,
    )


def _reject(job: Job, event: Rejected) -> Job:
    return replace(
        job,
        ahead=job.ahead if job.may_be_held and event.error != "gone" else None,
        starts_at=None,
        leased_until=None,
        overdue=False,
        failed_stage=event.stage,
        error=event.error,
        told=job.version + 1 if event.stage is Stage.SUBMIT else job.told,
        cleanup=False,
    )


def _fail(job: Job, event: Failed) -> Job:
    # The words are where the cause was seen: at the settling of a batch, or at the exit.
    told = job.exited if event.stage is Stage.RUN else job.told
    return replace(
        job,
        failed_stage=event.stage,
        error=event.error,
        told=told or job.told or job.exited or job.version + 1,
        not_before=None,
        # What the scheduler holds is for the site to remove.
        ahead=job.ahead if job.may_be_held else None,
        awaits_start=False,
        starts_at=None,
        waiting_for=frozenset(),
        cleanup=False,
    )


def tried_again(job: Job, event: TriedAgain, now: datetime) -> Job:
    """What a new try begins with, whichever stage it is of."""
    return replace(
        job,
        attempt=job.attempt + 1,
        submission=job.submission if job.may_be_held else job.attempt + 1,
        not_before=now + event.delay if event.delay else None,
        failed_stage=None,
        error=None,
        told=None,
        broken=None,
        overdue=False,
        cancel_requested=False,
        cleanup=job.cleanup if event.cleanup is None else event.cleanup,
    )


def _move_again(job: Job, event: StageInRetried | StageOutRetried) -> Job:
    """Only what failed, and with care: some of it may have arrived."""
    again = tuple(
        Leg(item=leg.item, files=leg.files, bytes=leg.bytes, share=MOST_ITEMS)
        if leg.status is LegStatus.FAILED
        else leg
        for leg in job.legs
    )
    return replace(job, legs=again)


def _run_again(job: Job, event: RunRetried) -> Job:
    # A report of the try that failed, which may still come, is of an epoch that is gone.
    return replace(
        job,
        legs=(),
        epoch=job.epoch + 1,
        ahead=None,
        starts_at=None,
        leased_until=None,
        native_id=None,
        outcome=None,
        exit_code=None,
        exited=None,
        answered=0,
    )


def _cancel(job: Job, event: Canceled | Withdrawn) -> Job:
    return replace(
        job,
        leased_until=None,
        not_before=None,
        ahead=None,
        awaits_start=False,
        starts_at=None,
        waiting_for=frozenset(),
        error=None,
        cleanup=_brought_in_vain(job),
    )


def _brought_in_vain(job: Job) -> bool:
    """Whether something may lie at the site for a job that never ran. What a run has left is its user's."""
    reached = {mark.state for mark in job.trail}
    ran = State.ACTIVE in reached or any(mark.code == RunRetried.code for mark in job.trail)
    return not ran and (State.STAGE_IN in reached or job.epoch > 0)


def _cancel_refused(job: Job, event: CancelRefused) -> Job:
    if job.error == event.code:
        return job
    # What it fails for, should it be ended after all, is that it was late.
    return replace(job, error=event.code, told=job.told if job.overdue else job.version + 1)


def _alter(job: Job, event: Altered) -> Job:
    return replace(
        job,
        revision=event.revision,
        name=event.name,
        tags=event.tags,
        cleanup=job.cleanup if event.cleanup is None else event.cleanup,
        retry=event.retry,
        deadlines=event.deadlines,
        journey=event.journey,
        size=event.size,
        legs=job.legs if event.legs is None else event.legs,
    )


def _others(job: Job, event: DependencyMet) -> tuple[Parent, ...]:
    return tuple(parent for parent in job.parents if parent.number != event.parent)


EFFECTS: Mapping[type[Event], Callable[[Job, Any], Job]] = {
    LegsClaimed: _claim,
    LegsReleased: _release,
    LegsSettled: _settle,
    StagedIn: _staged,
    Offered: lambda job, event: replace(job, posted=None),
    Leased: _lease,
    Queued: _queued,
    Active: _active,
    HeldAhead: _held_ahead,
    StagingDue: lambda job, event: replace(job, awaits_start=False),
    Gone: _gone,
    Unheld: _unheld,
    Exited: _exit,
    Rejected: _reject,
    Withdrawn: _cancel,
    CancelRefused: _cancel_refused,
    NotReleased: _not_released,
    Held: _held,
    Released: _released,
    AlteredThere: _altered_there,
    AlterOrdered: _order_alteration,
    OrderRefused: _order_refused,
    Cleaned: lambda job, event: replace(job, cleanup=False),
    CleanupRefused: lambda job, event: replace(job, cleanup=False),
    Completed: lambda job, event: replace(job, waiting_for=frozenset()),
    Failed: _fail,
    Canceled: _cancel,
    StageInRetried: _move_again,
    RunRetried: _run_again,
    StageOutRetried: _move_again,
    DelayOver: lambda job, event: replace(job, not_before=None),
    Altered: _alter,
    Overdue: lambda job, event: job if job.overdue else replace(job, overdue=True, told=job.version + 1),
    Awaited: lambda job, event: replace(job, awaited=True),
    DependencyMet: lambda job, event: replace(job, parents=_others(job, event)),
    DependencyBroken: lambda job, event: replace(job, broken=event.parent, told=job.version + 1),
    CancelRequested: lambda job, event: replace(job, cancel_requested=True),
    HoldPlaced: _hold,
    HoldReleased: _let_go,
}
"""What follows from each event; from one of another try, what ``tried_again`` says besides."""
