"""Reads a transfer or delete document into a task. Raises ``TransferRefusal`` for one that is not well formed."""

from __future__ import annotations

from typing import Any

from emulators.globus.config import Settings
from emulators.globus.copying import ALGORITHMS
from emulators.globus.errors import Document, TransferRefusal, bad_request
from emulators.globus.ids import is_uuid
from emulators.globus.task_models import FilterRule, Item, Options
from emulators.globus.times import parse as parse_time

_ITEM_TYPES = ("transfer_item", "delete_item", None)


def text(document: Document, name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise bad_request(f"Missing or invalid '{name}'")
    return value


def flag(document: Document, name: str, default: bool = False) -> bool:
    value = document.get(name, default)
    if not isinstance(value, bool):
        raise bad_request(f"'{name}' must be a boolean")
    return value


def _maybe_flag(document: Document, name: str) -> bool | None:
    return None if document.get(name) is None else flag(document, name)


def _maybe_text(document: Document, name: str) -> str | None:
    return None if document.get(name) is None else text(document, name)


def submission_id(document: Document) -> str:
    value = text(document, "submission_id")
    if not is_uuid(value):
        raise bad_request("'submission_id' is not a UUID")
    return value


def label(document: Document) -> str | None:
    """At most 128 characters on one line, with no blank at either end."""
    value = _maybe_text(document, "label") if document.get("label") != "" else None
    if value is not None and (len(value) > 128 or value != value.strip() or {"\r", "\n"} & {*value}):
        raise bad_request("Invalid label")
    return value


def deadline(document: Document, now: float, settings: Settings) -> float:
    raw = document.get("deadline")
    if raw is None:
        return now + settings.default_deadline
    try:
        when = parse_time(str(raw))
    except ValueError as error:
        raise bad_request("Invalid deadline") from error
    if when <= now:
        raise bad_request("The deadline has passed already")
    return when


def transfer_items(document: Document) -> tuple[Item, ...]:
    data = _data(document)
    if not data:
        raise TransferRefusal(400, "ClientError.BadRequest.NoTransferItems", "A transfer requires at least one item")
    return tuple(_transfer_item(each) for each in data)


def _data(document: Document) -> list[Document]:
    data = document.get("DATA", [])
    if not isinstance(data, list) or not all(isinstance(each, dict) for each in data):
        raise bad_request("'DATA' must be a list of items")
    for each in data:
        if each.get("DATA_TYPE") == "transfer_symlink_item":
            raise TransferRefusal(501, "NotImplemented", "transfer_symlink_item is not emulated")
        if each.get("DATA_TYPE") not in _ITEM_TYPES:
            raise bad_request(f"Unknown item type '{each.get('DATA_TYPE')}'")
    return data


def _transfer_item(raw: Document) -> Item:
    recursive = _maybe_flag(raw, "recursive")
    external = _maybe_text(raw, "external_checksum")
    algorithm = _maybe_text(raw, "checksum_algorithm")
    if algorithm is not None and algorithm.upper().replace("-", "") not in ALGORITHMS:
        raise bad_request(f"Unsupported checksum algorithm '{algorithm}'")
    if recursive and external is not None:
        raise bad_request("external_checksum cannot be used with recursive items")
    return Item(
        source_path=text(raw, "source_path"),
        destination_path=text(raw, "destination_path"),
        recursive=recursive,
        external_checksum=external,
        checksum_algorithm=algorithm,
    )


def transfer_options(document: Document) -> Options:
    level = document.get("sync_level")
    if level is not None and (isinstance(level, bool) or level not in (0, 1, 2, 3)):
        raise bad_request("'sync_level' is 0, 1, 2 or 3")
    if document.get("recursive_symlinks", "ignore") != "ignore":
        raise TransferRefusal(501, "NotImplemented", "recursive_symlinks other than ignore is not emulated")
    rules = document.get("filter_rules") or []
    if not isinstance(rules, list):
        raise bad_request("'filter_rules' must be a list")
    return Options(
        sync_level=level,
        verify_checksum=flag(document, "verify_checksum"),
        preserve_timestamp=flag(document, "preserve_timestamp"),
        encrypt_data=flag(document, "encrypt_data"),
        skip_source_errors=flag(document, "skip_source_errors"),
        fail_on_quota_errors=flag(document, "fail_on_quota_errors"),
        delete_destination_extra=flag(document, "delete_destination_extra"),
        filter_rules=tuple(_rule(each) for each in rules),
    )


def _rule(raw: Any) -> FilterRule:
    if not isinstance(raw, dict):
        raise bad_request("A filter rule is an object")
    method, kind = raw.get("method"), raw.get("type")
    if method not in ("include", "exclude") or kind not in (None, "file", "dir"):
        raise bad_request("Invalid filter rule")
    return FilterRule(method=method, name=text(raw, "name"), type=kind)


def delete_items(document: Document) -> tuple[Item, ...]:
    data = _data(document)
    if not data:
        raise TransferRefusal(400, "ClientError.BadRequest.NoDeleteItems", "A delete requires at least one item")
    return tuple(Item(source_path=text(each, "path")) for each in data)


def delete_options(document: Document) -> Options:
    return Options(
        recursive=_maybe_flag(document, "recursive"),
        ignore_missing=flag(document, "ignore_missing"),
        interpret_globs=flag(document, "interpret_globs"),
    )
