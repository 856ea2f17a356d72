"""The service's own verbs in one process: over memory or DynamoDB, with a far side and a bell that keep time.

``wiring`` joins them for Lambda; here they are joined so that a run can be timed, turned and counted.
"""

from __future__ import annotations

import heapq
import itertools
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.far_side import FarSide
from chalicelib.adapters.dynamodb.holdings import HoldingTable
from chalicelib.adapters.dynamodb.jobs import SiteQueueIndex
from chalicelib.adapters.dynamodb.table import Table
from chalicelib.adapters.login_table import LoginTable
from chalicelib.adapters.memory.desks import MemoryBatches, MemoryDesks
from chalicelib.adapters.memory.holdings import MemoryHoldings
from chalicelib.adapters.memory.jobs import MemoryJobs, MemoryPostings, MemorySiteQueue
from chalicelib.adapters.memory.places import MemoryCollections, MemorySites
from chalicelib.adapters.memory.rows import MemoryRows
from chalicelib.adapters.memory_logins import MemoryLogins
from chalicelib.core.consent import CollectionFacts
from chalicelib.core.holdings import Caps
from chalicelib.core.ids import CollectionId, JobNumber, SiteId, UserId
from chalicelib.core.keys import JOBS, Caller, KeyKind, site_scope
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.desks import Desks
from chalicelib.core.ports.holdings import Holdings
from chalicelib.core.ports.jobs import Jobs, SiteQueue
from chalicelib.core.sites import Mount, Site
from chalicelib.core.tokens import AccessToken
from chalicelib.settings import read_settings
from emulators.aws.resources import create_tables

ROOT = Path(__file__).parents[1]
START = datetime(2026, 11, 22, 17, tzinfo=UTC)
RETENTION, LIFE = timedelta(days=180), timedelta(seconds=120)
LAB = CollectionId("aaaaaaaa-0000-4000-8000-000000000001")
ARCHIVE = CollectionId("aaaaaaaa-0000-4000-8000-000000000002")
SCRATCH = CollectionId("aaaaaaaa-0000-4000-8000-000000000003")
THETA = SiteId("theta")
GUEST = "GCSv5_guest_collection"
USERNAME = "ada@uni.example"
ROOM = Caps(jobs=100_000, bytes=2**30)


def reference_ms() -> float:
    """Milliseconds of processor time that a million additions take here: about 30 on a fast machine, idle. It says what
    the seconds and milliseconds beside it are worth."""
    began, total = time.process_time(), 0
    for number in range(1_000_000):
        total += number
    return (time.process_time() - began) * 1000


class SystemTime:
    """The machine's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class TurnedTime:
    """Stands until it is turned."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at


@dataclass(frozen=True, kw_only=True)
class Stores:
    """The stores of one deployment, by the name that ``wiring.Services`` has for each; and the two made on the way."""

    parts: Mapping[str, Any]
    queue: SiteQueue
    holdings: Holdings

    @property
    def jobs(self) -> Jobs:
        found: Jobs = self.parts["_jobs"]
        return found


def memory_stores(clock: Clock) -> Stores:
    rows = MemoryRows()
    parts = {
        "_jobs": MemoryJobs(rows, clock, RETENTION),
        "_postings": MemoryPostings(rows),
        "_desks": MemoryDesks(rows),
        "_batches": MemoryBatches(rows),
        "_sites": MemorySites(rows),
        "_collections": MemoryCollections(rows),
        "_logins": MemoryLogins(),
        "_jobs_table": None,
    }
    return Stores(parts=parts, queue=MemorySiteQueue(rows), holdings=MemoryHoldings(rows))


def dynamodb_stores(client: Any, maker: Any) -> Stores:
    """The adapters on the tables of the template, which ``maker`` makes anew and ``client`` calls."""
    template = json.loads((ROOT / "infra" / "template.json").read_text())
    tables = create_tables(template, maker, expiring=False)
    jobs, places = (Table(lambda: client, tables[name]) for name in ("JobsTable", "PlacesTable"))
    parts = {
        "_jobs_table": jobs,
        "_places_table": places,
        "_logins": LoginTable(lambda: client, tables["LoginsTable"]),
    }
    return Stores(parts=parts, queue=SiteQueueIndex(jobs), holdings=HoldingTable(jobs))


def drop_tables(client: Any) -> None:
    """Remove every table, so that the next stores begin empty."""
    for name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=name)


