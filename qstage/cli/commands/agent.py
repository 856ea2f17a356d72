"""``qstage agent run``: the site's agent, as a loop or, with ``--once``, a round at a time from cron.

Needs ``qstage[agent]``. Exit status: 0 done or told to stop, 1 it must not or cannot run, 75 (try again later)
when another agent has the site or, with ``--once``, the service is away.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from pathlib import Path

import click

from qstage.cli.trouble import Refused, lines
from qstage.client.errors import Conflict, QstageError, Unavailable, Unreachable

TRY_LATER = 75
_FIELDS = ("job", "event", "native_id", "outcome", "exit_code", "command", "directory", "result", "again_in", "cause")


@click.group()
def agent() -> None:
    """Run a site's agent on its login node."""


@agent.command()
@click.option("--site", "site_id", required=True, metavar="ID", help="The site to serve.")
@click.option(
    "--config",
    "config_path",
    required=True,
    type=click.Path(path_type=Path),
    help="The site's own configuration and policy.",
)
@click.option("--once", is_flag=True, help="One full round, then exit: for cron.")
@click.option("--quiet", is_flag=True, help="Log only what needs attention.")
def run(site_id: str, config_path: Path, once: bool, quiet: bool) -> int:
    """Take staged jobs from the service and run them through the site's scheduler.

    Jobs of the scheduler "local" are processes of this machine: they end with it, and with a Ctrl-C typed at
    the agent's terminal.
    """
    try:
        from qstage.agent.config import read_config
        from qstage.agent.journal import JournalDamaged
        from qstage.agent.loop import Busy, open_agent
        from qstage.agent.schedulers import WrongSite
    except ImportError as error:
        raise Refused(f"the agent needs more than the client ({error.name}): pip install 'qstage[agent]'") from None
    _log_to_stderr(logging.WARNING if quiet else logging.INFO)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with open_agent(read_config(config_path, site_id)) as running:
            if once:
                running.run_once()
            else:
                running.run(stop)
    except (WrongSite, JournalDamaged) as error:
        raise Refused(str(error)) from None
    except ImportError as error:
        raise Refused(f"the agent needs {error.name}: pip install 'qstage[agent]'") from None
    except (Busy, Conflict, Unavailable, Unreachable) as error:
        click.echo(f"qstage: {error}", err=True)
        return TRY_LATER
    except QstageError as error:
        for line in lines(error):
            click.echo(f"qstage: {line}", err=True)
        return 1
    return 0


class _Fields(logging.Formatter):
    """A constant message and its fields: ``2026-11-22T17:00:00Z INFO job submitted job=… native_id=…``."""

    def format(self, record: logging.LogRecord) -> str:
        told = [f"{name}={getattr(record, name)!r}" for name in _FIELDS if hasattr(record, name)]
        line = " ".join([self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"), record.levelname, record.getMessage(), *told])
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _log_to_stderr(level: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Fields())
    logger = logging.getLogger("qstage.agent")
    logger.addHandler(handler)
    logger.setLevel(level)
