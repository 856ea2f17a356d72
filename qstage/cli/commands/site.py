"""``qstage site``: compute sites."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from qstage.cli import show
from qstage.cli.agent_lines import agent_lines
from qstage.cli.session import connect
from qstage.cli.settings import load, save
from qstage.cli.trouble import Refused

SCHEDULERS = ("cobalt", "slurm", "pbs", "lsf", "flux", "local")


@click.group()
def site() -> None:
    """Compute sites: where jobs run."""


def demanding(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say what a site demands of its submitters; together they are its demands, anew."""
    for option in reversed(
        (
            click.option(
                "--demand-domain", "demand_domains", multiple=True, metavar="DOMAIN", help="Sign-in by one of these."
            ),
            click.option("--demand-mfa", is_flag=True, default=None, help="Sign-in with a second factor."),
            click.option(
                "--demand-signed-in-within", type=click.IntRange(min=1), metavar="MINUTES", help="Sign-in this recent."
            ),
            click.option(
                "--demand-key-life", type=click.IntRange(min=1), metavar="DAYS", help="Keys made for no longer."
            ),
        )
    ):
        command = option(command)
    return command


@site.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--id", "site_id", help="Short name, lower case.")
@click.option("--title", help="Long name.")
@click.option("--scheduler", type=click.Choice(SCHEDULERS))
@click.option(
    "--map",
    "mappings",
    multiple=True,
    metavar="COLLECTION:PATH=DIRECTORY",
    help="A path on a collection and the same directory on the login node; the first is where jobs live.",
)
@click.option("--root", "roots", multiple=True, metavar="DIRECTORY", help="Below which data may be linked.")
@click.option("--queue", help="Queue of jobs that name none.")
@click.option("--account", help="Account of jobs that name none.")
@click.option("--queue-wait", type=click.IntRange(0), metavar="SECONDS", help="How long jobs wait in its queue.")
@click.option("--user", "users", multiple=True, metavar="USER", help="Who else may use it.")
@demanding
@click.option("--token-file", type=click.Path(path_type=Path), help="Write the agent's token here, mode 0600.")
@click.option("--json", "as_json", is_flag=True, help="Print the site, without its token, as JSON: needs --token-file.")
def create(
    file: Path | None,
    site_id: str | None,
    title: str | None,
    scheduler: str | None,
    mappings: tuple[str, ...],
    roots: tuple[str, ...],
    queue: str | None,
    account: str | None,
    queue_wait: int | None,
    users: tuple[str, ...],
    demand_domains: tuple[str, ...],
    demand_mfa: bool | None,
    demand_signed_in_within: int | None,
    demand_key_life: int | None,
    token_file: Path | None,
    as_json: bool,
) -> None:
    """Register a site, from a JSON document or by options. The agent's token is shown this once.

    Without --token-file the token, and nothing else, is printed on standard output; how to keep the agent running,
    from cron, scrontab or systemd, is told on standard error.
    """
    if as_json and token_file is None:
        raise Refused("--json needs --token-file: a token is shown once, and is no part of the site")
    settings = load()
    document = _read(file) if file else {}
    given: dict[str, Any] = {
        "id": site_id,
        "title": title,
        "scheduler": scheduler,
        "mappings": [_mapping(text, settings.collection) for text in mappings],
        "roots": list(roots),
        "defaults": {name: value for name, value in (("queue_name", queue), ("account", account)) if value},
        "users": list(users),
        "demands": _demands(demand_domains, demand_mfa, demand_signed_in_within, demand_key_life),
        "queue_wait": queue_wait,
    }
    document |= {name: value for name, value in given.items() if value or value == 0}
    done = connect(settings).create_site(document)
    if done.agent_token is None:
        click.echo(f"site {done.site.id} was registered by an earlier request; its token was shown then", err=True)
        return
    if token_file is None:
        click.echo(f"site {done.site.id} registered; this is its agent's token, shown this once:", err=True)
        click.echo(done.agent_token.reveal())
    else:
        _write_token(token_file, done.agent_token.reveal())
        click.echo(f"site {done.site.id} registered; its agent's token is in {token_file}", err=as_json)
    if as_json:
        show.json_out(done.site.raw)
    qstage = shutil.which("qstage") or "qstage"
    click.echo(agent_lines(done.site.id, qstage=qstage, config=f"~/.config/qstage/{done.site.id}.toml"), err=True)


