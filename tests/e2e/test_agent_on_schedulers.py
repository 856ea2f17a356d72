"""The real agent on real schedulers: one set of promises, kept by a real Slurm and by the strict Cobalt simulator."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from agent_schedulers import WAIT, CobaltSite, SlurmSite
from agent_site import FINAL, Site, ends, until
from slurm_cluster import SlurmCluster

QUICK = "#!/bin/bash\necho ran >>count\nmkdir -p results\necho out >results/a\n"
KILLS = [
    "leased-after", "submitting-before", "submitting-after", "queued-before", "queued-after", "active-before",
    "active-after", "ended-before", "ended-after",
]  # fmt: skip


def go(site: Site, *numbers: int) -> None:
    for number in numbers:
        (site.directory(number) / "go").touch()


def test_a_job_runs_once_under_the_schedulers_id_and_its_outputs_are_listed(site: SlurmSite | CobaltSite) -> None:
    job = site.lease(1001, QUICK + f'echo "${site.native_variable} $QSTAGE_JOB_ID"\npwd\n')
    site.start()
    report = ends(site, job)
    assert site.service.events(job) == ["queued", "active", "exited"]
    assert (report["outcome"], report["exit_code"]) == ("ok", 0)
    assert report["tail"] == f"{report['native_id']} 1001\n{site.directory(1001)}\n"
    assert report["outputs"] == [{"item": 0, "kind": "directory", "files": 1, "bytes": 4, "links": []}]
    assert (site.directory(1001) / "count").read_text() == "ran\n"


def test_twenty_at_once_all_run_once(site: SlurmSite | CobaltSite) -> None:
    numbers = range(2000, 2020)
    jobs = [site.lease(number, QUICK) for number in numbers]
    site.start()
    until(lambda: all(FINAL & set(site.service.events(job)) for job in jobs), "all end", seconds=90)
    assert {site.service.last(job)["outcome"] for job in jobs} == {"ok"}
    assert [(site.directory(number) / "count").read_text() for number in numbers] == ["ran\n"] * 20
    assert len({site.service.last(job)["native_id"] for job in jobs}) == 20


def test_a_failing_job_conveys_its_exit_code_and_last_words(site: SlurmSite | CobaltSite) -> None:
    job = site.lease(1001, "#!/bin/bash\necho 'no é' >&2\nexit 7\n")
    site.start()
    report = ends(site, job)
    assert (report["outcome"], report["exit_code"], report["tail"]) == ("error", 7, "no é\n")


def test_a_job_that_ends_itself_by_a_signal_is_an_error_and_not_its_walltime(site: SlurmSite | CobaltSite) -> None:
    job = site.lease(1001, "#!/bin/bash\nkill -SEGV $$\n")
    site.start()
    report = ends(site, job)
    assert (report["outcome"], report["exit_code"]) == ("error", 128 + signal.SIGSEGV)


def test_a_job_canceled_in_the_queue_never_runs_and_leaves_the_queue(site: SlurmSite | CobaltSite) -> None:
    job = site.lease(1001, WAIT, **site.unable_to_start)
    site.start()
    until(lambda: "queued" in site.service.events(job), "it is in the queue")
    assert site.names() == ["md-1001-k3j2"]
    site.order(1001, "cancel")
    assert ends(site, job)["outcome"] == "canceled"
    until(lambda: site.names() == [], "the scheduler has no job of it")
    assert "active" not in site.service.events(job)
    assert not (site.directory(1001) / "count").exists()


def test_a_running_job_is_canceled_and_its_processes_are_ended(site: SlurmSite | CobaltSite) -> None:
    job = site.lease(1001, "#!/bin/bash\necho started\n" + WAIT + "touch late\n")
    site.start()
    until(lambda: "active" in site.service.events(job), "it runs")
    until(lambda: (site.directory(1001) / "count").exists(), "its script has begun")
    site.order(1001, "cancel")
    report = ends(site, job, 40)
    assert report["outcome"] == "canceled"
    assert "started" in report["tail"]
    until(lambda: site.names() == [], "the scheduler has no job of it")
    go(site, 1001)
    assert not (site.directory(1001) / "late").exists()


def test_a_job_that_is_ended_may_put_its_work_away_first(site: SlurmSite | CobaltSite) -> None:
    trap = "trap 'sleep 0.3; echo kept >checkpoint; exit 9' TERM\n"
    job = site.lease(1001, f"#!/bin/bash\n{trap}echo ran >>count\nwhile :; do sleep 0.05; done\n")
    site.start()
    until(lambda: "active" in site.service.events(job), "it runs")
    until(lambda: (site.directory(1001) / "count").exists(), "its script has begun")
    site.order(1001, "cancel")
    assert ends(site, job, 40)["outcome"] == "canceled"
    assert (site.directory(1001) / "checkpoint").read_text() == "kept\n"


def test_a_job_over_its_walltime_is_told_as_such(site: SlurmSite | CobaltSite) -> None:
    job = site.lease(1001, WAIT, attributes={"duration": site.shortest})
    site.start()
    until(lambda: "active" in site.service.events(job), "it runs")
    site.pass_walltime(1001)
    report = ends(site, job, 150)
    assert report["outcome"] == "walltime"
    assert report.get("exit_code") in {None, 128 + signal.SIGTERM, 128 + signal.SIGKILL}


def test_what_the_scheduler_refuses_comes_back_in_its_own_words(site: SlurmSite | CobaltSite) -> None:
    refused = site.lease(1001, QUICK, **site.refused)
    good = site.lease(1002, QUICK)
    site.start()
    report = ends(site, refused)
    assert report["event"] == "rejected"
    assert site.refusal in report["detail"]
    assert ends(site, good)["outcome"] == "ok"


@pytest.mark.parametrize("kill", KILLS)
def test_an_agent_killed_at_any_step_neither_loses_nor_doubles_the_job(site: SlurmSite | CobaltSite, kill: str) -> None:
    job = site.lease(1001, WAIT)
    agent = site.start(crash=kill)
    if kill.startswith("ended"):
        until(lambda: (site.directory(1001) / "count").exists(), "it runs")
        go(site, 1001)
    assert agent.wait(timeout=30) == -signal.SIGKILL
    site.start()
    until(lambda: (site.directory(1001) / "count").exists(), "it runs")
    assert site.names().count("md-1001-k3j2") <= 1
    go(site, 1001)
    report = ends(site, job)
    assert (report["event"], report["outcome"], report["exit_code"]) == ("exited", "ok", 0)
    assert (site.directory(1001) / "count").read_text() == "ran\n"
    assert site.service.events(job)[0] == "queued"
    until(lambda: site.names() == [], "nothing of it is left in the queue")


@pytest.mark.parametrize("kill", ["submitting-after", "queued-before", "queued-after"])
def test_an_agent_killed_around_the_submission_finds_a_waiting_job_by_its_name(
    site: SlurmSite | CobaltSite, kill: str
) -> None:
    job = site.lease(1001, WAIT, **site.unable_to_start)
    assert site.start(crash=kill).wait(timeout=30) == -signal.SIGKILL
    site.start()
    until(lambda: "queued" in site.service.events(job), "it is in the queue")
    assert site.names() == ["md-1001-k3j2"]
    site.order(1001, "cancel")
    assert ends(site, job)["outcome"] == "canceled"


def test_two_agents_at_once_run_each_job_once(site: SlurmSite | CobaltSite) -> None:
    """The first loses its place and does not know it: the service leases what it held to the second."""
    job = site.lease(1001, WAIT)
    first = site.start()
    until(lambda: (site.directory(1001) / "count").exists(), "the first agent's submission runs")
    second = site.second_home()
    site.service.change_hands()
    site.lease(1001, WAIT, epoch=2)
    second.start()
    until(lambda: 2 in {report["epoch"] for report in site.service.reports}, "the second agent has the job")
    assert first.poll() is None
    go(site, 1001)
    report = ends(site, job)
    assert (report["epoch"], report["outcome"]) == (2, "ok")
    assert (site.directory(1001) / "count").read_text() == "ran\n"
    second.stop()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"owner": {"id": "u-2", "username": "eve@uni.example"}}, "does not let eve"),
        ({"attributes": {"duration": 600, "account": "gold"}}, "account 'gold'"),
        ({"resources": {"node_count": 5}}, "5 nodes"),
        ({"directory": "/etc/k3j2/md-1001"}, "not in one of this site's"),
        ({"executable": "../../../bin/x"}, "leads out"),
    ],
)
def test_a_hostile_services_foreign_job_is_refused_and_never_reaches_the_scheduler(
    site: SlurmSite | CobaltSite, change: dict[str, Any], words: str
) -> None:
    job = site.lease(1001, QUICK, **change)
    assert site.start("--once").wait(timeout=30) == 0
    assert site.service.events(job) == ["refused"]
    assert words in site.service.last(job)["detail"]
    assert site.names() == []
    assert list(site.jobs.iterdir()) == []


def test_a_hostile_service_cannot_cancel_or_clean_what_is_not_the_jobs(site: SlurmSite | CobaltSite) -> None:
    """A command that names another job's native id and directory touches neither."""
    job = site.lease(1001, WAIT)
    site.start()
    until(lambda: "active" in site.service.events(job), "it runs")
    native = site.service.last(job)["native_id"]
    for number, command in ((1666, "cancel"), (1667, "cleanup")):
        site.order(number, command)
        site.service.commands[f"user/{number}"] |= {"native_id": native, "directory": str(site.directory(1001))}
        until(lambda number=number: site.service.events(f"user/{number}"), f"{command} is answered")
    assert site.service.events("user/1667") == ["refused"]
    go(site, 1001)
    assert ends(site, job)["outcome"] == "ok"