class Bell:
    """Rings that are due at a time; ``count`` is how many there were."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._order, self._lock = clock, itertools.count(), threading.Condition()
        self._coming: list[tuple[datetime, int, UserId]] = []
        self.count = 0

    def ring(self, user: UserId, delay: int = 0) -> None:
        with self._lock:
            self.count += 1
            heapq.heappush(self._coming, (self._clock.now() + timedelta(seconds=delay), next(self._order), user))
            self._lock.notify_all()

    def due(self) -> list[UserId]:
        """Take what is due by now."""
        found = []
        with self._lock:
            while self._coming and self._coming[0][0] <= self._clock.now():
                found.append(heapq.heappop(self._coming)[2])
        return found

    def next_at(self) -> datetime | None:
        with self._lock:
            return self._coming[0][0] if self._coming else None

    def wait(self, seconds: float) -> None:
        """Until something rings, or a while has passed."""
        with self._lock:
            self._lock.wait(seconds)


class Access:
    """Every user has a good token."""

    def access_token(self, user: UserId, now: datetime, *, rejected: int | None = None) -> AccessToken:
        return AccessToken(user=user, value="bench", version=1, expires_at=now + timedelta(days=2))


class House:
    """The verbs as ``wiring`` joins them, over these stores, with this far side."""

    def __init__(self, *, clock: Clock, stores: Stores, globus: FarSide) -> None:
        from chalicelib.wiring import Services

        self.clock, self.globus, self.bell = clock, globus, Bell(clock)
        services = Services(read_settings({"QSTAGE_BASE_URL": "https://qstage.example/api"}))
        vars(services).update(stores.parts, clock=clock, _bell=self.bell, tokens=Access())
        self.jobs: Jobs = services._jobs
        self.desks: Desks = services._desks
        self.sweep = services.sweep
        self.posting = replace(
            services.post_jobs, allowance=replace(services.post_jobs.allowance, holdings=stores.holdings, caps=ROOM)
        )
        self.syncing = replace(services.syncing, queue=stores.queue)
        passing = replace(services.reconciler.passing, submissions=globus, tasks=globus)
        known = replace(passing.watching.known, endpoints=globus)
        passing = replace(passing, watching=replace(passing.watching, known=known))
        self.reconciler = replace(services.reconciler, passing=passing)
        mount = Mount(collection=SCRATCH, path="/scratch/", directory="/lus/scratch/")
        # Every user of a bench bears one username: the list of a site's users is none of what is measured.
        site = Site(
            id=THETA,
            owner=a_user(0),
            scheduler="cobalt",
            mappings=(mount,),
            created_at=clock.now(),
            users=frozenset({USERNAME}),
        )
        services._sites.put(site)
        # A deployment learns what it needs of a collection once a day, whoever uses it: here it has.
        facts = [CollectionFacts(id=each, entity_type=GUEST) for each in (LAB, ARCHIVE, SCRATCH)]
        services._collections.put(facts, clock.now())

    def post(self, documents: list[dict[str, Any]], user: int = 0) -> list[JobNumber]:
        caller = Caller(user=a_user(user), username=USERNAME, scopes=frozenset({JOBS}), key_id="k", kind=KeyKind.KEY)
        raw: Mapping[str, Any] = documents[0] if len(documents) == 1 else {"jobs": documents}
        return [number for number, _ in self.posting.post(caller, raw, None).jobs]

    def wake(self, user: UserId) -> bool:
        return self.reconciler.wake(user, lambda: LIFE)


def a_user(number: int) -> UserId:
    return UserId(f"11111111-1111-4111-8111-{number:012}")


def agent_caller() -> Caller:
    return Caller(
        user=a_user(0),
        username=USERNAME,
        scopes=frozenset({site_scope(THETA)}),
        key_id="k",
        kind=KeyKind.AGENT,
    )


def a_document(**fields: Any) -> dict[str, Any]:
    """A job as people write them: a script, a few variables, one input directory, one output directory."""
    return {
        "name": "md-run",
        "site": THETA,
        "executable": "/bin/bash",
        "arguments": ["run.sh", "--steps", "1000"],
        "environment": {"OMP_NUM_THREADS": "4", "MODULEPATH": "/soft/modules"},
        "resources": {"node_count": 2, "processes_per_node": 16},
        "attributes": {"duration": 1800, "queue_name": "default", "account": "chem"},
        "stage_in": [{"source": f"globus://{LAB}/data/in/", "target": "inputs/"}],
        "stage_out": [{"source": "results/", "target": f"globus://{ARCHIVE}/runs/{{name}}-{{id}}/"}],
        "cleanup": True,
        "tags": {"run": "7"},
        **fields,
    }
