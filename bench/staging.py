"""How long jobs take to be staged, under the conditions of the peer's simulation, in real time.

Submitting takes Globus 0.4 s, any other call 0.1 s, a task 10 s, and three are active at once. Time runs from the
first byte of a POST to the last ``staged``. The service's own code does all that it does when deployed; two threads
answer the bell, as the queue's consumers do. DynamoDB Local is measured warm: Java compiles what it has run a few
thousand times, and the service that it stands for is not started for each batch.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bench.far_side import MOST_ACTIVE, FarSide
from bench.house import House, Stores, SystemTime, a_document, drop_tables, dynamodb_stores, memory_stores, reference_ms
from chalicelib.core.desk import InboxItem
from chalicelib.core.ids import JobRef
from chalicelib.core.job import Job, State
from chalicelib.core.ports.jobs import Save, Tale
from emulators.aws.dynamodb_local import DynamoDBLocal

SUBMIT_SECONDS, CALL_SECONDS = 0.4, 0.1
PATIENCE = 120.0


class Watched:
    """A store of jobs that notes when each was first saved as staged."""

    def __init__(self, jobs: Any) -> None:
        self._jobs = jobs
        self._changed = threading.Condition()
        self.staged_at: dict[JobRef, float] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)

    def save(self, job: Job, *, was: int, tales: Sequence[Tale] = (), fact: InboxItem | None = None) -> bool:
        saved: bool = self._jobs.save(job, was=was, tales=tales, fact=fact)
        self._note([job], [saved])
        return saved

    def save_many(self, saves: Sequence[Save]) -> Sequence[bool]:
        saved: Sequence[bool] = self._jobs.save_many(saves)
        self._note([each.job for each in saves], saved)
        return saved

    def _note(self, jobs: Sequence[Job], saved: Sequence[bool]) -> None:
        with self._changed:
            for job, done in zip(jobs, saved, strict=True):
                if done and job.state is State.STAGED:
                    self.staged_at.setdefault(job.ref, time.perf_counter())
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.staged_at) >= count, PATIENCE), "they are not staged"


@dataclass(frozen=True, kw_only=True)
class Staged:
    """Seconds to the last job and to the median one, each from its own POST; and calls to Globus."""

    last: float
    median: float
    calls: int


def stage(stores: Stores, posts: int, jobs_each: int) -> Staged:
    """Post so many times, a second apart, and wait until every job is staged."""
    globus = FarSide(clock=SystemTime(), submit_seconds=SUBMIT_SECONDS, call_seconds=CALL_SECONDS, pause=time.sleep)
    watched = Watched(stores.parts["_jobs"]) if "_jobs" in stores.parts else None
    if watched is None:
        watched = Watched(House(clock=SystemTime(), stores=stores, globus=globus).jobs)
    stores = replace(stores, parts={**stores.parts, "_jobs": watched})
    house = House(clock=SystemTime(), stores=stores, globus=globus)
    documents = [a_document() for _ in range(jobs_each)]
    posted: list[tuple[float, list[int]]] = []
    with _answering(house):
        began = time.perf_counter()
        for turn in range(posts):
            time.sleep(max(0.0, began + turn - time.perf_counter()))
            at = time.perf_counter()
            posted.append((at, [int(number) for number in house.post(documents)]))
        watched.wait_for(posts * jobs_each)
    assert globus.most_active <= MOST_ACTIVE
    since = {number: at for at, numbers in posted for number in numbers}
    took = [at - since[ref.number] for ref, at in watched.staged_at.items()]
    last = max(watched.staged_at.values()) - began
    return Staged(last=last, median=statistics.median(took), calls=sum(globus.calls.values()))


@contextmanager
def _answering(house: House) -> Iterator[None]:
    """Two consumers of the queue; a ring for a desk that is claimed or not due is dropped by the planner itself."""
    stop = threading.Event()

    def consume() -> None:
        while not stop.is_set():
            for user in house.bell.due():
                house.wake(user)
            coming = house.bell.next_at()
            left = 0.05 if coming is None else (coming - house.clock.now()).total_seconds()
            house.bell.wait(min(max(left, 0.001), 0.05))

    threads = [threading.Thread(target=consume, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def measure() -> dict[str, float]:
    """Every figure of the comparison; prints what it finds as it goes."""
    memory, before = SystemTime(), reference_ms()
    hundred = _show("100 jobs, memory", stage(memory_stores(memory), 1, 100))
    thousand = _show("1,000 jobs, memory", stage(memory_stores(memory), 1, 1000))
    trickle = _show("ten POSTs of 100, memory", stage(memory_stores(memory), 10, 100))
    with DynamoDBLocal() as server:
        client = server.client()
        _show("1,000 jobs, DynamoDB Local cold", stage(dynamodb_stores(client, client), 1, 1000))
        drop_tables(client)
        local = _show("1,000 jobs, DynamoDB Local", stage(dynamodb_stores(client, client), 1, 1000))
    return {
        "staging_reference_ms": round((before + reference_ms()) / 2, 1),
        "stage_100_s": round(hundred.last, 1),
        "stage_1000_s": round(thousand.last, 1),
        "stage_1000_median_s": round(thousand.median, 1),
        "stage_1000_globus_calls": thousand.calls,
        "stage_1000_ddblocal_s": round(local.last, 1),
        "stage_trickle_s": round(trickle.last, 1),
        "stage_trickle_median_s": round(trickle.median, 1),
        "stage_trickle_globus_calls": trickle.calls,
    }


def _show(title: str, made: Staged) -> Staged:
    print(f"{title:<31} last {made.last:>5.1f} s   median {made.median:>5.1f} s   {made.calls} calls to Globus")
    return made
