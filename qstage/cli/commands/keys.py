"""``qstage keys``: API keys for programs and other machines."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from qstage.cli import show
from qstage.cli.session import connect
from qstage.cli.settings import load
from qstage.cli.trouble import Refused
from qstage.client.errors import Forbidden, NotFound

SCOPES = ("read", "jobs", "admin")
_ADMIN_CURE = "that takes a key with the scope admin: qstage login --scope admin"


@click.group()
def keys() -> None:
    """API keys: list, create, revoke."""


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print what the service said.")
def list_keys(as_json: bool) -> None:
    """List your keys and your sites' agents' tokens, newest first."""
    settings = load()
    found = connect(settings).keys()
    if as_json:
        show.json_out([key.raw for key in found])
        return
    used = settings.login.key_id if settings.login else ""
    rows = [
        (
            f"{key.id}{' (this one)' if key.id == used else ''}",
            key.kind,
            key.name,
            ",".join(key.scopes),
            _day(key.created_at),
            _end(key.expires_at),
            _day(key.last_used_at) or "never",
        )
        for key in found
    ]
    show.columns(("id", "kind", "name", "scopes", "created", "expires", "last used"), rows)


@keys.command("create")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(SCOPES), default=("jobs",), show_default=True,
    help="What it may do: read jobs, submit them too, or make keys and sites as well.",
)  # fmt: skip
@click.option("--days", type=click.IntRange(min=1), default=30, show_default=True, help="How long it lasts.")
@click.option("--json", "as_json", is_flag=True, help="Print what the service said, the key included.")
def create_key(name: str, scopes: tuple[str, ...], days: int, as_json: bool) -> None:
    """Make a key called NAME. It is printed this once; nobody can show it again."""
    client = connect()
    try:
        made = client.create_key(name, scopes=scopes, days=days)
    except Forbidden as refused:
        raise _named(refused) from None
    if made.key is None:
        client.revoke_key(made.id)
        raise Refused("the answer with the key was lost on its way; that key was revoked: run this again")
    if as_json:
        show.json_out(made.raw)
        return
    click.echo(made.key.reveal())
    click.echo(f"qstage: key {made.id} lasts until {_day(made.expires_at)} and is not shown again", err=True)


@keys.command("revoke")
@click.argument("key_ids", metavar="ID...", nargs=-1, required=True)
def revoke(key_ids: tuple[str, ...]) -> int:
    """End keys at once, by their ids. A key without the scope admin can only end itself."""
    client, status = connect(), 0
    for key_id in key_ids:
        try:
            client.revoke_key(key_id)
            click.echo(f"revoked {key_id}")
        except Forbidden as refused:
            raise _named(refused) from None
        except NotFound:
            click.echo(f"qstage: you have no key {key_id}", err=True)
            status = 1
    return status


def _named(refused: Forbidden) -> Exception:
    return Refused(f"{refused} {_ADMIN_CURE}") if refused.code == "missing-scope" else refused


def _day(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ") if moment else ""


def _end(moment: datetime | None) -> str:
    over = moment is not None and moment <= datetime.now(UTC)
    return f"{_day(moment)}{' (over)' if over else ''}"
