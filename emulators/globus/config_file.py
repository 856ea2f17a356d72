"""Reads a configuration from YAML: the same names as the classes of ``config``, and no others.

A part that is left out (say ``identities``) is the default's. A mistake is refused with where it stands.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, TypeVar

import yaml

from emulators.globus.config import (
    Client,
    Collection,
    Config,
    Identity,
    OwnScope,
    Permission,
    Policy,
    Provider,
    Settings,
    default_config,
)

T = TypeVar("T")

_PARTS: dict[str, type[Any]] = {
    "identities": Identity,
    "collections": Collection,
    "clients": Client,
    "providers": Provider,
    "policies": Policy,
}
_NESTED: dict[tuple[type[Any], str], type[Any]] = {
    (Client, "scopes"): OwnScope,
    (Collection, "permissions"): Permission,
}


class ConfigError(ValueError):
    """The file does not describe a world."""


def load_config(path: Path) -> Config:
    """Read ``path``. A relative ``directory`` of a collection is relative to the file. Raises ``ConfigError``."""
    raw = yaml.safe_load(path.read_text()) or {}
    if not isinstance(raw, dict):
        raise ConfigError("the file is not a mapping")
    default = default_config()
    changes: dict[str, Any] = {}
    for key, value in raw.items():
        if key in _PARTS:
            changes[key] = _many(_PARTS[key], value, key)
        elif key == "settings":
            changes[key] = _one(Settings, value, key)
        elif key == "cli":
            changes[key] = str(value)
        else:
            raise ConfigError(f"{key}: unknown; known are {', '.join([*_PARTS, 'settings', 'cli'])}")
    config = dataclasses.replace(default, **changes)
    located = tuple(_located(collection, path.parent) for collection in config.collections)
    return dataclasses.replace(config, collections=located)


def _located(collection: Collection, folder: Path) -> Collection:
    if collection.directory is None:
        return collection
    return dataclasses.replace(collection, directory=(folder / collection.directory).resolve())


def _many(kind: type[T], raw: object, where: str) -> tuple[T, ...]:
    if not isinstance(raw, list):
        raise ConfigError(f"{where}: a list is expected")
    return tuple(_one(kind, each, f"{where}[{index}]") for index, each in enumerate(raw))


def _one(kind: type[T], raw: object, where: str) -> T:
    if not isinstance(raw, dict):
        raise ConfigError(f"{where}: a mapping is expected")
    known = {each.name for each in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in raw:
        if key not in known:
            raise ConfigError(f"{where}.{key}: unknown; known are {', '.join(sorted(known))}")
    values = {key: _value(kind, key, value, f"{where}.{key}") for key, value in raw.items()}
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _value(kind: type[Any], key: str, value: object, where: str) -> object:
    nested = _NESTED.get((kind, key))
    if nested is not None:
        return _many(nested, value, where)
    if key == "directory" and value is not None:
        return Path(str(value))
    if isinstance(value, list):
        return tuple(str(each) for each in value)
    return value
