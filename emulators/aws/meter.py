"""A meter of what calls to DynamoDB cost on AWS: the read and write units of on-demand tables.

``MeteredClient`` stands between an adapter and a low-level client, passes every call on, and counts by the
rules of the developer guide's pages on item sizes and on read and write consumption:

* a write costs a unit for each KB begun of the larger of the item as it was and as it is; a transaction doubles it;
* an index costs a write for each of its rows that comes, goes or changes; two if a key of the row changes;
* a condition that does not hold costs what the write would have: by the item that is there;
* a strong read costs a unit for each 4 KB begun of each item, of a query's page as a whole; an eventual one half;
* what is not there costs the least of its kind.

It must see every write of its tables from their making on: it keeps a copy of each item, to know what a write
replaced. What it cannot count (filters, projections, scans, other statements than ``partiql`` reads) it refuses. One
call at a time.
"""

from __future__ import annotations

import copy
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from emulators.aws import partiql

Item = Mapping[str, Any]
_WRITE_KB, _READ_KB = 1024, 4096


@dataclass(slots=True)
class Tally:
    """Units so far. ``calls`` counts calls by name, ``by_kind`` write units by (table, what was written)."""

    writes: float = 0.0
    reads: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)
    by_kind: Counter[str] = field(default_factory=Counter)

    def __sub__(self, before: Tally) -> Tally:
        return Tally(
            writes=self.writes - before.writes,
            reads=self.reads - before.reads,
            calls=self.calls - before.calls,
            by_kind=self.by_kind - before.by_kind,
        )


class Uncountable(Exception):
    """A call whose cost cannot be told from outside."""


@dataclass(frozen=True, slots=True)
class _Index:
    keys: tuple[str, ...]
    projected: frozenset[str] | None
    """None: all attributes."""

    def row(self, item: Item | None) -> dict[str, Any] | None:
        """The item's row in this sparse index, or None."""
        if item is None or any(key not in item for key in self.keys):
            return None
        return {name: value for name, value in item.items() if self.projected is None or name in self.projected}

    def cost(self, old: Item | None, new: Item | None) -> int:
        """Write units for what an item's change does to this index."""
        was, now = self.row(old), self.row(new)
        if was is None or now is None or was == now:
            return 0 if was == now else write_units(was, now)
        if any(was[key] != now[key] for key in self.keys):
            return write_units(was, None) + write_units(None, now)
        return write_units(was, now)


@dataclass(slots=True)
class _Table:
    keys: tuple[str, ...]
    indexes: Mapping[str, _Index]
    items: dict[tuple[str, ...], Item] = field(default_factory=dict)

    def place(self, item: Item) -> tuple[str, ...]:
        return tuple(str(item[key]) for key in self.keys)


