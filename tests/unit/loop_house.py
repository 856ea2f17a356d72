"""The planner and the calls around it over memory twins, with a clock that a test turns and a gate at every port.

Each call of a port passes ``House.gate`` twice, before its effect and after it. A test hangs there what it
wants to happen between two calls: nothing, the end of the process, or another actor's turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from transfer_twin import TransferTwin

from chalicelib.adapters.memory.desks import MemoryBatches, MemoryBell, MemoryDesks
from chalicelib.adapters.memory.holdings import MemoryHoldings
from chalicelib.adapters.memory.jobs import MemoryDependants, MemoryJobs, MemoryPostings, MemorySiteQueue
from chalicelib.adapters.memory.places import MemoryCollections, MemorySites
from chalicelib.adapters.memory.rows import MemoryRows
from chalicelib.adapters.memory_logins import MemoryLogins
from chalicelib.core.consent import LoginReason
from chalicelib.core.desk import Desk
from chalicelib.core.errors import LoginNeeded
from chalicelib.core.forecast import Expectations
from chalicelib.core.holdings import Caps
from chalicelib.core.ids import CollectionId, JobNumber, JobRef, SiteId, UserId
from chalicelib.core.job import Job
from chalicelib.core.keys import JOBS, Caller, KeyKind, site_scope
from chalicelib.core.lifecycle import faults_of
from chalicelib.core.notices import Notice
from chalicelib.core.orders import patch_of
from chalicelib.core.sessions import NOBODY, Session
from chalicelib.core.sites import Mount, Site
from chalicelib.core.sync import SyncRequest, read_sync
from chalicelib.core.tokens import AccessToken
from chalicelib.service.allowance import Allowance
from chalicelib.service.doors import Doors
from chalicelib.service.jobs import ManageJobs
from chalicelib.service.knowing import Knowledge
from chalicelib.service.outlooks import Outlooks
from chalicelib.service.passing import Passing
from chalicelib.service.posting import PostJobs
from chalicelib.service.reconcile import Reconciler
from chalicelib.service.sweep import Sweep
from chalicelib.service.sync import Synced, Syncing
from chalicelib.service.telling import Telling
from chalicelib.service.waking import Waking
from chalicelib.service.watching import Watching

START = datetime(2026, 11, 22, 17, tzinfo=UTC)
LAB = CollectionId("aaaaaaaa-0000-4000-8000-000000000001")
ARCHIVE = CollectionId("aaaaaaaa-0000-4000-8000-000000000002")
SCRATCH = CollectionId("aaaaaaaa-0000-4000-8000-000000000003")
OTHER = CollectionId("aaaaaaaa-0000-4000-8000-000000000004")
THETA = SiteId("theta")
LIFE = timedelta(seconds=300)
PLENTY = timedelta(seconds=280)


def a_caller(user: UserId, username: str, *scopes: str) -> Caller:
    return Caller(
        user=user,
        username=username,
        scopes=frozenset(scopes or {JOBS, "read"}),
        key_id="k",
        kind=KeyKind.KEY,
    )


ADA = a_caller(UserId("11111111-1111-4111-8111-111111111111"), "ada@uni.example")
BOB = a_caller(UserId("22222222-2222-4222-8222-222222222222"), "bob@uni.example")
AGENT = a_caller(ADA.user, ADA.username, site_scope(THETA))


ROOM = Caps(jobs=50_000, bytes=2**30)


class CrashNow(BaseException):
    """The process is gone: nothing catches this, and nothing is tidied up."""


@dataclass
class Now:
    """A clock that stands until it is turned."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def turn(self, **by: float) -> datetime:
        self.at += timedelta(**by)
        return self.at


class Gated:
    """A port whose calls pass the gate. Anything else of it is as it was."""

    def __init__(self, port: Any, name: str, house: House) -> None:
        self._port, self._name, self._house = port, name, house

    def __getattr__(self, name: str) -> Any:
        if name == "save_many":  # each save is a call of its own: the process may end between any two
            return lambda saves: [self.save(each.job, was=each.was, tales=each.tales) for each in saves]
        found = getattr(self._port, name)
        if not callable(found):
            return found

        def call(*args: Any, **named: Any) -> Any:
            self._house.gate(f"{self._name}.{name}", "before")
            answer = found(*args, **named)
            self._house.gate(f"{self._name}.{name}", "after")
            return answer

        return call


