"""How a job's own script is started inside the scheduler's: in its place.

PSI/J starts a command by a shell that a shell started. A scheduler that ends a job signals all of them; the outer two
die of it at once, and with the batch script gone the rest is killed before a job could have written its checkpoint.
The run script takes signals and passes them on, so it becomes the batch script.
"""

from __future__ import annotations

from psij import Job, Launcher


class InPlace(Launcher):
    """Puts the job's command in the place of the batch script."""

    def get_launch_command(self, job: Job, log_file: str | None = None) -> list[str]:
        """The words of ``exec`` and the job's command."""
        assert job.spec is not None
        assert job.spec.executable is not None
        return ["exec", str(job.spec.executable), *(job.spec.arguments or [])]

    def is_launcher_failure(self, output: str) -> bool:
        """Nothing is launched that could fail apart from the command."""
        return False

    def get_launcher_failure_message(self, output: str) -> str:
        """There is none."""
        return ""
