"""One DynamoDB table, and every call that is made to it.

Items go in and come out as plain values (``adapters.attributes``). Owns paging, batches and what they leave
unprocessed, transactions, and the bounded repeat of what collided with somebody else's write; ``aws_errors`` tells
which other answers can pass. What a condition means is its caller's to know.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from chalicelib.adapters.attributes import from_item, to_item
from chalicelib.adapters.aws_errors import aws, refused_item
from chalicelib.adapters.dynamodb import statements
from chalicelib.adapters.dynamodb.expressions import Piece, arguments
from chalicelib.adapters.dynamodb.statements import Statement
from chalicelib.core.errors import FarSide

Values = Mapping[str, Any]
Done = TypeVar("Done")

ATTEMPTS = 8
"""How often a write is tried that collides with others, or a batch of which something is left."""

MOST_TOGETHER = 100
"""Writes in one transaction, and keys in one batch of reads."""

_MOST_BATCHED = 25
_AT_ONCE = 8
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0
_COLLIDED = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
_PASSING = _COLLIDED | {"RequestLimitExceeded", "InternalServerError"}
_FAILED = "ConditionalCheckFailed"
_REFUSED = frozenset({_FAILED, "DuplicateItem"})


@dataclass(frozen=True, slots=True)
class Write:
    """One write of an item, alone or in a transaction: a ``Put`` or an ``Update``."""

    kind: str
    request: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """A condition did not hold. ``stored`` is the item as it is, None if there is none."""

    stored: dict[str, Any] | None


class _CanceledError(Exception):
    """A transaction did not take place; ``failed`` are the places of the writes whose conditions did not hold."""

    def __init__(self, failed: tuple[int, ...]) -> None:
        super().__init__(failed)
        self.failed = failed


class Table:
    """``client`` gives a low-level boto3 client when first needed; ``sleep`` takes seconds."""

    def __init__(self, client: Callable[[], Any], name: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client, self._name, self._sleep = client, name, sleep

    def get(self, key: Values) -> dict[str, Any] | None:
        """Return one item, read strongly."""
        answer = self._call("get_item", TableName=self._name, Key=to_item(key), ConsistentRead=True)
        return from_item(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Sequence[Values], *, strong: bool = True) -> list[dict[str, Any]]:
        """Return those of the items that exist, in no order. Keys may repeat.

        A read that is not strong costs half, and may miss what was written just before.
        """
        wanted = list({tuple(sorted(key.items())): to_item(key) for key in keys}.values())
        chunks = _chunks(wanted, MOST_TOGETHER)
        return [item for some in self.at_once([partial(self._get_some, c, strong) for c in chunks]) for item in some]

    def _get_some(self, keys: Sequence[Any], strong: bool) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        left: Any = {self._name: {"Keys": keys, "ConsistentRead": strong}}
        for _ in self._attempts("BatchGetItem"):
            answer = self._call("batch_get_item", RequestItems=left)
            found += (from_item(item) for item in answer["Responses"].get(self._name, ()))
            left = answer.get("UnprocessedKeys")
            if not left:
                break
        return found

    def query(
        self,
        condition: Piece,
        *,
        index: str | None = None,
        newest_first: bool = False,
        page: int | None = None,
        only: Piece | None = None,
        fields: Sequence[str] = (),
    ) -> Iterator[dict[str, Any]]:
        """Yield the items of one partition in the order of their sort key, fetched page by page as they are taken.

        Of the table the read is strong, of an index it cannot be. ``page`` is the most rows one call may read.
        ``only`` passes over items and ``fields`` leaves out attributes where the table is: what is not sent is
        paid for all the same.
        """
        request: dict[str, Any] = {"TableName": self._name, "ScanIndexForward": not newest_first}
        request |= {"IndexName": index} if index is not None else {"ConsistentRead": True}
        request |= {"Limit": page} if page is not None else {}
        expressions = {"KeyConditionExpression": condition}
        expressions |= {"FilterExpression": only} if only is not None else {}
        expressions |= {"ProjectionExpression": Piece(", ".join(f"#{name}" for name in fields))} if fields else {}
        request |= arguments(**expressions)
        while True:
            answer = self._call("query", **request)
            yield from (from_item(item) for item in answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def put(self, item: Values, *conditions: Piece) -> Write:
        """A write that replaces the whole item."""
        request = {"TableName": self._name, "Item": to_item(item), **arguments(ConditionExpression=conditions)}
        return Write("Put", request)

    def update(self, key: Values, change: Piece, *conditions: Piece) -> Write:
        """A write that changes an item, which is made if it is not there and no condition says otherwise."""
        expressions = arguments(UpdateExpression=change, ConditionExpression=conditions)
        return Write("Update", {"TableName": self._name, "Key": to_item(key), **expressions})

    def write(self, write: Write, *, returning: bool = False) -> dict[str, Any] | Refused:
        """Carry one write out. ``returning`` answers an update with the item as it is after it, else {}."""
        from botocore.exceptions import ClientError

        asked: dict[str, Any] = {"ReturnValues": "ALL_NEW"} if returning else {}
        if "ConditionExpression" in write.request:
            asked["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        call = "put_item" if write.kind == "Put" else "update_item"
        try:
            answer = self._call(call, **write.request, **asked)
        except ClientError as error:
            stored = refused_item(error)
            if stored is None:
                raise
            return Refused(from_item(stored) if stored else None)
        return from_item(answer.get("Attributes", {}))

    def insert(self, item: Values) -> Statement:
        """A write of an item that is refused if one is there, for ``write_each``."""
        return statements.insert(self._name, item)

    def amend(self, key: Values, item: Values, was: Values) -> Statement:
        """A write that replaces the item, refused if it is not there or not as ``was`` says, for ``write_each``.

        ``item`` names every attribute that the item can have; an attribute that it does not name stays.
        """
        return statements.amend(self._name, key, item, was)

    def write_each(self, writes: Sequence[Statement]) -> list[bool]:
        """Carry out writes of different items, each for itself; returns whether each took place or was refused."""
        chunks = _chunks(writes, statements.MOST_TOGETHER)
        return [done for some in self.at_once([partial(self._write_each, chunk) for chunk in chunks]) for done in some]

    def _write_each(self, writes: Sequence[Statement]) -> list[bool]:
        done: dict[int, bool] = {}
        left = list(range(len(writes)))
        for _ in self._attempts("BatchExecuteStatement"):
            asked = [writes[place].request() for place in left]
            answers = self._call("batch_execute_statement", Statements=asked)["Responses"]
            codes = [_statement_error(answer) for answer in answers]
            done.update((place, code is None) for place, code in zip(left, codes, strict=True) if code not in _PASSING)
            left = [place for place in left if place not in done]
            if not left:
                break
        return [done[place] for place in range(len(writes))]

    def transact(self, writes: Sequence[Write]) -> tuple[int, ...]:
        """Carry out all the writes (at most MOST_TOGETHER) or none.

        Returns () if they took place, else the places in ``writes`` whose conditions did not hold.
        """
        items = [{write.kind: write.request} for write in writes]
        try:
            # A token for each new attempt: after an answer that got lost, boto3 repeats with the same one, and a
            # transaction that took place is then answered as such, not as a condition that no longer holds.
            self._call("transact_write_items", lambda: {"ClientRequestToken": str(uuid.uuid4())}, TransactItems=items)
        except _CanceledError as canceled:
            return canceled.failed
        return ()

    def at_once(self, calls: Sequence[Callable[[], Done]]) -> list[Done]:
        """Make independent calls of this table, several at a time; returns their answers in the same order.

        What one of them raises is raised, once all have ended or were not begun.
        """
        if len(calls) < 2:
            return [call() for call in calls]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(_AT_ONCE, len(calls))) as pool:
            return list(pool.map(lambda call: call(), calls))

    def fill(self, items: Sequence[Values]) -> None:
        """Put items whatever was there: for those that nobody else writes with another content."""
        self._batch([{"PutRequest": {"Item": to_item(item)}} for item in items])

    def remove(self, keys: Sequence[Values]) -> None:
        """Delete items; those that are not there are no error."""
        self._batch([{"DeleteRequest": {"Key": to_item(key)}} for key in keys])

    def _batch(self, requests: Sequence[Any]) -> None:
        self.at_once([partial(self._write_batch, chunk) for chunk in _chunks(requests, _MOST_BATCHED)])

    def _write_batch(self, requests: Sequence[Any]) -> None:
        left: Any = {self._name: requests}
        for _ in self._attempts("BatchWriteItem"):
            left = self._call("batch_write_item", RequestItems=left).get("UnprocessedItems")
            if not left:
                return

    def _call(self, call: str, fresh: Callable[[], dict[str, Any]] = dict, **request: Any) -> Any:
        """The one door to DynamoDB; ``fresh`` makes what each attempt needs anew."""
        from botocore.exceptions import ClientError

        for _ in self._attempts(call):
            try:
                with aws("dynamodb"):
                    return getattr(self._client(), call)(**request, **fresh())
            except ClientError as error:
                if not _collided(error):
                    raise
        raise AssertionError("unreachable: the last attempt raises")

    def _attempts(self, call: str) -> Iterator[int]:
        """Count the attempts, with a pause (full jitter) before each but the first; raises after the last."""
        for attempt in range(ATTEMPTS):
            if attempt:
                longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * (1 << attempt))
                self._sleep(random.uniform(0, longest))  # noqa: S311 - spreads the load, keeps no secret
            yield attempt
        raise FarSide("dynamodb", "Collision", f"{call} met other writers {ATTEMPTS} times.", transient=True)


def _statement_error(answer: Any) -> str | None:
    """Why one statement of a batch was not carried out, if that passes or is a refusal; None if it was.

    :raises ClientError: for what is a fault of this deployment, as the call of a lone write would.
    """
    from botocore.exceptions import ClientError

    error = answer.get("Error")
    if error is None:
        return None
    code = str(error.get("Code"))
    if code not in _PASSING | _REFUSED:
        raise ClientError({"Error": error}, "BatchExecuteStatement")
    return code


def _collided(error: Any) -> bool:
    """Whether nothing was written because somebody else was writing.

    :raises _CanceledError: if a transaction was canceled because of conditions.
    """
    code = error.response.get("Error", {}).get("Code")
    if code != "TransactionCanceledException":
        return bool(code == "TransactionConflictException")
    reasons = [reason.get("Code") for reason in error.response.get("CancellationReasons", ())]
    failed = tuple(place for place, reason in enumerate(reasons) if reason == _FAILED)
    if failed:
        raise _CanceledError(failed) from error
    return any(reason in _COLLIDED for reason in reasons)


def _chunks(things: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(things), size):
        yield list(things[start : start + size])
