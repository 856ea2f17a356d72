"""A job's status: the small record that says where a job stands.

The document it was submitted with, and the words of what happened to it, are records of their own (see
``core.ports.jobs``); the status points to them by revision and version. Only ``core.lifecycle`` changes a
status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from chalicelib.core.dependencies import Parent
from chalicelib.core.holds import Hold
from chalicelib.core.ids import BatchId, JobNumber, JobRef, SiteId
from chalicelib.core.journey import Journey
from chalicelib.core.orders import Orders


class State(StrEnum):
    """Where a job is in its life. What can be needed in any of these is a field, not a state."""

    NEW = "new"
    """Accepted; nothing of it has moved yet. It is not in the scheduler's queue."""
    STAGE_IN = "stage_in"
    """Its inputs are being moved, or wait to be. A refused login does not end this."""
    STAGED = "staged"
    """All inputs are at the site. A site may hold a lease on it and be about to submit it."""
    QUEUED = "queued"
    """The site's scheduler has it, under ``native_id``, and has not started it."""
    ACTIVE = "active"
    """It runs on nodes."""
    STAGE_OUT = "stage_out"
    """It has ended, well or not, and holds no nodes; its outputs are being moved."""
    COMPLETED = "completed"
    """Exit code 0 and each required output delivered. ``/bin/false`` cannot get here."""
    FAILED = "failed"
    """It will not go on. ``failed_stage`` tells where, the story tells why."""
    CANCELED = "canceled"
    """Ended because its user asked, with nothing of it left in flight."""

    @property
    def final(self) -> bool:
        return self in FINAL


FINAL = frozenset({State.COMPLETED, State.FAILED, State.CANCELED})


class Stage(StrEnum):
    """The part of a job's life that a failure belongs to."""

    DEPENDENCY = "dependency"
    """It never came so far: a job that it waited for ended the wrong way."""
    STAGE_IN = "stage_in"
    SUBMIT = "submit"
    QUEUE = "queue"
    """Its inputs were there, and no node was free for it in the time that it was given."""
    RUN = "run"
    STAGE_OUT = "stage_out"


DEADLINE = "deadline"
"""The error of a job that is over the deadline of one of its stages, or of its transfer."""


class Outcome(StrEnum):
    """How the job's process ended. This is not a state: outputs may still have to move."""

    OK = "ok"
    ERROR = "error"
    WALLTIME = "walltime"
    LOST = "lost"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often a job is tried in all, and the seconds between a failure and the next try."""

    attempts: int = 1
    delay: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Seconds that a stage may take; None for no limit. See ``core.deadlines``."""

    stage_in: int | None = None
    queue: int | None = None
    stage_out: int | None = None


class Ahead(StrEnum):
    """Where a job stands that its scheduler has, or is to have, under a hold before its data is there."""

    WANTED = "wanted"
    """Its site is to submit it; of a job that was leased, it may have."""
    FILED = "filed"
    """A submit filter has left it at the scheduler; its site is to find it there."""
    HELD = "held"
    """It is there, held, under ``native_id``."""
    REFUSED = "refused"
    """Its site would not have it: the job fails, and what is at the scheduler is to be removed."""
    GONE = "gone"
    """It is not there any more, or was never taken: the job fails."""

    @property
    def in_vain(self) -> bool:
        """Whether the job fails, whatever becomes of its data."""
        return self in (Ahead.REFUSED, Ahead.GONE)


