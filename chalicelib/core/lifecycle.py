"""A job's life: every rule of what may follow what.

Everything that affects a job's state lives in this file, and this file alone assigns a state; what can happen is
in ``core.events``.

The life is one table, TABLE: (state, event) -> the next state. ``transition`` looks the pair up and applies
the event's fields. Three answers other than a next state are possible, and the table tells which:

* an event of a *stale attempt* (a batch that no leg is in, a lease epoch that is not the job's) changes nothing;
* an event the job has already had, or has lived past (``PAST`` in the table), changes nothing. A report may
  also be skipped: ``staged -> active`` is a row, because a scheduler may start a job between two looks;
* any other pair is a bug, ours or a site's: ``IllegalTransition`` carries the job's whole trail and nothing
  changes.

An unchanged job is returned as the same object, so that callers know by identity that there is nothing to
save. Each change adds one to ``version`` and one mark to the trail.

What a job waits for is not a state (see ``core.job``). ``docs/states.md`` is drawn from TABLE.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from enum import Enum
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
    Offered,
    Ordered,
    OrderRefused,
    Overdue,
    Queued,
    Rejected,
    Released,
    Report,
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
from chalicelib.core.job import DEADLINE, FINAL, Ahead, Job, Leg, LegStatus, Mark, Outcome, Stage, State
from chalicelib.core.orders import Order, Orders, Verb, standing, with_order, without

LONGEST_TRAIL = 200
ORDER_ERRORS = frozenset(f"{verb}_refused" for verb in Verb)
"""What a job is said to stumble over when an order was refused. It is news until the run ends, or another order."""


class IllegalTransition(Exception):
    """An event that cannot happen to a job in this state; the job is unchanged."""

    def __init__(self, job: Job, event: Event) -> None:
        story = ", ".join(f"{m.version}:{m.code}->{m.state}" for m in job.trail)
        super().__init__(
            f"{event.code} cannot happen to job {job.ref} in {job.state} (v{job.version}); its story: {story}"
        )


class Past(Enum):
    """Not a state: the job has had this event, or has lived past it; nothing changes."""

    PAST = "past"


PAST = Past.PAST
S = State

TABLE: Mapping[State, Mapping[type[Event], State | Past]] = {
    S.NEW: {
        Offered: S.NEW,
        Leased: S.NEW,
        HeldAhead: S.NEW,
        StagingDue: S.NEW,
        Gone: S.NEW,
        Unheld: S.NEW,
        CancelRefused: S.NEW,
        LegsClaimed: S.STAGE_IN,
        StagedIn: S.STAGED,
        Failed: S.FAILED,
        Canceled: S.CANCELED,
        CancelRequested: S.NEW,
        HoldPlaced: S.NEW,
        HoldReleased: S.NEW,
        Awaited: S.NEW,
        Altered: S.NEW,
        Overdue: S.NEW,
        DependencyMet: S.NEW,
        DependencyBroken: S.NEW,
    },
    S.STAGE_IN: {
        LegsClaimed: S.STAGE_IN,
        LegsReleased: S.STAGE_IN,
        LegsSettled: S.STAGE_IN,
        Leased: S.STAGE_IN,
        HeldAhead: S.STAGE_IN,
        Gone: S.STAGE_IN,
        Unheld: S.STAGE_IN,
        CancelRefused: S.STAGE_IN,
        StagedIn: S.STAGED,
        Failed: S.FAILED,
        StageInRetried: S.STAGE_IN,
        DelayOver: S.STAGE_IN,
        Canceled: S.CANCELED,
        CancelRequested: S.STAGE_IN,
        HoldPlaced: S.STAGE_IN,
        HoldReleased: S.STAGE_IN,
        Awaited: S.STAGE_IN,
        Altered: S.STAGE_IN,
        Overdue: S.STAGE_IN,
        DependencyMet: S.STAGE_IN,
        DependencyBroken: S.STAGE_IN,
    },
    S.STAGED: {
        StagedIn: PAST,
        LegsSettled: PAST,
        DelayOver: PAST,
        RunRetried: S.STAGED,
        Leased: S.STAGED,
        HeldAhead: S.STAGED,
        Queued: S.QUEUED,
        Active: S.ACTIVE,
        Exited: S.STAGE_OUT,
        Rejected: S.FAILED,
        Withdrawn: S.CANCELED,
        Failed: S.FAILED,
        Canceled: S.CANCELED,
        CancelRequested: S.STAGED,
        HoldPlaced: S.STAGED,
        HoldReleased: S.STAGED,
        Awaited: S.STAGED,
        Altered: S.STAGED,
        Overdue: S.STAGED,
        DependencyMet: S.STAGED,
        DependencyBroken: S.STAGED,
    },
    S.QUEUED: {
        HeldAhead: PAST,
        Leased: PAST,
        RunRetried: S.STAGED,
        Queued: S.QUEUED,
        Active: S.ACTIVE,
        Exited: S.STAGE_OUT,
        Rejected: S.FAILED,
        Withdrawn: S.CANCELED,
        CancelRequested: S.QUEUED,
        HoldPlaced: S.QUEUED,
        HoldReleased: S.QUEUED,
        AlterOrdered: S.QUEUED,
        Held: S.QUEUED,
        Released: S.QUEUED,
        AlteredThere: S.QUEUED,
        OrderRefused: S.QUEUED,
        Awaited: S.QUEUED,
        Altered: S.QUEUED,
        Overdue: S.QUEUED,
        CancelRefused: S.QUEUED,
    },
    S.ACTIVE: {
        HeldAhead: PAST,
        Leased: PAST,
        Queued: PAST,
        Active: S.ACTIVE,
        Exited: S.STAGE_OUT,
        CancelRequested: S.ACTIVE,
        Held: S.ACTIVE,
        Released: S.ACTIVE,
        AlteredThere: S.ACTIVE,
        OrderRefused: S.ACTIVE,
        Awaited: S.ACTIVE,
        Altered: S.ACTIVE,
        Overdue: PAST,
        CancelRefused: S.ACTIVE,
    },
    S.STAGE_OUT: {
        Leased: PAST,
        HeldAhead: PAST,
        Queued: PAST,
        Active: PAST,
        Exited: PAST,
        Withdrawn: PAST,
        CancelRefused: PAST,
        Held: PAST,
        Released: PAST,
        AlteredThere: PAST,
        OrderRefused: PAST,
        LegsClaimed: S.STAGE_OUT,
        LegsReleased: S.STAGE_OUT,
        LegsSettled: S.STAGE_OUT,
        Completed: S.COMPLETED,
        Failed: S.FAILED,
        RunRetried: S.STAGED,
        StageOutRetried: S.STAGE_OUT,
        DelayOver: S.STAGE_OUT,
        Canceled: S.CANCELED,
        CancelRequested: S.STAGE_OUT,
        Awaited: S.STAGE_OUT,
        Altered: S.STAGE_OUT,
        Overdue: S.STAGE_OUT,
    },
    S.COMPLETED: {
        Completed: PAST,
        Cleaned: S.COMPLETED,
        CleanupRefused: S.COMPLETED,
    },  # the agent removes the directory after the end
    S.FAILED: {
        Failed: PAST,
        Rejected: PAST,
        HeldAhead: S.FAILED,
        Unheld: S.FAILED,  # what the scheduler still held is removed after the end
        StageInRetried: S.STAGE_IN,
        RunRetried: S.STAGED,
        StageOutRetried: S.STAGE_OUT,
    },  # a failed job's user may have it tried again
    S.CANCELED: {
        Canceled: PAST,
        Cleaned: S.CANCELED,
        CleanupRefused: S.CANCELED,
    },  # what was brought for a job that never ran is removed
}
"""Where each event leads. Final states also live past every report and every wish: see ``_lived_past``."""


_TIMED: Mapping[Stage, frozenset[State]] = {
    Stage.STAGE_IN: frozenset({S.NEW, S.STAGE_IN}),
    Stage.QUEUE: frozenset({S.STAGED, S.QUEUED}),
    Stage.STAGE_OUT: frozenset({S.STAGE_OUT}),
}
"""The states in which a job is in a stage that may have a deadline."""


def transition(job: Job, event: Event, now: datetime) -> Job:
    """Return the job as it is after the event: the same object where the event changes nothing.

    :raises IllegalTransition: for a pair that is not in the table.
    """
    if _stale(job, event):
        return job
    target = TABLE[job.state].get(type(event))
    if target is None and _lived_past(job, event):
        return job
    if target is None or (target is not PAST and not _fits(job, event)):
        raise IllegalTransition(job, event)
    if target is PAST:
        return job
    changed = _APPLY[type(event)](job, event)
    if isinstance(event, TriedAgain):
        changed = _tried_again(changed, event, now)
    if changed == job and target is job.state:
        return job
    version = job.version + 1
    mark = Mark(version=version, at=now, code=event.code, state=target, note=event.note)
    return replace(changed, state=target, version=version, updated_at=now, posted=None, trail=_keep((*job.trail, mark)))


def allows(state: State, event: type[Event]) -> bool:
    """Tell whether the table has a way for this event from this state."""
    return isinstance(TABLE[state].get(event), State)


def _stale(job: Job, event: Event) -> bool:
    """Events of an attempt that is not the job's own any more (or not yet)."""
    if isinstance(event, Ordered) and event.order <= job.answered:
        return True
    if isinstance(event, Report):
        return event.epoch != job.epoch
    if isinstance(event, LegsSettled | LegsReleased):
        return not any(leg.batch == event.batch and leg.status is LegStatus.MOVING for leg in job.legs)
    if isinstance(event, DependencyMet | DependencyBroken):
        return job.broken is not None or all(parent.number != event.parent for parent in job.parents)
    if isinstance(event, TriedAgain):
        return event.attempt != job.attempt
    if isinstance(event, Overdue):
        return event.attempt != job.attempt or job.state not in _TIMED.get(event.stage, frozenset())
    if isinstance(event, Altered):
        return event.revision <= job.revision
    return isinstance(event, Leased) and event.epoch < job.epoch


