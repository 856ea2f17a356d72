"""The Cobalt simulator's commands against real processes: what a Cobalt user and a program see of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulators.clock import FileClock, TurnedClock
from emulators.cobalt.queues import Queue
from emulators.cobalt.scores import Policy
from emulators.cobalt.settings import Settings
from emulators.cobalt.simulator import CobaltSimulator

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


class Site:
    """A simulator, a directory to submit from, and a clock to turn."""

    def __init__(self, simulator: CobaltSimulator, home: Path, clock: TurnedClock) -> None:
        self.simulator, self.home, self.clock = simulator, home, clock

    def run(self, command: str, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.simulator.bin / command, *argv],
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def script(self, name: str, *lines: str) -> str:
        path = self.home / name
        path.write_text("\n".join(["#!/bin/bash", *lines, ""]))
        path.chmod(0o755)
        return name

    def submit(self, *argv: str) -> str:
        done = self.run("qsub", *argv)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert done.stdout.strip().isdigit()
        return done.stdout.strip()

    def state(self, jobid: str) -> str:
        done = self.run("qstat", "-l", "--header=State", jobid)
        return done.stdout.partition(":")[2].strip()

    def gone(self, jobid: str) -> None:
        until(lambda: self.run("qstat", jobid).returncode == 1, f"job {jobid} leaves the list")

    def reaches(self, jobid: str, state: str) -> None:
        until(lambda: self.state(jobid) == state, f"job {jobid} is {state}")

    def text(self, name: str) -> str:
        return (self.home / name).read_text()

    def records(self, jobid: str) -> dict[str, str]:
        lines = [line.split(";", 3) for line in self.simulator.accounting.read_text().splitlines()]
        return {kind: fields for _, kind, one, fields in lines if one == jobid}

    def turn(self, seconds: float) -> None:
        self.clock.turn(seconds)
        self.simulator.wake()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    clock = TurnedClock()
    settings = Settings(
        nodes=4,
        first_job_id=1001,
        interval=0.05,
        kill_delay=30,
        queues=(Queue(name="default"), Queue(name="debug", maxtime=60), Queue(name="closed", state="stopped")),
    )
    home = tmp_path / "home"
    home.mkdir()
    simulator = CobaltSimulator(tmp_path / "cobalt", clock=clock, settings=settings)
    with simulator:
        yield Site(simulator, home, clock)


def test_live_jobs_are_started_by_the_policy_that_was_asked_for(tmp_path: Path) -> None:
    clock = TurnedClock()
    settings = Settings(nodes=1, first_job_id=1001, interval=0.05, policy=Policy.WFP)
    with CobaltSimulator(tmp_path / "cobalt", clock=clock, settings=settings) as simulator:
        site = Site(simulator, tmp_path, clock)
        waits = site.script("wait.sh", "while [ ! -e done-$COBALT_JOBID ]; do sleep 0.02; done")
        first, long, short = (site.submit("-n1", "-t", minutes, waits) for minutes in ("60", "100", "5"))
        site.turn(600)  # (600 / 6000)^3 for the long one, which came first, against (600 / 300)^3
        (tmp_path / f"done-{first}").touch()
        site.reaches(short, "running")
        assert site.state(long) == "queued"
        for jobid in (short, long):
            (tmp_path / f"done-{jobid}").touch()
            site.gone(jobid)


def test_a_job_runs_on_its_nodes_and_leaves_what_cobalt_leaves(site: Site) -> None:
    site.script("run.sh", "#COBALT -n 2 -t 10", 'sort "$COBALT_NODEFILE"', "echo $A $1", "umask", "pwd", "exit 3")
    jobid = site.submit("--env", "A=one two:B=x", "-u", "077", "run.sh", "-n")
    assert jobid == "1001"
    site.gone(jobid)
    assert site.text("1001.output") == f"node1\nnode2\none two -n\n0077\n{site.home}\n"
    assert site.text("1001.error") == ""
    until(lambda: "exit code of 3" in site.text("1001.cobaltlog"), "the end is in the job's log")
    log = site.text("1001.cobaltlog").splitlines()
    assert log[0] == "Jobid: 1001"
    assert log[1] == "qsub --mode script -n 2 -t 10 --env A=one two:B=x -u 077 run.sh -n"
    assert log[2].endswith(f"submitted with cwd set to: {site.home}")
    assert log[-1] == ("Info: task completed normally with an exit code of 3; initiating job cleanup and removal")
    assert list(site.records(jobid)) == ["Q", "S", "TS", "TE", "E"]
    assert "Exit_status=3 " in site.records(jobid)["E"]


def test_the_jobs_environment_is_cobalts(site: Site) -> None:
    site.script("run.sh", "env | sort", "cat")
    (site.home / "in").write_text("from the input file\n")
    jobid = site.submit(
        "-n3", "-t30", "--proccount", "6", "-i", "in", "-o", "out-$jobid", "--env", "J=$jobid", "run.sh"
    )
    site.gone(jobid)
    lines = site.text(f"out-{jobid}").splitlines()
    seen = dict(line.split("=", 1) for line in lines if "=" in line)
    assert lines[-1] == "from the input file"
    assert (seen["COBALT_JOBID"], seen["J"], seen["COBALT_PARTNAME"]) == (jobid, jobid, "node1")
    assert (seen["COBALT_PARTSIZE"], seen["COBALT_JOBSIZE"]) == ("3", "6")
    assert int(seen["COBALT_ENDTIME"]) - int(seen["COBALT_STARTTIME"]) == 1800


@pytest.mark.parametrize(
    ("argv", "code", "stderr"),
    [
        (["-n1", "-t3", "run.sh"], 1, "Walltime less than minimum"),
        (["-n5", "-t5", "run.sh"], 1, "Node count out of realistic range"),
        (["-n1", "-t5", "-q", "nosuch", "run.sh"], 1, "trying to add job to non-existent queue 'nosuch'"),
        (["-n1", "-t61", "-q", "debug", "run.sh"], 1, "max walltime of 01:00:00"),
        (["-n1", "-t0", "run.sh"], 1, "No Max Walltime default or for queue"),
        (["-n1", "-t5", "nosuch.sh"], 1, "/nosuch.sh not found, or is not a file"),
        (["-nfive", "run.sh"], 2, "qsub: error: option -n: invalid integer value: 'five'"),
    ],
)
def test_a_refused_job_prints_no_id_and_takes_none(site: Site, argv: list[str], code: int, stderr: str) -> None:
    site.script("run.sh")
    done = site.run("qsub", *argv)
    assert (done.returncode, done.stdout) == (code, "")
    assert stderr in done.stderr
    assert site.submit("-n1", "-t5", "run.sh") == "1001"


def test_the_maximum_walltime_is_the_queues(site: Site) -> None:
    jobid = site.submit("-h", "-n1", "-t0", "-q", "debug", site.script("run.sh"))
    assert "01:00:00" in site.run("qstat", jobid).stdout


def test_a_finished_job_is_gone_without_a_word(site: Site) -> None:
    jobid = site.submit("-n1", "-t5", site.script("run.sh"))
    site.gone(jobid)
    done = site.run("qstat", jobid)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_a_held_job_waits_until_released(site: Site) -> None:
    jobid = site.submit("-h", "-n1", "-t5", site.script("run.sh"))
    assert site.state(jobid) == "user_hold"
    assert site.run("qhold", jobid).stdout == (
        f"   Failed to place user hold on jobs: \n      job {jobid} already in state 'user hold'\n"
    )
    assert site.run("qrls", jobid).stdout == f"   Removed user hold on jobs: \n      {jobid}\n"
    site.gone(jobid)
    assert "Exit_status=0" in site.records(jobid)["E"]


def test_deleting_a_running_job_ends_its_whole_process_group(site: Site) -> None:
    site.script("run.sh", "sleep 1000 & echo $! >child", "echo $$ >self", "wait")
    jobid = site.submit("-n1", "-t5", "run.sh")
    until(lambda: (site.home / "self").exists() and site.text("self").strip() != "", "the script runs")
    pids = [int(site.text(name)) for name in ("self", "child")]
    done = site.run("qdel", jobid, "99")
    assert done.stdout.splitlines()[0] == "      Deleted Jobs"
    assert done.stdout.splitlines()[3].split()[0] == jobid
    site.gone(jobid)
    assert not any(alive(pid) for pid in pids)
    assert "Exit_status=143 " in site.records(jobid)["E"]


def test_a_job_that_ignores_being_told_is_killing_until_it_is_killed(site: Site) -> None:
    jobid = site.submit(
        "-n1", "-t5", site.script("run.sh", "trap '' TERM", "echo $$ >self", "while :; do sleep 1; done")
    )
    until(lambda: (site.home / "self").exists() and site.text("self").strip() != "", "the script runs")
    site.run("qdel", jobid)
    assert site.state(jobid) == "killing"
    site.turn(31)
    site.gone(jobid)
    assert not alive(int(site.text("self")))
    assert "Exit_status=137 " in site.records(jobid)["E"]


def test_the_walltime_ends_a_job(site: Site) -> None:
    jobid = site.submit("-n1", "-t5", site.script("run.sh", "sleep 1000"))
    site.reaches(jobid, "running")
    site.turn(301)
    site.gone(jobid)
    assert "maximum execution time exceeded; initiating job termination" in site.text(f"{jobid}.cobaltlog")
    assert {"A", "E"} <= site.records(jobid).keys()


def test_a_dependent_starts_only_after_its_parent_ended_well(site: Site) -> None:
    parent = site.submit("-h", "-n1", "-t5", site.script("ok.sh"))
    child = site.submit("-n1", "-t5", "--dependencies", parent, "ok.sh")
    assert site.state(child) == "dep_hold"
    site.run("qrls", parent)
    site.gone(child)
    assert "Exit_status=0" in site.records(child)["E"]


def test_a_dependent_of_a_failed_parent_waits_for_ever_until_freed(site: Site) -> None:
    parent = site.submit("-h", "-n1", "-t5", site.script("bad.sh", "exit 1"))
    child = site.submit("-n1", "-t5", "--dependencies", parent, site.script("ok.sh"))
    site.run("qrls", parent)
    site.gone(parent)
    site.turn(61)
    site.reaches(child, "dep_fail")
    assert site.run("qrls", "--dependencies", child).stdout == (f"   Removed dependencies from jobs: \n      {child}\n")
    site.gone(child)


def test_an_unknown_dependency_warns_and_is_waited_for(site: Site) -> None:
    done = site.run("qsub", "-n1", "-t5", "--dependencies", "77", site.script("ok.sh"))
    assert done.stderr == "WARNING: dependencies 77 do not match jobs currently in the queue\n"
    assert site.state(done.stdout.strip()) == "dep_hold"


def test_a_stopped_queue_takes_a_job_and_does_not_start_it(site: Site) -> None:
    held = site.submit("-n1", "-t5", "-q", "closed", site.script("run.sh"))
    site.gone(site.submit("-n1", "-t5", "run.sh"))
    assert site.state(held) == "queued"


def test_jobs_that_do_not_fit_wait_for_nodes(site: Site) -> None:
    site.script("run.sh", "until [ -e go ]; do sleep 0.02; done")
    wide = site.submit("-n4", "-t30", "run.sh")
    next_one = site.submit("-n1", "-t30", "run.sh")
    site.reaches(wide, "running")
    assert site.state(next_one) == "queued"
    assert "node[1-4]" in site.run("qstat", wide).stdout
    (site.home / "go").touch()
    site.gone(next_one)


@pytest.mark.parametrize(
    ("body", "code"), [(None, 127), ("plain text, no interpreter\n", 1), ("#!/no/such/interpreter\n", 127)]
)
def test_a_command_that_cannot_be_run_ends_as_in_cobalts_launcher(site: Site, body: str | None, code: int) -> None:
    site.script("run.sh")
    if body is not None:
        (site.home / "run.sh").write_text(body)
    jobid = site.submit("-h", "-n1", "-t5", "run.sh")
    if body is None:
        (site.home / "run.sh").unlink()
    site.run("qrls", jobid)
    site.gone(jobid)
    assert f"Exit_status={code} " in site.records(jobid)["E"]


def test_a_working_directory_that_is_gone_ends_the_job_with_255(site: Site) -> None:
    script = str(site.home / site.script("run.sh"))
    jobid = site.run("qsub", "-n1", "-t5", "--cwd", "/tmp/nowhere-at-all", script).stdout.strip()
    site.gone(jobid)
    assert "Exit_status=255 " in site.records(jobid)["E"]


def test_a_bad_working_directory_warns_that_the_log_cannot_be_made(site: Site) -> None:
    script = str(site.home / site.script("run.sh"))
    done = site.run("qsub", "-h", "-n1", "-t5", "--cwd", "/tmp/nowhere-at-all", script)
    assert done.returncode == 0
    assert done.stderr.startswith(
        f"WARNING: failed to create cobalt log file at: /tmp/nowhere-at-all/{done.stdout.strip()}.cobaltlog\n"
    )


def test_bad_ids_stop_qdel_before_it_deletes(site: Site) -> None:
    jobid = site.submit("-h", "-n1", "-t5", site.script("run.sh"))
    done = site.run("qdel", jobid, "abc")
    assert (done.returncode, done.stderr) == (1, "jobid must be an integer: abc\n")
    assert site.state(jobid) == "user_hold"


def test_without_a_daemon_every_command_says_so(site: Site) -> None:
    site.script("run.sh")
    site.simulator.stop()
    done = site.run("qsub", "-n1", "-t5", "run.sh")
    assert done.returncode == 1
    assert done.stderr.startswith("component error: Failed to connect to system: ")
    assert site.run("qstat").stderr.startswith("component error: Failed to connect to queue-manager: ")


def test_queued_jobs_and_ids_survive_a_restart_and_running_ones_end_with_a_stop(site: Site) -> None:
    site.script("run.sh", "sleep 1000")
    running = site.submit("-n1", "-t5", "run.sh")
    held = site.submit("-h", "-n1", "-t5", "run.sh")
    site.reaches(running, "running")
    began = time.monotonic()
    site.simulator.stop()
    assert time.monotonic() - began < 3
    assert "Exit_status=143 " in site.records(running)["E"]
    site.simulator.start()
    assert site.run("qstat", running).returncode == 1
    assert site.state(held) == "user_hold"
    assert site.submit("-h", "-n1", "-t5", "run.sh") == "1003"


def test_many_submitters_at_once_get_ids_of_their_own(site: Site) -> None:
    site.script("run.sh")
    running = [
        subprocess.Popen(
            [site.simulator.bin / "qsub", "-h", "-n1", "-t5", "run.sh"],
            cwd=site.home,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(10)
    ]
    assert sorted(int(one.communicate(timeout=PATIENCE)[0]) for one in running) == list(range(1001, 1011))


def serve(state: Path, *more: str) -> subprocess.Popen[str]:
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "emulators.cobalt",
            "serve",
            "--state",
            state,
            "--nodes",
            "2",
            "--first-job-id",
            "50",
            *more,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    lines = []
    for line in server.stdout:
        lines.append(line.rstrip())
        if line == "ready\n":
            break
    assert lines[-2:] == [f"bin {state / 'bin'}", "ready"]
    return server


def test_the_server_ends_its_jobs_when_interrupted_and_leaves_them_when_killed(tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/bash\necho $$ >self\nuntil [ -e go ]; do sleep 0.02; done\nexit 4\n")
    script.chmod(0o755)
    state = tmp_path / "cobalt"

    def command(name: str, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([state / "bin" / name, *argv], cwd=tmp_path, capture_output=True, text=True, check=False)

    server = serve(state)
    jobid = command("qsub", "-n1", "-t5", "run.sh").stdout.strip()
    assert jobid == "50"
    until(lambda: (tmp_path / "self").exists() and (tmp_path / "self").read_text() != "", "the script runs")
    server.send_signal(signal.SIGKILL)
    server.communicate()
    assert alive(int((tmp_path / "self").read_text()))
    server = serve(state)
    assert "running" in command("qstat", jobid).stdout
    (tmp_path / "go").touch()
    until(lambda: command("qstat", jobid).returncode == 1, "the job that outlived its server ends")
    assert "Exit_status=4 " in (state / "accounting.log").read_text()
    (tmp_path / "go").unlink()
    (tmp_path / "self").unlink()
    command("qsub", "-n1", "-t5", "run.sh")
    until(lambda: (tmp_path / "self").exists() and (tmp_path / "self").read_text() != "", "the script runs")
    began = time.monotonic()
    server.send_signal(signal.SIGINT)
    assert server.wait(timeout=PATIENCE) == 0
    assert time.monotonic() - began < 3
    assert not alive(int((tmp_path / "self").read_text()))
    server.communicate()


def test_the_commands_hold_no_path_of_this_machine(site: Site) -> None:
    for name in ("qsub", "qstat", "qdel", "qhold", "qrls"):
        assert str(ROOT) not in (site.simulator.bin / name).read_text()
        assert os.access(site.simulator.bin / name, os.X_OK)


def test_the_environment_puts_the_commands_first(site: Site) -> None:
    variables = {**os.environ, **site.simulator.environment()}
    done = subprocess.run(["qstat"], env=variables, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("JobID  User  WallTime  Nodes  State  Location  \n")


def test_a_state_directory_too_deep_for_a_socket_works_as_any_other(tmp_path: Path) -> None:
    state = tmp_path / ("deep" * 20) / ("er still" * 5)
    with CobaltSimulator(state) as simulator:
        address = Path((state / "address").read_text())
        done = subprocess.run([simulator.bin / "qstat"], capture_output=True, text=True, check=False)
        assert done.stdout.startswith("JobID")
    assert not address.parent.exists()


def test_a_clock_in_a_file_turns_the_walltime_of_another_process(tmp_path: Path) -> None:
    clock = FileClock(tmp_path / "clock")
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\nsleep 1000\n")
    script.chmod(0o755)
    server = serve(tmp_path / "cobalt", "--clock", str(clock.path))
    try:

        def qstat(jobid: str) -> str:
            return subprocess.run(
                [tmp_path / "cobalt" / "bin" / "qstat", jobid], capture_output=True, text=True, check=False
            ).stdout

        jobid = subprocess.run(
            [tmp_path / "cobalt" / "bin" / "qsub", "-n1", "-t5", "run.sh"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        until(lambda: "running" in qstat(jobid), "the job runs")
        clock.turn(301)
        until(lambda: qstat(jobid) == "", "the walltime ends the job")
    finally:
        server.terminate()
        server.communicate()
    assert ";A;50;" in (tmp_path / "cobalt" / "accounting.log").read_text()
