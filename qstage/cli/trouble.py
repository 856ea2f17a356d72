"""How an error is told on the command line: one line that names what is wrong and the cure, and a status.

A document's faults are all listed. What is not known here is our own mistake: it is raised again.
"""

from __future__ import annotations

import click

from qstage.client.errors import Forbidden, InvalidDocument, LoginNeeded, QstageError, Unavailable, Unreachable

LOGIN_CURE = "sign in with: qstage login"


class Refused(click.ClickException):
    """Something this machine can tell by itself; exit status 1."""

    def show(self, file: object = None) -> None:
        """Print the line."""
        click.echo(f"qstage: {self.message}", err=True)


def explain(error: Exception) -> int:
    """Print an error of the client; return the exit status. Raises what it does not know."""
    if isinstance(error, BrokenPipeError):
        return 141
    if not isinstance(error, QstageError):
        raise error
    for line in lines(error):
        click.echo(f"qstage: {line}", err=True)
    return 1


def lines(error: QstageError) -> list[str]:
    """The lines that tell an error."""
    match error:
        case InvalidDocument(faults=faults) if faults:
            return [str(fault) for fault in faults]
        case LoginNeeded(login_url=str(url)):
            return [f"{error}", f"sign in here: {url}"]
        case LoginNeeded():
            return [f"{error}; {LOGIN_CURE}"]
        case Forbidden():
            return [f"{error}; a key that may: {LOGIN_CURE}"]
        case Unavailable(retry_after=float(seconds)):
            return [f"the service cannot now: {error}; try again in {seconds:.0f} s"]
        case Unavailable():
            return [f"the service cannot now: {error}; try again later"]
        case Unreachable():
            return [f"{error}; is QSTAGE_URL right, and the network up?"]
    return [str(error)]