def _lived_past(job: Job, event: Event) -> bool:
    """A final job has nothing more to learn from reports, batches, wishes and other jobs."""
    wish = CancelRequested | HoldPlaced | HoldReleased
    news = Overdue | DelayOver | Awaited | DependencyMet | DependencyBroken
    return job.state in FINAL and isinstance(event, Report | LegsSettled | LegsReleased | wish | news)


def _fits(job: Job, event: Event) -> bool:
    """What the table cannot say: conditions on fields."""
    match event:
        case LegsClaimed(batch=batch, items=items):
            chosen = [leg for leg in job.legs if leg.item in items]
            free = all(
                leg.status is LegStatus.PENDING or (leg.status is LegStatus.MOVING and leg.batch == batch)
                for leg in chosen
            )
            return bool(chosen) and len(chosen) == len(items) and free
        case TriedAgain():
            # Who asks for another try of a job that failed on its way to its cancel has thought better of it.
            again = not job.cancel_requested or job.state is S.FAILED
            return not job.in_flight and again and not _still_there(job) and not _lacks_data(job, event)
        case Altered(revision=revision, legs=legs):
            return revision == job.revision + 1 and (legs is None or job.state is S.NEW)
        case AlteredThere(order=order, change=change) | OrderRefused(order=order, change=change):
            good = change is None or (change.revision == job.revision + 1 and change.legs is None)
            return good and order <= job.version
        case Ordered(order=order):
            return order <= job.version  # by which orders are numbered
        case StagedIn():
            return all(leg.status in (LegStatus.DONE, LegStatus.ABSENT) for leg in job.legs)
        case Completed():
            delivered = all(leg.status in (LegStatus.DONE, LegStatus.ABSENT) for leg in job.legs)
            return delivered and job.outcome is Outcome.OK and job.exit_code == 0
        case Failed():
            # What is staged is its site's to submit, unless it has to wait for a job that it waits for in vain, or no
            # site has had it in time.
            unleased = job.overdue and job.epoch == 0
            return not job.in_flight and (job.state is not S.STAGED or job.broken is not None or unleased)
        case Canceled():
            # Once a site has had a lease, only its own report can say that nothing is left at the scheduler.
            site_told = job.state is not S.STAGED or job.epoch == 0
            return not job.in_flight and site_told and not job.may_be_held
        case Withdrawn():
            return job.cancel_requested
        case CancelRefused():
            return job.cancel_requested or job.overdue
        case Leased(epoch=epoch):
            return _may_be_leased(job) and epoch in (job.epoch, job.epoch + 1) and epoch > 0
        case StagingDue():
            return job.ahead is Ahead.HELD
        case _:
            return True