class LegStatus(StrEnum):
    """Where one item of the current stage stands."""

    PENDING = "pending"
    """Not in any batch."""
    MOVING = "moving"
    """In the batch that the leg names, for as long as the user's desk names that batch."""
    DONE = "done"
    ABSENT = "absent"
    """Optional and not there."""
    FAILED = "failed"

    @property
    def settled(self) -> bool:
        return self not in (LegStatus.PENDING, LegStatus.MOVING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One item of ``stage_in`` or ``stage_out`` on its way.

    ``item`` is its index in the document; ``files`` and ``bytes`` are what the site counted (stage-out) or
    what Globus moved, None while unknown.
    """

    item: int
    status: LegStatus = LegStatus.PENDING
    batch: BatchId | None = None
    files: int | None = None
    bytes: int | None = None
    error: str | None = None
    """The code of what failed it; the words are in the story."""
    share: int | None = None
    """The most items a batch with this one may have: halved each time such a batch fails and no event names
    the culprit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One line of the trail: event ``code`` made ``version``, in ``state``, at ``at``."""

    version: int
    at: datetime
    code: str
    state: State
    note: str = ""
    """What the event was about: a Globus task, a native id, a lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The status of one job. ``version`` counts its changes, ``revision`` its documents."""

    ref: JobRef
    owner: str
    """The username of its user, as it was when the job was submitted."""
    site: SiteId
    name: str
    index: int
    """Its place in the POST that made it, from 0."""
    created_at: datetime
    updated_at: datetime
    state: State = State.NEW
    version: int = 1
    revision: int = 1
    legs: tuple[Leg, ...] = ()
    epoch: int = 0
    """Counts the leases that sites had on it; 0 means never leased."""
    leased_until: datetime | None = None
    native_id: str | None = None
    outcome: Outcome | None = None
    exit_code: int | None = None
    failed_stage: Stage | None = None
    error: str | None = None
    """The code of what went wrong; the words are in the story item of version ``told``."""
    told: int | None = None
    exited: int | None = None
    """The version whose story item holds what the site reported at the exit."""
    cancel_requested: bool = False
    hold: Hold | None = None
    """What keeps it back: here while it is not at the scheduler, there when it is."""
    orders: Orders = ()
    """What its user wants of it at the scheduler, and its site has not answered."""
    answered: int = 0
    """The newest of its orders that its site has answered: an answer to one before tells what was so earlier."""
    ahead: Ahead | None = None
    """Where it stands with the scheduler that has it before its data is there; None for a job that goes there after."""
    awaits_start: bool = False
    """Its inputs do not set out before its start is near; see ``core.just_in_time``."""
    starts_at: datetime | None = None
    """The start that the scheduler expects of a job that is ahead, as last reported."""
    deadlines: Deadlines = Deadlines()
    overdue: bool = False
    """Its present stage is over its deadline: it fails when nothing of it is in flight, nor at the scheduler."""
    retry: Retry = Retry()
    attempt: int = 1
    """Which try this is; see ``core.retrying``."""
    submission: int = 1
    """The try whose name the scheduler's job and its files at the site bear: that of a job which is there already does
    not change when its inputs are moved again."""
    not_before: datetime | None = None
    """When the next try begins, while it has not."""
    parents: tuple[Parent, ...] = ()
    """The jobs that it still waits for."""
    broken: JobNumber | None = None
    """The one of them that ended the wrong way."""
    awaited: bool = False
    """Another job waits for this one, or did: its end is news for the planner."""
    cleanup: bool = False
    """The document asks for cleanup, and it has not been done."""
    waiting_for: frozenset[str] = frozenset()
    posted: str | None = None
    """The idempotency record of the POST that made it, until its first change; see ``core.posting``."""
    trail: tuple[Mark, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    journey: Journey | None = None
    """What forecasts and listings need of its document; None in a status from before it was kept."""
    size: int = 0
    """Bytes of its document as it is stored."""

    @property
    def in_flight(self) -> tuple[Leg, ...]:
        return tuple(leg for leg in self.legs if leg.status is LegStatus.MOVING)

    @property
    def pending(self) -> tuple[Leg, ...]:
        return tuple(leg for leg in self.legs if leg.status is LegStatus.PENDING)

    @property
    def before_data(self) -> bool:
        """Whether its inputs are still to come."""
        return self.state in (State.NEW, State.STAGE_IN)

    @property
    def submitted(self) -> bool:
        """Whether its scheduler has it, to run when there are nodes, or running."""
        return self.state in (State.QUEUED, State.ACTIVE)

    @property
    def may_begin(self) -> bool:
        """Whether its inputs are there and nothing keeps it from its scheduler: no hold, no job that it waits for."""
        return self.state is State.STAGED and self.hold is None and not self.parents

    @property
    def may_go_ahead(self) -> bool:
        """Whether the scheduler may have it, held, before it may begin. What a submit filter has put in the queue is
        there whatever it waits for."""
        if self.ahead is Ahead.FILED:
            return self.before_data or self.state is State.STAGED
        return self.ahead is Ahead.WANTED and self.before_data and self.hold is None and not self.parents

    @property
    def ahead_in_vain(self) -> bool:
        return self.ahead is not None and self.ahead.in_vain

    @property
    def may_be_held(self) -> bool:
        """Whether a job that is not to run yet may be at its scheduler: only its site can say that it is not."""
        there = (Ahead.FILED, Ahead.HELD, Ahead.REFUSED)
        return self.ahead in there or (self.ahead is Ahead.WANTED and self.epoch > 0)

    @property
    def waits_there(self) -> bool:
        """Whether its scheduler has it and it has not begun: what it asks for there is the scheduler's to change."""
        before = self.before_data or self.state is State.STAGED
        return self.state is State.QUEUED or (before and self.ahead is Ahead.HELD)

    def moving_in(self) -> frozenset[BatchId]:
        """The batches that its items are in."""
        return frozenset(leg.batch for leg in self.in_flight if leg.batch is not None)

    def directory_name(self) -> str:
        """The last step of the job's directory at the site; the step above it is its user's tag."""
        return f"{self.name}-{self.ref.number}"
