"""A real Slurm of one node on this machine: munged, slurmctld and slurmd, started for a test and ended by their pids.

Everything lies in one directory and listens on 127.0.0.1, under the account that runs the tests, so that a Slurm
that the machine has anyway is not touched. The partition ``debug`` runs jobs; ``shut`` takes them and starts none.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
PACKAGES = "slurmctld slurmd slurm-client munge"
_SEARCHED = "/usr/bin:/bin:/usr/sbin:/sbin"

_CONFIGURATION = """\
ClusterName=ci
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={run}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
MailProg=/bin/true
SwitchType=switch/none
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmctldPidFile={run}/slurmctld.pid
SlurmdPidFile={run}/slurmd.pid
SlurmdSpoolDir={run}/spool
StateSaveLocation={run}/state
SlurmctldLogFile={run}/slurmctld.log
SlurmdLogFile={run}/slurmd.log
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} Boards=1 SocketsPerBoard=1 CoresPerSocket={cpus} ThreadsPerCore=1 \
RealMemory={memory} State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:16
PartitionName=shut Nodes={host} MaxTime=INFINITE State=DOWN
"""


def missing() -> str | None:
    """What to do about it where this machine has no Slurm; None where it has."""
    gone = [name for name in PROGRAMS if shutil.which(name, path=_SEARCHED) is None]
    if not gone:
        return None
    return f"no {', '.join(gone)}: apt-get install --no-install-recommends {PACKAGES}"


class SlurmCluster:
    """A Slurm in ``run``, up when entered. ``environment`` is what its commands need to find it."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.environment = {"SLURM_CONF": str(run / "slurm.conf")}
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for name in ("state", "spool"):
            (self.run / name).mkdir(parents=True)
        self.run.chmod(0o755)  # munged insists on a way to its socket that others can walk and not write
        self._configure()
        self._munge()
        self.start_controller()
        self._start("slurmd", "-D", "-f", self.environment["SLURM_CONF"])
        self._wait(lambda: b"idle" in self.command("sinfo", "-h", "-o", "%t", "-p", "debug"), "the node is idle")
        return self

    def __exit__(self, *_: object) -> None:
        for number in self.command("squeue", "-h", "-o", "%i").split():
            self.command("scancel", "-s", "KILL", "-f", number.decode())
            self.command("scancel", number.decode())
        self._wait(lambda: not self.command("squeue", "-h", "-o", "%i"), "its jobs are gone")
        for process in reversed(self._started):
            _end(process)

    def command(self, *words: str) -> bytes:
        """Run one of Slurm's commands; return what it prints, whatever its exit status."""
        return subprocess.run(words, env={**os.environ, **self.environment}, capture_output=True, check=False).stdout

    def names(self) -> list[str]:
        """The names of the jobs that wait or run."""
        return self.command("squeue", "-h", "-o", "%j").decode().split()

    def start_controller(self) -> None:
        """Start slurmctld, on the state it left if there is any."""
        self.controller = self._start("slurmctld", "-D", "-f", self.environment["SLURM_CONF"])
        self._wait(lambda: b"is UP" in self.command("scontrol", "ping"), "the controller answers")

    def stop_controller(self) -> None:
        """End slurmctld: jobs go on, and nobody can be asked."""
        _end(self.controller)
        self._started.remove(self.controller)

    def _configure(self) -> None:
        seen = subprocess.run([_program("slurmd"), "-C"], capture_output=True, text=True, check=True).stdout
        facts = dict(word.split("=", 1) for word in seen.split() if "=" in word)
        text = _CONFIGURATION.format(
            run=self.run,
            user=subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip(),
            host=facts["NodeName"],
            cpus=facts["CPUs"],
            memory=facts["RealMemory"],
            controller=_free_port(),
            daemon=_free_port(),
        )
        (self.run / "slurm.conf").write_text(text)

    def _munge(self) -> None:
        key = self.run / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        files = [f"--{name}-file={self.run}/munge.{ending}" for name, ending in (("pid", "pid"), ("seed", "seed"))]
        log = f"--log-file={self.run}/munged.log"
        self._start("munged", "-F", "--force", f"--key-file={key}", f"--socket={self.run}/munge.socket", *files, log)
        self._wait((self.run / "munge.socket").exists, "munged listens")

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.run / f"{words[0]}.out").open("ab") as out:
            process = subprocess.Popen(
                [_program(words[0]), *words[1:]],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def _wait(self, done: object, what: str, seconds: float = 30.0) -> None:
        assert callable(done)
        end = time.monotonic() + seconds
        while not done():
            ended = [one.args for one in self._started if one.poll() is not None]
            assert not ended, f"{ended} ended while waiting until {what}: see {self.run}"
            assert time.monotonic() < end, f"not in {seconds} s: {what}: see {self.run}"
            time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _program(name: str) -> str:
    found = shutil.which(name, path=_SEARCHED)
    assert found is not None, missing()
    return found


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