def _may_be_leased(job: Job) -> bool:
    """What is at the scheduler already is found there whatever it waits for; else nothing gets there too early."""
    if job.state is not S.STAGED and job.ahead is Ahead.FILED:
        return True
    return job.hold is None and not job.parents and (job.state is S.STAGED or job.ahead is Ahead.WANTED)


def _still_there(job: Job) -> bool:
    """A failed job is not tried again beside the one that is being removed from the scheduler."""
    return job.state is S.FAILED and job.may_be_held


def _lacks_data(job: Job, event: TriedAgain) -> bool:
    """Whether a try would run a job that failed before its inputs were there."""
    return isinstance(event, RunRetried) and job.failed_stage is Stage.SUBMIT and bool(job.legs)


def _keep(trail: tuple[Mark, ...]) -> tuple[Mark, ...]:
    """Bound the trail: of an endless story the beginning and the end are kept."""
    return trail if len(trail) <= LONGEST_TRAIL else (*trail[:20], *trail[-(LONGEST_TRAIL - 20) :])


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
    return replace(job, legs=legs, waiting_for=waiting, told=job.version + 1 if bad and job.told is None else job.told)


def _staged(job: Job, event: StagedIn) -> Job:
    there = job.ahead if job.may_be_held else None
    return replace(job, legs=(), overdue=False, ahead=there, awaits_start=False, waiting_for=job.waiting_for & {"hold"})


