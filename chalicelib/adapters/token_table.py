"""Sealed tokens in DynamoDB: table ``tokens``, one item a user, and the sparse index ``renew`` of its schedule.

user (S, key) | version (N) | sealed (B) | purpose | expires_at | scopes (L) | refresh_used_at | refused | schema
session (L): the login session, absent in items from before it was kept
renew_shard (S), renew_at (S): the keys of the index ``renew`` (KEYS_ONLY), absent when nothing is scheduled
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from chalicelib.adapters.attributes import Item, from_item, maybe_moment, maybe_stamp, moment, stamp, to_item
from chalicelib.adapters.aws_errors import aws, refused_item
from chalicelib.core.ids import UserId
from chalicelib.core.sessions import read_session, session_values
from chalicelib.core.tokens import Sealed, TokenRecord

SCHEMA = 1
SHARDS = 4
INDEX = "renew"
_PAGE = 100


class TokenTable:
    """``core.ports.tokens.TokenStore`` in DynamoDB. ``client`` gives a boto3 DynamoDB client when first needed."""

    def __init__(self, client: Callable[[], Any], table: str) -> None:
        self._client = client
        self._table = table

    def load(self, user: UserId) -> TokenRecord | None:
        with aws("dynamodb"):
            got = self._client().get_item(TableName=self._table, Key=_key(user), ConsistentRead=True)
        return _to_record(got["Item"]) if "Item" in got else None

    def replace(self, record: TokenRecord, *, over: int | None) -> bool:
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(version)"}
        if over is not None:
            condition = _if_version(over)
        return self._write("put_item", lambda stored: stored == record, Item=_to_item(record), **condition)

    def refuse(self, user: UserId, version: int) -> bool:
        return self._write(
            "update_item",
            lambda stored: stored.version == version and stored.refused,
            Key=_key(user),
            UpdateExpression="SET refused = :true REMOVE renew_shard, renew_at",
            **_if_version(version, {":true": True}),
        )

    def postpone(self, user: UserId, version: int, renew_at: datetime) -> bool:
        return self._write(
            "update_item",
            lambda _: False,
            Key=_key(user),
            UpdateExpression="SET renew_shard = :shard, renew_at = :at",
            **_if_version(version, {":shard": shard(user), ":at": stamp(renew_at)}),
        )

    def due(self, now: datetime) -> Iterator[UserId]:
        for number in range(SHARDS):
            query = {
                "TableName": self._table,
                "IndexName": INDEX,
                "KeyConditionExpression": "renew_shard = :shard AND renew_at <= :now",
                "ExpressionAttributeValues": to_item({":shard": str(number), ":now": stamp(now)}),
                "Limit": _PAGE,
            }
            while True:
                with aws("dynamodb"):
                    page = self._client().query(**query)
                yield from (UserId(item["user"]["S"]) for item in page["Items"])
                if "LastEvaluatedKey" not in page:
                    break
                query["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def remove(self, user: UserId, version: int) -> bool:
        condition = _if_version(version)
        condition["ConditionExpression"] = f"attribute_not_exists(version) OR {condition['ConditionExpression']}"
        return self._write("delete_item", lambda _: False, Key=_key(user), **condition)

    def _write(self, call: str, mine: Callable[[TokenRecord], bool], **arguments: Any) -> bool:
        """A conditional write. boto3 repeats a call whose answer got lost, and then the first one's own result
        fails the condition: ``mine`` tells whether what is stored is just that."""
        from botocore.exceptions import ClientError

        try:
            with aws("dynamodb"):
                getattr(self._client(), call)(
                    TableName=self._table, ReturnValuesOnConditionCheckFailure="ALL_OLD", **arguments
                )
        except ClientError as error:
            stored = refused_item(error)
            if stored is None:
                raise
            return bool(stored) and mine(_to_record(stored))
        return True


def shard(user: UserId) -> str:
    """Which part of the schedule a user is in, so that no one partition of the index takes every write."""
    return str(hashlib.sha256(user.encode()).digest()[0] % SHARDS)


def _key(user: UserId) -> Item:
    return {"user": {"S": user}}


def _if_version(version: int, values: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "ConditionExpression": "version = :version",
        "ExpressionAttributeValues": to_item({":version": version, **(values or {})}),
    }


def _to_item(record: TokenRecord) -> Item:
    return to_item(
        {
            "user": record.user,
            "version": record.version,
            "sealed": record.sealed.content,
            "purpose": record.purpose,
            "expires_at": stamp(record.expires_at),
            "scopes": record.scopes,
            "refresh_used_at": stamp(record.refresh_used_at),
            "renew_shard": shard(record.user) if record.renew_at else None,
            "renew_at": maybe_stamp(record.renew_at),
            "refused": record.refused,
            "session": session_values(record.session),
            "schema": SCHEMA,
        }
    )


def _to_record(item: Item) -> TokenRecord:
    read = from_item(item)
    return TokenRecord(
        user=UserId(read["user"]),
        version=read["version"],
        sealed=Sealed(bytes(read["sealed"])),
        purpose=read["purpose"],
        expires_at=moment(read["expires_at"]),
        scopes=tuple(read["scopes"]),
        refresh_used_at=moment(read["refresh_used_at"]),
        renew_at=maybe_moment(read.get("renew_at")),
        refused=read["refused"],
        session=read_session(read.get("session", ())),
    )
