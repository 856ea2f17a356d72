"""``qstage login``: the device flow of RFC 8628. The user signs in with a browser anywhere; the key comes here."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace

import click

from qstage import __version__
from qstage.cli.session import connect
from qstage.cli.settings import Login, Settings, load, save
from qstage.cli.trouble import Refused
from qstage.client import Client, DeviceLogin, Grant

ENDED = {
    "expired_token": "the link has expired: qstage login gives another",
    "access_denied": "the login was denied",
}


@click.command()
@click.option("--url", help="Address of the service; kept as the default.")
@click.option("--domain", help="Identity provider to sign in with, such as alcf.anl.gov or google.com.")
@click.option("--collection", "collections", multiple=True, metavar="ID", help="Collection to consent to at once.")
@click.option("--scope", "scopes", multiple=True, default=("jobs",), show_default=True, help="What the key may do.")
@click.option("--days", type=click.IntRange(min=1), help="How long the key lasts; 30 if not given.")
@click.option("--no-browser", is_flag=True, help="Print the link only.")
def login(
    url: str | None,
    domain: str | None,
    collections: tuple[str, ...],
    scopes: tuple[str, ...],
    days: int | None,
    no_browser: bool,
) -> None:
    """Sign in, and keep a key for this machine."""
    settings = load()
    if url:
        settings = replace(settings, url=url.rstrip("/"))
    client = connect(replace(settings, logins={}), key_needed=False)
    begun = client.start_login(
        client=f"qstage {__version__}",
        host=socket.gethostname(),
        scopes=scopes,
        collections=[settings.collection(text) for text in collections],
        domain=domain,
        days=days,
    )
    click.echo(f"sign in here: {begun.verification_uri_complete}")
    click.echo(f"the page shows the code {begun.user_code}: go on only if it does")
    if not no_browser:
        _open_browser(begun.verification_uri_complete)
    grant = wait_for_grant(client, begun, sleep=time.sleep, now=time.monotonic)
    _keep(settings, client.base_url, grant)
    click.echo(f"signed in as {grant.username or 'you'}; the key is kept in {settings.path}")


def wait_for_grant(
    client: Client, begun: DeviceLogin, *, sleep: Callable[[float], None], now: Callable[[], float]
) -> Grant:
    """Ask at the pace the service sets until the user has decided, or the link has expired."""
    interval, end = begun.interval, now() + begun.expires_in
    while now() < end:
        sleep(interval)
        poll = client.poll_login(begun.device_code)
        if poll.grant is not None:
            return poll.grant
        if poll.error == "slow_down":
            interval += 5.0  # RFC 8628, section 3.5
        elif poll.error in ENDED:
            raise Refused(ENDED[poll.error])
    raise Refused(ENDED["expired_token"])


def _keep(settings: Settings, url: str, grant: Grant) -> None:
    kept = Login(key=grant.key.reveal(), key_id=grant.key_id, username=grant.username)
    save(replace(settings, url=url, logins={**settings.logins, url: kept}))


def _open_browser(url: str) -> None:
    """Open a browser where there is one to be seen."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("BROWSER")):
        return
    import webbrowser

    webbrowser.open(url)