def _lease(job: Job, event: Leased) -> Job:
    return replace(job, epoch=event.epoch, leased_until=event.until, not_before=None)


def _queued(job: Job, event: Queued) -> Job:
    job = replace(job, native_id=event.native_id, leased_until=None, ahead=None, starts_at=None)
    if job.state is S.QUEUED or job.hold is None:
        return job
    # It was held while it was on its way: now only the scheduler can.
    waiting = job.waiting_for - {"hold"}
    return replace(job, hold=None, waiting_for=waiting, orders=_ordered(job, Verb.HOLD))


def _active(job: Job, event: Active) -> Job:
    # It has got its nodes after all: that it was late to get them is over.
    in_time = replace(job, overdue=False, error=None, told=None) if job.overdue else job
    # What runs is not held, whoever let it go.
    waiting = job.waiting_for - {"hold"}
    known = replace(in_time, native_id=event.native_id, leased_until=None, ahead=None, starts_at=None)
    return replace(known, hold=None, waiting_for=waiting)


def _ordered(job: Job, verb: Verb, terms: Mapping[str, Any] | None = None) -> Orders:
    """The job's orders with one that is numbered by the version which the event makes."""
    return with_order(job.orders, Order(number=job.version + 1, verb=verb, terms=terms or {}))


def _hold(job: Job, event: HoldPlaced) -> Job:
    if job.state is not S.QUEUED:
        return replace(job, hold=event.hold, waiting_for=job.waiting_for | {"hold"})
    asked = standing(job.orders, Verb.HOLD, Verb.RELEASE)
    held = job.hold is not None if asked is None else asked.verb is Verb.HOLD
    return job if held else replace(_unrefused(job), orders=_ordered(job, Verb.HOLD))


