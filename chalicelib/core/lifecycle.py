"""A job's life: every rule of what may follow what.

Everything that affects a job's state lives in this file, and this file alone assigns a state; what can happen is
in ``core.events``, and what it changes besides in ``core.effects``.

The life is one table, TABLE: (state, event) -> the next state. ``transition`` looks the pair up and applies
the event's effect. Three answers other than a next state are possible, and the table tells which:

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

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import Enum

from chalicelib.core.effects import EFFECTS, tried_again
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
from chalicelib.core.job import FINAL, Ahead, Job, LegStatus, Mark, Outcome, Stage, State
from chalicelib.core.orders import stands

LONGEST_TRAIL = 200


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
        AlterOrdered: S.NEW,
        AlteredThere: S.NEW,
        OrderRefused: S.NEW,
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
        AlterOrdered: S.STAGE_IN,
        AlteredThere: S.STAGE_IN,
        OrderRefused: S.STAGE_IN,
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
        AlterOrdered: S.STAGED,
        AlteredThere: S.STAGED,
        OrderRefused: S.STAGED,
        Overdue: S.STAGED,
        DependencyMet: S.STAGED,
        DependencyBroken: S.STAGED,
        CancelRefused: S.STAGED,
        NotReleased: S.STAGED,
    },
    S.QUEUED: {
        HeldAhead: PAST,
        NotReleased: PAST,
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
        NotReleased: PAST,
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
        NotReleased: PAST,
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


_BEFORE_QUEUE = frozenset({S.NEW, S.STAGE_IN, S.STAGED})
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
    changed = EFFECTS[type(event)](job, event)
    if isinstance(event, TriedAgain):
        changed = tried_again(changed, event, now)
    if changed.orders and not _takes_orders(changed, target):
        changed = replace(changed, orders=())
    if changed == job and target is job.state:
        return job
    version = job.version + 1
    mark = Mark(version=version, at=now, code=event.code, state=target, note=event.note)
    return replace(changed, state=target, version=version, updated_at=now, posted=None, trail=_keep((*job.trail, mark)))


def allows(state: State, event: type[Event]) -> bool:
    """Tell whether the table has a way for this event from this state."""
    return isinstance(TABLE[state].get(event), State)


def _takes_orders(job: Job, state: State) -> bool:
    """Whether the scheduler may still be asked for something: it has the job, and nobody wants it ended."""
    has_it = state in (S.QUEUED, S.ACTIVE) or (job.ahead is Ahead.HELD and state in _BEFORE_QUEUE)
    return has_it and not job.cancel_requested and not job.overdue


def _stale(job: Job, event: Event) -> bool:
    """Events of an attempt that is not the job's own any more (or not yet)."""
    if isinstance(event, Ordered) and event.order <= job.answered and not stands(job.orders, event.order):
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
        case AlterOrdered():
            return _takes_orders(job, job.state) and job.state is not S.ACTIVE
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
            return (job.may_begin or job.may_go_ahead) and epoch in (job.epoch, job.epoch + 1) and epoch > 0
        case StagingDue():
            return job.ahead is Ahead.HELD
        case _:
            return True


def _still_there(job: Job) -> bool:
    """A failed job is not tried again beside the one that is being removed from the scheduler."""
    return job.state is S.FAILED and job.may_be_held


def _lacks_data(job: Job, event: TriedAgain) -> bool:
    """Whether a try would run a job that failed before its inputs were there."""
    return isinstance(event, RunRetried) and job.failed_stage is Stage.SUBMIT and bool(job.legs)


def _keep(trail: tuple[Mark, ...]) -> tuple[Mark, ...]:
    """Bound the trail: of an endless story the beginning and the end are kept."""
    return trail if len(trail) <= LONGEST_TRAIL else (*trail[:20], *trail[-(LONGEST_TRAIL - 20) :])


def faults_of(job: Job) -> list[str]:
    """What must hold of any job and does not: run by tests after every step."""
    found = []
    if job.state.final and job.in_flight:
        found.append("a final job has legs in flight")
    if job.state in (S.STAGED, S.QUEUED, S.ACTIVE) and job.legs:
        found.append("a job at the site has legs")
    if job.state in (S.QUEUED, S.ACTIVE) and (job.native_id is None or job.epoch == 0):
        found.append("a job at the scheduler has no native id, or no lease brought it there")
    if job.orders and not _takes_orders(job, job.state):
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
