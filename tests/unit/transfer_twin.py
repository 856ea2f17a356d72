"""Globus Transfer in memory, by the clock that a test turns: the ports ``Submissions`` and ``Tasks``.

It answers as Globus does: a submission id posted again is the same task; paths that a live task already has
are refused; a missing source is skipped, and the task succeeds without it; a path that cannot be written
leaves the task ACTIVE and not ok, its other items moved, until somebody cancels it or its deadline passes; a full
destination fails it. It refuses nothing by
itself beyond that: what else can go wrong is switched on by the test, before or after a call's effect.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from chalicelib.core import paths
from chalicelib.core.batch import Batch, Member, Movement
from chalicelib.core.consent import MAPPED, CollectionFacts, LoginReason, data_access
from chalicelib.core.errors import FarSide, LoginNeeded
from chalicelib.core.globus_codes import Verdict, verdict
from chalicelib.core.ids import CollectionId, SubmissionId, TaskId
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.transfer import IdenticalPaths, Skip, Task, TaskEvent, TaskStatus, TooManyTasks
from chalicelib.core.tokens import AccessToken
from chalicelib.core.transfer_options import Rule

MOST_PENDING = 100
USUAL = timedelta(seconds=20)


@dataclass
class TwinTask:
    """One task as Globus knows it."""

    id: TaskId
    submission: SubmissionId
    label: str
    batch: Batch
    movements: tuple[Movement, ...]
    begun_at: datetime
    ends_at: datetime
    status: TaskStatus = TaskStatus.ACTIVE
    moved: dict[str, int] = field(default_factory=dict)
    skips: list[Skip] = field(default_factory=list)
    settled: set[Member] = field(default_factory=set)
    fatal: str | None = None

    @property
    def live(self) -> bool:
        return self.status in (TaskStatus.ACTIVE, TaskStatus.INACTIVE)

    def pairs(self) -> frozenset[tuple[str, str]]:
        return frozenset((str(move.source), str(move.destination)) for move in self.movements)


def passes(rules: Sequence[Rule], path: str) -> bool:
    """Whether Globus's rules let a file below a directory through: each directory on the way, and its own name."""
    *directories, name = path.split("/")
    return all(
        next((rule.method == "include" for rule in rules if rule.kind == kind and fnmatchcase(step, rule.name)), True)
        for kind, step in (*(("dir", directory) for directory in directories), ("file", name))
    )


@dataclass
class Mishap:
    """Something that goes wrong ``times`` times at calls of ``method``, after the effect or instead of it."""

    method: str
    error: Callable[[], Exception]
    after: bool = False
    times: int = 1


