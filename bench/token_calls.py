"""How often KMS and Globus Auth are asked for two days of one user's work in one process.

``count`` signs a user in, posts jobs in bulk, and takes every one of them through stage-in, its site and stage-out,
wave after wave, until just before two days are over. The planner, the tokens, the sign-in and the site's calls are
those of the service, wired by the service; KMS and Globus are the emulators, spoken to by the service's own
adapters, and the calls are those that the emulators saw. Only the tables, the queue and the site are in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from chalicelib.adapters.kms import KmsSeal
from chalicelib.adapters.memory.desks import MemoryBatches, MemoryBell, MemoryDesks
from chalicelib.adapters.memory.jobs import MemoryDependants, MemoryJobs, MemoryPostings, MemorySiteQueue
from chalicelib.adapters.memory.places import MemoryCollections, MemorySites
from chalicelib.adapters.memory.rows import MemoryRows
from chalicelib.adapters.memory_logins import MemoryLogins
from chalicelib.adapters.memory_tokens import MemoryTokens
from chalicelib.core.ids import CollectionId, SiteId
from chalicelib.core.job import Job, State
from chalicelib.core.keys import JOBS, Caller, KeyKind, site_scope
from chalicelib.core.logins import LoginRequest
from chalicelib.core.ports.auth import ClientCredentials
from chalicelib.core.sync import read_sync
from chalicelib.service.sign_in import Answer
from chalicelib.service.sync import Synced
from chalicelib.settings import read_settings
from emulators.aws.iam import parse_policy
from emulators.aws.stack import AwsStack
from emulators.clock import TurnedClock
from emulators.globus import Browser, GlobusEmulator
from emulators.globus.config import Settings, default_config
from emulators.globus.pace import Pace

if TYPE_CHECKING:
    from chalicelib.wiring import Services

TEMPLATE = Path(__file__).parents[1] / "infra" / "template.json"
START = 1_800_000_000.0
SPAN = timedelta(hours=47)
WAVES = 20
USER, OTHER, SITE = "ada@uni.example", "bob@google.com", SiteId("bench")
CALLBACK = "http://127.0.0.1:4321/api"
FULL = timedelta(seconds=280)
SEALS = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}]}


def count(folder: Path, jobs: int = 1000) -> dict[str, int]:
    """Take ``jobs`` jobs all the way within two days; calls by name. Raises AssertionError if one did not complete."""
    clock = TurnedClock(START)
    chosen = replace(default_config(), settings=Settings(rate_per_second=None))
    kms: list[str] = []
    with (
        GlobusEmulator(folder / "globus", chosen, clock=clock, pace=Pace.at_once()) as globus,
        AwsStack(None, templates=[TEMPLATE], state_dir=folder / "aws") as aws,
    ):
        aws.observe(lambda seen: kms.append(seen.call.operation) if _is_kms(seen) else None)
        aws.admit("bench", parse_policy(SEALS, name="bench"))
        seal = KmsSeal(lambda: aws.client("kms", "bench"), aws.created.look_up("TokenKey", None))
        with _environment(globus.environment()):
            process = _one_process(globus, clock, seal)
            _sign_in(process.services, globus, OTHER)  # the collections are known but to the very first user
            kms.clear()
            globus.controls.forget_requests()
            _Work(process, globus, clock).do(jobs)
        auth = [one.path for one in globus.controls.requests() if _is_auth(one.path)]
    return {f"kms_calls_per_{jobs}_jobs": len(kms), f"auth_calls_per_{jobs}_jobs": len(auth)}


def _is_kms(seen: Any) -> bool:
    return bool(seen.call.service == "kms" and seen.status == 200)


def _is_auth(path: str) -> bool:
    """A call of the service to Globus Auth; the pages are the user's own."""
    return path.startswith(("/v2/oauth2/token", "/v2/oauth2/userinfo", "/v2/api/", "/.well-known/", "/jwk.json"))


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Moments:
    """The emulators' clock as the service's."""

    def __init__(self, clock: TurnedClock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneProcess:
    """The service as it is wired, all its functions in one process, over tables and a queue in memory."""

    services: Services
    rows: MemoryRows
    rung: MemoryBell


def _one_process(globus: GlobusEmulator, clock: TurnedClock, seal: KmsSeal) -> OneProcess:
    from chalicelib.wiring import Services

    client, moments, rows, rung = globus.client("qstage"), _Moments(clock), MemoryRows(), MemoryBell()
    credentials = ClientCredentials(client_id=client.id, client_secret=client.secret or "")
    services = Services(read_settings({"QSTAGE_BASE_URL": CALLBACK, "QSTAGE_GLOBUS_CLIENT_ID": client.id}))
    # A cached property that is set is never asked for: what the wiring would keep in AWS is here in memory.
    vars(services).update(
        clock=moments,
        _jobs=MemoryJobs(rows, moments),
        _dependants=MemoryDependants(rows),
        _postings=MemoryPostings(rows),
        _desks=MemoryDesks(rows),
        _batches=MemoryBatches(rows),
        _sites=MemorySites(rows),
        _collections=MemoryCollections(rows),
        _logins=MemoryLogins(),
        _token_store=MemoryTokens(),
        _bell=rung,
        _secret=lambda: credentials,
    )
    vars(services).update(
        tokens=replace(services.tokens, seal=seal),
        exchanging=replace(services.exchanging, sealer=seal),
        syncing=replace(services.syncing, queue=MemorySiteQueue(rows)),
    )
    vars(services).update(sign_in=replace(services.sign_in, exchange=services.exchanging))
    return OneProcess(services=services, rows=rows, rung=rung)


def _sign_in(services: Services, globus: GlobusEmulator, username: str) -> Caller:
    """Through the pages, with consent for what the jobs use."""
    wanted = tuple(CollectionId(globus.collections[name]) for name in ("lab", "theta"))
    begun = services.sign_in.begin(LoginRequest(collections=wanted), services.clock.now())
    with Browser() as browser:
        back = parse_qs(urlsplit(browser.sign_in(begun.url, username)).query)
    answer = Answer(state=back["state"][0], code=back["code"][0])
    profile = services.sign_in.finish(answer, begun.browser_secret, services.clock.now()).profile
    return Caller(
        user=profile.user, username=username, kind=KeyKind.KEY, scopes=frozenset({JOBS}), key_id="bench".ljust(12, "a")
    )


class _Work:
    """What the user, the schedules and the site do."""

    def __init__(self, process: OneProcess, globus: GlobusEmulator, clock: TurnedClock) -> None:
        self.process, self.services, self.globus, self.clock = process, process.services, globus, clock
        self.began = self.services.clock.now()
        self.caller = _sign_in(self.services, globus, USER)
        self.agent = replace(self.caller, kind=KeyKind.AGENT, scopes=frozenset({site_scope(SITE)}))

    def do(self, jobs: int) -> None:
        self._post(jobs)
        done = 0
        for wave in range(1, WAVES + 1):
            self._hours_until(self.began + SPAN * wave / WAVES)
            size = jobs * wave // WAVES - done
            self._minutes_until(lambda size=size: self._staged() >= size, "staged")  # type: ignore[misc]
            self._run(size)
            done += size
            self._minutes_until(lambda done=done: self._completed() == done, "completed")  # type: ignore[misc]
        assert self._completed() == jobs, "a job is left"

    def _post(self, jobs: int) -> None:
        named, directory = self.globus.collections, self.globus.directory("theta").resolve()
        (self.globus.directory("lab") / "in.txt").write_text("in")
        mapping = {"collection": named["theta"], "path": "/", "directory": str(directory)}
        self.services.sites.register(self.caller, {"id": SITE, "scheduler": "cobalt", "mappings": [mapping]}, None)
        document = {
            "site": SITE,
            "executable": "/bin/true",
            "stage_in": [{"source": f"globus://{named['lab']}/in.txt"}],
            "stage_out": [{"source": "out.txt", "target": f"globus://{named['archive']}/runs/{{id}}/"}],
        }
        self.services.post_jobs.post(self.caller, {"jobs": [document] * jobs}, None)

    def _run(self, size: int) -> None:
        """The site takes jobs, runs them, and says what each left."""
        while size:
            leases = self._sync(take=min(size, 100)).leases
            for lease in leases:
                (Path(self._directory(lease.job)) / "out.txt").write_text("out")
            held = [{"job": str(each.job.ref), "epoch": each.job.epoch, "native_id": "1"} for each in leases]
            found = {"item": 0, "kind": "file", "files": 1, "bytes": 3}
            ended = {"event": "exited", "outcome": "ok", "exit_code": 0, "outputs": [found]}
            for report in ({"event": "queued"}, {"event": "active"}, ended):
                self._sync(reports=[each | report for each in held])
            size -= len(leases)

    def _directory(self, job: Job) -> str:
        return self.services.sites.show(self.caller, SITE).job_directory(job.ref.user, job.directory_name())

    def _sync(self, **fields: Any) -> Synced:
        agent = {"instance": "bench-agent", "version": "1", "host": "bench"}
        return self.services.syncing.sync(self.agent, SITE, read_sync({"agent": agent, **fields}))

    def _minutes_until(self, so: Callable[[], bool], what: str) -> None:
        """Minutes pass, and the sweep rings each of them, until it is so."""
        for _ in range(60):
            if so():
                return
            self.clock.turn(60)
            self.services.sweep.run()
            while self.process.rung.take():
                self.services.reconciler.wake(self.caller.user, lambda: FULL)
        raise AssertionError(f"after an hour still not {what}")

    def _hours_until(self, end: datetime) -> None:
        """Hours pass, and the schedule looks at the tokens each of them."""
        while (left := (end - self.services.clock.now()).total_seconds()) > 0:
            self.clock.turn(min(left, 3600))
            self.services.tokens.renew_due(self.services.clock.now())

    def _staged(self) -> int:
        return self._count(State.STAGED)

    def _completed(self) -> int:
        return self._count(State.COMPLETED)

    def _count(self, state: State) -> int:
        return sum(row.job.state is state for row in self.process.rows.jobs.values())
