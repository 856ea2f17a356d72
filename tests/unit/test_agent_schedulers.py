"""How the agent asks schedulers through PSI/J's executors, with their commands replaced by small scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qstage.agent.batch_queue import BatchQueue
from qstage.agent.cobalt_answers import expected_starts
from qstage.agent.rules import Presence
from qstage.agent.schedulers import Rejected, SchedulerAway, WrongSite, open_scheduler
from qstage.agent.slurm_answers import read_presence, read_start
from qstage.agent.wire import Change, read_lease


def lease(**attributes: Any) -> Any:
    return read_lease(
        {
            "job": "u/1001", "id": 1001, "epoch": 1, "leased_until": "x", "owner": {"id": "u", "username": "ada"},
            "tag": "k3j2", "name": "md", "directory": "/jobs/k3j2/md-1001", "executable": "run.sh",
            "resources": {"node_count": 2}, "attributes": {"duration": 630, **attributes},
        }
    )  # fmt: skip


class Login:
    """A login node whose scheduler's commands are scripts."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.bin = home, home / "bin"
        self.bin.mkdir()
        monkeypatch.setenv("PATH", "/usr/bin:/bin")  # put back afterwards: opening a scheduler pins it

    def command(self, name: str, text: str) -> None:
        (self.bin / name).write_text(f"#!/bin/bash\n{text}\n")
        (self.bin / name).chmod(0o755)

    def open(self, name: str = "slurm") -> BatchQueue:
        scheduler = open_scheduler(name, self.home / "work", (str(self.bin), "/usr/bin", "/bin"))
        assert isinstance(scheduler, BatchQueue)
        return scheduler


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Login:
    return Login(tmp_path, monkeypatch)


def test_a_slurm_job_bears_its_name_and_what_it_asked_for(login: Login) -> None:
    login.command("sbatch", f'cp "$1" {login.home}/submitted; echo "Submitted batch job 4711"')
    custom = {"slurm.qos": "high"}
    receipt = login.open().submit(lease(account="chem", custom_attributes=custom), "/jobs/run.sh", "/jobs")
    assert receipt.native_id == "4711"
    script = (login.home / "submitted").read_text()
    for words in ('--job-name="md-1001-k3j2"', '--comment="qstage/ada/1001"',
                  "--nodes=2", "--time=0:10:30", '--account="chem"', '--qos="high"',
                  "--export=NONE", "exec /bin/bash /jobs/run.sh"):  # fmt: skip
        assert words in script


def test_a_state_that_is_new_hides_only_its_own_job(login: Login) -> None:
    rows = ["11|R", "12|PD", "13|SE", "15|XX", "16|TO"]
    login.command("squeue", "cat <<'E'\n" + "\n".join(rows) + "\nE")
    present = login.open().presence(dict.fromkeys(("11", "12", "13", "14", "15", "16"), ""))
    gone = dict.fromkeys(("14", "16"), Presence.GONE)
    assert present == {"11": Presence.ACTIVE, "12": Presence.QUEUED, "13": Presence.QUEUED, **gone}


def test_every_state_that_slurm_documents_is_known() -> None:
    documented = "BF CA CD CF CG DL F NF OOM PD PR R RD RF RH RQ RS RV SI SE SO ST S TO".split()  # noqa: SIM905
    listing = "".join(f"{number}|{state}\n" for number, state in enumerate(documented))
    assert len(read_presence(listing, [str(number) for number in range(len(documented))])) == len(documented)


def test_a_scheduler_that_cannot_be_asked_is_away_and_no_job_is_gone(login: Login) -> None:
    scheduler = login.open()
    with pytest.raises(SchedulerAway):
        scheduler.presence({"11": ""})
    login.command("squeue", "echo slurmctld is down >&2; exit 1")
    with pytest.raises(SchedulerAway):
        scheduler.presence({"11": ""})


def test_a_refusal_is_a_rejection_only_of_a_scheduler_that_answers(login: Login) -> None:
    login.command("sbatch", "echo 'sbatch: error: invalid account' >&2; exit 1")
    login.command("squeue", "true")
    scheduler = login.open()
    with pytest.raises(Rejected, match="invalid account"):
        scheduler.submit(lease(), "/jobs/run.sh", "/jobs")
    login.command("squeue", "exit 1")
    with pytest.raises(SchedulerAway):
        scheduler.submit(lease(), "/jobs/run.sh", "/jobs")


