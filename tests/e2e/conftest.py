"""What several files of this rung start: the whole stack, and sites whose agents drive a scheduler that is there.

A test of the whole stack that fails shows the ends of its processes' logs.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from agent_schedulers import CobaltSite, SlurmSite
from agent_site import Service
from slurm_cluster import SlurmCluster, missing
from whole_stack import last_words, opened

from emulators.clock import TurnedClock
from emulators.cobalt.queues import Queue
from emulators.cobalt.settings import Settings
from emulators.cobalt.simulator import CobaltSimulator
from emulators.stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack for the tests of one file; what they leave in it must not matter to each other."""
    with opened(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    lacking = missing()
    if lacking is not None:
        if os.environ.get("CI"):
            pytest.fail(lacking)
        pytest.skip(lacking)
    with SlurmCluster(tmp_path_factory.mktemp("slurm") / "run") as cluster:
        yield cluster


@pytest.fixture
def service() -> Iterator[Service]:
    with closing(Service()) as service:
        yield service


@pytest.fixture
def slurm_site(tmp_path: Path, service: Service, slurm: SlurmCluster) -> Iterator[SlurmSite]:
    with closing(SlurmSite(tmp_path, service, slurm)) as site:
        yield site


@pytest.fixture
def cobalt_site(tmp_path: Path, service: Service) -> Iterator[CobaltSite]:
    clock = TurnedClock()
    queues = (Queue(name="default"), Queue(name="debug"), Queue(name="shut", state="stopped"))
    settings = Settings(nodes=20, interval=0.05, kill_delay=10, queues=queues)
    with (
        CobaltSimulator(tmp_path / "cobalt", clock=clock, settings=settings) as simulator,
        closing(CobaltSite(tmp_path, service, simulator, clock)) as site,
    ):
        yield site


@pytest.fixture(params=["slurm", "cobalt"])
def site(request: pytest.FixtureRequest) -> SlurmSite | CobaltSite:
    found: SlurmSite | CobaltSite = request.getfixturevalue(f"{request.param}_site")
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(stack, Stack):
        report.sections.extend(last_words(stack))
    return report