@dataclass
class AccessTwin:
    """Tokens by version. ``refused`` stands until the user signs in; ``error`` is raised while it is set."""

    clock: Now
    version: int = 1
    refused: bool = False
    error: Exception | None = None
    renewals: int = 0
    value: str = "twin"
    session: Session = NOBODY
    scopes: tuple[str, ...] = ()
    forgotten: list[datetime] = field(default_factory=list)

    def forget(self, user: UserId, before: datetime) -> None:
        if self.error is not None:
            raise self.error
        self.forgotten.append(before)
        self.refused = True

    def access_token(self, user: UserId, now: datetime, *, rejected: int | None = None) -> AccessToken:
        if self.error is not None:
            raise self.error
        if self.refused:
            raise LoginNeeded(LoginReason.REFUSED, "Globus no longer takes the token")
        if rejected == self.version:
            self.version += 1
            self.renewals += 1
        expires = now + timedelta(days=2)
        return AccessToken(user=user, value=self.value, version=self.version, expires_at=expires, session=self.session)

    def consented(self, user: UserId) -> tuple[str, ...]:
        return self.scopes


@dataclass
class NoticesTwin:
    """What people were told; ``error`` is raised while it is set."""

    sent: list[Notice] = field(default_factory=list)
    error: Exception | None = None

    def publish(self, notice: Notice) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(notice)


