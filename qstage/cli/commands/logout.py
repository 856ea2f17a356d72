"""``qstage logout``: the key is revoked at the service, then forgotten here."""

from __future__ import annotations

import os
from dataclasses import replace

import click

from qstage.cli.session import connect
from qstage.cli.settings import load, save
from qstage.cli.trouble import Refused
from qstage.client.errors import LoginNeeded, NotFound


@click.command()
@click.option("--forget", is_flag=True, help="Forget the key also when the service cannot revoke it.")
def logout(forget: bool) -> None:
    """Revoke the key and forget it."""
    settings = load()
    kept = settings.logins.get(settings.url or "")
    if kept is None:
        if os.environ.get("QSTAGE_KEY"):
            raise Refused("the key comes from QSTAGE_KEY: unset that")
        raise Refused(f"no key is kept for {settings.url or 'any service'}")
    if not forget:
        client = connect(settings)
        try:
            client.revoke_key(kept.key_id or str(client.me().key_id))
        except (LoginNeeded, NotFound):
            click.echo("the key was worthless already")
    save(replace(settings, logins={url: login for url, login in settings.logins.items() if url != settings.url}))
    click.echo("forgotten" if forget else "revoked and forgotten")
