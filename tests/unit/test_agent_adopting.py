"""An agent that is to adopt a job which the scheduler does not have: how long it looks, and what it says then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from qstage.agent.config import AgentConfig
from qstage.agent.journal import Journal
from qstage.agent.policy import Policy
from qstage.agent.rules import Phase, Presence
from qstage.agent.schedulers import Receipt
from qstage.agent.wire import Change, Lease, read_lease
from qstage.agent.work import Work
from qstage.client.results import Secret


class HeldJobs:
    """A scheduler's end, in memory: the held jobs by name. To submit to it is a fault of the test."""

    keeps_walltime = True

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.released: list[str] = []

    def submit(self, lease: Lease, script: str, directory: str) -> Receipt:
        raise AssertionError("a job that is to be adopted was submitted")

    def presence(self, native_ids: Mapping[str, str]) -> Mapping[str, Presence]:
        return dict.fromkeys(native_ids, Presence.QUEUED)

    def cancel(self, native_id: str, script: str) -> None:
        self.names = {name: native for name, native in self.names.items() if native != native_id}

    def find(self, name: str) -> str | None:
        return self.names.get(name)

    def hold(self, native_id: str) -> None:
        raise AssertionError("nothing is held here")

    def release(self, native_id: str) -> None:
        self.released.append(native_id)

    def alter(self, native_id: str, change: Change, was: Lease) -> None:
        raise AssertionError("nothing is altered here")

    def forget(self, native_id: str, ticket: str | None) -> None:
        pass


class Desk:
    """One agent's work, its scheduler, and a clock to turn."""

    def __init__(self, home: Path) -> None:
        self.now = 1000.0
        (home / "jobs").mkdir()
        policy = Policy(owners=("*",), directories=(str(home / "jobs"),), attributes=("cobalt.adopt",))
        config = AgentConfig(
            service="http://127.0.0.1", site="theta", token=Secret("t"), scheduler="cobalt", path=(), state=home,
            work=home, poll_seconds=1.0, grace_seconds=1.0, take=1, keep=(), policy=policy,
        )  # fmt: skip
        self.journal = Journal.open(home / "journal")
        self.scheduler = HeldJobs()
        self.work = Work(config, self.journal, self.scheduler, lambda: self.now)
        self.work.take(
            read_lease(
                {
                    "job": "u/7", "id": 7, "epoch": 1, "leased_until": "2026-11-22T17:00:00Z", "name": "md", "tag": "k",
                    "owner": {"id": "u", "username": "ada"}, "directory": f"{home}/jobs/k/md-7", "executable": "run.sh",
                    "attributes": {"duration": 600, "custom_attributes": {"cobalt.adopt": "held"}},
                }
            )
        )  # fmt: skip

    def look(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.work.advance(submit_until=self.now + 60)

    def said(self) -> list[str]:
        return [report.event for report in self.journal.reports.values()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_job_that_never_appears_is_told_of_after_a_minute(desk: Desk) -> None:
    desk.look()
    desk.look(59.0)
    assert desk.said() == []
    desk.look(1.0)
    assert desk.said() == ["rejected"]
    (report,) = desk.journal.reports.values()
    assert report.detail is not None
    assert report.detail.endswith("or it was deleted): md-7-k")
    assert desk.journal.held["u/7"].phase is Phase.ENDED


def test_a_job_that_appears_late_is_released_once_and_reported_queued(desk: Desk) -> None:
    desk.look()
    desk.scheduler.names["md-7-k"] = "5001"
    desk.look(30.0)
    desk.look(1.0)
    assert (desk.said(), desk.scheduler.released) == (["queued"], ["5001"])
    assert desk.journal.held["u/7"].gone_since is None
