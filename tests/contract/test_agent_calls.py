"""How often an agent calls: a thousand jobs through one agent, whose scheduler is a twin in virtual time.

The agent, its journal, its work and the jobs' directories are the real ones; the scheduler takes 0.3 seconds for each
submission, runs fifty jobs at a time, and leaves in a job's directory what its run script would.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from agent_site import TOKEN, Service

from qstage.agent.clocks import Clocks
from qstage.agent.config import AgentConfig
from qstage.agent.jobdir import open_job_directory
from qstage.agent.journal import Journal
from qstage.agent.loop import Agent
from qstage.agent.orders import Orders
from qstage.agent.policy import Policy
from qstage.agent.rules import Presence
from qstage.agent.schedulers import Receipt
from qstage.agent.wire import Change, Lease
from qstage.agent.work import Work
from qstage.client import Client
from qstage.client.results import Secret

JOBS = 1000
SUBMIT, RUN = 0.3, 100.0
"""Seconds that a submission takes, and a job."""
AT_ONCE = 50


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Paced:
    """A scheduler in virtual time."""

    keeps_walltime = True
    can_hold = False

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.waiting: list[tuple[str, Path]] = []
        self.running: dict[str, tuple[Path, float]] = {}
        self.ended = 0

    def submit(self, lease: Lease, script: str, directory: str) -> Receipt:
        self.clock.now += SUBMIT
        native = str(5000 + lease.id)
        self.waiting.append((native, Path(directory)))
        return Receipt(native_id=native, ticket=native)

    def step(self) -> None:
        for native, (directory, began) in list(self.running.items()):
            if self.clock.now >= began + RUN:
                (directory / ".qstage/exit").write_text(f"0 {int(began + RUN)}\n")
                del self.running[native]
                self.ended += 1
        while self.waiting and len(self.running) < AT_ONCE:
            native, directory = self.waiting.pop(0)
            (directory / ".qstage/run").mkdir()
            (directory / ".qstage/run/native_id").write_text(f"{native}\n")
            (directory / ".qstage/run/started").write_text(f"{int(self.clock.now)}\n")
            self.running[native] = (directory, self.clock.now)

    def expected_starts(self, held: Collection[str]) -> Mapping[str, float | None]:
        return {}

    def presence(self, native_ids: Mapping[str, str]) -> Mapping[str, Presence]:
        queued = {native for native, _ in self.waiting}
        return {
            native: Presence.ACTIVE
            if native in self.running
            else Presence.QUEUED
            if native in queued
            else Presence.GONE
            for native in native_ids
        }

    def find(self, name: str) -> str | None:
        return None

    def cancel(self, native_id: str, script: str) -> None:
        raise AssertionError("nothing is canceled here")

    def hold(self, native_id: str) -> None:
        raise AssertionError("nothing is held here")

    def release(self, native_id: str) -> None:
        raise AssertionError("nothing is released here")

    def alter(self, native_id: str, change: Change, was: Lease) -> None:
        raise AssertionError("nothing is altered here")

    def forget(self, native_id: str, ticket: str | None) -> None:
        pass


class Counted(Client):
    """The service's client without the wire: calls are counted by what their answers carry."""

    def __init__(self, service: Service) -> None:
        super().__init__("http://127.0.0.1:9", TOKEN)
        self.service = service
        self.bodies: list[Mapping[str, Any]] = []

    @property
    def calls(self) -> int:
        return len(self.bodies)

    def sync_site(self, site_id: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.bodies.append(body)
        status, answer = self.service.sync(f"/api/v1/sites/{site_id}/sync", f"Bearer {TOKEN}", dict(body))
        assert status == 200
        return answer


class Turning(threading.Event):
    """Lets virtual time pass where the agent waits, until all jobs have ended and nothing of them is unsaid."""

    def __init__(self, clock: Clock, scheduler: Paced, service: Service, jobs: int) -> None:
        super().__init__()
        self.clock, self.scheduler, self.service, self.jobs = clock, scheduler, service, jobs

    def wait(self, timeout: float | None = None) -> bool:
        self.clock.now += timeout or 0.0
        self.scheduler.step()
        exited = sum(report["event"] == "exited" for report in self.service.reports)
        if exited == self.jobs:
            self.set()
        return self.is_set()


def lease(number: int, jobs: Path) -> dict[str, Any]:
    return {
        "job": f"user/{number}", "id": number, "epoch": 1, "leased_until": "2027-01-15T08:00:00Z",
        "owner": {"id": "u-1", "username": "ada"}, "tag": "k3j2", "name": "md", "directory": f"{jobs}/k3j2/md-{number}",
        "executable": "/bin/true", "resources": {"node_count": 1}, "attributes": {"duration": 600},
    }  # fmt: skip


@contextmanager
def an_agent(home: Path, client: Client, clocks: Clocks, scheduler: Paced) -> Iterator[Agent]:
    """An agent whose journal, in ``home``, may be new, and whose jobs are in ``home/jobs``."""
    config = AgentConfig(
        service="http://127.0.0.1", site="theta", token=Secret(TOKEN), scheduler="slurm", path=("/bin",), state=home,
        work=home, poll_seconds=10.0, grace_seconds=30.0, take=100, keep=(),
        policy=Policy(owners=("ada",), directories=(str(home / "jobs"),)),
    )  # fmt: skip
    with closing(Journal.open(home / "journal")) as journal:
        work = Work(config, journal, scheduler, clocks)
        yield Agent(config, journal, work, Orders(config.policy, journal, scheduler, clocks), client, clocks)


def serve(home: Path, service: Service, jobs: int, clock: Clock, wall: Callable[[], float]) -> tuple[int, int]:
    """Let one agent bring that many jobs to their end; how many jobs its scheduler ended, and how often it called."""
    folder = home / "jobs"
    folder.mkdir()
    service.leases = {f"user/{number}": lease(number, folder) for number in range(1001, 1001 + jobs)}
    scheduler, client = Paced(clock), Counted(service)
    with an_agent(home, client, Clocks(wall=wall, steady=clock), scheduler) as agent:
        agent.run(Turning(clock, scheduler, service, jobs))
    assert len({report["job"] for report in service.reports if report["event"] == "exited"}) == jobs
    return scheduler.ended, client.calls


def test_a_thousand_jobs_cost_an_agent_at_most_a_twentieth_of_a_carrying_call_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # what a disk costs is not what is counted here
    clock = Clock()
    with closing(Service()) as service:
        ended, calls = serve(tmp_path, service, JOBS, clock, clock)
    assert ended == JOBS
    assert service.carried / JOBS <= 0.05, f"{service.carried} calls that carried something, {calls} in all"


def test_a_machine_whose_time_is_set_back_keeps_no_job_waiting(tmp_path: Path) -> None:
    clock = Clock()
    began = clock()

    def set_back() -> float:
        """The machine's time: an hour is taken from it while the jobs run."""
        return clock() if clock() < began + 50 else clock() - 3600

    with closing(Service()) as service:
        ended, _ = serve(tmp_path, service, 20, clock, set_back)
    assert ended == 20
    assert clock() - began < 200


def test_an_agent_without_its_journal_asks_once_for_every_job_that_it_finds(tmp_path: Path) -> None:
    policy = Policy(owners=("ada",), directories=(str(tmp_path / "jobs"),))
    (tmp_path / "jobs").mkdir()
    for number in range(1001, 1251):
        with open_job_directory(f"{tmp_path}/jobs/k3j2/md-{number}", policy, create=True) as directory:
            directory.claim(f"user/{number}", number, "theta")
    clock = Clock()
    with closing(Service()) as service:
        client = Counted(service)
        with an_agent(tmp_path, client, Clocks(wall=clock, steady=clock), Paced(clock)) as agent:
            agent.run_once()
        with an_agent(tmp_path, client, Clocks(wall=clock, steady=clock), Paced(clock)) as again:
            for _ in range(4):
                again.run_once()
    asked = [body.get("strays", []) for body in client.bodies]
    assert [len(some) for some in asked] == [100, 100, 100, 50, 0], "killed before the end, it begins anew"
    assert set().union(*asked[1:]) == {f"user/{number}" for number in range(1001, 1251)}
