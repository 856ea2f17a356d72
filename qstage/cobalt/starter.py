"""The script that starts a command as Cobalt would have: in its directory, under its umask, with its debug log. Pure.

A document says none of these three. Where a qsub line does, this script travels with the job and starts the command
in its place; its words, and the log's, are Cobalt's.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

_HEAD = """\
#!/bin/bash
# Written by qstage qsub: starts the job's command in the directory, under the umask and with the log it asked for.
command={command}
case "$command" in /*) ;; *) command=$QSTAGE_JOB_DIR/$command ;; esac
"""
_DIRECTORY = """\
cd -- {cwd} || {{ echo "directory {shown} does not exist" >&2; exit 1; }}
"""
_LOGGED = """\
log={log}
case "$log" in /*) ;; *) log=$QSTAGE_JOB_DIR/$log ;; esac
/bin/mkdir -p -- "${{log%/*}}" || exit 1
printf 'Jobid: %s\\n%s\\n\\n%(%a %b %d %H:%M:%S %Y)T submitted with cwd set to: %s\\n' \\
    "$QSTAGE_JOB_ID" {line} -1 "$PWD" >>"$log"
child=
pass() {{ [ -n "$child" ] && kill -"$1" "$child" 2>/dev/null; }}
for signal in TERM INT HUP USR1 USR2; do trap "pass $signal" "$signal"; done
"$command" "$@" <&0 &
child=$!
while :; do
    wait "$child"
    code=$?
    kill -0 "$child" 2>/dev/null || break
done
wait "$child" 2>/dev/null
last=$?
[ "$last" -ne 127 ] && code=$last
end="task completed normally with an exit code of $code; initiating job cleanup and removal"
printf '%(%a %b %d %H:%M:%S %Y)T Info: %s\\n' -1 "$end" >>"$log"
exit "$code"
"""


def starter(command: str, *, umask: int | None, cwd: str | None, log: str | None, argv: Sequence[str]) -> str:
    """The script's text. ``command``, ``cwd`` and ``log`` are relative to the job's directory, or absolute."""
    text = _HEAD.format(command=shlex.quote(command))
    if umask is not None:
        text += f"umask {umask:03o}\n"
    if cwd is not None:
        text += _DIRECTORY.format(cwd=shlex.quote(cwd), shown=_shown(cwd))
    if log is None:
        return text + 'exec "$command" "$@"\n'
    return text + _LOGGED.format(log=shlex.quote(log), line=shlex.quote(shlex.join(["qsub", *argv])))


def _shown(path: str) -> str:
    """A path as part of a text in double quotes."""
    return "".join(f"\\{letter}" if letter in '\\"$`' else letter for letter in path)