def test_a_job_queued_behind_a_hold_starts_when_it_is_released(site: SlurmSite | CobaltSite) -> None:
    job = site.lease(1001, QUICK, **site.unable_to_start)
    site.start()
    until(lambda: "queued" in site.service.events(job), "it is in the queue")
    site.order(1001, "hold")
    until(lambda: "held" in site.service.events(job), "it is held")
    assert site.is_held(1001)
    site.order(1001, "release")
    until(lambda: "released" in site.service.events(job), "it is released")
    assert not site.is_held(1001)
    site.order(1001, "cancel")
    assert ends(site, job)["outcome"] == "canceled"


LONGER = {"attributes": {"duration": 1790, "queue_name": "debug"}}


@pytest.mark.parametrize("crash", [None, "queued-before", "queued-after"])
def test_a_job_altered_in_the_queue_is_what_it_was_altered_to_and_an_agent_killed_at_it_does_it_once_more(
    site: SlurmSite | CobaltSite, crash: str | None
) -> None:
    job = site.lease(1001, QUICK, **site.unable_to_start)
    site.start()
    until(lambda: "queued" in site.service.events(job), "it is in the queue")
    site.order(1001, "hold")
    until(lambda: "held" in site.service.events(job), "it is held, and so does not run away")
    if crash is not None:
        site.stop()
        dying = site.start(crash=crash)
        site.order(1001, "alter", change=LONGER)
        assert dying.wait(timeout=20) == -9
        site.start()
    else:
        site.order(1001, "alter", change=LONGER)
    until(lambda: "altered" in site.service.events(job), "it is altered")
    told = site.service.last(job)
    assert (told["change"], told["order"]) == (LONGER, site.service.orders)
    assert site.shows(1001) == site.longer
    site.order(1001, "release")
    assert ends(site, job)["outcome"] == "ok"
    assert site.service.events(job).count("altered") == 1


