"""``qstage logout``: the key is revoked at the service, then forgotten here; ``--all`` ends everything else too."""

from __future__ import annotations

import os
from dataclasses import replace

import click

from qstage.cli import show
from qstage.cli.session import connect
from qstage.cli.settings import Settings, load, save
from qstage.cli.trouble import Refused
from qstage.client.errors import LoginNeeded, NotFound


@click.command()
@click.option("--forget", is_flag=True, help="Forget the key also when the service cannot revoke it.")
@click.option(
    "--all",
    "everywhere",
    is_flag=True,
    help="End all your keys and browser sessions too, and have Globus revoke what it gave the service.",
)
@click.option("--json", "as_json", is_flag=True, help="With --all: print what the service said.")
def logout(forget: bool, everywhere: bool, as_json: bool) -> None:
    """Revoke the key and forget it. With --all, say which live jobs wait until you sign in again."""
    if forget and everywhere:
        raise Refused("--forget is for a key that the service cannot revoke: leave out --all")
    settings = load()
    if everywhere:
        _leave(settings, as_json)
        return
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
    _forget(settings)
    click.echo("forgotten" if forget else "revoked and forgotten")


def _forget(settings: Settings) -> None:
    save(replace(settings, logins={url: login for url, login in settings.logins.items() if url != settings.url}))


def _leave(settings: Settings, as_json: bool) -> None:
    left = connect(settings).logout_everywhere()
    _forget(settings)
    if as_json:
        show.json_out(left.raw)
        return
    click.echo(f"signed out everywhere: keys ended: {left.keys}, browsers signed out: {left.browsers}")
    if not left.stops:
        click.echo("no live job needs Globus" if not left.more else "live jobs that need Globus wait for your login")
        return
    click.echo("these live jobs still need Globus, and wait until you sign in again:")
    show.columns(("id", "name", "state"), [(str(job.id), job.name, job.state) for job in left.stops])
    if left.more:
        click.echo("and maybe others")
