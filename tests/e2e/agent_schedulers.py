"""Sites whose agents drive a scheduler that is really there: Slurm itself, and the Cobalt simulator.

What a test needs to know of either is here: how a queue is kept from starting a job, what the scheduler calls its
jobs, which request it refuses and in what words, how time passes for a walltime.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, ClassVar

from agent_site import Service, Site
from slurm_cluster import SlurmCluster

from emulators.clock import TurnedClock
from emulators.cobalt.simulator import CobaltSimulator

WAIT = "#!/bin/bash\necho ran >>count\nuntil [ -e go ]; do sleep 0.05; done\n"


class SlurmSite(Site):
    """A site whose jobs go through a real sbatch."""

    refused: ClassVar[dict[str, Any]] = {"attributes": {"duration": 600, "queue_name": "nosuch"}}
    refusal = "invalid partition"
    longer = "30:00 debug"
    no_such_queue = "Invalid partition name"
    unable_to_start: ClassVar[dict[str, Any]] = {"attributes": {"duration": 600, "queue_name": "shut"}}
    shortest = 60
    """Seconds: Slurm's walltimes are whole minutes."""
    native_variable = "SLURM_JOB_ID"
    deletes: ClassVar[tuple[str, ...]] = ("scancel",)
    releases: ClassVar[tuple[str, ...]] = ("scontrol", "release")

    def __init__(self, home: Path, service: Service, cluster: SlurmCluster) -> None:
        super().__init__(home, service, "slurm")
        self.cluster = cluster
        self.environment = dict(cluster.environment)
        self.config.write_text(
            self.config.read_text().replace('["debug"]', '["debug", "shut", "nosuch"]') + 'attributes = ["slurm.*"]\n'
        )

    def close(self) -> None:
        """End its agents, and what they left at the scheduler, which others use as well."""
        super().close()
        for native in self.cluster.command("squeue", "-h", "-o", "%i").decode().split():
            self.cluster.command("scancel", native)

    def names(self) -> list[str]:
        """The scheduler's names of its live jobs."""
        return self.cluster.names()

    def user_runs(self, command: tuple[str, ...], native: str) -> None:
        """The user does something to a job by the scheduler's own command."""
        self.cluster.command(*command, native)

    def is_held(self, number: int) -> bool:
        """Whether the scheduler keeps the job from starting by a hold."""
        shown = self.cluster.command("squeue", "-h", "-o", "%r", "-n", f"md-{number}-k3j2").decode().strip()
        return shown in {"JobHeldUser", "JobHeldAdmin"}  # the latter where the user is root

    def shows(self, number: int) -> str:
        """The walltime and the queue that the scheduler has for a job."""
        return self.cluster.command("squeue", "-h", "-o", "%l %P", "-n", f"md-{number}-k3j2").decode().strip()

    def pass_walltime(self, number: int) -> None:
        """Let the time pass: here it passes by itself."""


class CobaltSite(Site):
    """A site whose jobs go through the simulator's qsub."""

    refused: ClassVar[dict[str, Any]] = {"attributes": {"duration": 60}}
    refusal = "Walltime less than minimum"
    longer = "00:30:00 debug"
    no_such_queue = "queue 'nosuch' does not exist"
    unable_to_start: ClassVar[dict[str, Any]] = {"attributes": {"duration": 600, "queue_name": "shut"}}
    shortest = 300
    native_variable = "COBALT_JOBID"
    deletes: ClassVar[tuple[str, ...]] = ("qdel",)
    releases: ClassVar[tuple[str, ...]] = ("qrls",)

    def __init__(self, home: Path, service: Service, simulator: CobaltSimulator, clock: TurnedClock) -> None:
        super().__init__(home, service, "cobalt", f"{simulator.bin}:/usr/bin:/bin")
        self.config.write_text(self.config.read_text().replace('["debug"]', '["debug", "shut", "nosuch"]'))
        self.simulator, self.clock = simulator, clock

    def names(self) -> list[str]:
        """The scheduler's names of its live jobs."""
        return [line.split()[0] for line in self._qstat("JobName")]

    def user_runs(self, command: tuple[str, ...], native: str) -> None:
        """The user does something to a job by the scheduler's own command."""
        program, *rest = command
        subprocess.run([str(self.simulator.bin / program), *rest, native], capture_output=True, check=True)
        self.simulator.wake()

    def is_held(self, number: int) -> bool:
        """Whether the scheduler keeps the job from starting by a hold of its user."""
        return f"md-{number}-k3j2 user_hold" in [" ".join(line.split()) for line in self._qstat("JobName:State")]

    def shows(self, number: int) -> str:
        """The walltime and the queue that the scheduler has for a job."""
        rows = [line.split() for line in self._qstat("JobName:WallTime:Queue")]
        return next(f"{walltime} {queue}" for name, walltime, queue in rows if name == f"md-{number}-k3j2")

    def _qstat(self, header: str) -> list[str]:
        command = [str(self.simulator.bin / "qstat"), f"--header={header}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[2:]

    def pass_walltime(self, number: int) -> None:
        """Turn the simulator's clock past the walltime, and the job's own note of when it began."""
        (self.directory(number) / ".qstage/run/started").write_text("1\n")
        self.clock.turn(self.shortest + 100)
        self.simulator.wake()
