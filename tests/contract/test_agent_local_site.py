"""The real agent, as a process, against a service that speaks the sync contract and PSI/J's local executor."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from agent_site import FINAL, TOKEN, Service, Site, ends, until


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with closing(Service()) as service, closing(Site(tmp_path, service)) as made:
        yield made


SCRIPT = "#!/bin/bash\nmkdir -p results/deep\necho out\necho ran >>results/count\necho x >results/deep/é\n"


def test_a_leased_job_runs_in_its_directory_and_is_reported_to_its_end(site: Site) -> None:
    job = site.lease(1001, SCRIPT)
    site.start()
    report = ends(site, job)
    assert site.service.events(job) == ["queued", "active", "exited"]
    assert (report["outcome"], report["exit_code"], report["tail"]) == ("ok", 0, "out\n")
    assert report["outputs"] == [{"item": 0, "kind": "directory", "files": 2, "bytes": 6, "links": []}]
    assert site.directory(1001).stat().st_mode & 0o777 == 0o700
    assert (site.directory(1001) / "results/count").read_text() == "ran\n"
    until(lambda: site.service.holding[-1] == set(), "the ended job is forgotten")


def test_a_failing_script_conveys_its_exit_code_and_the_end_of_its_error(site: Site) -> None:
    job = site.lease(1001, "#!/bin/bash\necho fine\necho 'out of é' >&2\nexit 3\n")
    site.start()
    report = ends(site, job)
    assert (report["outcome"], report["exit_code"]) == ("error", 3)
    assert "out of é" in report["tail"]
    assert "fine" in report["tail"]
    assert report["outputs"][0]["kind"] == "missing"


def test_output_and_error_into_one_file_do_not_write_over_each_other(site: Site) -> None:
    script = "#!/bin/bash\necho one\necho two >&2\necho three\n"
    job = site.lease(1001, script, stdout_path="log", stderr_path="./log")
    site.start()
    assert ends(site, job)["tail"] == "one\ntwo\nthree\n"


def test_an_input_that_is_not_there_is_told_in_cobalts_words(site: Site) -> None:
    job = site.lease(1001, SCRIPT, stdin_path="inputs/in.dat")
    site.start()
    report = ends(site, job)
    assert report["event"] == "rejected"
    assert "file inputs/in.dat not found, or is not a file" in report["detail"]


def test_the_job_sees_its_own_environment_and_nothing_of_the_agents(site: Site) -> None:
    job = site.lease(
        1001,
        "#!/bin/bash\nenv >env.txt\npwd >pwd.txt\ncat >stdin.txt\nprintf '%s|' \"$@\" >args.txt\n",
        environment={"A": 'it\'s; $(x) "é"\nsecond', "PATH": "/bin:/usr/bin"},
        arguments=["a b", "$HOME", "-n", ""],
    )
    site.start()
    assert ends(site, job)["outcome"] == "ok"
    directory = site.directory(1001)
    seen = (directory / "env.txt").read_text()
    assert 'A=it\'s; $(x) "é"\nsecond\n' in seen
    assert f"QSTAGE_JOB_DIR={directory}\n" in seen
    assert "QSTAGE_JOB_ID=1001\n" in seen
    assert "SECRET" not in seen
    assert "qsk_" not in seen
    assert (directory / "pwd.txt").read_text() == f"{directory}\n"
    assert (directory / "stdin.txt").read_text() == ""
    assert (directory / "args.txt").read_text() == "a b|$HOME|-n||"


@pytest.mark.parametrize(
    "crash",
    ["leased-after", "submitting-before", "submitting-after", "queued-before", "queued-after", "active-before",
     "ended-before", "ended-after"],
)  # fmt: skip
def test_an_agent_killed_at_any_step_neither_loses_nor_doubles_the_job(site: Site, crash: str) -> None:
    job = site.lease(1001, "#!/bin/bash\necho ran >>count\nsleep 0.3\nmkdir results\n")
    agent = site.start(crash=crash)
    assert agent.wait(timeout=20) == -signal.SIGKILL
    site.start()
    report = ends(site, job)
    assert (report["event"], report["outcome"], report["exit_code"]) == ("exited", "ok", 0)
    assert (site.directory(1001) / "count").read_text() == "ran\n"
    assert set(site.service.events(job)) <= {"queued", "active", "exited"}
    assert site.service.events(job)[0] == "queued"


def test_a_second_scheduler_job_of_the_same_job_does_not_run(site: Site) -> None:
    job = site.lease(1001, "#!/bin/bash\necho ran >>count\n")
    site.start()
    ends(site, job)
    again = subprocess.run(
        ["/bin/bash", site.directory(1001) / ".qstage/run.sh"], capture_output=True, text=True, check=False
    )
    assert again.returncode == 0
    assert "does not run it" in again.stderr
    assert (site.directory(1001) / "count").read_text() == "ran\n"


def test_a_second_agent_on_the_machine_is_turned_away(site: Site) -> None:
    site.start()
    until(lambda: site.service.holding, "the first agent has called")
    second = site.start()
    _, words = second.communicate(timeout=20)
    assert second.returncode == 75
    assert "another agent of this site" in words


def test_an_agent_with_another_journal_is_told_who_has_the_site(site: Site) -> None:
    site.service.instance = "somebody-else"
    agent = site.start("--once")
    _, words = agent.communicate(timeout=20)
    assert agent.returncode == 75
    assert "an agent on here serves this site" in words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"owner": {"id": "u-2", "username": "eve@uni.example"}}, "does not let eve"),
        ({"attributes": {"account": "gold"}}, "account 'gold'"),
        ({"attributes": {"queue_name": "prod"}}, "queue 'prod'"),
        ({"attributes": {"queue_name": "debug\n#SBATCH --uid=0"}}, "characters"),
        ({"attributes": {"custom_attributes": {"slurm.account": "gold"}}}, "custom attribute"),
        ({"resources": {"node_count": 5}}, "5 nodes"),
        ({"directory": "/etc/k3j2/md-1001"}, "not in one of this site's"),
        ({"directory": "JOBS/../../etc/md-1001"}, "not in one of this site's"),
        ({"directory": "JOBS/k3j2/other"}, "does not end in md-1001"),
        ({"files": [{"path": "../../x", "content": "", "mode": "0644"}]}, "leads out"),
        ({"files": [{"path": "/etc/x", "content": "", "mode": "0644"}]}, "leads out"),
        ({"files": [{"path": ".qstage/run/native_id", "content": "", "mode": "0644"}]}, "agent's own"),
        ({"links": [{"path": "x", "target": "/etc/passwd"}]}, "not under one of this site's roots"),
        ({"stdout_path": "../out"}, "leads out"),
        ({"outputs": [{"item": 0, "source": "../.."}]}, "leads out"),
        ({"executable": "../../bin/x"}, "leads out"),
    ],
)
def test_a_lease_outside_the_policy_is_refused_with_words_and_touches_nothing(
    site: Site, change: dict[str, Any], words: str
) -> None:
    if "directory" in change:
        change = {"directory": change["directory"].replace("JOBS", str(site.jobs))}
    job = site.lease(1001, SCRIPT, **change)
    site.start("--once").wait(timeout=20)
    assert site.service.events(job) == ["refused"]
    assert words in site.service.last(job)["detail"]
    assert list(site.jobs.iterdir()) == []


def test_one_bad_lease_does_not_stop_the_others(site: Site) -> None:
    unreadable = site.lease(1001, SCRIPT, name="a b")
    planted = site.lease(1002, SCRIPT)
    missing = site.lease(1003, SCRIPT, links=[{"path": "x", "target": f"{site.home}/shared/none"}])
    good = site.lease(1004, SCRIPT)
    site.directory(1002).parent.mkdir()
    site.directory(1002).symlink_to(site.home)
    site.start()
    assert ends(site, good)["outcome"] == "ok"
    assert ends(site, unreadable)["event"] == "rejected"
    assert "is a link" in ends(site, planted)["detail"]
    assert "is not at this site" in ends(site, missing)["detail"]


def test_data_at_the_site_is_linked_and_a_root_that_leads_out_is_not(site: Site) -> None:
    (site.home / "shared/data").write_text("big")
    (site.home / "shared/way").symlink_to("/etc")
    good = site.lease(1001, "#!/bin/bash\ncat in/x\n", links=[{"path": "in/x", "target": f"{site.home}/shared/data"}])
    bad = site.lease(1002, SCRIPT, links=[{"path": "x", "target": f"{site.home}/shared/way/passwd"}])
    site.start()
    assert ends(site, good)["tail"] == "big"
    assert "leads out" in ends(site, bad)["detail"]


def test_links_among_the_outputs_are_listed_and_not_followed(site: Site) -> None:
    job = site.lease(1001, "#!/bin/bash\nmkdir results\nln -s /etc results/etc\necho 12345 >results/a\n")
    site.start()
    assert ends(site, job)["outputs"] == [{"item": 0, "kind": "directory", "files": 1, "bytes": 6, "links": ["etc"]}]


def test_a_cancel_ends_a_running_job_and_says_so(site: Site) -> None:
    job = site.lease(1001, "#!/bin/bash\necho started\nsleep 600\n")
    site.start()
    until(lambda: "active" in site.service.events(job), "it runs")
    command = {"job": job, "id": 1001, "epoch": 1, "command": "cancel", "native_id": None}
    with site.service.lock:
        site.service.commands[job] = command | {"directory": str(site.directory(1001)), "paths": None}
    report = ends(site, job)
    assert report["outcome"] == "canceled"
    assert report["tail"] == "started\n"


def test_a_job_over_its_walltime_is_ended_as_such(site: Site) -> None:
    job = site.lease(1001, "#!/bin/bash\nsleep 600\n", attributes={"duration": 1})
    site.start()
    assert ends(site, job)["outcome"] == "walltime"


def test_a_job_whose_processes_vanish_is_lost(site: Site) -> None:
    job = site.lease(1001, "#!/bin/bash\nkill -9 $PPID\n")
    site.start()
    report = ends(site, job)
    assert report["outcome"] in {"lost", "error"}
    assert report["outcome"] == "lost" or report["exit_code"] == 137


def test_cleanup_removes_the_jobs_directory_and_nothing_it_links_to(site: Site) -> None:
    keep = site.home / "shared/keep"
    keep.write_text("precious")
    job = site.lease(1001, f"#!/bin/bash\nmkdir -p a/b\nln -s {site.home}/shared a/b/way\nchmod 500 a/b\n")
    site.start()
    ends(site, job)
    with site.service.lock:
        site.service.commands[job] = {
            "job": job, "id": 1001, "epoch": 1, "command": "cleanup", "native_id": "1",
            "directory": str(site.directory(1001)), "paths": None,
        }  # fmt: skip
    until(lambda: "cleaned" in site.service.events(job), "it is cleaned")
    assert not site.directory(1001).exists()
    assert keep.read_text() == "precious"


def test_cleanup_of_a_directory_that_is_not_the_jobs_is_refused(site: Site) -> None:
    mine = site.directory(1001)
    mine.mkdir(parents=True)
    (mine / "thesis").write_text("years")
    with site.service.lock:
        site.service.commands["user/1001"] = {
            "job": "user/1001", "id": 1001, "epoch": 1, "command": "cleanup", "native_id": None,
            "directory": str(mine), "paths": None,
        }  # fmt: skip
    site.start()
    until(lambda: "refused" in site.service.events("user/1001"), "it is refused")
    assert (mine / "thesis").read_text() == "years"


def test_another_attempt_runs_once_more_in_the_same_directory_and_a_stray_of_the_first_does_not(site: Site) -> None:
    script = "#!/bin/bash\necho ran >>count\n[ $(wc -l <count) -ge 2 ]\n"
    job = site.lease(1001, script)
    site.start()
    assert ends(site, job)["exit_code"] == 1
    with site.service.lock:
        site.service.reports.clear()
    assert site.lease(1001, script, epoch=3, attempt=2) == job
    report = ends(site, job)
    assert (report["epoch"], report["exit_code"]) == (3, 0)
    own = site.directory(1001) / ".qstage"
    assert {"run", "run.2", "exit", "exit.2", "run.sh", "run.sh.2"} <= {each.name for each in own.iterdir()}
    for stray in ("run.sh", "run.sh.2"):
        done = subprocess.run(["/bin/bash", own / stray], capture_output=True, text=True, check=False)
        assert (done.returncode, "does not run it" in done.stderr) == (0, True)
    assert (site.directory(1001) / "count").read_text() == "ran\nran\n"


def order_cleanup(site: Site, **fields: Any) -> dict[str, Any]:
    """The cleanup of a job that was canceled, and what the agent says to it."""
    command = {"job": "user/1001", "id": 1001, "epoch": 0, "command": "cleanup", "native_id": None}
    with site.service.lock:
        site.service.commands["user/1001"] = {
            **command, "directory": str(site.directory(1001)), "paths": None, "unless_ran": True, **fields,
        }  # fmt: skip
    site.start()
    until(lambda: {"cleaned", "refused"} & set(site.service.events("user/1001")), "it is answered")
    report = site.service.last("user/1001")
    assert report["command"] == "cleanup"
    return report


def test_what_was_staged_for_a_job_that_was_never_leased_is_removed(site: Site) -> None:
    staged = site.directory(1001)
    (staged / "inputs").mkdir(parents=True)
    (staged / "inputs/data").write_text("moved in vain")
    neighbour = staged.parent / "md-1002"
    neighbour.mkdir()
    assert order_cleanup(site)["event"] == "cleaned"
    assert not staged.exists()
    assert neighbour.exists()


@pytest.mark.parametrize("mark", ["another job's", "another number", "a run"])
def test_a_canceled_job_s_cleanup_leaves_what_is_not_only_staged_for_it(site: Site, mark: str) -> None:
    mine = site.directory(1001)
    (mine / ".qstage").mkdir(parents=True)
    (mine / "thesis").write_text("years")
    if mark != "another number":
        owner = "user/77" if mark == "another job's" else "user/1001"
        (mine / ".qstage/job").write_text(json.dumps({"job": owner, "id": 1001, "site": "theta"}))
    if mark == "a run":
        (mine / ".qstage/run").mkdir()
        (mine / ".qstage/run/native_id").write_text("4711\n")
    said = order_cleanup(site, **({"id": 1002} if mark == "another number" else {}))
    assert said["event"] == "refused"
    assert ("has run" in said["detail"]) is (mark == "a run")
    assert (mine / "thesis").read_text() == "years"


def test_once_submits_and_returns_and_the_next_round_finds_the_end(site: Site) -> None:
    job = site.lease(1001, "#!/bin/bash\necho ran >>count\nwhile [ ! -e go ]; do sleep 0.05; done\n")
    assert site.start("--once").wait(timeout=20) == 0
    assert site.service.events(job)[0] == "queued"
    until(lambda: (site.directory(1001) / "count").exists(), "it runs without the agent")
    assert site.start("--once").wait(timeout=20) == 0
    assert site.service.events(job) == ["queued", "active"]
    (site.directory(1001) / "go").touch()
    until(lambda: (site.directory(1001) / ".qstage/exit").exists(), "it has ended")
    assert site.start("--once").wait(timeout=20) == 0
    assert site.service.events(job) == ["queued", "active", "exited"]
    assert site.service.last(job)["exit_code"] == 0
    assert (site.directory(1001) / "count").read_text() == "ran\n"


def test_jobs_are_watched_while_the_service_is_away_and_told_when_it_is_back(site: Site) -> None:
    job = site.lease(1001, "#!/bin/bash\nwhile [ ! -e go ]; do sleep 0.05; done\n")
    site.start()
    until(lambda: "active" in site.service.events(job), "it runs")
    site.service.away = True
    (site.directory(1001) / "go").touch()
    until(lambda: '"event":"exited"' in (site.home / "state/journal").read_text(), "the end is in the journal")
    site.service.away = False
    assert ends(site, job)["outcome"] == "ok"


def test_a_stale_answer_makes_the_agent_forget_the_job(site: Site) -> None:
    job = site.lease(1001, "#!/bin/bash\nsleep 1\n")
    site.service.answers["queued"] = "stale"
    site.start()
    until(lambda: job in set().union(*site.service.holding), "it is held")
    until(lambda: site.service.events(job) and site.service.holding[-1] == set(), "it is forgotten")


@pytest.mark.parametrize("mode", [0o644, 0o640])
def test_a_token_that_others_may_read_is_refused(site: Site, mode: int) -> None:
    (site.home / "token").chmod(mode)
    agent = site.start("--once")
    _, words = agent.communicate(timeout=20)
    assert agent.returncode == 1
    assert "chmod 600" in words
    assert TOKEN not in words


def test_the_agent_refuses_a_path_whose_qsub_is_our_own(site: Site) -> None:
    shims = site.home / "bin"
    shims.mkdir()
    (shims / "qsub").write_text('#!/bin/sh\nexec qstage qsub "$@"\n')
    (shims / "qsub").chmod(0o755)
    site.config.write_text(site.config.read_text().replace("path = [", f'path = ["{shims}", '))
    agent = site.start("--once")
    _, words = agent.communicate(timeout=20)
    assert agent.returncode == 1
    assert "would submit to itself" in words


def test_a_revoked_token_ends_the_agent_with_words(site: Site) -> None:
    (site.home / "token").write_text("qsa_wrong")
    agent = site.start()
    _, words = agent.communicate(timeout=20)
    assert agent.returncode == 1
    assert "who are you" in words


def test_twenty_at_once_all_run_once_and_share_the_calls(site: Site) -> None:
    jobs = [site.lease(number, "#!/bin/bash\necho ran >>count\n") for number in range(2000, 2020)]
    site.start()
    until(lambda: all(FINAL & set(site.service.events(job)) for job in jobs), "all end", seconds=60)
    assert [(site.directory(number) / "count").read_text() for number in range(2000, 2020)] == ["ran\n"] * 20
    assert {site.service.last(job)["outcome"] for job in jobs} == {"ok"}
    assert site.service.carried <= len(jobs) / 2
