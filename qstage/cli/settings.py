"""What this machine knows: which service, which key, the default site, names of collections.

One TOML file, ``$XDG_CONFIG_HOME/qstage/config.toml`` (``QSTAGE_CONFIG`` names another), mode 0600 because it
holds keys; a laxer one is refused. A key is kept with the address it was given by and never sent to another.
``QSTAGE_URL``, ``QSTAGE_KEY`` and ``QSTAGE_SITE`` take precedence.

    url = "https://qstage.example/api"
    site = "theta"

    [collections]
    lab = "0a1b…"

    [longest]
    theta = 360                     # minutes that `-t 0` stands for

    [services."https://qstage.example/api"]
    key = "qsk_…"
    key_id = "…"
    username = "ada@uni.example"
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from qstage.cli.trouble import Refused

COLLECTION_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
COLLECTION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A key and what belongs to it."""

    key: str = field(repr=False)
    key_id: str = ""
    username: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was read. ``path`` is where it is kept."""

    path: Path
    url: str | None = None
    site: str | None = None
    collections: Mapping[str, str] = field(default_factory=dict)
    longest: Mapping[str, int] = field(default_factory=dict)
    logins: Mapping[str, Login] = field(default_factory=dict)

    @property
    def login(self) -> Login | None:
        """The login for the service in use: the environment's key, else the one kept for its address."""
        key = os.environ.get("QSTAGE_KEY")
        if key:
            return Login(key=key)
        return self.logins.get(self.url) if self.url else None

    def collection(self, text: str) -> str:
        """The id of a collection given by id or by name."""
        if COLLECTION_ID.fullmatch(text):
            return text.lower()
        found = self.collections.get(text)
        if found is None:
            raise Refused(
                f"{text!r} is neither a collection's id nor a name of yours: qstage collections add {text} ID"
            )
        return found


def config_path() -> Path:
    """Where the settings are kept."""
    named = os.environ.get("QSTAGE_CONFIG")
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "qstage" / "config.toml"


def load() -> Settings:
    """Read the settings; no file is fine."""
    path = config_path()
    raw = _read(path)
    settings = Settings(
        path=path,
        url=_text(raw, "url"),
        site=_text(raw, "site"),
        collections={str(name): str(value) for name, value in (raw.get("collections") or {}).items()},
        longest={str(name): value for name, value in (raw.get("longest") or {}).items() if type(value) is int},
        logins={
            address: Login(
                key=str(entry.get("key", "")),
                key_id=str(entry.get("key_id", "")),
                username=str(entry.get("username", "")),
            )
            for address, entry in (raw.get("services") or {}).items()
        },
    )
    url, site = os.environ.get("QSTAGE_URL"), os.environ.get("QSTAGE_SITE")
    return replace(settings, url=(url or settings.url or "").rstrip("/") or None, site=site or settings.site or None)


def save(settings: Settings) -> None:
    """Write the settings beside and rename, readable by their owner alone."""
    settings.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = settings.path.with_name(settings.path.name + ".new")
    draft.unlink(missing_ok=True)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(_render(settings))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(settings.path)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}") from None
    if mode & 0o077:
        raise Refused(f"{path} holds keys and may be used by others: chmod 600 {path}")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{path} cannot be read: {error}") from None


def _text(raw: Mapping[str, Any], name: str) -> str | None:
    value = raw.get(name)
    return value if isinstance(value, str) and value else None


def _render(settings: Settings) -> str:
    lines = [f"{name} = {_quoted(value)}" for name in ("url", "site") if (value := getattr(settings, name))]
    if settings.collections:
        lines += ["", "[collections]"]
        lines += [f"{_quoted(name)} = {_quoted(value)}" for name, value in settings.collections.items()]
    if settings.longest:
        lines += ["", "[longest]"]
        lines += [f"{_quoted(name)} = {minutes}" for name, minutes in settings.longest.items()]
    for address, login in settings.logins.items():
        lines += ["", f"[services.{_quoted(address)}]"]
        lines += [f"{name} = {_quoted(getattr(login, name))}" for name in ("key", "key_id", "username")]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's, as long as no character beyond the basic plane is written as a pair.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
