"""Batches of PartiQL statements on moto's tables, in place of moto's own reading of PartiQL.

Each statement is one conditional put of moto's. Owns the rules of a batch and its answers, as Amazon's own DynamoDB
Local gives them. A statement outside ``partiql``'s grammar fails its whole batch, by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moto.dynamodb.exceptions import ConditionalCheckFailed, MockValidationException
from moto.dynamodb.responses import (
    validate_put_has_empty_attrs,
    validate_put_has_empty_keys,
    validate_put_has_gsi_keys_set_to_none,
)

from emulators.aws.partiql import Insert, UnknownStatementError, Update, read

MOST = 25
Answer = dict[str, Any]


def batch_of_statements(backend: Any, statements: Sequence[Mapping[str, Any]]) -> list[Answer]:
    """Carry out each statement by itself; stands in for ``DynamoDBBackend.batch_execute_statement``."""
    if len(statements) > MOST:
        raise MockValidationException(f"BatchWriteItem cannot write more than {MOST} items")
    try:
        found = [read(each["Statement"], each.get("Parameters", ())) for each in statements]
    except UnknownStatementError as error:
        raise MockValidationException(f"the AWS emulator: {error}") from error
    places = [_place(backend, each) for each in found if each.table in backend.tables]
    if len(set(places)) < len(places):
        raise MockValidationException("Provided list of item keys contains duplicates")
    return [_answer(backend, each) for each in found]


def _place(backend: Any, statement: Insert | Update) -> tuple[str, ...]:
    names = backend.tables[statement.table].table_key_attrs
    item = statement.named
    if missing := [name for name in names if name not in item]:
        raise MockValidationException(
            f"Where clause does not contain a mandatory equality on all key attributes: {missing}"
        )
    return (statement.table, *(str(item[name]) for name in names))


def _answer(backend: Any, statement: Insert | Update) -> Answer:
    if statement.table not in backend.tables:
        return _error("ResourceNotFound", "Cannot do operations on a non-existent table")
    answer = {"TableName": statement.table}
    try:
        if isinstance(statement, Insert):
            _put(backend, statement.table, dict(statement.item), {}, "attribute_not_exists(#key)")
        else:
            _update(backend, statement)
    except ConditionalCheckFailed:
        if isinstance(statement, Insert):
            return _error("DuplicateItem", "Duplicate primary key exists in table") | answer
        return _error("ConditionalCheckFailed", "The conditional request failed") | answer
    except MockValidationException as error:
        return _error("ValidationError", error.message) | answer
    return answer


def _update(backend: Any, statement: Update) -> None:
    stored = backend.get_item(statement.table, _key(backend, statement))
    was = {} if stored is None else stored.to_json()["Attributes"]
    item = {name: value for name, value in {**was, **statement.changes}.items() if name not in statement.removed}
    asked = {name: value for name, value in statement.where.items() if name not in _key(backend, statement)}
    equal = [f"#{place} = :{place}" for place in range(len(asked))]
    _put(
        backend,
        statement.table,
        item | _key(backend, statement),
        asked,
        " AND ".join(["attribute_exists(#key)", *equal]),
    )


def _key(backend: Any, statement: Update) -> dict[str, Any]:
    return {name: statement.where[name] for name in backend.tables[statement.table].table_key_attrs}


def _put(backend: Any, table: str, item: dict[str, Any], asked: Mapping[str, Any], condition: str) -> None:
    """``asked`` are the attributes that the condition compares, in its order."""
    shape = backend.tables[table]
    validate_put_has_empty_keys(item, shape)
    validate_put_has_empty_attrs(item, shape)
    validate_put_has_gsi_keys_set_to_none(item, shape)
    names = {f"#{place}": name for place, name in enumerate(asked)} | {"#key": shape.hash_key_attr}
    values = {f":{place}": value for place, value in enumerate(asked.values())}
    backend.put_item(table, item, None, condition, names, values, False)


def _error(code: str, message: str) -> Answer:
    return {"Error": {"Code": code, "Message": message}}
