"""A client for the service that this machine is set up for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qstage.cli.settings import Settings, load
from qstage.cli.trouble import LOGIN_CURE, Refused

if TYPE_CHECKING:
    from qstage.client import Client


def connect(settings: Settings | None = None, *, key_needed: bool = True) -> Client:
    """Make the client; say what is missing."""
    settings = settings or load()
    if settings.url is None:
        raise Refused("no service is set: qstage login --url https://…, or QSTAGE_URL")
    login = settings.login
    if login is None and key_needed:
        raise Refused(f"no key for {settings.url}: {LOGIN_CURE}, or set QSTAGE_KEY")
    from qstage.client import Client

    return Client(settings.url, login.key if login else None)


def username(settings: Settings, client: Client) -> str:
    """Whose jobs these are: as kept at login, else as the service says."""
    kept = settings.login.username if settings.login else ""
    return kept or client.me().username