def test_what_a_scheduler_will_not_alter_is_refused_in_its_own_words_and_the_job_goes_on(
    site: SlurmSite | CobaltSite,
) -> None:
    job = site.lease(1001, QUICK, **site.unable_to_start)
    site.start()
    until(lambda: "queued" in site.service.events(job), "it is in the queue")
    before = site.shows(1001)
    site.order(1001, "alter", change={"attributes": {"queue_name": "nosuch"}})
    until(lambda: "refused" in site.service.events(job), "it is refused")
    assert site.no_such_queue in site.service.last(job)["detail"]
    assert site.shows(1001) == before
    site.order(1001, "alter", change={"attributes": {"queue_name": "debug"}})
    until(lambda: "exited" in site.service.events(job), "it ends")
    assert site.service.last(job)["outcome"] == "ok"


def test_a_running_cobalt_job_keeps_its_walltime_whoever_asks(cobalt_site: CobaltSite) -> None:
    job = cobalt_site.lease(1001, WAIT)
    cobalt_site.start()
    until(lambda: "active" in cobalt_site.service.events(job), "it runs")
    cobalt_site.order(1001, "alter", change={"attributes": {"duration": 3600}})
    until(lambda: "refused" in cobalt_site.service.events(job), "it is refused")
    assert "cannot change wall time of a running job" in cobalt_site.service.last(job)["detail"]
    go(cobalt_site, 1001)
    until(lambda: "exited" in cobalt_site.service.events(job), "it ends")
    assert cobalt_site.service.last(job)["outcome"] == "ok"


def test_slurms_own_tasks_see_the_jobs_environment_and_a_foreign_default_does_not_move_the_job(
    slurm_site: SlurmSite,
) -> None:
    """srun starts tasks with what the script has; a login shell's SBATCH_PARTITION is nobody's word."""
    slurm_site.environment |= {"SBATCH_PARTITION": "nosuch", "SBATCH_TIMELIMIT": "1:00:00"}
    script = "#!/bin/bash\nsrun -n1 /usr/bin/printenv WORD QSTAGE_JOB_ID\n"
    job = slurm_site.lease(1001, script, environment={"WORD": "é and 'quotes'"})
    slurm_site.start()
    report = ends(slurm_site, job)
    assert (report["outcome"], report["tail"]) == ("ok", "é and 'quotes'\n1001\n")


def test_a_job_ends_while_slurms_controller_is_away_and_none_is_called_lost(
    slurm_site: SlurmSite, slurm: SlurmCluster
) -> None:
    ended, fresh = slurm_site.lease(1001, WAIT), ""
    slurm_site.start()
    until(lambda: "active" in slurm_site.service.events(ended), "it runs")
    slurm.stop_controller()
    try:
        fresh = slurm_site.lease(1002, QUICK)
        go(slurm_site, 1001)
        assert ends(slurm_site, ended)["outcome"] == "ok"
        assert slurm_site.service.events(fresh) == []
    finally:
        slurm.start_controller()
    assert ends(slurm_site, fresh, 60)["outcome"] == "ok"
