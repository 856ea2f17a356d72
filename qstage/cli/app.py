"""The table of commands, and how whatever goes wrong is told: one clear line (or all faults), and a status."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass

import click

from qstage import __version__


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command lives, and its line in the help: listing commands loads none."""

    place: str
    help: str


COMMANDS = {
    "login": Entry("login:login", "Sign in, and keep a key for this machine."),
    "whoami": Entry("whoami:whoami", "Show whose key is used, and whether the login still holds."),
    "logout": Entry("logout:logout", "Revoke the key and forget it."),
    "keys": Entry("keys:keys", "API keys: list, create, revoke."),
    "qsub": Entry("qsub:qsub", "Submit a job, by Cobalt's options and staging."),
    "submit": Entry("submit:submit", "Submit a script by its #SBATCH or #PBS lines, or JSON documents."),
    "qstat": Entry("qstat:qstat", "Show jobs, in Cobalt's layout."),
    "qdel": Entry("qdel:qdel", "Cancel jobs."),
    "qalter": Entry("qalter:qalter", "Change jobs, by Cobalt's options."),
    "qmove": Entry("qmove:qmove", "Move jobs to another queue, as Cobalt does."),
    "qhold": Entry("qhold:qhold", "Keep jobs from starting, as Cobalt does."),
    "qrls": Entry("qhold:qrls", "Let held jobs go on, as Cobalt does."),
    "watch": Entry("watch:watch", "Watch jobs as they go."),
    "hold": Entry("hold:hold", "Keep jobs from going on."),
    "release": Entry("release:release", "Let held jobs go on."),
    "retry": Entry("retry:retry", "Try failed jobs again."),
    "wait": Entry("wait:wait", "Wait until a job has ended."),
    "story": Entry("story:story", "Tell what happened to a job."),
    "collections": Entry("collections:collections", "Names for Globus collections."),
    "site": Entry("site:site", "Compute sites: create, list, show, use."),
    "shim": Entry("shim:shim", "Write bare qsub, qstat, qdel, … into a directory."),
    "completion": Entry("completion:completion", "Print a shell's completion."),
    "cobalt-filter": Entry("cobalt_filter:cobalt_filter", "Be the submit filter of a Cobalt, for #QSTAGE lines."),
    "agent": Entry("agent:agent", "Run a site's agent."),
}


class Lazy(click.Group):
    """A group that imports a command's file when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        file, _, name = entry.place.partition(":")
        command: click.Command = getattr(importlib.import_module(f"qstage.cli.commands.{file}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


@click.group(cls=Lazy, context_settings={"help_option_names": ["--help"]})
@click.version_option(__version__, prog_name="qstage")
def root() -> None:
    """Run batch jobs where their data is not.

    QSTAGE_URL, QSTAGE_KEY and QSTAGE_SITE take precedence over the configuration file, which is
    ~/.config/qstage/config.toml or what QSTAGE_CONFIG names. NO_COLOR is honoured.
    """


def run(argv: Sequence[str]) -> int:
    """Run one command line; return its exit status."""
    try:
        status = root.main(args=list(argv), prog_name="qstage", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("qstage: interrupted", err=True)
        return 130
    except Exception as error:
        # Loaded here, because most command lines end well: the client is only then needed to tell how not.
        from qstage.cli.trouble import explain

        return explain(error)
    return status if isinstance(status, int) else 0