def _let_go(job: Job, event: HoldReleased) -> Job:
    if job.state is not S.QUEUED:
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
    return replace(_unrefused(job), orders=without(job.orders, event.order), answered=event.order)


def _held(job: Job, event: Held) -> Job:
    job = _answered(job, event)
    if job.state is not S.QUEUED:
        return job
    return replace(job, hold=job.hold or Hold.RUN, waiting_for=job.waiting_for | {"hold"})


def _released(job: Job, event: Released) -> Job:
    return replace(_answered(job, event), hold=None, waiting_for=job.waiting_for - {"hold"})


def _altered_there(job: Job, event: AlteredThere) -> Job:
    job = _answered(job, event)
    return job if event.change is None else _alter(job, event.change)


def _order_refused(job: Job, event: OrderRefused) -> Job:
    stood = any(each.number == event.order for each in job.orders)
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
        orders=(),
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
        orders=(),
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


def _tried_again(job: Job, event: TriedAgain, now: datetime) -> Job:
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
        orders=(),
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
        orders=(),
    )


def _brought_in_vain(job: Job) -> bool:
    """Whether something may lie at the site for a job that never ran. What a run has left is its user's."""
    reached = {mark.state for mark in job.trail}
    ran = S.ACTIVE in reached or any(mark.code == RunRetried.code for mark in job.trail)
    return not ran and (S.STAGE_IN in reached or job.epoch > 0)


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


_APPLY: Mapping[type[Event], Callable[[Job, Any], Job]] = {
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
    Overdue: lambda job, event: job if job.overdue else replace(job, overdue=True, told=job.version + 1, orders=()),
    Awaited: lambda job, event: replace(job, awaited=True),
    DependencyMet: lambda job, event: replace(job, parents=_others(job, event)),
    DependencyBroken: lambda job, event: replace(job, broken=event.parent, told=job.version + 1),
    CancelRequested: lambda job, event: replace(job, cancel_requested=True, orders=()),
    HoldPlaced: _hold,
    HoldReleased: _let_go,
}


def faults_of(job: Job) -> list[str]:
    """What must hold of any job and does not: run by tests after every step."""
    found = []
    if job.state.final and job.in_flight:
        found.append("a final job has legs in flight")
    if job.state in (S.STAGED, S.QUEUED, S.ACTIVE) and job.legs:
        found.append("a job at the site has legs")
    if job.state in (S.QUEUED, S.ACTIVE) and (job.native_id is None or job.epoch == 0):
        found.append("a job at the scheduler has no native id, or no lease brought it there")
    if job.orders and job.state not in (S.QUEUED, S.ACTIVE):
        found.append("a job that is not at the scheduler has orders to it")
    if job.state is S.ACTIVE and job.hold is not None:
        found.append("a job that runs is held")
    if job.parents and job.state in (S.QUEUED, S.ACTIVE, S.STAGE_OUT, S.COMPLETED):
        found.append("a job went on before those that it waits for had ended")
    if (job.state is S.FAILED) != (job.failed_stage is not None):
        found.append("failed_stage belongs to failed jobs, and to all of them")
    if job.state is S.COMPLETED and (job.exit_code != 0 or any(leg.status is LegStatus.FAILED for leg in job.legs)):
        found.append("a completed job must have exit code 0 and each output delivered")
    if job.state is S.STAGE_OUT and job.outcome is None:
        found.append("a job past its run has no outcome")
    if job.ahead is not None and job.state not in (S.NEW, S.STAGE_IN, S.STAGED, S.FAILED):
        found.append("a job that its scheduler may run, or that is over, is ahead of its data")
    if job.awaits_start and job.state is not S.NEW:
        found.append("inputs that await the start of their job have set out")
    if job.state is S.CANCELED and job.may_be_held:
        found.append("a canceled job is held at its scheduler")
    if any((leg.status is LegStatus.MOVING) and leg.batch is None for leg in job.legs):
        found.append("a moving leg names no batch")
    return found
