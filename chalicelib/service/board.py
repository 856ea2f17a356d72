"""What one pass has in hand: the claimed plan, and what it has read of jobs, documents and sites."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chalicelib.core.batch import Batch, Movement, movement
from chalicelib.core.consent import SessionDemand, consented_collections, joined
from chalicelib.core.desk import LiveBatch, LoginNeed, Plan, Route
from chalicelib.core.document import Document, read_document
from chalicelib.core.errors import LoginNeeded
from chalicelib.core.events import LegsReleased
from chalicelib.core.ids import BatchId, CollectionId, JobNumber, JobRef, SiteId, UserId
from chalicelib.core.job import Job, Stage
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.desks import Batches, Desks
from chalicelib.core.ports.jobs import Jobs
from chalicelib.core.ports.places import Sites
from chalicelib.core.ports.transfer import Submissions, Tasks
from chalicelib.core.sites import Site
from chalicelib.service.changing import Decide, Step, change, change_many


class ClaimLost(Exception):
    """Another planner has the desk: this pass outlived its claim, and may do nothing more."""


class OutOfTime(Exception):
    """The function's time is nearly over: no new call may be begun."""


RESERVE = timedelta(seconds=20)
"""A pass begins nothing new with less than this left of its function's time."""


@dataclass(slots=True, kw_only=True)
class Board:
    """The claimed desk of one pass. Every change of the plan goes to the store at once, by compare-and-set."""

    user: UserId
    plan: Plan
    desks: Desks
    wake_at: datetime | None = None
    """When something that this pass left alone is due; None if nothing of it has a time."""

    announced_until: datetime | None = None
    """When a fact that was announced must have come; looked at then, whatever else the user's jobs wait for."""

    deadline_at: datetime | None = None
    """When the first of the deadlines is that are noted in the inbox; it counts whatever else is waited for."""

    def deadline_by(self, at: datetime) -> None:
        """Ask for a pass no later than then, login or no login."""
        self.deadline_at = at if self.deadline_at is None else min(self.deadline_at, at)

    def wake_by(self, at: datetime) -> None:
        """Ask for a pass no later than then."""
        self.wake_at = at if self.wake_at is None else min(self.wake_at, at)

    def keep(self, plan: Plan) -> None:
        """Store the plan as it is to be.

        :raises ClaimLost: the stored plan is not the one this pass has in hand.
        """
        kept = replace(plan, version=self.plan.version + 1)
        if not self.desks.keep_plan(self.user, kept, was=self.plan.version):
            raise ClaimLost(self.user)
        self.plan = kept

    def live(self) -> frozenset[BatchId]:
        """The batches that exist."""
        return frozenset(live.batch for live in self.plan.batches)

    def put(self, live: LiveBatch) -> None:
        """Name the batch on the desk as it is now."""
        self.keep(self.plan.with_batch(live))

    def remember(self, live: LiveBatch) -> None:
        """Change what the desk tells people about a batch; stored with the next change or at the close."""
        self.plan = self.plan.with_batch(live)

    def note(self, need: LoginNeeded, now: datetime, route: Route | None = None) -> None:
        """Keep a refusal on the desk, together with those before it: one login is to end them all.

        What met it by a route is not tried again before the login, whatever scopes the refusal names. One
        without a route or a scope holds up everything.
        """
        collections = consented_collections(need.scopes)
        routes = () if route is None or collections & {route.source, route.destination} else (route,)
        everything = not collections and not routes
        before = self.plan.need
        if before is not None and before.collections is not None:
            collections |= before.collections
            routes = tuple(dict.fromkeys((*before.routes, *routes)))
        scopes = tuple(dict.fromkeys((*(before.scopes if before is not None else ()), *need.scopes)))
        kept = LoginNeed(
            reason=need.reason,
            words=need.detail,
            since=now if before is None else before.since,
            collections=None if everything else collections,
            scopes=scopes,
            session=need.session if before is None else joined((before.session, need.session)),
            routes=routes,
        )
        self.plan = replace(self.plan, need=kept)


