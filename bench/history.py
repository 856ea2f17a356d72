"""Years of a user's ended jobs, made of a few that have lived: every row that those left, under further numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from chalicelib.core.ids import FIRST_NUMBER

_OF_A_JOB = re.compile(r"([JDT])#(\d{10})(.*)")
_A_WRITE = 25
"""Rows that DynamoDB takes in one call."""


def repeat_history(client: Any, lived: int, count: int) -> None:
    """Let there be ``count`` ended jobs where ``lived`` have ended: numbers, rows and the desk's next number."""
    table = next(name for name in client.list_tables()["TableNames"] if "jobs" in name.lower())
    rows = [item for page in client.get_paginator("scan").paginate(TableName=table) for item in page["Items"]]
    left = [item for item in rows if _OF_A_JOB.fullmatch(item["sk"]["S"])]
    copies = [_renumbered(item, again * lived) for again in range(1, count // lived) for item in left]
    for some in _in_writes([{"PutRequest": {"Item": item}} for item in copies]):
        unprocessed = client.batch_write_item(RequestItems={table: some})["UnprocessedItems"]
        assert not unprocessed, "DynamoDB Local takes every row"
    user = next(item["user"] for item in rows if item["sk"]["S"] == "DESK")
    client.update_item(
        TableName=table,
        Key={"user": user, "sk": {"S": "DESK"}},
        UpdateExpression="SET next_number = :next",
        ExpressionAttributeValues={":next": {"N": str(FIRST_NUMBER + count)}},
    )


def _renumbered(item: dict[str, Any], by: int) -> dict[str, Any]:
    found = _OF_A_JOB.fullmatch(item["sk"]["S"])
    assert found is not None, "the row of a job"
    kind, number, rest = found.groups()
    return {**item, "sk": {"S": f"{kind}#{int(number) + by:010d}{rest}"}}


def _in_writes(puts: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    return (puts[start : start + _A_WRITE] for start in range(0, len(puts), _A_WRITE))
