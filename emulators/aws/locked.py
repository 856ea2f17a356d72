"""moto, made fit for more than one thread and for a clock that turns.

moto's DynamoDB has no locks: under threads it loses updates (measured: 380 acknowledged compare-and-sets,
value 360). Its transactions copy whole tables and run again for a repeated ClientRequestToken. Its PartiQL
fails on conditional updates. Its SQS reads the machine's clock. Half its time goes into looking for each
attribute's value under ten types and two names, and a tenth into listing its own directory. Each is put
right here, at one named seam of moto, and taken back when the context ends. What moto gets wrong beyond
this list is in this package's README.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from moto import backends, mock_aws
from moto.core.responses import ActionResult
from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb import models as dynamodb_models
from moto.dynamodb.exceptions import DynamodbException
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler
from moto.sqs import models as sqs_models

from emulators.aws.statements import batch_of_statements
from emulators.clock import Clock, SystemClock

_TOKEN_LIFE = 600.0  # seconds that DynamoDB remembers a ClientRequestToken
_SQS_CALLS = ("send_message", "delete_message", "change_message_visibility", "purge_queue")


@contextmanager
def locked_moto(clock: Clock | None = None) -> Iterator[None]:
    """moto's ``mock_aws`` for in-process clients, safe under threads, its queues on ``clock``."""
    with tamed(clock or SystemClock()), mock_aws():
        yield


@contextmanager
def tamed(clock: Clock) -> Iterator[None]:
    """Put moto right for as long as the context lasts. For the whole process: moto is one per process."""
    lock = threading.RLock()
    with ExitStack() as stack:
        put = stack.enter_context
        put(patch.object(DynamoHandler, "call_action", _locked(DynamoHandler.call_action, lock)))
        put(patch.object(DynamoHandler, "transact_write_items", _once_per_token(clock)))
        put(patch.object(dynamodb_models.DynamoDBBackend, "transact_write_items", _transact))
        put(patch.object(dynamodb_models.DynamoDBBackend, "batch_execute_statement", batch_of_statements))
        put(patch("moto.dynamodb.responses.TRANSACTION_MAX_ITEMS", 100))
        put(patch.object(BaseJSONSerializer, "_serialize_type_structure", _write_structure))
        modules = frozenset(backends.list_of_moto_modules())
        put(patch.object(backends, "list_of_moto_modules", lambda: modules))
        put(patch.object(sqs_models, "unix_time", clock.now))
        put(patch.object(sqs_models, "unix_time_millis", lambda: clock.now() * 1000))
        for name in _SQS_CALLS:
            call = getattr(sqs_models.SQSBackend, name)
            put(patch.object(sqs_models.SQSBackend, name, _locked(call, lock)))
        put(patch.object(sqs_models.SQSBackend, "receive_message", _receive(lock)))
        yield


def _locked(call: Callable[..., Any], lock: threading.RLock) -> Callable[..., Any]:
    def locked(*args: Any, **kwargs: Any) -> Any:
        with lock:
            return call(*args, **kwargs)

    return locked


def _receive(lock: Any) -> Callable[..., Any]:
    """One look under the lock at a time; a long poll waits outside it, by the machine's time."""
    look = sqs_models.SQSBackend.receive_message

    def receive(
        backend: Any, queue_name: str, count: int, wait: int, visibility: int, names: list[str] | None = None
    ) -> Any:
        end = time.monotonic() + (wait or 0)
        while True:
            with lock:
                found = look(backend, queue_name, count, 0, visibility, names)
            if found or time.monotonic() >= end:
                return found
            threading.Event().wait(0.02)

    return receive


def _once_per_token(clock: Clock) -> Callable[[DynamoHandler], ActionResult]:
    transact = DynamoHandler.transact_write_items
    seen: dict[tuple[str, str, str], tuple[float, str, ActionResult]] = {}

    def once(handler: DynamoHandler) -> ActionResult:
        token = handler.body.get("ClientRequestToken")
        if not token:
            return transact(handler)
        now, asked = clock.now(), repr(handler.body["TransactItems"])
        for key in [key for key, (when, _, _) in seen.items() if when + _TOKEN_LIFE <= now]:
            del seen[key]
        key = (handler.current_account, handler.region, token)
        if key in seen:
            if seen[key][1] != asked:
                raise DynamodbException(
                    "com.amazonaws.dynamodb.v20120810#IdempotentParameterMismatchException",
                    message="The token was used before with other items",
                )
            return seen[key][2]
        result = transact(handler)
        seen[key] = (now, asked, result)
        return result

    return once


_any_structure = BaseJSONSerializer._serialize_type_structure


def _write_structure(serializer: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
    """A string or number of an item as it is; everything else moto's own way."""
    if shape.name == "AttributeValue" and key and type(value) is dict and len(value) == 1:
        ((kind, held),) = value.items()
        if kind in ("S", "N") and type(held) is str:
            serializer._default_serialize(serialized, {kind: held}, shape, key)
            return
    _any_structure(serializer, serialized, value, shape, key)


_whole_table_transact = dynamodb_models.DynamoDBBackend.transact_write_items


def _transact(backend: Any, transact_items: list[dict[str, Any]]) -> None:
    """moto's transaction, undone item by item: moto itself copies each whole table first.

    Its rollback puts the copy back, so while it runs a table's copy is the table itself; what it touched is
    then restored here. A table with a stream takes moto's own way, whose copy holds the stream too.
    """
    tables = {_operation(item).get("TableName") for item in transact_items}
    if any(name in backend.tables and backend.tables[name].stream_shard for name in tables):
        _whole_table_transact(backend, transact_items)
        return
    before = [found for item in transact_items if (found := _pre_image(backend, _operation(item)))]
    try:
        with patch.object(Table, "__deepcopy__", lambda table, _: table, create=True):
            _whole_table_transact(backend, transact_items)
    except Exception:
        for table, hash_key, range_key, image in before:
            _restore(table, hash_key, range_key, image)
        raise


def _operation(item: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(iter(item.values()))
    return found


def _pre_image(backend: Any, operation: dict[str, Any]) -> tuple[Table, DynamoType, DynamoType | None, Any] | None:
    table = backend.tables.get(operation.get("TableName"))
    key = operation.get("Key") or operation.get("Item") or {}
    if table is None or table.hash_key_attr not in key:
        return None
    hash_key = DynamoType(key[table.hash_key_attr])
    range_key = DynamoType(key[table.range_key_attr]) if key.get(table.range_key_attr) else None
    if table.has_range_key and range_key is None:
        return None
    return table, hash_key, range_key, copy.deepcopy(table.get_item(hash_key, range_key))


def _restore(table: Table, hash_key: DynamoType, range_key: DynamoType | None, image: Any) -> None:
    items: Any = table.items
    if range_key is None:
        items.pop(hash_key, None)
        if image is not None:
            items[hash_key] = image
    else:
        items[hash_key].pop(range_key, None)
        if image is not None:
            items[hash_key][range_key] = image
