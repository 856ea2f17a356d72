"""``qstage whoami``: whose key is used, and whether the login behind it still holds."""

from __future__ import annotations

import click

from qstage.cli import show
from qstage.cli.session import connect


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print what the service said.")
def whoami(as_json: bool) -> None:
    """Show whose key is used, and whether the login still holds."""
    client = connect()
    me = client.me()
    if as_json:
        show.json_out(me.raw)
        return
    show.fields(
        [
            ("user", me.username),
            ("name", me.name),
            ("email", me.email),
            ("identity", me.id),
            ("service", client.base_url),
            ("login", me.login_state + (f" ({me.login_reason})" if me.login_reason else "")),
        ]
    )
    if me.login_url and me.login_state != "ok":
        click.echo(f"sign in here: {me.login_url}")
