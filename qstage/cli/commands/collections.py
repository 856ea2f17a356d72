"""``qstage collections``: the user's own names for Globus collections, kept on this machine."""

from __future__ import annotations

from dataclasses import replace

import click

from qstage.cli import show
from qstage.cli.settings import COLLECTION_ID, COLLECTION_NAME, load, save
from qstage.cli.trouble import Refused


@click.group(invoke_without_command=True)
@click.pass_context
def collections(ctx: click.Context) -> None:
    """Names for Globus collections, to be used wherever an id is."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_names)


@collections.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_names(as_json: bool = False) -> None:
    """List the names."""
    names = dict(load().collections)
    if as_json:
        show.json_out(names)
    else:
        show.columns(("name", "collection"), sorted(names.items()))


@collections.command("add")
@click.argument("name")
@click.argument("collection_id", metavar="ID")
def add(name: str, collection_id: str) -> None:
    """Call the collection ID by NAME."""
    if not COLLECTION_NAME.fullmatch(name):
        raise Refused(f"{name!r}: a name has letters, digits, dot, underscore and hyphen only")
    if not COLLECTION_ID.fullmatch(collection_id):
        raise Refused(f"{collection_id!r} is not a collection's id (a UUID)")
    settings = load()
    save(replace(settings, collections={**settings.collections, name: collection_id.lower()}))


@collections.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Forget NAME."""
    settings = load()
    if name not in settings.collections:
        raise Refused(f"there is no name {name!r}")
    save(replace(settings, collections={key: value for key, value in settings.collections.items() if key != name}))
