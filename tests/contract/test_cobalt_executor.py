"""Our PSI/J executor, driven by PSI/J itself, against the simulated Cobalt that is as strict as the real one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psij
import pytest
from psij import InvalidJobException, JobState, SubmitException
from psij.executors.batch.batch_scheduler_executor import BatchSchedulerExecutor, BatchSchedulerExecutorConfig

from emulators.clock import TurnedClock
from emulators.cobalt.settings import Settings
from emulators.cobalt.simulator import CobaltSimulator
from qstage.agent.cobalt_executor import (
    NAME,
    CobaltExecutor,
    CobaltExecutorConfig,
    find_commands,
    register,
)

PATIENCE = timedelta(seconds=20)


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while not holds():
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.02)


class Polls:
    """Counts an executor's polls, so that a test can wait for some to have passed."""

    def __init__(self, executor: CobaltExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        thread = executor._queue_poll_thread
        poll = thread._poll

        def counted() -> None:
            poll()
            self.count += 1

        monkeypatch.setattr(thread, "_poll", counted)

    def pass_by(self, number: int) -> None:
        target = self.count + number
        until(lambda: self.count >= target, f"{number} polls")


class Site:
    def __init__(self, tmp_path: Path) -> None:
        self.clock = TurnedClock()
        settings = Settings(nodes=4, interval=0.05, min_walltime=5, kill_delay=30)
        self.simulator = CobaltSimulator(tmp_path / "cobalt", clock=self.clock, settings=settings)
        self.work = tmp_path / "work"
        self.directory = tmp_path / "a directory with blanks"
        self.directory.mkdir()
        self.executors: list[CobaltExecutor] = []

    def executor(self, *, patience: float = 5.0, scheduler_path: Path | None = None) -> CobaltExecutor:
        config = CobaltExecutorConfig(
            work_directory=self.work,
            initial_queue_polling_delay=0,
            scheduler_path=scheduler_path or self.simulator.bin,
            exit_file_patience=patience,
        )
        config.queue_polling_interval = 0.05  # type: ignore[assignment]
        executor = psij.JobExecutor.get_instance(NAME, config=config)
        assert type(executor).__name__ == "CobaltExecutor"
        self.executors.append(executor)  # type: ignore[arg-type]
        return self.executors[-1]

    def job(self, script: str, **attributes: object) -> psij.Job:
        values: dict[str, object] = {"duration": timedelta(minutes=5), **attributes}
        return psij.Job(
            psij.JobSpec(
                executable="/bin/bash",
                arguments=["-c", script],
                directory=self.directory,
                attributes=psij.JobAttributes(**values),  # type: ignore[arg-type]
                resources=psij.ResourceSpecV1(node_count=1),
            )
        )

    def submit(self, job: psij.Job, executor: CobaltExecutor | None = None) -> psij.Job:
        (executor or self.executor()).submit(job)
        return job

    def go(self) -> None:
        (self.directory / "go").touch()

    def turn(self, seconds: float) -> None:
        self.clock.turn(seconds)
        self.simulator.wake()


WAIT = "until [ -e go ]; do sleep 0.02; done"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    register()
    site = Site(tmp_path)
    with site.simulator:
        yield site
        for executor in site.executors:
            executor._queue_poll_thread.done = True


def ended(job: psij.Job) -> psij.JobStatus:
    status = job.wait(PATIENCE)
    assert status is not None, f"still {job.status}"
    return status


def reach(job: psij.Job, state: JobState) -> None:
    until(lambda: job.status.state == state, f"job is {state}")


def test_a_job_goes_through_queued_and_active_to_completed(site: Site) -> None:
    job = site.job(WAIT + "; echo done >result")
    seen: list[JobState] = []
    job.set_job_status_callback(lambda _, status: seen.append(status.state))
    site.submit(job)
    assert job.native_id == "1"  # ids of any number of digits
    reach(job, JobState.ACTIVE)
    site.go()
    status = ended(job)
    assert (status.state, status.exit_code) == (JobState.COMPLETED, 0)
    assert seen == [JobState.QUEUED, JobState.ACTIVE, JobState.COMPLETED]
    assert (site.directory / "result").read_text() == "done\n"


def test_an_exit_code_of_3_is_a_failure_with_that_code(site: Site) -> None:
    status = ended(site.submit(site.job("exit 3")))
    assert (status.state, status.exit_code) == (JobState.FAILED, 3)


def test_nothing_is_left_in_the_work_directory_or_the_jobs(site: Site) -> None:
    executor = site.executor()
    ended(site.submit(site.job("exit 3"), executor))
    assert [path.name for path in executor.work_directory.iterdir()] == []
    assert list(site.directory.iterdir()) == []


def test_environment_name_and_duration_reach_the_job(site: Site) -> None:
    job = site.job(f'printf %s "$ODD" >odd; echo "$COBALT_JOBID $PSIJ_NODEFILE" >ids; {WAIT}')
    assert job.spec is not None
    job.spec.name = "md run"
    job.spec.environment = {"ODD": "a b:c=d'e\"$f\ng"}
    assert job.spec.attributes is not None
    job.spec.attributes.duration = timedelta(seconds=301)
    executor = site.executor()
    site.submit(job, executor)
    row = site.simulator.manager.rows()[0]
    assert (row.jobname, row.walltime, row.envs) == ("md run", 6, {})
    assert executor.find_by_name("md run") == job.native_id
    assert executor.find_by_name("another") is None
    assert executor.list() == [job.native_id]
    site.go()
    assert ended(job).state == JobState.COMPLETED
    assert (site.directory / "odd").read_text() == "a b:c=d'e\"$f\ng"


def test_a_job_canceled_in_the_queue_ends_canceled(site: Site) -> None:
    job = site.submit(site.job("exit 0", custom_attributes={"cobalt.held": True}))
    job.cancel()
    assert ended(job).state == JobState.CANCELED


def test_a_job_canceled_while_running_ends_canceled_when_it_is_gone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = site.executor()
    polls = Polls(executor, monkeypatch)
    job = site.submit(site.job("trap '' TERM; echo $$ >self; " + WAIT), executor)
    until(lambda: (site.directory / "self").exists(), "the script runs")
    job.cancel()
    polls.pass_by(3)
    assert job.status.state == JobState.ACTIVE  # Cobalt shows it as killing: its processes live
    site.turn(31)
    assert ended(job).state == JobState.CANCELED


def test_a_held_job_is_queued_and_does_not_stop_the_others(site: Site) -> None:
    executor = site.executor()
    held = site.submit(site.job("exit 0", custom_attributes={"cobalt.held": True}), executor)
    other = site.submit(site.job("exit 0"), executor)
    assert ended(other).state == JobState.COMPLETED
    assert held.status.state == JobState.QUEUED
    site.simulator.manager.release([int(str(held.native_id))], site.simulator.manager.rows()[0].user)
    site.simulator.wake()
    assert ended(held).state == JobState.COMPLETED


def test_a_job_over_its_walltime_fails_and_says_so(site: Site) -> None:
    job = site.submit(site.job("touch ready; sleep 1000"))
    reach(job, JobState.ACTIVE)
    until(lambda: (site.directory / "ready").exists(), "the job waits")
    site.turn(301)
    status = ended(job)
    assert (status.state, status.message) == (JobState.FAILED, "over its walltime")


def test_a_job_told_to_end_may_end_in_its_own_way(site: Site) -> None:
    job = site.submit(site.job("trap 'sleep 0.3; echo saved >checkpoint; exit 7' TERM; touch ready; " + WAIT))
    until(lambda: (site.directory / "ready").exists(), "the job waits")
    site.turn(301)
    status = ended(job)
    assert (status.state, status.exit_code, status.message) == (JobState.FAILED, 7, "over its walltime")
    assert (site.directory / "checkpoint").read_text() == "saved\n"


def test_a_job_deleted_by_its_owner_elsewhere_ends_canceled(site: Site) -> None:
    job = site.submit(site.job("sleep 1000"))
    reach(job, JobState.ACTIVE)
    manager = site.simulator.manager
    manager.delete([int(str(job.native_id))], manager.rows()[0].user)
    site.simulator.wake()
    assert ended(job).state == JobState.CANCELED


def test_while_qstat_is_away_nothing_changes_and_then_all_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = site.executor(patience=0.0)
    polls = Polls(executor, monkeypatch)
    job = site.submit(site.job(WAIT + "; exit 5"), executor)
    reach(job, JobState.ACTIVE)
    qstat = site.simulator.bin / "qstat"
    working = qstat.read_text()
    for broken in ("#!/bin/sh\necho down >&2; exit 1\n", "#!/bin/sh\nexit 7\n", "no program"):
        qstat.write_text(broken)
        polls.pass_by(4)
        assert job.status.state == JobState.ACTIVE
    qstat.unlink()
    polls.pass_by(4)
    assert job.status.state == JobState.ACTIVE
    qstat.write_text(working)
    qstat.chmod(0o755)
    site.go()
    status = ended(job)
    assert (status.state, status.exit_code) == (JobState.FAILED, 5)


def test_an_unknown_state_word_leaves_its_job_alone_and_harms_no_other(site: Site) -> None:
    executor = site.executor()
    out = "JobID: 7\n    State : dreaming\n\nJobID: 1005\n    State : running\n\n"
    known = executor.parse_status_output(0, out)
    assert known["1005"].state == JobState.ACTIVE
    assert not known["7"].final
    assert not known["7"].state.is_greater_than(JobState.ACTIVE)


@pytest.mark.parametrize(
    "word",
    "queued user_hold dep_hold dep_fail admin_hold maxrun_hold".split(),  # noqa: SIM905
)
def test_every_hold_is_queued(site: Site, word: str) -> None:
    status = site.executor().parse_status_output(0, f"JobID: 7\n    State : {word}\n\n")
    assert status["7"].state == JobState.QUEUED


@pytest.mark.parametrize("said", ["", "PSIJ: Unknown error"])
def test_cobalts_silence_means_that_no_id_is_known(site: Site, said: str) -> None:
    assert site.executor().parse_status_output(1, said) == {}


def test_what_cobalt_refuses_is_raised_in_its_words_and_leaves_nothing(site: Site) -> None:
    executor = site.executor()
    with pytest.raises(SubmitException, match="Walltime less than minimum"):
        site.submit(site.job("exit 0", duration=timedelta(minutes=1)), executor)
    with pytest.raises(SubmitException, match="non-existent queue 'nosuch'"):
        site.submit(site.job("exit 0", queue_name="nosuch"), executor)
    with pytest.raises(InvalidJobException, match="not for a job to set"):
        site.submit(site.job("exit 0", custom_attributes={"cobalt.output": "/x"}), executor)
    assert list(executor.work_directory.iterdir()) == []


def test_files_of_an_earlier_job_with_the_same_id_decide_nothing(site: Site) -> None:
    executor = site.executor(patience=0.0)
    executor.work_directory.mkdir(parents=True)
    (executor.work_directory / "1.ec").write_text("0 of-another-job\n")
    (executor.work_directory / "1.cobaltlog").write_text(
        "Jobid: 1\nInfo: maximum execution time exceeded; initiating job termination\n"
    )
    job = site.submit(site.job("exit 0", custom_attributes={"cobalt.held": True}), executor)
    assert job.native_id == "1"
    job.cancel()
    assert ended(job).state == JobState.CANCELED


def test_a_job_that_vanishes_without_a_trace_fails_after_a_while(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = site.executor(patience=0.3)
    job = site.submit(site.job("cd ..; rm -f */*/*.cobaltlog; kill -KILL 0"), executor)
    status = ended(job)
    assert (status.state, status.message) == (JobState.FAILED, "left the queue without an exit status")


def test_a_job_can_be_followed_by_another_executor(site: Site) -> None:
    first = site.submit(site.job(WAIT + "; exit 6"))
    site.executors[0]._queue_poll_thread.done = True  # as if its process were gone
    second = psij.Job()
    site.executor().attach(second, str(first.native_id))
    reach(second, JobState.ACTIVE)
    site.go()
    assert ended(second).exit_code == 6


def test_commands_come_from_the_given_directory_whatever_the_path(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shims = tmp_path / "shims"
    shims.mkdir()
    for name in ("qsub", "qstat", "qdel"):
        (shims / name).write_text(f'#!/bin/sh\nexec qstage {name} "$@"\n')
        (shims / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{shims}{os.pathsep}{os.environ['PATH']}")
    assert ended(site.submit(site.job("exit 0"))).state == JobState.COMPLETED
    monkeypatch.setenv("QSTAGE_SCHEDULER_PATH", str(site.simulator.bin))
    plain = BatchSchedulerExecutorConfig(work_directory=site.work, initial_queue_polling_delay=10**6)
    executor = psij.JobExecutor.get_instance(NAME, config=plain)
    assert isinstance(executor, BatchSchedulerExecutor)
    assert executor.get_status_command(["1"])[0] == str(site.simulator.bin / "qstat")


def test_a_command_that_is_our_own_or_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="qsub is not in"):
        find_commands(str(tmp_path))
    (tmp_path / "qsub").write_text('#!/bin/sh\nexec /opt/venv/bin/qstage qsub "$@"\n')
    (tmp_path / "qsub").chmod(0o755)
    with pytest.raises(ValueError, match="qstage's own qsub"):
        find_commands(str(tmp_path))


def test_a_work_directory_with_blanks_is_refused(site: Site, tmp_path: Path) -> None:
    config = CobaltExecutorConfig(work_directory=tmp_path / "a b", scheduler_path=site.simulator.bin)
    with pytest.raises(ValueError, match="drops the blanks"):
        CobaltExecutor(config=config)


def test_commands_found_on_the_path_are_what_psij_polls(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{site.simulator.bin}{os.pathsep}{os.environ['PATH']}")
    own = psij.JobExecutor.get_instance("cobalt", config=BatchSchedulerExecutorConfig(work_directory=site.work))
    assert isinstance(own, BatchSchedulerExecutor)
    out = own._run_command(["qstat", "-l", "--header=Jobid:State"])
    assert own.parse_status_output(0, out) == {}
    job = site.job("exit 0")
    assert job.spec is not None
    job.spec.directory = site.work
    with pytest.raises(SubmitException, match="invalid time specification: illegal value"):
        own.submit(job)  # PSI/J's own executor: refused here as by a real Cobalt
    own._queue_poll_thread.done = True
