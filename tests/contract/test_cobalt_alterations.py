"""qalter, qmove, qselect and the site's filters of the simulator, as programs: what a Cobalt user sees of them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulators.clock import TurnedClock
from emulators.cobalt.queues import Queue
from emulators.cobalt.settings import Settings
from emulators.cobalt.simulator import CobaltSimulator

FILTER = """\
#!/bin/bash
printf '%s\\n' "$@" >>{home}/seen
case " $* " in *" jobname=broken "*) echo "no room for that" >&2; exit 3;; esac
case " $* " in *" jobname=staged "*) echo stagein=/data/in; echo user_hold=True; echo score=50; echo "no equals";; esac
case " $* " in *" jobname=varied "*) echo "envs={{'EXTRA': '1'}}";; esac
echo "seen by the filter" >&2
"""


class Site:
    def __init__(self, simulator: CobaltSimulator, home: Path) -> None:
        self.simulator, self.home = simulator, home

    def run(self, command: str, *argv: str) -> subprocess.CompletedProcess[str]:
        path = self.simulator.bin / command
        return subprocess.run([path, *argv], cwd=self.home, capture_output=True, text=True, timeout=30, check=False)

    def said(self, command: str, *argv: str) -> tuple[int, str, str]:
        done = self.run(command, *argv)
        return done.returncode, done.stdout, done.stderr

    def submit(self, *argv: str) -> str:
        done = self.run("qsub", *argv, "run.sh")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def field(self, jobid: str, name: str) -> str:
        return self.run("qstat", "-l", f"--header={name}", jobid).stdout.partition(":")[2].strip()

    def kinds(self, jobid: str) -> list[str]:
        lines = self.simulator.accounting.read_text().splitlines()
        return [line.split(";")[1] for line in lines if line.split(";")[2] == jobid]


def opened(home: Path, **more: object) -> CobaltSimulator:
    script = home / "run.sh"
    script.write_text("#!/bin/bash\nsleep 60\n")
    script.chmod(0o755)
    queues = (Queue(name="default"), Queue(name="debug", maxtime=60), Queue(name="shut", state="draining"))
    settings = Settings(nodes=2, interval=0.05, kill_delay=1, queues=queues, **more)  # type: ignore[arg-type]
    return CobaltSimulator(home / "cobalt", clock=TurnedClock(), settings=settings)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with opened(tmp_path) as simulator:
        yield Site(simulator, tmp_path)


def test_a_waiting_job_is_altered_and_its_neighbour_is_not(site: Site) -> None:
    one, other = site.submit("-h", "-n2", "-t30"), site.submit("-h", "-n2", "-t30")
    assert site.said("qalter", "-t", "+15", "-n1", "-A", "chem", one) == (
        0,
        "nodes changed from 2 to 1\nproject changed from None to chem\nwalltime changed from 30 to 45.0\n"
        "procs changed from 2 to 1\n",
        "",
    )
    assert [site.field(one, name) for name in ("WallTime", "Nodes", "Procs", "Project")] == [
        "00:45:00",
        "1",
        "1",
        "chem",
    ]
    assert [site.field(other, name) for name in ("WallTime", "Nodes")] == ["00:30:00", "2"]
    assert site.kinds(one) == ["Q", "HA", "Q", "QA"]


def test_unknown_and_foreign_ids_match_nothing(site: Site) -> None:
    assert site.said("qalter", "-t5", "99") == (0, "", "Failed to match any jobs or queues\n")
    assert site.said("qmove", "debug", "99") == (0, "", "Failed to match any jobs or queues\n")


def test_a_running_job_is_neither_altered_nor_moved(site: Site) -> None:
    jobid = site.submit("-n1", "-t30")
    while site.field(jobid, "State") != "running":
        pass
    assert site.said("qalter", "-t5", jobid) == (1, "", "cannot change wall time of a running job\n")
    assert site.said("qalter", "-A", "chem", jobid) == (1, "", "")
    code, out, err = site.said("qmove", "debug", jobid)
    assert (code, out) == (1, "")
    assert err == (
        f"component error: XMLRPC failure <Fault 1001: 'job {jobid} is running; it cannot be moved'> "
        "in queue-manager.set_jobs\n\n"
    )


def test_a_job_moves_to_a_queue_that_takes_it(site: Site) -> None:
    jobid = site.submit("-h", "-n1", "-t30")
    assert site.said("qmove", "debug", jobid) == (0, f"moved job {jobid} to queue 'debug'\n", "")
    assert site.field(jobid, "Queue") == "debug"
    for queue, words in (("nosuch", "Error: queue 'nosuch' does not exist"), ("shut", "The 'shut' queue is draining")):
        code, out, err = site.said("qmove", queue, jobid)
        assert (code, out) == (1, "")
        assert words in err
    assert site.field(jobid, "Queue") == "debug"


def test_a_queues_limits_hold_for_what_a_job_is_altered_to(site: Site) -> None:
    jobid = site.submit("-h", "-n1", "-t30", "-q", "debug")
    code, _, err = site.said("qalter", "-t", "61", jobid)
    assert code == 1
    assert "Walltime greater than the 'debug' queue max walltime of 01:00:00" in err
    assert site.field(jobid, "WallTime") == "00:30:00"


def test_dependencies_and_holds_come_and_go_by_qalter(site: Site) -> None:
    parent, jobid = site.submit("-h", "-n2", "-t30"), site.submit("-h", "-n2", "-t30")
    assert site.said("qalter", "--dependencies", parent, jobid)[:2] == (0, f"dependencies set to {parent}\n")
    site.run("qrls", jobid)
    assert site.field(jobid, "State") == "dep_hold"
    site.run("qalter", "-h", jobid)
    assert site.field(jobid, "State") == "user_hold"
    assert (
        site.said("qalter", "--dependencies", "none", jobid)[1] == "Removing job dependencies\ndependencies set to \n"
    )
    site.run("qrls", jobid)
    assert site.field(jobid, "State") != "dep_hold"


def test_qalter_defers_a_job(site: Site) -> None:
    jobid = site.submit("-h", "-n1", "-t30")
    assert site.said("qalter", "--defer", jobid, "99") == (0, f"updating scores for jobs: {jobid}\n", "")
    assert site.said("qalter", "--defer", "99") == (0, "no jobs matched\n", "")


def test_qselect_finds_by_state_and_queue(site: Site) -> None:
    held = site.submit("-h", "-n1", "-t30")
    site.submit("-n1", "-t30", "-q", "debug")
    assert site.said("qselect", "-h", "user_hold") == (
        0,
        f"   The following jobs matched your query:\n      {held}\n",
        "",
    )
    assert site.said("qselect", "-n", "1") == (0, "", "Failed to match any jobs\n")


def test_what_was_altered_survives_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as simulator:
        site = Site(simulator, tmp_path)
        jobid = site.submit("-h", "-n2", "-t30")
        site.run("qalter", "-t", "45", jobid)
        site.run("qmove", "debug", jobid)
    with opened(tmp_path) as simulator:
        site = Site(simulator, tmp_path)
        assert [site.field(jobid, name) for name in ("WallTime", "Queue", "State")] == [
            "00:45:00",
            "debug",
            "user_hold",
        ]


@pytest.fixture
def filtered(tmp_path: Path) -> Iterator[Site]:
    program = tmp_path / "filter"
    program.write_text(FILTER.format(home=tmp_path))
    program.chmod(0o755)
    with opened(tmp_path, filters=(str(program),)) as simulator:
        yield Site(simulator, tmp_path)


def test_a_filter_sees_the_whole_job_and_sets_its_fields(filtered: Site) -> None:
    done = filtered.run("qsub", "-n1", "-t10", "--jobname", "staged", "--env", "A=1", "run.sh", "x:y", "z")
    assert (done.returncode, done.stderr) == (0, "seen by the filter\n")
    jobid = done.stdout.strip()
    assert [filtered.field(jobid, name) for name in ("State", "Score")] == ["user_hold", "50.0"]
    seen = (filtered.home / "seen").read_text().splitlines()
    for word in ("jobid=*", "nodes=1", "walltime=10", "args=x\\:y:z", "envs={'A': '1'}", "queue=default", "tag=job"):
        assert word in seen
    assert f"command={filtered.home}/run.sh" in seen


def test_a_filter_adds_to_the_environment(filtered: Site) -> None:
    jobid = filtered.submit("-h", "-n1", "-t10", "--jobname", "varied", "--env", "A=1")
    assert filtered.field(jobid, "Envs") == "A=1 EXTRA=1"


def test_a_filter_that_fails_ends_qsub_and_nothing_was_submitted(filtered: Site) -> None:
    code, out, err = filtered.said("qsub", "-n1", "-t10", "--jobname", "broken", "run.sh")
    assert (code, out, err) == (1, "", f"no room for that\nFilter {filtered.home}/filter failed\n")
    assert filtered.run("qselect").stderr == "Failed to match any jobs\n"


def test_a_job_that_the_system_cannot_run_never_reaches_a_filter(filtered: Site) -> None:
    code, _, err = filtered.said("qsub", "-n1", "-t1", "run.sh")
    assert code == 1
    assert "Walltime less than minimum" in err
    assert not (filtered.home / "seen").exists()


def test_qalter_and_qmove_show_the_changed_job_to_the_filters(filtered: Site) -> None:
    jobid = filtered.submit("-h", "-n1", "-t10")
    (filtered.home / "seen").unlink()
    filtered.run("qalter", "-t", "20", jobid)
    assert {f"jobid={jobid}", "walltime=20"} <= set((filtered.home / "seen").read_text().splitlines())
    (filtered.home / "seen").unlink()
    filtered.run("qmove", "debug", jobid)
    assert {f"jobid={jobid}", "queue=debug"} <= set((filtered.home / "seen").read_text().splitlines())
