"""Jobs that a real Slurm and the strict Cobalt simulator hold before their data is there: none is orphaned, none runs
without it, and each runs once."""

from __future__ import annotations

import subprocess
from datetime import datetime

import pytest
from agent_schedulers import CobaltSite, SlurmSite
from agent_site import ends, until

COUNTS = "#!/bin/bash\necho ran >>count\nmkdir -p results\ncp inputs/x results/\n"
NAME = "md-1001-k3j2"


def held(site: SlurmSite | CobaltSite, **changes: object) -> str:
    """The service leases a job whose data is not there; on return the scheduler holds it."""
    job = site.lease(1001, COUNTS, staged=False, held=True, **changes)
    site.start()
    until(lambda: "held_ahead" in site.service.events(job), "the scheduler has it")
    assert site.is_held(1001)
    return job


def arrives(site: SlurmSite | CobaltSite, job: str) -> None:
    """Its data arrives, and the service leases it again."""
    (site.directory(1001) / "inputs").mkdir(parents=True)
    (site.directory(1001) / "inputs/x").write_text("data\n")
    native = site.service.last(job)["native_id"]
    site.lease(1001, COUNTS, staged=True, held=True, epoch=2, native_id=native)


def test_it_is_held_by_its_submission_released_with_its_data_and_runs_once(site: SlurmSite | CobaltSite) -> None:
    job = held(site)
    native = site.service.last(job)["native_id"]
    arrives(site, job)
    report = ends(site, job)
    assert (report["outcome"], report["native_id"]) == ("ok", native)
    assert site.service.events(job) == ["held_ahead", "queued", "active", "exited"]
    assert (site.directory(1001) / "count").read_text() == "ran\n"
    assert (site.directory(1001) / "results/x").read_text() == "data\n"


def test_the_scheduler_tells_when_it_would_start(site: SlurmSite | CobaltSite) -> None:
    job = held(site)
    told = site.service.last(job)["starts_at"]
    assert datetime.fromisoformat(told).tzinfo is not None


def test_a_cancel_while_it_is_held_leaves_nothing_at_the_scheduler(site: SlurmSite | CobaltSite) -> None:
    job = held(site)
    site.order(1001, "cancel")
    assert ends(site, job)["outcome"] == "canceled"
    until(lambda: site.names() == [], "the scheduler has no job of it")
    assert not (site.directory(1001) / "count").exists()


def test_deleted_at_the_scheduler_it_is_told_of_at_once(site: SlurmSite | CobaltSite) -> None:
    job = held(site)
    site.user_runs(site.deletes, site.service.last(job)["native_id"])
    report = ends(site, job)
    assert report["event"] == "gone"
    assert report["detail"].endswith("is not there any more: somebody deleted it")


def test_released_by_hand_it_runs_nothing_and_says_why(site: SlurmSite | CobaltSite) -> None:
    job = held(site)
    site.user_runs(site.releases, site.service.last(job)["native_id"])
    report = ends(site, job)
    assert report["event"] == "gone"
    assert "it was started, and nothing ran" in report["detail"]
    assert not (site.directory(1001) / "count").exists()


@pytest.mark.parametrize("crash", ["submitting-before", "submitting-after", "held-before", "held-after"])
def test_an_agent_killed_around_the_submission_leaves_one_held_job(site: SlurmSite | CobaltSite, crash: str) -> None:
    job = site.lease(1001, COUNTS, staged=False, held=True)
    assert site.start(crash=crash).wait(timeout=30) == -9
    site.start()
    until(lambda: "held_ahead" in site.service.events(job), "the scheduler has it")
    assert site.names() == [NAME]
    arrives(site, job)
    assert ends(site, job)["outcome"] == "ok"
    assert (site.directory(1001) / "count").read_text() == "ran\n"


@pytest.mark.parametrize("crash", ["submitting-before", "submitting-after", "queued-before", "queued-after"])
def test_an_agent_killed_around_the_release_lets_it_run_once(site: SlurmSite | CobaltSite, crash: str) -> None:
    job = held(site)
    site.stop()
    arrives(site, job)
    assert site.start(crash=crash).wait(timeout=30) == -9
    site.start()
    report = ends(site, job)
    assert report["outcome"] == "ok"
    assert (site.directory(1001) / "count").read_text() == "ran\n"
    until(lambda: site.names() == [], "the scheduler has no job of it")


def test_another_agent_without_the_journal_ends_what_is_held(site: SlurmSite | CobaltSite) -> None:
    job = held(site)
    site.stop()
    site.service.change_hands()
    other = site.second_home()
    other.order(1001, "cancel")
    other.start()
    try:
        assert ends(other, job)["outcome"] == "canceled"
        until(lambda: site.names() == [], "the scheduler has no job of it")
    finally:
        other.stop()


def test_the_words_of_a_refusal_are_the_schedulers(site: SlurmSite | CobaltSite) -> None:
    job = site.lease(1001, COUNTS, staged=False, held=True, **site.refused)
    site.start()
    report = ends(site, job)
    assert report["event"] == "rejected"
    assert site.refusal in report["detail"]
    assert site.names() == []


def test_the_scripts_own_words_say_what_it_waits_for(site: SlurmSite | CobaltSite) -> None:
    held(site)
    script = site.directory(1001) / ".qstage/run.sh"
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (75, "")
    assert "the data of job 1001 is not here yet: nothing runs" in done.stderr
