"""``qstage completion SHELL``: what a shell sources to complete qstage's words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the completion of SHELL: eval "$(qstage completion bash)"."""
    from qstage.cli.app import root

    found = get_completion_class(shell)
    assert found is not None, shell
    click.echo(found(root, {}, "qstage", "_QSTAGE_COMPLETE").source())
