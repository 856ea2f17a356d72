"""What the agent lets the scheduler's commands see of where it was started: a pinned PATH and a scrubbed environment.

A login shell, a cron line or another job may have set variables that overrule what a job asks for (``SBATCH_ACCOUNT``
wins over the script's own line), or change what a command prints. None of them is the service's or the user's word.
"""

from __future__ import annotations

import os
import re
import shutil

_OWN_SHIM = re.compile(rb"\bqstage['\"]?\s+(qsub|qstat|qdel)\b")
_OVERRULING = re.compile(
    r"(SBATCH|SLURM|SQUEUE|SCANCEL|SRUN|SALLOC|SCONTROL|SINFO)_\w+|C?QSTAT_\w+|COBALT_(JOBID|NODEFILE|PARTNAME)"
    r"|PBS_(JOBID|DPREFIX|DEFAULT_\w+|O_\w+)|LSB_(DEFAULT\w+|JOB\w+|SUB_\w+)|QSTAGE_(KEY|URL|SITE|CONFIG)"
)
_NEEDED = frozenset({"SLURM_CONF"})


class ForeignCommand(Exception):
    """A command on the pinned path is qstage's own; the message says which."""


def pin(path: tuple[str, ...]) -> None:
    """Make ``path`` the only place commands come from, and forget what would overrule a job.

    Raises ``ForeignCommand`` when a scheduler's command found there is one that ``qstage shim`` wrote.
    """
    _refuse_own_shims(path)
    os.environ["PATH"] = os.pathsep.join(path)
    for name in list(os.environ):
        if _OVERRULING.fullmatch(name) and name not in _NEEDED:
            del os.environ[name]


def _refuse_own_shims(path: tuple[str, ...]) -> None:
    for command in ("qsub", "qstat", "qdel"):
        found = shutil.which(command, path=os.pathsep.join(path))
        if found is None:
            continue
        with open(found, "rb") as file:
            if _OWN_SHIM.search(file.read(4096)):
                raise ForeignCommand(
                    f"{found} is qstage's own {command}: the agent would submit to itself. "
                    "Say in the configuration's `path` where the scheduler's commands are"
                )