@dataclass
class House:
    """``life`` is the time-out of the reconcile function, ``time_left`` what it has left when asked."""

    lag: int = 0
    life: timedelta = LIFE
    time_left: Callable[[], timedelta] = lambda: PLENTY
    clock: Now = field(default_factory=Now)
    gate: Callable[[str, str], None] = lambda call, moment: None
    caps: Caps = ROOM
    transfer: Any = None
    """What stands for Globus Transfer, if it is not the twin."""
    tokens: Any = None
    """What gives access tokens, if it is not the twin."""

    def __post_init__(self) -> None:
        self.rows = MemoryRows(self.lag)
        self.globus = TransferTwin(clock=self.clock)
        self.access = AccessTwin(self.clock)
        self.rung = MemoryBell()
        self.desks = cast(MemoryDesks, Gated(MemoryDesks(self.rows), "desks", self))
        self.batches = cast(MemoryBatches, Gated(MemoryBatches(self.rows), "batches", self))
        self.jobs = cast(MemoryJobs, Gated(MemoryJobs(self.rows, self.clock), "jobs", self))
        self.dependants = cast(MemoryDependants, Gated(MemoryDependants(self.rows), "dependants", self))
        self.postings = cast(MemoryPostings, Gated(MemoryPostings(self.rows), "postings", self))
        self.holdings = cast(MemoryHoldings, Gated(MemoryHoldings(self.rows), "holdings", self))
        self.bell = cast(MemoryBell, Gated(self.rung, "bell", self))
        self.sites = MemorySites(self.rows)
        transfer = cast(TransferTwin, Gated(self.transfer or self.globus, "globus", self))
        access = cast(AccessTwin, Gated(self.tokens or self.access, "access", self))
        queue = cast(MemorySiteQueue, Gated(MemorySiteQueue(self.rows), "queue", self))
        self.collections = MemoryCollections(self.rows)
        self.logins = MemoryLogins()
        self.expected = Expectations()
        self.told = NoticesTwin()
        watching = Watching(
            known=Knowledge(collections=self.collections, endpoints=transfer),
            telling=Telling(
                notices=cast(NoticesTwin, Gated(self.told, "notices", self)),
                consents=self.tokens or self.access,
                jobs=self.jobs,
                base_url="https://qstage.test/api",
            ),
            expected=self.expected,
        )
        passing = Passing(
            desks=self.desks,
            batches=self.batches,
            jobs=self.jobs,
            dependants=self.dependants,
            sites=self.sites,
            submissions=transfer,
            tasks=transfer,
            access=access,
            clock=self.clock,
            watching=watching,
        )
        self.reconciler = Reconciler(
            desks=self.desks, bell=self.bell, clock=self.clock, passing=passing, life=self.life
        )
        self.sweep = Sweep(desks=self.desks, bell=self.bell, clock=self.clock)
        doors = self.doors = Doors(profiles=self.logins)
        outlooks = Outlooks(profiles=self.logins, collections=self.collections, expected=self.expected)
        allowance = Allowance(holdings=self.holdings, caps=self.caps, clock=self.clock)
        self.post_jobs = PostJobs(
            jobs=self.jobs,
            dependants=self.dependants,
            postings=self.postings,
            sites=self.sites,
            allowance=allowance,
            bell=self.bell,
            clock=self.clock,
            outlooks=outlooks,
            doors=doors,
        )
        self.manage = ManageJobs(
            jobs=self.jobs,
            postings=self.postings,
            desks=self.desks,
            sites=self.sites,
            allowance=allowance,
            bell=self.bell,
            clock=self.clock,
            outlooks=outlooks,
            doors=doors,
        )
        self.syncing = Syncing(
            sites=self.sites,
            jobs=self.jobs,
            queue=queue,
            desks=self.desks,
            bell=self.bell,
            clock=self.clock,
            doors=doors,
        )
        self.waking = Waking(desks=self.desks, jobs=self.jobs, bell=self.bell, clock=self.clock)
        self.agent = AgentTwin(self)
        self.sites.put(a_site(THETA, ADA.user, users=frozenset({BOB.username})))
        self.globus.put(LAB, "/in/a", "/in/deep/b", "/x")

    # what users, sites and AWS do

    def post(self, *documents: dict[str, Any], key: str | None = None, caller: Caller = ADA) -> list[JobNumber]:
        raw = documents[0] if len(documents) == 1 else {"jobs": list(documents)}
        return [number for number, _ in self.post_jobs.post(caller, raw, key).jobs]

    def sign_in(self, caller: Caller = ADA) -> None:
        self.access.refused = False
        self.waking.user_signed_in(caller.user)

    def wake(self, caller: Caller = ADA) -> bool:
        return self.reconciler.wake(caller.user, self.time_left)

    def answer_rings(self) -> int:
        """Deliver what has rung, delays and all, until there is silence; returns how many passes were made."""
        passes = 0
        while rung := self.rung.take():
            early = [(user, delay) for user, delay in rung if delay > 0]
            for user in dict.fromkeys(user for user, delay in rung if delay == 0):
                passes += self.reconciler.wake(user, self.time_left)
            if len(early) == len(rung):
                break
        return passes

    def by_sweep_alone(self) -> None:
        """A minute in which every ring was lost but the sweep's."""
        self.rung.take()
        self.rows.catch_up()
        self.sweep.run()
        for user, _ in self.rung.take():
            self.reconciler.wake(user, self.time_left)
        self.rung.take()

    def live_on(self, minutes: int = 60, *, agent: bool = True) -> None:
        """Let time pass, with the agent at work and the sweep as the only bell, until every job is final."""
        for _ in range(minutes):
            self.clock.turn(minutes=1)
            self.by_sweep_alone()
            if agent:
                self.agent.work()
            if all(job.state.final for job in self.committed()):
                return

    # what is stored

    def job(self, number: int, caller: Caller = ADA) -> Job:
        return self.rows.jobs[JobRef(user=caller.user, number=JobNumber(number))].job

    def desk(self, caller: Caller = ADA) -> Desk:
        return self.rows.desks[caller.user]

    def inbox(self, caller: Caller = ADA) -> list[tuple[JobNumber, ...]]:
        return [item.numbers for (user, _), item in sorted(self.rows.inbox.items()) if user == caller.user]

    def committed(self) -> list[Job]:
        done = {key for key, posting in self.rows.postings.items() if posting.committed}
        every = (row.job for row in self.rows.jobs.values())
        return [job for job in every if job.posted is None or (job.ref.user, job.posted) in done]

    def faults(self) -> list[str]:
        """What must hold of the stored jobs and of Globus's tasks at any moment, and does not."""
        found = [f"{job.ref.number}: {fault}" for job in self.committed() for fault in faults_of(job)]
        labels = [task.label for task in self.globus.tasks.values()]
        if len(labels) != len(set(labels)):
            found.append("a batch has two Globus tasks")
        if self.globus.doubles:
            found.append(f"items went out in two live tasks: {self.globus.doubles}")
        return found