@dataclass(slots=True, kw_only=True)
class Shelf:
    """Jobs, documents and sites that a pass has read; each is read once, in bulk."""

    user: UserId
    jobs_port: Jobs
    sites_port: Sites
    now: Callable[[], datetime]
    jobs: dict[JobNumber, Job] = field(default_factory=dict)
    documents: dict[tuple[JobNumber, int], Document] = field(default_factory=dict)
    sites: dict[SiteId, Site] = field(default_factory=dict)

    def ref(self, number: JobNumber) -> JobRef:
        return JobRef(user=self.user, number=number)

    def load(self, numbers: Iterable[JobNumber], live: frozenset[BatchId]) -> None:
        """Read the jobs that are not here yet; a claim by a batch that the desk does not name is void."""
        missing = [self.ref(number) for number in numbers if number not in self.jobs]
        self.jobs.update({ref.number: job for ref, job in self.jobs_port.get_many(missing).items()})
        self.void(live)

    def load_claimed(self, batch: BatchId, numbers: Sequence[JobNumber], live: frozenset[BatchId]) -> None:
        """Read the jobs of a batch that are not here yet. One in which its claim is seen is changed on the condition
        of what was seen, so a cheap read will do; that it has none is believed only of a strong one."""
        missing = [self.ref(number) for number in numbers if number not in self.jobs]
        found = self.jobs_port.get_many(missing, strong=False)
        self.jobs.update({ref.number: job for ref, job in found.items() if batch in job.moving_in()})
        self.load(numbers, live)

    def admit(self, jobs: Iterable[Job], live: frozenset[BatchId]) -> None:
        """Take in jobs that were read elsewhere; a claim by a batch that the desk does not name is void."""
        self.jobs.update({job.ref.number: job for job in jobs})
        self.void(live)

    def void(self, live: frozenset[BatchId]) -> None:
        """Release the claims of batches that the desk does not name."""
        for job in list(self.jobs.values()):
            steps = tuple(Step(event=LegsReleased(batch=batch)) for batch in sorted(job.moving_in() - live))
            if steps:
                self.apply(job, *steps)

    def change(self, job: Job, decide: Callable[[Job], tuple[Step, ...]]) -> Job | None:
        """Change a job, and whatever is due by then; keep what became of it."""
        changed = change(self.jobs_port, job, decide, self.now())
        if changed is not None:
            self.jobs[changed.ref.number] = changed
        return changed

    def change_many(self, wanted: Sequence[tuple[Job, Decide]]) -> list[Job | None]:
        """As ``change``, of many jobs at a time, each by itself; a job stands in ``wanted`` once."""
        changed = change_many(self.jobs_port, wanted, self.now())
        self.jobs.update({job.ref.number: job for job in changed if job is not None})
        return changed

    def apply(self, job: Job, *steps: Step) -> Job | None:
        """Apply these steps to a job, whatever it has become meanwhile."""
        return self.change(job, lambda _: steps)

    def documents_of(self, wanted: Iterable[tuple[JobNumber, int]]) -> None:
        """Read the documents of these revisions that are not here yet."""
        missing = [
            (self.ref(number), revision) for number, revision in wanted if (number, revision) not in self.documents
        ]
        revisions = dict(missing)
        for ref, raw in self.jobs_port.documents(missing).items():
            self.documents[(ref.number, revisions[ref])] = read_document(dict(raw))

    def movement(self, job: Job, stage: Stage, item: int, revision: int) -> Movement:
        """What moves for an item; its document must have been read."""
        # The job may have been altered since: what was made of a revision stays what it was.
        made_of = replace(job, revision=revision)
        return movement(made_of, self.documents[(job.ref.number, revision)], self.site(job.site), stage, item)

    def site(self, name: SiteId) -> Site:
        """The site, read once."""
        if name not in self.sites:
            site = self.sites_port.get(name)
            assert site is not None, f"site {name} is gone, and jobs of user {self.user} name it"
            self.sites[name] = site
        return self.sites[name]

    def movements(self, batch: Batch) -> tuple[Movement, ...]:
        """The batch's movements, rebuilt from what was frozen: the same each time."""
        self.documents_of((member.number, member.revision) for member in batch.members)
        return tuple(self.movement(self.jobs[m.number], batch.route.stage, m.item, m.revision) for m in batch.members)


@dataclass(slots=True, kw_only=True)
class Turn:
    """All that a pass works with."""

    board: Board
    shelf: Shelf
    batches: Batches
    desks: Desks
    submissions: Submissions
    tasks: Tasks
    clock: Clock
    time_left: Callable[[], timedelta]
    renewal: Callable[[Iterable[CollectionId]], SessionDemand]
    """The sign-in that meets what is known of collections, where Globus does not say what it wants."""
    noted: dict[JobNumber, datetime] = field(default_factory=dict)
    """Jobs whose deadline is noted in the inbox, with the time of the note."""
    put_off: dict[JobNumber, datetime] = field(default_factory=dict)
    """Deadlines that are later than the job tells."""
    _frozen: dict[BatchId, Batch] = field(default_factory=dict)

    def frozen(self, batch: BatchId) -> Batch | None:
        """A batch as it was frozen, read once; None if it never was."""
        if batch not in self._frozen:
            found = self.batches.get(self.board.user, batch)
            if found is None:
                return None
            self._frozen[batch] = found
        return self._frozen[batch]

    def freeze(self, batch: Batch) -> Batch:
        """Freeze it, and return what is frozen under its id."""
        self._frozen[batch.id] = self.batches.freeze(batch)
        return self._frozen[batch.id]

    def held_up(self, route: Route) -> bool:
        """Whether what goes this way waits for a login, or for space at its end (then a pass is asked for)."""
        plan = self.board.plan
        full = plan.no_space(route.destination)
        if full is not None and full.again_at > self.clock.now():
            self.board.wake_by(full.again_at)
            return True
        return plan.need is not None and plan.need.holds_up(route)

    def check_time(self) -> None:
        """Stop here if there is not enough time for another call.

        :raises OutOfTime: to be let through to the pass.
        """
        if self.time_left() < RESERVE:
            raise OutOfTime
