"""Cobalt's qsub: from a command line, and the script it names, to a job ready for the queue manager.

    parse_qsub(argv, *, read_script, cwd, user, checks=Checks(), added=(), own_tag=None, prog="qsub") -> Qsub

``argv`` are the words after the command's name. ``read_script(path)`` returns the text of the job's
executable ("" for one that cannot hold directives) or None if there is no such file. ``cwd`` is the
directory to start from, ``user`` the submitter. ``checks`` answers what only a machine can (does this
directory exist, is there such a user); each answer defaults to "yes", for a client that cannot see the
machine. ``added`` are options that Cobalt does not have: long ones, repeatable, which Cobalt's own prefixes
win over; they come back in ``Qsub.added``, in order, each as (long name, value). ``own_tag`` names a second
kind of directive line, which does not end the block of ``#COBALT`` lines and comes back in
``Qsub.own_lines``.

Raises ``UsageError`` with Cobalt's exit status and its texts for stdout and stderr. It also ends ``--help``
and ``--version``, with exit status 0.

The order of the checks is Cobalt's: options from left to right, each refused where it stands; the
executable; the directives, with which everything is read again; the required options; the paths; the input
file. What the queue manager checks is not here. Known departures: Cobalt, merging several ``--env``, also
takes those after the executable, which belong to the job; this leaves them there. Where Cobalt checks
several paths in the order of a dictionary, this checks them in the order outputdir, output, error,
debuglog, input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qstage.cobalt.directives import read_directives
from qstage.cobalt.errors import UsageError
from qstage.cobalt.job import Checks, Qsub
from qstage.cobalt.options import QSUB
from qstage.cobalt.reading import Reading, refused
from qstage.cobalt.usage import usage_text
from qstage.cobalt.words import Option, Table

__all__ = ["Checks", "Option", "Qsub", "UsageError", "parse_qsub"]


def parse_qsub(
    argv: Sequence[str],
    *,
    read_script: Callable[[str], str | None],
    cwd: str,
    user: str,
    checks: Checks | None = None,
    added: Sequence[Option] = (),
    own_tag: str | None = None,
    prog: str = "qsub",
) -> Qsub:
    """Read a qsub command line; the module's text says how, and what is raised."""
    checks = checks or Checks()
    reading = Reading(Table(QSUB, tuple(added)), user, checks, prog)
    try:
        reading.read(argv)
        command, args = reading.executable(cwd)
        own_lines: tuple[str, ...] = ()
        if command is not None:
            whole, own_lines, again = _with_directives(reading, argv, command, read_script, own_tag)
            if again:
                reading.read(whole)
        return _finish(reading, command, args, own_lines, cwd)
    except UsageError as end:
        raise UsageError(end.exit_code, reading.out + end.stdout, reading.err + end.stderr) from None


def _with_directives(
    reading: Reading,
    argv: Sequence[str],
    command: str,
    read_script: Callable[[str], str | None],
    own_tag: str | None,
) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """Return the line with the script's directives before it, the script's own lines, and "read it again"."""
    text = read_script(command)
    if text is None:
        raise refused(f"command {command} not found, or is not a file")
    if not reading.checks.is_runnable(command):
        raise refused(f"command {command} is not executable")
    directives = read_directives(text, own_tag=own_tag)
    options = argv[: len(argv) - len(reading.rest)]
    if directives.found:
        options = ["--mode", "script", *directives.words, *options]
    merged = _merge_env(options)
    whole = (*(options if merged is None else merged), *reading.rest)
    return whole, directives.own_lines, directives.found or merged is not None


def _merge_env(options: Sequence[str]) -> list[str] | None:
    """Join the values of several ``--env X`` (two words) into the first; None if there are fewer than two."""
    spellings = ("--en", "--env")
    if sum(word in spellings for word in options) < 2:
        return None
    values: list[str] = []
    merged: list[str] = []
    words = iter(options)
    for word in words:
        if word not in spellings:
            merged.append(word)
            continue
        value = next(words, None)
        if value is None:
            raise refused(f"No values specified or invalid usage of --env option: {['qsub', *options]}")
        if not values:
            place = len(merged) + 1
            merged += ["--env", ""]
        values.append(value)
    merged[place] = ":".join(values)
    return merged


def _finish(reading: Reading, command: str | None, args: tuple[str, ...], own_lines: tuple[str, ...], cwd: str) -> Qsub:
    """Check what must be there and what lies on the machine, and put the job together."""
    texts, numbers = reading.texts, reading.numbers
    if not reading.given - {"debug", "verbose"}:
        usage = usage_text("qsub", reading.prog)
        raise UsageError(1, stdout=usage, stderr="No required options provided\n\n")
    for dest, name in (("walltime", "time"), ("nodes", "nodecount")):
        if dest not in numbers:
            raise refused(f"'{name}' not provided")
    cwd = texts.get("cwd", cwd)
    try:
        paths = reading.placed(cwd)
    except ValueError as refusal:
        raise refused(str(refusal)) from None
    inputfile = paths.get("inputfile")
    if inputfile is not None:
        if reading.mode == "interactive":
            raise refused("Cannot specify an input file for interactive jobs.")
        if not reading.checks.is_file(inputfile):
            raise refused(f"file {inputfile} not found, or is not a file")
    return Qsub(
        argv=reading.argv,
        command=command,
        args=args,
        nodes=numbers["nodes"],
        walltime=numbers["walltime"],
        procs=numbers.get("procs"),
        cwd=cwd,
        outputdir=cwd,
        project=texts.get("project"),
        queue=texts.get("queue", "default"),
        outputpath=paths.get("outputpath"),
        errorpath=paths.get("errorpath"),
        cobalt_log_file=paths.get("cobalt_log_file"),
        inputfile=inputfile,
        envs=reading.envs or {},
        attrs=reading.attrs or {},
        dependencies=texts.get("dependencies"),
        user_list=reading.user_list or (reading.user,),
        run_project="run_project" in reading.flags,
        notify=texts.get("notify"),
        umask=numbers.get("umask", 0o022),
        user_hold="user_hold" in reading.flags,
        jobname=texts.get("jobname"),
        mode=reading.mode,
        geometry=reading.geometry,
        kernel=texts.get("kernel", "default"),
        kerneloptions=texts.get("kerneloptions"),
        ion_kernel=texts.get("ion_kernel", "default"),
        ion_kerneloptions=texts.get("ion_kerneloptions"),
        preemptable="preemptable" in reading.flags,
        script_preboot="disable_preboot" not in reading.flags,
        debug="debug" in reading.flags,
        given=frozenset(reading.given),
        added=tuple(reading.added),
        own_lines=own_lines,
        stdout=reading.out,
        stderr=reading.err,
    )