def size_of(item: Item) -> int:
    """Bytes of an item (attribute values as DynamoDB takes them), by the developer guide's rules."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, inner),) = value.items()
    match kind:
        case "S":
            return len(inner.encode())
        case "N":
            digits = len(inner.lstrip("-").replace(".", "").strip("0"))
            return int((digits + 1) // 2 + 1 + inner.startswith("-"))
        case "B":
            return len(inner)
        case "BOOL" | "NULL":
            return 1
        case "L":
            return 3 + sum(1 + _value_size(each) for each in inner)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_size(each) for name, each in inner.items())
    raise Uncountable(f"attributes of type {kind} are not metered")


def write_units(old: Item | None, new: Item | None) -> int:
    """Units of one write outside a transaction; None where there is no item."""
    largest = max(size_of(item) for item in (old or {}, new or {}))
    return max(1, ceil(largest / _WRITE_KB))


def read_units(size: int, *, strong: bool) -> float:
    """Units of a read of so many bytes at once."""
    return max(1, ceil(size / _READ_KB)) * (1.0 if strong else 0.5)


class MeteredClient:
    """A low-level client that counts. ``tally`` is what was spent so far."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._tables: dict[str, _Table] = {}
        self._lock = threading.RLock()
        self.tally = Tally()

    def snapshot(self) -> Tally:
        """A copy of the tally, to subtract from a later one."""
        with self._lock:
            return copy.deepcopy(self.tally)

    def __getattr__(self, call: str) -> Callable[..., Any]:
        counted = getattr(type(self), f"_{call}", None)
        if counted is None:
            raise Uncountable(f"{call} is not metered")

        def metered(**request: Any) -> Any:
            if unknown := {"FilterExpression", "ProjectionExpression"} & set(request):
                raise Uncountable(f"{', '.join(unknown)} of {call} is not metered")
            with self._lock:
                self.tally.calls[call] += 1
                return counted(self, request)

        return metered

    # reads

    def _get_item(self, request: dict[str, Any]) -> Any:
        answer = self._client.get_item(**request)
        self._read(size_of(answer.get("Item", {})), strong=request.get("ConsistentRead", False))
        return answer

    def _batch_get_item(self, request: dict[str, Any]) -> Any:
        answer = self._client.batch_get_item(**request)
        for name, asked in request["RequestItems"].items():
            left = answer.get("UnprocessedKeys", {}).get(name, {}).get("Keys", ())
            found = answer["Responses"].get(name, ())
            strong = asked.get("ConsistentRead", False)
            for item in found:
                self._read(size_of(item), strong=strong)
            for _ in range(len(asked["Keys"]) - len(left) - len(found)):
                self._read(0, strong=strong)
        return answer

    def _query(self, request: dict[str, Any]) -> Any:
        answer = self._client.query(**request)
        self._read(sum(size_of(item) for item in answer["Items"]), strong=request.get("ConsistentRead", False))
        return answer

    def _read(self, size: int, *, strong: bool) -> None:
        self.tally.reads += read_units(size, strong=strong)

    # writes

    def _put_item(self, request: dict[str, Any]) -> Any:
        return self._alone("Put", request, lambda: self._client.put_item(**request))

    def _update_item(self, request: dict[str, Any]) -> Any:
        return self._alone("Update", request, lambda: self._client.update_item(**request))

    def _delete_item(self, request: dict[str, Any]) -> Any:
        return self._alone("Delete", request, lambda: self._client.delete_item(**request))

    def _alone(self, kind: str, request: dict[str, Any], call: Callable[[], Any]) -> Any:
        try:
            answer = call()
        except Exception as error:
            if _code(error) == "ConditionalCheckFailedException":
                self._refused(request, times=1)
            raise
        self._written(kind, request, times=1)
        return answer

    def _batch_write_item(self, request: dict[str, Any]) -> Any:
        answer = self._client.batch_write_item(**request)
        for name, entries in request["RequestItems"].items():
            left = answer.get("UnprocessedItems", {}).get(name, ())
            for entry in (each for each in entries if each not in left):
                ((kind, body),) = entry.items()
                self._written(kind.removesuffix("Request"), {"TableName": name, **body}, times=1)
        return answer

    def _transact_write_items(self, request: dict[str, Any]) -> Any:
        parts = [part for entry in request["TransactItems"] for part in entry.items()]
        try:
            answer = self._client.transact_write_items(**request)
        except Exception as error:
            if _code(error) == "TransactionCanceledException":
                for _, body in parts:
                    self._refused(body, times=2)
            raise
        for kind, body in parts:
            self._written(kind, body, times=2)
        return answer

    def _batch_execute_statement(self, request: dict[str, Any]) -> Any:
        answer = self._client.batch_execute_statement(**request)
        for asked, told in zip(request["Statements"], answer["Responses"], strict=True):
            found = partiql.read(asked["Statement"], asked["Parameters"])
            key = {name: found.named[name] for name in self._table(found.table).keys}
            code = told.get("Error", {}).get("Code")
            if code in ("ConditionalCheckFailed", "DuplicateItem"):
                self._refused({"TableName": found.table, "Key": key}, times=1)
            elif code is None and isinstance(found, partiql.Insert):
                self._written("Put", {"TableName": found.table, "Item": found.item}, times=1)
            elif code is None:
                self._written("Update", {"TableName": found.table, "Key": key}, times=1)
        return answer

    def _written(self, kind: str, body: Mapping[str, Any], times: int) -> None:
        name = body["TableName"]
        table = self._table(name)
        key = body["Item"] if kind == "Put" else body["Key"]
        place, old = table.place(key), table.items.get(table.place(key))
        if kind in ("Put", "Delete"):
            new = copy.deepcopy(body["Item"]) if kind == "Put" else None
        else:
            new = self._client.get_item(TableName=name, Key=body["Key"], ConsistentRead=True)["Item"]
        if new is None:
            table.items.pop(place, None)
        else:
            table.items[place] = new
        self._spend(f"{name} {_kind(table, key)}", times * write_units(old, new))
        for title, index in table.indexes.items():
            self._spend(f"{name} index {title}", times * index.cost(old, new))

    def _refused(self, body: Mapping[str, Any], times: int) -> None:
        table = self._table(body["TableName"])
        key = body.get("Key") or body["Item"]
        old = table.items.get(table.place(key))
        self._spend(f"{body['TableName']} {_kind(table, key)} refused", times * write_units(old, None))

    def _spend(self, kind: str, units: int) -> None:
        if units:
            self.tally.writes += units
            self.tally.by_kind[kind] += units

    def _table(self, name: str) -> _Table:
        if name not in self._tables:
            told = self._client.describe_table(TableName=name)["Table"]
            keys = _key_names(told)
            indexes = {each["IndexName"]: _index(each, keys) for each in told.get("GlobalSecondaryIndexes", ())}
            self._tables[name] = _Table(keys, indexes)
        return self._tables[name]


def _index(told: Mapping[str, Any], keys: tuple[str, ...]) -> _Index:
    own, shown = _key_names(told), told["Projection"]
    if shown["ProjectionType"] == "ALL":
        return _Index(own, None)
    return _Index(own, frozenset((*keys, *own, *shown.get("NonKeyAttributes", ()))))


def _key_names(told: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(each["AttributeName"] for each in told["KeySchema"])


def _kind(table: _Table, key: Item) -> str:
    """What sort of item it is: the beginning of its sort key, which tells."""
    return next(iter(key[table.keys[-1]].values())).partition("#")[0] if len(table.keys) > 1 else "item"


def _code(error: Exception) -> str:
    response: Mapping[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))
