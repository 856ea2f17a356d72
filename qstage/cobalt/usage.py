"""What Cobalt's commands print about themselves, and how they refuse words they cannot read.

``--version`` prints the template of a version line that was never filled in: that is what Cobalt's does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qstage.cobalt.errors import UsageError
from qstage.cobalt.words import Given, Table, WordError, scan

_SYNOPSIS = {
    "qsub": (
        "{prog} --help\n"
        "Usage: {prog} [options] <executable> [<excutable options>]\n\n"
        "Refer to man pages for JOBID EXPANSION and SCRIPT JOB DIRECTIVES.\n"
    ),
    "qstat": "{prog} [options] <jobids1> ... <jobidsN>",
    "qdel": "{prog} [options] <jobid1> [ ... <jobidN>]",
    "qhold": "{prog} [options] <jobid1> [ ... <jobidN> ]",
    "qrls": "{prog} [options] <jobid1> [ ... <jobidN> ]",
    "qalter": "{prog} --help\nUsage: {prog} [options] <jobid1> ... <jobidN>",
    "qmove": "{prog} [options] <queue name> <jobid1> [... <jobidN>]",
    "qselect": "{prog} [options]",
}
_REVISION = {"qsub": "559", "qstat": "406", "qdel": "345", "qhold": "345", "qrls": "345"}
_REVISION |= dict.fromkeys(("qalter", "qmove", "qselect"), "559")


def usage_text(command: str, prog: str | None = None) -> str:
    """Return the usage as Cobalt prints it, the blank line after it included."""
    return f"Usage: {_SYNOPSIS[command].format(prog=prog or command)}\n\n"


def version_text(command: str, prog: str | None = None) -> str:
    return f'version: "{prog or command} " + $Revision: {_REVISION[command]} $ + , Cobalt  + $Version$\n'


def help_text(command: str, table: Table, prog: str | None = None) -> str:
    """Return the page of ``--help``, laid out by optparse itself from the same table."""
    import optparse  # only here: a command that does its work never pays for it

    parser = optparse.OptionParser(
        usage=_SYNOPSIS[command].format(prog=prog or command), add_help_option=False, prog=prog or command
    )
    for option in (*table.options, *table.added):
        if option.takes == "nothing":
            parser.add_option(*option.names, action="store_true", dest=option.dest, help=option.help)
        else:
            parser.add_option(*option.names, dest=option.dest, help=option.help)
    return parser.format_help()


def read_options(
    command: str, table: Table, argv: Sequence[str], meet: Callable[[Given], None], prog: str | None = None
) -> tuple[str, ...]:
    """Scan ``argv``, answer ``--help`` and ``--version``, and refuse bad words with exit status 2."""

    def answer(given: Given) -> None:
        if given.option.dest == "help":
            raise UsageError(0, stdout=help_text(command, table, prog))
        if given.option.dest == "version":
            raise UsageError(0, stdout=version_text(command, prog))
        meet(given)

    try:
        return scan(argv, table, answer)
    except WordError as fault:
        message = f"{usage_text(command, prog)}{prog or command}: error: {fault}\n"
        raise UsageError(2, stderr=message) from None


def fatal(reason: str) -> UsageError:
    """Return the end of a command that Cobalt lets crash: the traceback is left out, the rest is its own."""
    return UsageError(1, stdout="{}\n", stderr=f"*** FATAL EXCEPTION: {reason} ***\n")