@dataclass
class TransferTwin:
    """``files`` is what lies on each collection: path -> bytes."""

    clock: Clock
    files: dict[CollectionId, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    takes: timedelta = USUAL
    tasks: dict[TaskId, TwinTask] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    cancels: list[TaskId] = field(default_factory=list)
    bad_paths: dict[str, str] = field(default_factory=dict)
    """A path (or an ancestor of one) -> the code of the event that a task meets there, again and again."""
    repeats: int = 1
    """How often a list of events tells of each trouble."""
    unnamed: bool = False
    """Events do not say which path they are about."""
    suspended: set[CollectionId] = field(default_factory=set)
    """Collections whose credential has expired: their tasks are INACTIVE."""
    paused: set[CollectionId] = field(default_factory=set)
    without_consent: set[CollectionId] = field(default_factory=set)
    refused: dict[CollectionId, Exception] = field(default_factory=dict)
    """Submissions that involve this collection are refused outright."""
    demands: dict[CollectionId, CollectionFacts] = field(default_factory=dict)
    """What collections say of themselves, where it is not just that they are mapped."""
    unseen: set[CollectionId] = field(default_factory=set)
    """Collections that Globus does not show to the user."""
    dead_tokens: set[int] = field(default_factory=set)
    hidden: set[TaskId] = field(default_factory=set)
    """Tasks that lists leave out, though they exist."""
    foreign: list[TwinTask] = field(default_factory=list)
    """Tasks of the user that another program began."""
    strangers: set[tuple[str, str]] = field(default_factory=set)
    """(source, destination) pairs that another program's task is moving."""
    mishaps: list[Mishap] = field(default_factory=list)
    count: int = 0
    doubles: list[str] = field(default_factory=list)
    """Items that were sent while a live task had them already."""

    # what a test does

    def put(self, collection: CollectionId, *names: str) -> None:
        """Lay files down, each as many bytes as its path has letters."""
        for name in names:
            self.files[collection][name] = len(name)

    def live(self) -> list[TwinTask]:
        self._go_on()
        return [task for task in self.tasks.values() if task.live]

    def of_job(self, number: int) -> list[TwinTask]:
        return [task for task in self.tasks.values() if number in task.batch.numbers()]

    # core.ports.transfer.Submissions

    def submission(self, token: AccessToken) -> SubmissionId:
        with_effect = self._enter("submission", token)
        self.count += 1
        with_effect()
        return SubmissionId(f"submission-{self.count}")

    def submit(self, token: AccessToken, batch: Batch, movements: Sequence[Movement]) -> TaskId:
        with_effect = self._enter("submit", token)
        self._go_on()
        known = next((task for task in self.tasks.values() if task.submission == batch.submission), None)
        task = known or self._accept(batch, tuple(movements))
        with_effect()
        return task.id

    def cancel(self, token: AccessToken, task: TaskId) -> None:
        with_effect = self._enter("cancel", token)
        self._go_on()
        found = self.tasks[task]
        self.cancels.append(task)
        if found.live:
            found.status = TaskStatus.FAILED
        with_effect()

    # core.ports.transfer.Endpoints

    def facts(self, token: AccessToken, collection: CollectionId) -> CollectionFacts | None:
        self._enter("facts", token)()
        if collection in self.unseen:
            return None
        return self.demands.get(collection, CollectionFacts(id=collection, entity_type=MAPPED))

    # core.ports.transfer.Tasks

    def look(self, token: AccessToken, ids: Sequence[TaskId]) -> Mapping[TaskId, Task]:
        with_effect = self._enter("look", token)
        self._go_on()
        with_effect()
        shown = [task for name, task in self.tasks.items() if (name in ids or task.live) and name not in self.hidden]
        return {task.id: self._seen(task) for task in (*shown, *self.foreign)}

    def find(self, token: AccessToken, label: str) -> Task | None:
        with_effect = self._enter("find", token)
        self._go_on()
        with_effect()
        found = [task for task in self.tasks.values() if task.label == label]
        return self._seen(found[-1]) if found else None

    def skipped(self, token: AccessToken, task: TaskId) -> Sequence[Skip]:
        self._enter("skipped", token)()
        return list(self.tasks[task].skips)

    def delivered(self, token: AccessToken, task: TaskId) -> Sequence[str]:
        self._enter("delivered", token)()
        return list(self.tasks[task].moved)

    def errors(self, token: AccessToken, task: TaskId) -> Sequence[TaskEvent]:
        self._enter("errors", token)()
        return [
            TaskEvent(
                code=code,
                description="an error",
                detail="" if self.unnamed else f'{{"path": "{path}"}}',
                time=self.clock.now(),
            )
            for code, path in self._troubles(self.tasks[task]) * self.repeats
        ]

    # how it works

    def _enter(self, method: str, token: AccessToken) -> Callable[[], None]:
        """Note the call and meet the mishaps that come before its effect; the answer meets those after it."""
        self.calls.append(method)
        if token.version in self.dead_tokens:
            raise FarSide("transfer", "AuthenticationFailed", "Token is not active", transient=False, status=401)
        self._meet(method, after=False)
        return lambda: self._meet(method, after=True)

    def _meet(self, method: str, *, after: bool) -> None:
        for mishap in self.mishaps:
            if mishap.method == method and mishap.after == after and mishap.times > 0:
                mishap.times -= 1
                raise mishap.error()

    def _accept(self, batch: Batch, movements: tuple[Movement, ...]) -> TwinTask:
        touched = (batch.route.source, batch.route.destination)
        missing = sorted(self.without_consent.intersection(touched))
        if missing:
            scopes = tuple(data_access(each) for each in missing)
            raise LoginNeeded(LoginReason.CONSENT, "Missing required data_access consent", scopes=scopes)
        for each in touched:
            if each in self.refused:
                raise self.refused[each]
        live = self.live()
        if len(live) >= MOST_PENDING:
            raise TooManyTasks("transfer", "ClientError.Conflict.TooManyPendingJobs", "100", transient=True, status=409)
        moving = self.strangers.union(*(task.pairs() for task in live))
        now = self.clock.now()
        name = TaskId(f"task-{len(self.tasks) + 1}")
        task = TwinTask(name, batch.submission, batch.label, batch, movements, now, now + self.takes)
        if moving & task.pairs():
            words = "A transfer with identical paths has not yet completed"
            raise IdenticalPaths("transfer", "Conflict", words, transient=True, status=409)
        aboard = {(each.batch.user, each.batch.route.stage, member) for each in live for member in each.batch.members}
        self.doubles += [str(member) for member in batch.members if (batch.user, batch.route.stage, member) in aboard]
        self.tasks[name] = task
        return task

    def _go_on(self) -> None:
        """What happened at Globus since the last call."""
        now = self.clock.now()
        for task in self.tasks.values():
            route = task.batch.route
            if not task.live:
                continue
            stopped = {route.source, route.destination} & self.suspended
            task.status = TaskStatus.INACTIVE if stopped else TaskStatus.ACTIVE
            if now >= task.batch.deadline:
                task.status, task.fatal = TaskStatus.FAILED, "EXPIRED"
            elif now >= task.ends_at and not self._is_held(task):
                self._work(task)

    def _is_held(self, task: TwinTask) -> bool:
        route = task.batch.route
        return bool({route.source, route.destination} & (self.paused | self.suspended))

    def _work(self, task: TwinTask) -> None:
        """Move what can be moved; a full destination ends the task there, any other trouble is met for ever."""
        for move in task.movements:
            codes = self._met(move)
            if any(verdict(code) is Verdict.SPACE for code, _ in codes):
                task.status, task.fatal = TaskStatus.FAILED, codes[0][0]
                break
            if not codes and move.member not in task.settled:
                self._move(task, move)
                task.settled.add(move.member)
        else:
            task.status = TaskStatus.ACTIVE if self._troubles(task) else TaskStatus.SUCCEEDED

    def _troubles(self, task: TwinTask) -> list[tuple[str, str]]:
        """The events of paths that this task can never write or read."""
        return [trouble for move in task.movements for trouble in self._met(move)]

    def _met(self, move: Movement) -> list[tuple[str, str]]:
        return [
            (code, path)
            for path in (move.source.path, move.destination.path)
            for bad, code in self.bad_paths.items()
            if paths.covers(bad, path.rstrip("/"))
        ]

    def _move(self, task: TwinTask, move: Movement) -> None:
        there = self.files[move.source.collection]
        root, target = move.source.path, move.destination.path
        below = [name for name in there if move.recursive and name.startswith(root)]
        found = [name for name in below if passes(move.options.rules, name[len(root) :])] or [
            name for name in there if name == root
        ]
        if not below and not found:
            task.skips.append(Skip(source_path=root, code="FILE_NOT_FOUND", detail="No such file or directory"))
        for name in found:
            lands = target + name[len(root) :]
            self.files[move.destination.collection][lands] = task.moved[lands] = there[name]

    def _seen(self, task: TwinTask) -> Task:
        troubles = self._troubles(task) if task.live else []
        route = task.batch.route
        return Task(
            id=task.id,
            status=task.status,
            label=task.label,
            files=len(task.moved),
            files_done=len(task.moved),
            bytes=sum(task.moved.values()),
            ok=not troubles,
            paused=task.live and bool({route.source, route.destination} & self.paused),
            faults=len(troubles),
            skipped=len(task.skips),
            nice_status=troubles[0][0] if troubles else None,
            fatal=task.fatal,
            expired=task.fatal == "EXPIRED",
            took=None if task.live else task.ends_at - task.begun_at,
        )