@pytest.mark.parametrize("custom", [{"mcdram": "cache"}, {"pbs.l": "x"}, {"cobalt.attrs": "x"}])
def test_a_custom_attribute_that_means_nothing_here_is_rejected_not_dropped(
    login: Login, custom: dict[str, str]
) -> None:
    login.command("sbatch", "echo 1")
    with pytest.raises(Rejected, match="means nothing to this site's scheduler, slurm"):
        login.open().submit(lease(custom_attributes=custom), "/jobs/run.sh", "/jobs")


def test_a_cancel_that_fails_for_a_job_that_is_gone_is_no_error(login: Login) -> None:
    login.command("scancel", "exit 1")
    login.command("squeue", "echo '12|R'")
    scheduler = login.open()
    scheduler.cancel("11", "")
    with pytest.raises(SchedulerAway, match="canceling 12"):
        scheduler.cancel("12", "")


def test_a_job_is_found_by_its_name(login: Login) -> None:
    login.command("squeue", '[[ "$*" != *--name=md-1001-k3j2* ]] || echo 4711')
    scheduler = login.open()
    assert scheduler.find("md-1001-k3j2") == "4711"
    assert scheduler.find("other") is None


def test_nobody_is_found_by_name_of_a_scheduler_that_does_not_answer(login: Login) -> None:
    login.command("squeue", "exit 1")
    with pytest.raises(SchedulerAway):
        login.open().find("md-1001-k3j2")


def test_a_cobalt_that_is_down_rejects_no_job_that_is_looked_for(login: Login) -> None:
    for name in ("qsub", "qdel"):
        login.command(name, "exit 1")
    login.command("qstat", "echo 'Failed to connect to queue manager' >&2; exit 1")
    with pytest.raises(SchedulerAway, match="Failed to connect"):
        login.open("cobalt").find("md-1001-k3j2")
    login.command("qstat", "exit 1")
    assert login.open("cobalt").find("md-1001-k3j2") is None, "it says so of a list that is empty"


def test_a_submission_that_was_taken_and_told_as_failed_is_found_by_its_name(login: Login) -> None:
    login.command("sbatch", "echo 'sbatch: error: Socket timed out on send/recv operation' >&2; exit 1")
    login.command("squeue", '[[ "$*" != *--name=md-1001-k3j2* ]] || echo 4711')
    assert login.open().submit(lease(), "/jobs/run.sh", "/jobs").native_id == "4711"


