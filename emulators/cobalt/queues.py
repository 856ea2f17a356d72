"""Queues: their limits and states, and the words in which a job is turned away at the door.

Pure. What limits how many jobs of a user *run* (``maxrunning``) does not turn away: it holds, in ``blocked``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields

from emulators.cobalt.jobs import ON_NODES, Job, Spec
from emulators.cobalt.scores import Policy
from qstage.cobalt.layout import hours_minutes
from qstage.cobalt.rows import QueueRow

QUEUE_FAULT = 1001
JOB_FAULT = 1004


class RefusalError(Exception):
    """The queue manager does not take the job. ``fault`` is Cobalt's number for it."""

    def __init__(self, text: str, fault: int = QUEUE_FAULT) -> None:
        super().__init__(text)
        self.text = text
        self.fault = fault

    @property
    def shown(self) -> str:
        """Return what qsub prints to stderr."""
        if self.fault == JOB_FAULT:
            return self.shown_of("system.validate_job")
        return f"<Fault {self.fault}: {self.text!r}>\n"

    def shown_of(self, call: str) -> str:
        """Return what a command prints that does not expect this call to be refused."""
        return f"component error: XMLRPC failure <Fault {self.fault}: {self.text!r}> in {call}\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue. Times are minutes, None is no limit; ``users`` is a colon list or None for everybody; ``policy`` is
    what scores its jobs, None the simulator's.

    States: ``running``; ``stopped`` takes jobs and starts none; ``draining`` starts jobs and takes none;
    ``dead`` does neither.
    """

    name: str
    state: str = "running"
    priority: float = 0.0
    policy: Policy | None = None
    users: str | None = None
    mintime: int | None = None
    maxtime: int | None = None
    maxqueued: int | None = None
    maxrunning: int | None = None
    maxnodehours: int | None = None

    @property
    def starts(self) -> bool:
        return self.state in ("running", "draining")

    def row(self) -> QueueRow:
        """Return what ``qstat -Q`` shows."""
        return QueueRow(
            name=self.name,
            users=self.users,
            mintime=self.mintime,
            maxtime=self.maxtime,
            maxrunning=self.maxrunning,
            maxqueued=self.maxqueued,
            maxnodehours=self.maxnodehours,
            state=self.state,
        )


_READ: dict[str, Callable[[str], object]] = {"state": str, "users": str, "priority": float, "policy": Policy}
"""How a setting is read; the others are integers."""


def parse_queue(text: str) -> Queue:
    """Read a queue from ``name,key=value,…``. Raises ValueError for a key or a value that is none."""
    name, *pairs = text.split(",")
    known = {field.name for field in fields(Queue)} - {"name"}
    values: dict[str, object] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in known:
            raise ValueError(f"queue {name}: no such setting: {key}")
        values[key] = _READ.get(key, int)(value)
    return Queue(name=name, **values)  # type: ignore[arg-type]


def check_system(spec: Spec, node_count: int, minimum_minutes: int) -> None:
    """Refuse what the system itself cannot run: too many nodes, or a walltime too short to be worth a
    start."""
    if not 0 < spec.nodes <= node_count:
        raise RefusalError("Node count out of realistic range", JOB_FAULT)
    if 0 < spec.walltime < minimum_minutes:
        raise RefusalError("Walltime less than minimum", JOB_FAULT)


def check_queue(spec: Spec, queues: dict[str, Queue], jobs: Iterable[Job]) -> None:
    """Refuse what the job's queue does not take, naming every limit that it breaks."""
    queue = queues.get(spec.queue)
    if queue is None:
        raise RefusalError(f"trying to add job to non-existent queue '{spec.queue}'")
    if spec.walltime <= 0 and queue.maxtime is None:
        raise RefusalError(
            f'No Max Walltime default or for queue "{spec.queue}" defined. Please contact system administrator'
        )
    check_limits(spec, queue, jobs)


def check_limits(spec: Spec, queue: Queue, jobs: Iterable[Job]) -> None:
    """Refuse what this queue does not take. A job that is there already counts twice when it is altered: as itself,
    and as what it is to be. So it is in Cobalt.
    """
    if queue.state in ("draining", "dead"):
        raise RefusalError(f"The '{queue.name}' queue is {queue.state}")
    theirs = [job for job in jobs if job.spec.user == spec.user and job.spec.queue == spec.queue]
    broken = list(_broken(spec, queue, theirs))
    if broken:
        raise RefusalError("".join(f"{text}\n" for text in broken))


def _broken(spec: Spec, queue: Queue, theirs: Sequence[Job]) -> Iterable[str]:
    if queue.maxtime is not None and spec.walltime > queue.maxtime:
        yield f"Walltime greater than the '{queue.name}' queue max walltime of {hours_minutes(queue.maxtime)}"
    if queue.mintime is not None and 0 < spec.walltime < queue.mintime:
        yield f"Walltime less than the '{queue.name}' queue min walltime of {hours_minutes(queue.mintime)}"
    if queue.users is not None and not {"*", spec.user} & set(queue.users.split(":")):
        yield f"You are not allowed to submit to the '{queue.name}' queue"
    if queue.maxqueued is not None and len(theirs) >= queue.maxqueued:
        yield f"The limit of {queue.maxqueued} jobs per user in the '{queue.name}' queue has been reached"
    if queue.maxnodehours is not None:
        hours = sum(one.walltime / 60 * one.nodes for one in (spec, *(job.spec for job in theirs)))
        if hours > queue.maxnodehours:
            limit = queue.maxnodehours
            yield f"The limit of {limit} node hours per user in the '{queue.name}' queue has been reached"


def blocked(job: Job, queue: Queue, jobs: Iterable[Job]) -> bool:
    """Tell whether the job waits because its user already runs as many as the queue allows."""
    if queue.maxrunning is None:
        return False
    running = [one for one in jobs if one.state in ON_NODES and one.spec.queue == queue.name]
    return sum(one.spec.user == job.spec.user for one in running) >= queue.maxrunning
