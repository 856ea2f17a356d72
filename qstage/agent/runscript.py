"""The script that the scheduler runs. Its first act is to take the right to run; it ends by writing how it went.

What it promises:
* **Once.** ``.qstage/run`` is put in place by a rename that fails when it is there. Whoever finds another native
  id in it exits without running. The scheduler's own rerun of the same native id is allowed.
* **Scrubbed.** The command sees the short list of names below, the scheduler's own variables, the job's
  ``environment``, ``QSTAGE_JOB_DIR`` (absolute) and ``QSTAGE_JOB_ID`` (the number that users see); nothing else, unless
  the document says ``inherit_environment``: then all that this script itself is given on the node. The agent's own
  environment is never in that.
* **Not too soon.** Of a job that the scheduler has before its data is there it does nothing of all this: it says so,
  leaves ``.qstage/early`` and ends.
* **Said.** The exit status goes to ``.qstage/exit`` by a rename, after the command and all signals passed to it.

Pure: text in, text out. All that came from outside is quoted for the shell.
"""

from __future__ import annotations

import posixpath
import shlex

from qstage.agent.rules import of_attempt
from qstage.agent.wire import Lease

KEPT = (
    "HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "LC_ALL", "TZ", "TERM", "TMPDIR", "HOSTNAME",
    "PSIJ_NODEFILE", "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK",
)  # fmt: skip
"""Variables that a job keeps when they are set where it runs."""

NATIVE_ID = {
    "cobalt": "COBALT_JOBID",
    "slurm": "SLURM_JOB_ID",
    "pbs": "PBS_JOBID",
    "pbs_classic": "PBS_JOBID",
    "lsf": "LSB_JOBID",
    "flux": "FLUX_JOB_ID",
    "local": "PPID",  # PSI/J's launcher, whose process id is the local executor's native id
}
"""Where a job finds the native id that PSI/J knows it by."""

_DROPPED = "SLURM_EXPORT_ENV|SLURM_GET_USER_ENV"
"""How the batch script itself was given its environment. Left in, they would keep the job's from its own ``srun``."""

_FAMILIES = {
    "cobalt": "COBALT_*",
    "slurm": "SLURM_*|SLURMD_*",
    "pbs": "PBS_*",
    "pbs_classic": "PBS_*",
    "lsf": "LSB_*|LSF_*|LS_*",
    "flux": "FLUX_*|PMI_*",
    "local": "",
}

_SCRIPT = """\
#!/bin/bash
# Written by the qstage agent for job {number} ({job}). Do not edit: it is written again.
cd -- {directory} || exit 125
native="${{{native_variable}:-}}"
[ -n "$native" ] || {{ echo "qstage: {native_variable} is not set: not started by {scheduler}?" >&2; exit 125; }}

# Take the right to run. A rename onto a directory that is not empty fails, so only the first one gets it.
draft={own}/draft.$$.$RANDOM
/bin/mkdir -m 700 "$draft" && printf '%s\\n' "$native" >"$draft/native_id" \\
    && printf '%(%s)T\\n' -1 >"$draft/started" || exit 125
if ! /bin/mv -T "$draft" {own}/{run} 2>/dev/null; then
    /bin/rm -rf "$draft"
    if ! read -r owner <{own}/{run}/native_id || [ "$owner" != "$native" ]; then
        echo "qstage: job {number} was given to ${{owner:-the agent}}: $native does not run it" >&2
        exit 0
    fi
fi
/bin/rm -f {own}/{exit}

kept=()
for name in $(compgen -e); do
    case "$name" in
        {dropped}) ;;
        {kept}) kept+=("$name=${{!name}}") ;;
    esac
done

child=
pass() {{ [ -n "$child" ] && kill -"$1" "$child" 2>/dev/null; }}
for signal in TERM INT HUP USR1 USR2; do trap "pass $signal" "$signal"; done

/usr/bin/env -i "${{kept[@]}}" {environment} \\
    {command} \\
    <{stdin} >{stdout} 2>{stderr} &
child=$!
# A signal interrupts the wait, not the command: wait until it is over.
while :; do
    wait "$child"
    code=$?
    kill -0 "$child" 2>/dev/null || break
done
wait "$child" 2>/dev/null
last=$?
[ "$last" -ne 127 ] && code=$last

printf '%s %(%s)T\\n' "$code" -1 >{own}/draft.$$ && /bin/mv -f {own}/draft.$$ {own}/{exit}
exit "$code"
"""


_TOO_SOON = """\
#!/bin/bash
# Written by the qstage agent for job {number} ({job}), whose data is not here yet. It is written anew when it is.
echo "qstage: the data of job {number} is not here yet: nothing runs. See: qstage qstat {number}" >&2
cd -- {directory} && : >.qstage/{early}
exit 75
"""


def render_too_soon(lease: Lease, *, directory: str) -> str:
    """The run script of a job that the scheduler has, held, before its data is there."""
    return _TOO_SOON.format(
        number=lease.id,
        job=shlex.quote(lease.job).replace("\n", " "),
        directory=shlex.quote(directory),
        early=of_attempt("early", lease.attempt),
    )


def render(lease: Lease, *, directory: str, scheduler: str, keep: tuple[str, ...] = ()) -> str:
    """The run script of a lease, for a directory and a scheduler. ``keep``: more names, by the site's choice."""
    family = _FAMILIES[scheduler]
    names = "*" if lease.inherit_environment else "|".join((*KEPT, *keep)) + (f"|{family}" if family else "")
    executable = lease.executable
    if not executable.startswith("/"):
        executable = f"{directory}/{executable}"
    return _SCRIPT.format(
        number=lease.id,
        own=".qstage",
        run=of_attempt("run", lease.attempt),
        exit=of_attempt("exit", lease.attempt),
        job=shlex.quote(lease.job).replace("\n", " "),
        directory=shlex.quote(directory),
        native_variable=NATIVE_ID[scheduler],
        scheduler=scheduler,
        kept=names,
        dropped=_DROPPED,
        environment=" ".join(_assignments(lease, directory)),
        command=" ".join(shlex.quote(word) for word in _command(executable, lease.arguments)),
        **(_SCHEDULERS_OWN if lease.adopted else _streams(lease)),
    )


_SCHEDULERS_OWN = {"stdin": "&0", "stdout": "&1", "stderr": "&2"}
"""Of a job that its user gave to the scheduler: the files are those that they named, or know, there."""


def _streams(lease: Lease) -> dict[str, str]:
    out = posixpath.normpath(lease.output_path)
    return {
        "stdin": _path(lease.stdin_path) if lease.stdin_path else "/dev/null",
        "stdout": _path(lease.output_path),
        # Two openings of one file would write over each other.
        "stderr": "&1" if posixpath.normpath(lease.error_path) == out else _path(lease.error_path),
    }


def _command(executable: str, arguments: tuple[str, ...]) -> tuple[str, ...]:
    # env takes a word with an equals sign for an assignment, so such a command goes through a shell's exec.
    through = ("/bin/sh", "-c", 'exec "$@"', "sh") if "=" in executable else ()
    return (*through, executable, *arguments)


def _assignments(lease: Lease, directory: str) -> list[str]:
    # Last wins: a document cannot tell its job another directory or number.
    pairs = [*lease.environment.items(), ("QSTAGE_JOB_DIR", directory), ("QSTAGE_JOB_ID", str(lease.id))]
    return [shlex.quote(f"{name}={value}") for name, value in pairs]


def _path(path: str) -> str:
    """A path relative to the job's directory, safe also when it begins with a dash or an ampersand."""
    return shlex.quote(f"./{path}")
