"""The agent's configuration: one TOML file on the login node, which the service never sees.

    service = "https://qstage.example/api"
    site = "theta"
    token_file = "theta.token"            # mode 0600; relative to this file
    scheduler = "cobalt"                  # cobalt, slurm, pbs, pbs_classic, lsf, flux, local
    path = ["/usr/bin", "/bin"]           # the only places its commands are taken from
    state = "/home/me/.local/state/qstage/theta"   # journal and lock; this is the default
    work = "/home/me/.local/state/qstage/theta/psij"   # on a file system that the compute nodes see
    poll_seconds = 10
    grace_seconds = 30                    # how late a shared file system may show an exit status
    take = 100                            # jobs taken at once, at most
    keep = ["MODULEPATH"]                 # more variables that jobs keep

    [policy]
    owners = ["ada@uni.example"]
    directories = ["/lus/scratch/qstage"] # below which job directories lie
    accounts = ["chem"]
    queues = ["default", "debug"]
    reservations = []
    attributes = ["mcdram", "numa"]
    roots = ["/lus/shared"]               # below which data may be linked
    max_nodes = 16
    max_minutes = 720

Unknown names are refused, so that a misspelt limit is never no limit.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qstage.agent.policy import Policy
from qstage.agent.schedulers import WrongSite
from qstage.client.results import Secret

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?")
_DEFAULT_PATH = ("/usr/local/bin", "/usr/bin", "/bin")
_TEXTS = ("service", "site", "token_file", "scheduler", "state", "work")
_LISTS = ("path", "keep")
_NUMBERS = {"poll_seconds": 10.0, "grace_seconds": 30.0, "take": 100.0}
_POLICY_LISTS = ("owners", "directories", "accounts", "queues", "reservations", "attributes", "roots")
_POLICY_NUMBERS = ("max_nodes", "max_minutes")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """What the agent runs by. Times are seconds; ``token`` is hidden from ``repr``."""

    service: str
    site: str
    token: Secret = field(repr=False)
    scheduler: str
    path: tuple[str, ...]
    state: Path
    work: Path
    poll_seconds: float
    grace_seconds: float
    take: int
    keep: tuple[str, ...]
    policy: Policy


def read_config(path: Path, site: str) -> AgentConfig:
    """Read the file and the token it names. Raises ``WrongSite`` naming the member and the cure."""
    _check_mode(path, 0o022, "may be written by others than you: chmod go-w")
    try:
        raw = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongSite(f"{path}: {error}") from None
    _only(raw, {*_TEXTS, *_LISTS, *_NUMBERS, "policy"}, str(path))
    if _text(raw, "site", site) != site:
        raise WrongSite(f"{path} is for site {raw['site']!r}, not {site!r}")
    state = Path(_text(raw, "state", str(_default_state() / site))).expanduser()
    numbers = {name: _number(raw, name, default) for name, default in _NUMBERS.items()}
    return AgentConfig(
        service=_text(raw, "service"),
        site=site,
        token=read_token(path.parent / Path(_text(raw, "token_file")).expanduser()),
        scheduler=_text(raw, "scheduler"),
        path=_texts(raw, "path") or _DEFAULT_PATH,
        state=state,
        work=Path(_text(raw, "work", str(state / "psij"))).expanduser(),
        poll_seconds=numbers["poll_seconds"],
        grace_seconds=numbers["grace_seconds"],
        take=max(1, int(numbers["take"])),
        keep=_variables(_texts(raw, "keep")),
        policy=_policy(raw.get("policy"), path),
    )


def read_token(path: Path) -> Secret:
    """The site's token, from a file that nobody else may read."""
    _check_mode(path, 0o077, "may be read by others than you: chmod 600")
    words = path.read_text().split()
    if len(words) != 1:
        raise WrongSite(f"{path} does not hold one token")
    return Secret(words[0])


def _policy(raw: object, path: Path) -> Policy:
    if not isinstance(raw, dict):
        raise WrongSite(f"{path} has no [policy]: say at least `owners` and `directories`")
    _only(raw, {*_POLICY_LISTS, *_POLICY_NUMBERS}, f"{path} [policy]")
    lists = {name: _texts(raw, name) for name in _POLICY_LISTS}
    for name in ("owners", "directories"):
        if not lists[name]:
            raise WrongSite(f"{path} [policy]: {name} is empty, so that no job could run")
    for name in ("directories", "roots"):
        if not all(text.startswith("/") and ".." not in text.split("/") for text in lists[name]):
            raise WrongSite(f"{path} [policy]: {name} must be absolute paths")
    limits = {name: int(_number(raw, name, 0)) or None for name in _POLICY_NUMBERS}
    return Policy(**lists, **limits)  # type: ignore[arg-type] # lists of texts and numbers, by their names


def _check_mode(path: Path, forbidden: int, words: str) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise WrongSite(f"{path} cannot be read: {error.strerror}") from None
    if stat.S_IMODE(mode) & forbidden:
        raise WrongSite(f"{path} {words} {path}")


def _only(raw: Mapping[str, Any], known: set[str], where: str) -> None:
    strange = sorted(set(raw) - known)
    if strange:
        raise WrongSite(f"{where}: unknown {', '.join(strange)}")


def _text(raw: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = raw.get(name, default)
    if not isinstance(value, str) or not value:
        raise WrongSite(f"{name} is missing or not text")
    return value


def _texts(raw: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = raw.get(name, [])
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise WrongSite(f"{name} is not a list of texts")
    return tuple(value)


def _number(raw: Mapping[str, Any], name: str, default: float) -> float:
    value = raw.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise WrongSite(f"{name} is not a number")
    return float(value)


def _variables(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _VARIABLE.fullmatch(name):
            raise WrongSite(f"keep: {name!r} is not the name of a variable")
    return names


def _default_state() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "qstage"
