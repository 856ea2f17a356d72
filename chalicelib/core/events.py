"""What can happen to a job: the events that ``core.lifecycle`` knows.

Each is a value: what happened, and the attempt it belongs to (a batch, a lease's epoch), so that one that comes
late or twice is told apart. Nothing here says what follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core.holds import Hold
from chalicelib.core.ids import BatchId, JobNumber, TaskId
from chalicelib.core.job import Deadlines, Leg, Outcome, Retry, Stage
from chalicelib.core.journey import Journey
from chalicelib.core.orders import Verb


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to a job. ``note`` goes into the trail: what it was about, in a word."""

    code = "event"

    @property
    def note(self) -> str:
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegsClaimed(Event):
    """A batch takes these items on. They must all be pending."""

    code = "claimed"
    batch: BatchId
    items: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LegsReleased(Event):
    """The batch is no more and moved nothing for certain: its items are to be planned again."""

    code = "released"
    batch: BatchId


@dataclass(frozen=True, slots=True, kw_only=True)
class LegsSettled(Event):
    """The batch's task has ended, with this for each of its items."""

    code = "settled"
    batch: BatchId
    legs: Mapping[int, Leg]
    task: TaskId
    waiting: frozenset[str] = frozenset()
    """What the items that go again wait for."""

    @property
    def note(self) -> str:
        return self.task


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedIn(Event):
    """Every input is at the site, or there is none."""

    code = "staged_in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased(Event):
    """A site takes the job, or keeps it (the same epoch), until ``until``."""

    code = "leased"
    epoch: int
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Event):
    """Something that the site which holds lease ``epoch`` has seen."""

    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued(Report):
    """The scheduler has the job."""

    code = "queued"
    native_id: str

    @property
    def note(self) -> str:
        return self.native_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Active(Report):
    """The scheduler has started the job."""

    code = "active"
    native_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited(Report):
    """The job has ended; ``legs`` are the outputs to move, from what the site found."""

    code = "exited"
    native_id: str | None
    exit_code: int | None
    outcome: Outcome
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered(Event):
    """The POST that made the job is committed, so its site may put it in the queue, held, before its data is there."""

    code = "offered"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldAhead(Report):
    """The scheduler has the job under a hold, before its data is there; ``starts_at`` is the start that it expects."""

    code = "held_ahead"
    native_id: str
    starts_at: datetime | None = None

    @property
    def note(self) -> str:
        return f"{self.native_id} {self.starts_at:%Y-%m-%dT%H:%M:%SZ}" if self.starts_at else self.native_id


@dataclass(frozen=True, slots=True, kw_only=True)
class StagingDue(Event):
    """The start of the job is near: its inputs may set out."""

    code = "staging_due"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone(Report):
    """The scheduler no longer has the job, or never took it, and its data was not there yet: it will not run."""

    code = "gone"
    error: str
    left: bool = False
    """Whether something of it is at the scheduler all the same: its site would not have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unheld(Report):
    """Nothing is left at the scheduler of a job that was held there and is not wanted any more."""

    code = "unheld"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected(Report):
    """The job was not submitted and will not be: the scheduler or the site's own policy refused it, or it came too late
    (``stage`` queue)."""

    code = "rejected"
    error: str
    stage: Stage = Stage.SUBMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn(Report):
    """The job was not submitted and will not be, and its user wanted it ended anyway."""

    code = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRefused(Report):
    """The site will not end the job, which its scheduler may still have; its story says why."""

    code = "cancel_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotReleased(Report):
    """The scheduler does not let go of a job that it holds and whose data is there; its story says why. The site asks
    again and again."""

    code = "not_released"

    @property
    def note(self) -> str:
        return str(self.epoch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered(Report):
    """The scheduler has done what order number ``order`` wanted, or a site tells why it will not."""

    order: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held(Ordered):
    """The scheduler holds the job: it will not start."""

    code = "held_there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Released(Ordered):
    """The scheduler no longer holds the job."""

    code = "released_there"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlteredThere(Ordered):
    """The scheduler has changed what it was asked for. ``change`` makes the job's document say so; None: it does."""

    code = "altered_there"
    change: Altered | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRefused(Ordered):
    """The scheduler, or its site's policy, would not; the story says why. ``change`` is what it has done in part."""

    code = "order_refused"
    verb: Verb
    change: Altered | None = None

    @property
    def note(self) -> str:
        return self.verb


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned(Report):
    """The job's directory is gone."""

    code = "cleaned"


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupRefused(Report):
    """The site will not remove the job's directory; its story says why."""

    code = "cleanup_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed(Event):
    code = "completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    """The job will not go on. Nothing of it is in flight."""

    code = "failed"
    stage: Stage
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedAgain(Event):
    """Try number ``attempt`` has failed by ``error``, and another begins after ``delay``.

    ``cleanup`` is given for a job that had failed for good, and so had forgotten whether it wants that.
    """

    attempt: int
    delay: timedelta
    error: str
    cleanup: bool | None = None

    @property
    def note(self) -> str:
        return f"{self.attempt + 1} {self.error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageInRetried(TriedAgain):
    """What failed of its inputs is moved again."""

    code = "stage_in_retried"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRetried(TriedAgain):
    """It is given to the scheduler again, under an epoch of which no report has been made."""

    code = "run_retried"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOutRetried(TriedAgain):
    """What failed of its outputs is moved again."""

    code = "stage_out_retried"


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayOver(Event):
    """The time between two tries has passed: what is pending may go."""

    code = "delay_over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Canceled(Event):
    """The user's wish is fulfilled. Nothing of the job is in flight."""

    code = "canceled"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequested(Event):
    code = "cancel_requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue(Event):
    """A stage has taken longer than its deadline, in try number ``attempt``."""

    code = "overdue"
    stage: Stage
    attempt: int

    @property
    def note(self) -> str:
        return self.stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Altered(Event):
    """The job has another document: what its status knows of that, and in which ``fields`` it differs.

    ``cleanup`` and ``legs`` are None where they stay as they are.
    """

    code = "altered"
    revision: int
    fields: tuple[str, ...]
    name: str
    tags: Mapping[str, str]
    cleanup: bool | None
    retry: Retry
    deadlines: Deadlines
    journey: Journey
    size: int
    legs: tuple[Leg, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlterOrdered(Event):
    """The user wants the scheduler, which has the job, to be asked for something else."""

    code = "alter_ordered"
    terms: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited(Event):
    """Another job waits for this one's end."""

    code = "awaited"


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyMet(Event):
    """The job that it waited for has ended the right way."""

    code = "dependency_met"
    parent: JobNumber

    @property
    def note(self) -> str:
        return str(self.parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyBroken(Event):
    """The job that it waited for has ended the wrong way: this one will not start."""

    code = "dependency_broken"
    parent: JobNumber

    @property
    def note(self) -> str:
        return str(self.parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldPlaced(Event):
    code = "hold_placed"
    hold: Hold = Hold.RUN

    @property
    def note(self) -> str:
        return "" if self.hold is Hold.RUN else self.hold


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReleased(Event):
    code = "hold_released"