class AgentTwin:
    """A site's agent with a scheduler in its pocket: each job is queued, runs and ends, a step a call.

    ``ends`` says how a job's process ends by its number. Two files are found of each output, but of a job in
    ``missing``; of one in ``short``, one of them is gone before it is moved. One in ``waiting`` gets no nodes. What
    it has to report it repeats until it is answered.
    """

    def __init__(self, house: House, instance: str = "agent-one") -> None:
        self.house, self.instance = house, instance
        self.held: dict[str, dict[str, Any]] = {}
        self.ends: dict[int, dict[str, Any]] = {}
        self.missing: set[int] = set()
        self.short: set[int] = set()
        self.waiting: set[int] = set()
        self.take = 16
        self.ran: list[str] = []
        self.waits: dict[str, dict[str, Any]] = {}
        """What its scheduler holds before its data is there, by job: the native report."""
        self.starts_at: datetime | None = None
        """What the scheduler says of the start of what it holds."""
        self.deleted: set[int] = set()
        """Jobs that their user deletes at the scheduler while they are held."""
        self.cleaned: list[str] = []
        self.refused: list[str] = []
        self.wire: Callable[[SyncRequest], Synced] = lambda request: house.syncing.sync(AGENT, THETA, request)
        """How a call gets to the service and its answer back."""

    def request(self, *reports: dict[str, Any], **fields: Any) -> Any:
        """A checked sync."""
        body = {
            "agent": {"instance": self.instance, "version": "0.1.0", "host": f"login of {self.instance}"},
            "take": self.take,
            "reports": list(reports),
            **fields,
        }
        return read_sync(body)

    def call(self, *reports: dict[str, Any], **fields: Any) -> Synced:
        return self.wire(self.request(*reports, **fields))

    def work(self, rounds: int = 4) -> None:
        for _ in range(rounds):
            holding = [{"job": ref, "epoch": held["epoch"]} for ref, held in self.held.items() if held["epoch"]]
            reports = [report for held in self.held.values() for report in self._to_report(held)[:1]]
            if reports:
                self.house.gate("site.request", "before")
            answer = self.call(*reports, holding=holding, holds=True)
            if answer.answers or answer.commands or answer.leases:
                self.house.gate("site.answer", "before")
            self.refused += [f"{each.report.text} {each.detail}" for each in answer.answers if each.result == "refused"]
            for each in answer.answers:
                self._answered(each.report.text, each.result)
            for command in answer.commands:
                self._obey(str(command.job.ref), command)
            for lease in answer.leases:
                if lease.job.may_begin:
                    self._start(lease)
                else:
                    self._hold(lease)
            self._watch()

    def _hold(self, lease: Any) -> None:
        """Submit under a hold. An agent that has done so finds the job at its scheduler."""
        ref, number = str(lease.job.ref), lease.job.ref.number
        native = {"job": ref, "epoch": lease.job.epoch, "native_id": f"7{number}"}
        report = {**native, "event": "held_ahead"}
        if self.starts_at is not None:
            report["starts_at"] = self.starts_at.isoformat()
        self.waits[ref] = native
        self.held[ref] = {"epoch": lease.job.epoch, "native": native, "reports": [report]}

    def _watch(self) -> None:
        """Tell of what was deleted at the scheduler."""
        for ref, native in list(self.waits.items()):
            if int(ref.rpartition("/")[2]) in self.deleted:
                del self.waits[ref]
                told = self.held.setdefault(ref, {"epoch": native["epoch"], "native": native, "reports": []})
                told["reports"].append({**native, "event": "gone", "detail": "somebody deleted it"})

    def _is_so(self, report: dict[str, Any]) -> bool:
        """A job that gets no nodes is not active."""
        number = int(report["job"].rpartition("/")[2])
        return report["event"] != "active" or number not in self.waiting

    def _to_report(self, held: dict[str, Any]) -> list[dict[str, Any]]:
        """What is next to be said of a job. One that its scheduler holds does not begin to run."""
        reports: list[dict[str, Any]] = held["reports"]
        return reports if reports and self._is_so(reports[0]) and not _is_held(held) else []

    def _start(self, lease: Any) -> None:
        ref = str(lease.job.ref)
        if ref in self.held:
            return
        self.waits.pop(ref, None)
        self.ran.append(ref if lease.job.attempt == 1 else f"{ref} again, {lease.job.attempt}")
        number, epoch = lease.job.ref.number, lease.job.epoch
        native = {"job": ref, "epoch": epoch, "native_id": f"7{number}"}
        end = {"outcome": "ok", "exit_code": 0, **self.ends.get(number, {})}
        reports = [{**native, "event": "queued"}, {**native, "event": "active"}]
        exit_report = {**native, "event": "exited", "tail": "bye", **end, "outputs": self._outputs(lease)}
        self.held[ref] = {"epoch": epoch, "native": native, "reports": [*reports, exit_report]}

    def _outputs(self, lease: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        home = a_site(THETA, ADA.user).job_place(lease.job.ref.user, lease.job.directory_name())
        for index, item in enumerate(lease.document.stage_out):
            if lease.job.ref.number in self.missing:
                found.append({"item": index, "kind": "missing"})
                continue
            directory = item.source == "" or item.source.endswith("/")
            names = [f"{item.source}r1", f"{item.source}r2"] if directory else [item.source]
            there = names[:1] if lease.job.ref.number in self.short else names
            self.house.globus.put(home.collection, *(home.path + name for name in there))
            kind = "directory" if directory else "file"
            found.append({"item": index, "kind": kind, "files": len(names), "bytes": 10})
        return found

    def _answered(self, ref: str, result: str) -> None:
        held = self.held[ref]
        if result == "stale":
            del self.held[ref]
            return
        assert result == "recorded", f"{held['reports'][0]} of {ref} was answered {result}"
        held["reports"].pop(0)
        if not held["reports"]:
            del self.held[ref]

    def _obey(self, ref: str, command: Any) -> None:
        held = self.held.setdefault(ref, {"epoch": command.job.epoch, "native": None, "reports": []})
        told = {"job": ref, "epoch": command.job.epoch}
        if command.word == "cleanup":
            self.cleaned.append(ref)
            held["reports"] = [{**told, "event": "cleaned"}]
        elif command.order is not None:
            self._order(held, told, command)
        elif command.unless_ran and self._has_begun(held):
            return
        elif command.word == "cancel" and ref in self.waits:
            native = self.waits.pop(ref)
            ended = {**native, "epoch": told["epoch"], "event": "exited", "outcome": "canceled", "outputs": []}
            held["reports"] = [*held["reports"], ended]
        elif held["reports"][-1:] == [] or held["reports"][-1].get("outcome") != "canceled":
            ended = {**told, "event": "exited", "outcome": "canceled", "outputs": []}
            held["reports"] = [ended if held["native"] is None else {**held["native"], **ended}]

    def _has_begun(self, held: dict[str, Any]) -> bool:
        """Whether the job runs, or has; to be queued, or not even that, is what is left to report otherwise."""
        left = [report["event"] for report in held["reports"]]
        return held["native"] is not None and "queued" not in left and bool(self._to_report(held))

    def _order(self, held: dict[str, Any], told: dict[str, Any], command: Any) -> None:
        """Hold or release a job that has not begun to run; of one that has, say so."""
        reports, ahead = held["reports"], told["job"] in self.waits
        if reports[:1] and reports[0].get("order") == command.order.number:
            return
        answer = {**told, "command": command.word, "order": command.order.number}
        if not reports and not ahead:
            return
        if not ahead and reports[0]["event"] != "active":
            reports.insert(0, {**answer, "event": "refused", "detail": "it runs"})
        elif command.order.terms:
            reports.insert(0, {**answer, "event": "altered", "change": patch_of(command.order.terms)})
        else:
            held["waits"] = command.word == "hold"
            reports.insert(0, {**answer, "event": "held" if held["waits"] else "released"})


def _is_held(held: dict[str, Any]) -> bool:
    """Whether its scheduler keeps a job from beginning to run."""
    return bool(held.get("waits")) and held["reports"][0]["event"] == "active"


def a_site(name: SiteId, owner: UserId, **fields: Any) -> Site:
    mount = Mount(collection=SCRATCH, path="/scratch/", directory="/lus/scratch/")
    return Site(id=name, owner=owner, scheduler="cobalt", mappings=(mount,), created_at=START, **fields)


def a_document(
    name: str = "job",
    *,
    source: str | None = "/in/",
    lab: CollectionId = LAB,
    results: bool = True,
    archive: CollectionId = ARCHIVE,
    **fields: Any,
) -> dict[str, Any]:
    """A job with one input and one output directory; either may be left out."""
    document: dict[str, Any] = {"name": name, "site": THETA, "executable": "/bin/true"}
    if source is not None:
        document["stage_in"] = [{"source": f"globus://{lab}{source}", "target": "inputs/"}]
    if results:
        document["stage_out"] = [{"source": "results/", "target": f"globus://{archive}/runs/{{id}}/"}]
    return {**document, **fields}