@site.command()
@click.argument("site_id", metavar="ID")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--title", help="Long name.")
@click.option("--user", "users", multiple=True, metavar="USER", help="Who else may use it: all of them, anew.")
@demanding
@click.option("--demand-nothing", is_flag=True, help="Let everybody through whom the site admits.")
def change(
    site_id: str,
    file: Path | None,
    title: str | None,
    users: tuple[str, ...],
    demand_domains: tuple[str, ...],
    demand_mfa: bool | None,
    demand_signed_in_within: int | None,
    demand_key_life: int | None,
    demand_nothing: bool,
) -> None:
    """Change a site of yours, by a JSON document of the fields to change or by options. Shows the site."""
    demands = _demands(demand_domains, demand_mfa, demand_signed_in_within, demand_key_life)
    if demands and demand_nothing:
        raise Refused("--demand-nothing goes with no other demand")
    changes = _read(file) if file else {}
    changes |= {
        name: value for name, value in (("title", title), ("users", list(users)), ("demands", demands)) if value
    }
    if demand_nothing:
        changes["demands"] = None
    if not changes:
        raise Refused("nothing to change is given: qstage site change --help")
    show.json_out(connect().change_site(site_id, changes).raw)


@site.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print what the service said.")
def list_sites(as_json: bool) -> None:
    """List the sites you may use."""
    sites = connect().sites()
    if as_json:
        show.json_out([one.raw for one in sites])
        return
    default = load().site
    rows = [(f"{one.id}{' (default)' if one.id == default else ''}", one.scheduler, one.title) for one in sites]
    show.columns(("site", "scheduler", "title"), rows)


@site.command("show")
@click.argument("site_id", metavar="ID")
def show_site(site_id: str) -> None:
    """Show one site, as JSON."""
    show.json_out(connect().site(site_id).raw)


@site.command()
@click.argument("site_id", metavar="ID")
@click.option("--longest", type=click.IntRange(min=1), metavar="MINUTES", help="What qsub's -t 0 stands for there.")
def use(site_id: str, longest: int | None) -> None:
    """Make ID the site of jobs that name none."""
    settings = load()
    limits = {**settings.longest, **({} if longest is None else {site_id: longest})}
    save(replace(settings, site=site_id, longest=limits))


@site.command("test")
@click.argument("site_id", metavar="ID")
@click.option("--queue", help="Queue to test in.")
@click.option("--account", help="Account to test under.")
@click.option("--minutes", type=click.IntRange(min=1), default=10, show_default=True, help="Walltime of each job.")
@click.option("--timeout", type=float, default=1800.0, show_default=True, help="Seconds after which to give up.")
def test_site(site_id: str, queue: str | None, account: str | None, minutes: int, timeout: float) -> int:
    """Prove a site by two small jobs: its agent and policy, its scheduler, its collections and their mappings.

    One job writes through the file system what Globus must find at the collection; the other reads through the
    file system what Globus brought, and deletes it there.
    """
    from qstage.cli.site_trial import run_trial

    asked = {"duration": minutes * 60, "queue_name": queue, "account": account}
    return run_trial(connect(), site_id, {name: value for name, value in asked.items() if value}, timeout)


def _read(file: Path) -> dict[str, Any]:
    try:
        raw = json.loads(sys.stdin.read() if str(file) == "-" else file.read_text())
    except ValueError as error:
        raise Refused(f"{file} is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise Refused(f"{file} is not a site document")
    return raw


def _mapping(text: str, collection: Any) -> dict[str, str]:
    place, equals, directory = text.partition("=")
    name, colon, path = place.partition(":")
    if not equals or not colon:
        raise Refused(f"--map {text!r} is not COLLECTION:PATH=DIRECTORY")
    return {"collection": collection(name), "path": path, "directory": directory}


def _demands(
    domains: tuple[str, ...], mfa: bool | None, signed_in_within: int | None, key_life: int | None
) -> dict[str, Any]:
    """The demands as a site document has them; {} for none."""
    given = {
        "domains": list(domains),
        "mfa": mfa,
        "signed_in_within": signed_in_within,
        "key_life": key_life,
    }
    return {name: value for name, value in given.items() if value}


def _write_token(path: Path, token: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w") as file:
        os.fchmod(fd, 0o600)
        file.write(f"{token}\n")