def test_a_submit_command_that_hangs_does_not_stop_the_agent(login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qstage.agent.batch_queue.COMMAND_TIMEOUT", 0.2)
    login.command("sbatch", "exec sleep 60")
    with pytest.raises(SchedulerAway, match="cannot be run"):
        login.open().submit(lease(), "/jobs/run.sh", "/jobs")


def test_variables_that_would_overrule_a_job_are_forgotten_and_those_that_find_the_scheduler_kept(
    login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SBATCH_ACCOUNT", "SLURM_JOB_ID", "SQUEUE_FORMAT", "CQSTAT_HEADER", "QSTAGE_KEY"):
        monkeypatch.setenv(name, "foreign")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm/slurm.conf")
    login.command("sbatch", f'env >{login.home}/seen; echo "Submitted batch job 4711"')
    login.open().submit(lease(), "/jobs/run.sh", "/jobs")
    seen = (login.home / "seen").read_text()
    assert "foreign" not in seen
    assert "SLURM_CONF=/etc/slurm/slurm.conf\n" in seen


def test_a_scheduler_without_its_commands_or_unknown_is_refused_with_words(login: Login) -> None:
    with pytest.raises(WrongSite, match="qsub is not in"):
        login.open("cobalt")
    with pytest.raises(WrongSite, match="not one of"):
        login.open("nqsv")


def test_a_simulator_in_a_directory_called_qstage_is_not_taken_for_our_shim(login: Login) -> None:
    for name in ("qsub", "qstat", "qdel"):
        login.command(name, "exec /home/me/qstage/.venv/bin/python /home/me/qstage/x.py")
    login.open("cobalt")
    login.command("qsub", 'exec /opt/qstage qsub "$@"')
    with pytest.raises(WrongSite, match="submit to itself"):
        login.open("cobalt")


def altering(login: Login, scheduler: str, change: Change, was: int = 630) -> list[str]:
    """What the scheduler is told: each command notes its own words."""
    login.open(scheduler).alter("71", change, lease(duration=was))
    return (login.home / "told").read_text().splitlines()


def noting(login: Login, *names: str) -> None:
    for name in names:
        login.command(name, f'echo "{name} $*" >>{login.home}/told')


def test_slurm_is_told_all_of_a_change_at_once_and_what_it_shows_decides(login: Login) -> None:
    login.command("scontrol", f'echo "scontrol $*" >>{login.home}/told; exit 1')
    login.command("squeue", 'echo "1-00:30:00|long|chem|4"')
    change = Change(duration=88200, queue_name="long", account="chem", node_count=4, process_count=8)
    words = "scontrol update JobId=71 TimeLimit=1470 Partition=long Account=chem NumNodes=4 NumTasks=8"
    assert altering(login, "slurm", change) == [words]
    login.command("scontrol", "echo 'Invalid partition name specified for job 71' >&2; exit 1")
    with pytest.raises(Rejected, match="Invalid partition name"):
        altering(login, "slurm", Change(queue_name="short"))
    login.command("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(SchedulerAway):
        altering(login, "slurm", Change(queue_name="long"))


@pytest.mark.parametrize(("seconds", "first"), [(2700, "qmove"), (300, "qalter")])
def test_a_cobalt_job_that_grows_is_moved_first_and_one_that_shrinks_last(
    login: Login, seconds: int, first: str
) -> None:
    noting(login, "qalter", "qmove", "qsub", "qdel")
    clock = f"00:{seconds // 60:02}:00"
    shown = rf"JobID: 71\n    WallTime : {clock}\n    Queue : long\n    Project : chem\n    Nodes : 4\n    Procs : 4\n"
    login.command("qstat", f"printf '{shown}'")
    change = Change(duration=seconds, queue_name="long", account="chem", node_count=4, process_count=4)
    told = altering(login, "cobalt", change)
    both = ["qmove long 71", f"qalter -t {seconds // 60} -n 4 --proccount 4 -A chem 71"]
    assert told == (both if first == "qmove" else both[::-1])


def test_of_a_cobalt_job_that_is_altered_in_part_the_part_is_told(login: Login) -> None:
    noting(login, "qalter", "qsub", "qdel")
    login.command("qmove", "echo \"Error: queue 'long' does not exist\" >&2; exit 1")
    login.command("qstat", r"printf 'JobID: 71\n    WallTime : 00:05:00\n    Queue : default\n'")
    with pytest.raises(Rejected, match="queue 'long' does not exist") as refused:
        altering(login, "cobalt", Change(duration=300, queue_name="long"))
    assert refused.value.done == Change(duration=300)


def test_a_pbs_job_is_altered_by_commands_of_its_own_and_its_nodes_are_not(login: Login) -> None:
    noting(login, "qalter", "qmove", "qsub", "qdel")
    login.command("qstat", "echo '{}'")
    change = Change(duration=300, queue_name="long", account="chem")
    assert altering(login, "pbs", change) == ["qalter -l walltime=00:05:00 71", "qalter -A chem 71", "qmove long 71"]
    with pytest.raises(Rejected, match="select statement"):
        altering(login, "pbs", Change(node_count=4))


def test_a_scheduler_whose_commands_are_not_known_here_is_said_so(login: Login) -> None:
    with pytest.raises(Rejected, match="does not alter jobs of the scheduler lsf"):
        altering(login, "lsf", Change(duration=300))


def test_slurms_word_on_a_start_is_read_and_anything_else_is_no_word() -> None:
    said = "sbatch: Job 4 to start at 2026-11-28T16:29:56 using 2 processors on nodes vm in partition debug\n"
    assert read_start(said) == 1795883396.0
    assert read_start("allocation failure: Requested node configuration is not available") is None


def test_cobalts_word_on_starts_is_read_job_by_job() -> None:
    told = "JobID: 5\n    Est_Start_Time : 2026-11-28 16:29:56\n\nJobID: 6\n    Est_Start_Time : -\n"
    assert expected_starts(told, {"5", "6", "7"}) == {"5": 1795883396.0, "6": None}
