"""Batches: which items travel together in one Globus task, and the transfer document they make.

A batch is frozen before it is posted: its members, with each one's document revision, its label and its
deadline. The transfer document is rebuilt from that, the same each time, so that posting it twice under one
submission id is one task.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core import paths
from chalicelib.core.desk import LiveBatch, Plan, Route
from chalicelib.core.document import Document
from chalicelib.core.ids import BatchId, JobNumber, SubmissionId, UserId, user_tag
from chalicelib.core.job import Job, Leg, Stage
from chalicelib.core.paths import Location
from chalicelib.core.sites import Site
from chalicelib.core.transfer_options import PLAIN, Options

MOST_LIVE = 3
"""Globus works on three transfer tasks of a user at a time; more would only queue there."""

MOST_ON_DESK = 8
"""Batches that a desk names, those that use none of the three among them."""

OTHERS_KNOWN = timedelta(minutes=2)
"""For how long what was seen of the user's own tasks is taken to be so still."""

MOST_ITEMS = 2000
"""Items in one batch: bounds the frozen record (under 400 KB) and what one culprit can delay."""


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """One item in a batch."""

    number: JobNumber
    item: int
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A frozen batch."""

    id: BatchId
    user: UserId
    submission: SubmissionId
    route: Route
    members: tuple[Member, ...]
    deadline: datetime
    careful: bool = False
    """Compare checksums with what is there: some of it may have been sent before."""

    @property
    def label(self) -> str:
        """The task's label at Globus: by it a task can be found without its id."""
        return label(self.user, self.id)

    def numbers(self) -> tuple[JobNumber, ...]:
        return tuple(dict.fromkeys(member.number for member in self.members))


def label(user: UserId, batch: BatchId) -> str:
    return f"qstage {user_tag(user)} {batch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """One item of a transfer document. ``recursive`` is always said outright."""

    member: Member
    source: Location
    destination: Location
    options: Options = PLAIN

    @property
    def recursive(self) -> bool:
        return self.source.is_directory


def movement(job: Job, document: Document, site: Site, stage: Stage, item: int) -> Movement:
    """What moves, from where to where, for one item of a stage of the job."""
    home = site.job_place(job.ref.user, job.directory_name())
    member = Member(job.ref.number, item, job.revision)
    if stage is Stage.STAGE_OUT:
        source = Location(home.collection, paths.join(home.path, document.stage_out[item].source))
        return Movement(
            member=member,
            source=source,
            destination=document.targets(job.ref.number, job.index)[item],
            options=document.stage_out[item].options,
        )
    wanted = document.stage_in[item]
    assert wanted.source is not None, "a linked input is never moved"
    return Movement(
        member=member,
        source=wanted.source,
        destination=Location(home.collection, paths.join(home.path, wanted.target)),
        options=wanted.options,
    )


def route_of(move: Movement, stage: Stage) -> Route:
    return Route(stage=stage, source=move.source.collection, destination=move.destination.collection)


def legs_to_stage_in(document: Document) -> tuple[Leg, ...]:
    """The legs that a new job begins with: its inputs, but for those that are only linked."""
    return tuple(Leg(item=index) for index, item in enumerate(document.stage_in) if item.source is not None)


def room(plan: Plan, now: datetime) -> int:
    """How many more batches may be sent.

    The user's own tasks count. If they take all that Globus works on, one of ours goes all the same: it queues
    there as theirs do. One that is paused, suspended or refused for now uses nothing.
    """
    recent = plan.looked_at is not None and now - plan.looked_at < OTHERS_KNOWN
    ours = sum(1 for live in plan.batches if is_worked_on(live))
    free = MOST_LIVE - ours - (plan.others if recent else 0)
    return min(max(free, 0 if ours else 1), MOST_ON_DESK - len(plan.batches))


def is_worked_on(live: LiveBatch) -> bool:
    """Whether the batch takes one of the tasks that Globus works on."""
    return not live.look.paused and not live.look.suspended and (live.task is not None or live.retry_at is None)


def by_number(members: Iterable[Member]) -> Mapping[JobNumber, frozenset[int]]:
    """Which items of which jobs."""
    found: dict[JobNumber, set[int]] = defaultdict(set)
    for member in members:
        found[member.number].add(member.item)
    return {number: frozenset(items) for number, items in found.items()}
