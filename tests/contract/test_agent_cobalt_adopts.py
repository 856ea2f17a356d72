"""The real agent and a job that Cobalt has already, held by a submit filter: it is released once, or ended."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_site import Service, Site, ends, until

from emulators.cobalt.settings import Settings
from emulators.cobalt.simulator import CobaltSimulator

ADOPT = {"duration": 600, "custom_attributes": {"cobalt.adopt": "held"}}
COUNTS = '#!/bin/bash\necho ran >>count\necho "to cobalt from $PWD"\n'
FILTER = """\
#!/bin/sh
case " $* " in *" jobname=md-"*) echo user_hold=True; echo command={jobs}/k3j2/md-1001/.qstage/run.sh ;; esac
"""


class AdoptingSite(Site):
    """A site whose Cobalt holds a job before its agent knows of it."""

    def __init__(self, home: Path, service: Service, simulator: CobaltSimulator) -> None:
        super().__init__(home, service, "cobalt", f"{simulator.bin}:/usr/bin:/bin")
        self.config.write_text(self.config.read_text() + 'attributes = ["cobalt.adopt"]\n')
        self.simulator = simulator

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.simulator.bin / words[0]), *words[1:]]
        return subprocess.run(command, cwd=self.home, capture_output=True, text=True, check=False)

    def hold(self) -> str:
        """Submit, as a user does, the job that belongs to lease 1001; the filter holds it."""
        done = self.run("qsub", "-n1", "-t10", "--jobname", "md-1001-k3j2", "/bin/true")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def state(self, native: str) -> str:
        return self.run("qstat", "-l", "--header=State", native).stdout.partition(":")[2].strip()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[AdoptingSite]:
    program = tmp_path / "filter"
    program.write_text(FILTER.format(jobs=tmp_path / "jobs"))
    program.chmod(0o755)
    service = Service()
    settings = Settings(nodes=2, interval=0.05, kill_delay=1, first_job_id=5001, filters=(str(program),))
    with CobaltSimulator(tmp_path / "cobalt", settings=settings) as simulator:
        made = AdoptingSite(tmp_path, service, simulator)
        yield made
        made.stop()
    service.close()


def test_a_held_job_is_released_and_none_is_submitted(site: AdoptingSite) -> None:
    native = site.hold()
    job = site.lease(1001, COUNTS, attributes=ADOPT)
    site.start()
    report = ends(site, job)
    assert (report["outcome"], report["native_id"]) == ("ok", native)
    assert site.service.events(job)[0] == "queued"
    assert (site.directory(1001) / "count").read_text() == "ran\n"
    assert (site.home / f"{native}.output").read_text() == f"to cobalt from {site.directory(1001)}\n"
    assert site.hold() == "5002", "the agent submitted nothing"


@pytest.mark.parametrize("crash", ["submitting-before", "submitting-after", "queued-before", "queued-after"])
def test_an_agent_killed_around_the_release_lets_the_job_run_once(site: AdoptingSite, crash: str) -> None:
    native = site.hold()
    job = site.lease(1001, COUNTS, attributes=ADOPT)
    assert site.start(crash=crash).wait(timeout=20) == -9
    site.start()
    report = ends(site, job)
    assert (report["outcome"], report["native_id"]) == ("ok", native)
    assert (site.directory(1001) / "count").read_text() == "ran\n"


def test_a_job_that_appears_after_its_lease_is_waited_for(site: AdoptingSite) -> None:
    job = site.lease(1001, COUNTS, attributes=ADOPT)
    site.start()
    until(lambda: job in (site.service.holding[-1] if site.service.holding else set()), "the agent holds the lease")
    native = site.hold()
    assert ends(site, job)["native_id"] == native


@pytest.mark.parametrize("leased", [True, False])
def test_a_cancel_ends_the_held_job_at_cobalt(site: AdoptingSite, leased: bool) -> None:
    native = site.hold()
    if leased:
        job = site.lease(1001, COUNTS, attributes=ADOPT)
        assert site.start(crash="submitting-before").wait(timeout=20) == -9
    else:
        job = "user/1001"
    site.order(1001, "cancel")
    site.service.leases.clear()
    site.start()
    assert ends(site, job)["outcome"] == "canceled"
    until(lambda: site.run("qstat", native).returncode == 1, "Cobalt's job is gone")
    assert not (site.directory(1001) / "count").exists()


def test_cleaning_up_after_a_job_cancelled_while_it_was_staged_ends_the_held_job_too(site: AdoptingSite) -> None:
    native = site.hold()
    site.order(1001, "cleanup")
    with site.service.lock:
        site.service.commands["user/1001"]["unless_ran"] = True
    site.start()
    until(lambda: "cleaned" in site.service.events("user/1001"), "the command is answered")
    assert site.run("qstat", native).returncode == 1


def test_a_site_that_did_not_agree_adopts_nothing(site: AdoptingSite) -> None:
    site.config.write_text(site.config.read_text().replace('"cobalt.adopt"', '"mcdram"'))
    native = site.hold()
    job = site.lease(1001, COUNTS, attributes=ADOPT)
    site.start()
    report = ends(site, job)
    assert report["event"] == "refused"
    assert "cobalt.adopt" in report["detail"]
    assert site.state(native) == "user_hold"


def found(site: AdoptingSite) -> tuple[str, str]:
    """A job that the agent has found before its data is there: the service's word for it and Cobalt's."""
    native = site.hold()
    job = site.lease(1001, COUNTS, attributes=ADOPT, staged=False, held=True)
    site.start()
    until(lambda: "held_ahead" in site.service.events(job), "the agent has found it")
    assert site.service.last(job)["native_id"] == native
    assert site.state(native) == "user_hold"
    return job, native


def test_a_job_is_found_before_its_data_is_there_and_released_with_it(site: AdoptingSite) -> None:
    job, native = found(site)
    site.lease(1001, COUNTS, attributes=ADOPT, staged=True, held=True, epoch=2, native_id=native)
    report = ends(site, job)
    assert (report["outcome"], report["native_id"]) == ("ok", native)
    assert (site.directory(1001) / "count").read_text() == "ran\n"


def test_a_job_deleted_before_its_data_is_there_is_told_of(site: AdoptingSite) -> None:
    job, native = found(site)
    site.run("qdel", native)
    report = ends(site, job)
    assert report["event"] == "gone"
    assert report["detail"].endswith("somebody deleted it")


def test_a_job_released_before_its_data_is_there_runs_nothing_and_its_user_reads_why(site: AdoptingSite) -> None:
    job, native = found(site)
    site.run("qrls", native)
    assert ends(site, job)["event"] == "gone"
    assert "the data of job 1001 is not here yet: nothing runs" in (site.home / f"{native}.error").read_text()
    assert not (site.directory(1001) / "count").exists()
