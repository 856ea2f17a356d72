"""The real agent, as a process, on the login node of a simulated Cobalt that is as strict as the real one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_site import Service, Site, ends, until

from emulators.clock import TurnedClock
from emulators.cobalt.settings import Settings
from emulators.cobalt.simulator import CobaltSimulator

WAIT = "#!/bin/bash\necho ran >>count\nuntil [ -e go ]; do sleep 0.05; done\n"


class CobaltSite(Site):
    """A site whose jobs go through the simulator's qsub."""

    def __init__(self, home: Path, service: Service, simulator: CobaltSimulator, clock: TurnedClock) -> None:
        super().__init__(home, service, "cobalt", f"{simulator.bin}:/usr/bin:/bin")
        self.config.write_text(self.config.read_text() + 'attributes = ["mcdram"]\n')
        self.simulator = simulator
        self.clock = clock

    def qstat(self, header: str) -> str:
        command = [str(self.simulator.bin / "qstat"), "-l", f"--header={header}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def site(tmp_path: Path) -> Iterator[CobaltSite]:
    service = Service()
    clock = TurnedClock()
    settings = Settings(nodes=4, interval=0.05, min_walltime=5, kill_delay=1)
    with CobaltSimulator(tmp_path / "cobalt", clock=clock, settings=settings) as simulator:
        made = CobaltSite(tmp_path, service, simulator, clock)
        yield made
        made.stop()
    service.server.shutdown()
    service.server.server_close()


def order_its_end(site: CobaltSite, job: str, number: int, *, unless_ran: bool = False) -> None:
    with site.service.lock:
        site.service.commands[job] = {
            "job": job, "id": number, "epoch": 1, "command": "cancel", "native_id": None,
            "directory": str(site.directory(number)), "paths": None, "unless_ran": unless_ran,
        }  # fmt: skip


def test_a_job_goes_through_cobalt_with_what_it_asked_for(site: CobaltSite) -> None:
    attributes = {"duration": 630, "custom_attributes": {"mcdram": "cache"}}
    job = site.lease(
        1001, WAIT + 'echo "$COBALT_JOBSIZE $QSTAGE_JOB_ID"\n', resources={"node_count": 2}, attributes=attributes
    )
    site.start()
    until(lambda: "active" in site.service.events(job), "it runs")
    shown = site.qstat("JobName:WallTime:Nodes:attrs")
    assert "JobName: md-1001-k3j2" in shown
    assert "00:11:00" in shown  # rounded up: Cobalt drops a part of a minute
    assert "'mcdram': 'cache'" in shown
    (site.directory(1001) / "go").touch()
    report = ends(site, job)
    assert (report["outcome"], report["tail"]) == ("ok", "2 1001\n")
    assert report["native_id"].isdigit()


def test_cobalts_own_words_come_back_when_it_rejects(site: CobaltSite) -> None:
    job = site.lease(1001, WAIT, attributes={"duration": 60})
    site.start()
    report = ends(site, job)
    assert report["event"] == "rejected"
    assert "Walltime less than minimum" in report["detail"]


@pytest.mark.parametrize("unless_ran", [False, True])
def test_a_job_canceled_in_the_queue_never_runs(site: CobaltSite, unless_ran: bool) -> None:
    first = site.lease(1001, WAIT, resources={"node_count": 4})
    site.start()
    until(lambda: "active" in site.service.events(first), "the first has all nodes")
    second = site.lease(1002, WAIT)
    until(lambda: "queued" in site.service.events(second), "the second is in the queue")
    order_its_end(site, second, 1002, unless_ran=unless_ran)
    assert ends(site, second)["outcome"] == "canceled"
    (site.directory(1001) / "go").touch()
    ends(site, first)
    assert not (site.directory(1002) / "count").exists()


def test_a_running_job_is_canceled_through_qdel(site: CobaltSite) -> None:
    job = site.lease(1001, WAIT)
    site.start()
    until(lambda: "active" in site.service.events(job), "it runs")
    order_its_end(site, job, 1001)
    assert ends(site, job)["outcome"] == "canceled"


def test_a_running_job_is_left_alone_by_a_cancel_of_what_has_waited_too_long(site: CobaltSite) -> None:
    job = site.lease(1001, WAIT)
    site.start()
    until(lambda: "active" in site.service.events(job), "it runs")
    order_its_end(site, job, 1001, unless_ran=True)
    other = site.lease(1002, "#!/bin/bash\necho ran >>count\n")
    ends(site, other)  # by then the agent has had the command
    assert site.service.events(job) == ["queued", "active"]
    (site.directory(1001) / "go").touch()
    assert ends(site, job)["outcome"] == "ok"


def test_another_agent_without_the_journal_leaves_it_alone_too_and_tells_how_it_goes(site: CobaltSite) -> None:
    job = site.lease(1001, WAIT)
    site.start()
    until(lambda: "active" in site.service.events(job), "it runs")
    native = site.service.last(job)["native_id"]
    site.stop()
    site.service.change_hands()
    other = site.second_home()
    order_its_end(site, job, 1001, unless_ran=True)
    other.start()
    try:
        until(lambda: site.service.events(job).count("active") == 2, "the other agent has seen it run")
        assert site.service.last(job)["native_id"] == native
        (site.directory(1001) / "go").touch()
        report = ends(site, job)
    finally:
        other.stop()
    assert (report["outcome"], report["exit_code"], report["native_id"]) == ("ok", 0, native)
    assert (site.directory(1001) / "count").read_text() == "ran\n"


@pytest.mark.parametrize("crash", ["submitting-after", "queued-before", "queued-after"])
def test_an_agent_killed_around_qsub_finds_its_job_by_name_and_submits_no_second(site: CobaltSite, crash: str) -> None:
    blocker = site.lease(1000, WAIT, resources={"node_count": 4})
    site.start()
    until(lambda: "active" in site.service.events(blocker), "all nodes are taken")
    site.stop()
    job = site.lease(1001, WAIT)
    assert site.start(crash=crash).wait(timeout=20) == -9
    site.start()
    until(lambda: "queued" in site.service.events(job), "it is in the queue")
    assert site.qstat("JobName").count("md-1001-k3j2") == 1
    for number in (1000, 1001):
        (site.directory(number) / "go").touch()
    assert ends(site, job)["outcome"] == "ok"
    assert (site.directory(1001) / "count").read_text() == "ran\n"


def test_a_job_over_its_walltime_is_told_as_such(site: CobaltSite) -> None:
    job = site.lease(1001, WAIT, attributes={"duration": 300})
    site.start()
    until(lambda: "active" in site.service.events(job), "it runs")
    (site.directory(1001) / ".qstage/run/started").write_text("1\n")  # as if it had begun long ago
    site.clock.turn(400)
    site.simulator.wake()
    assert ends(site, job)["outcome"] == "walltime"
