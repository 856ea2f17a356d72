"""The stores of logins and tokens under test: in memory, on moto put right, and on Amazon's own DynamoDB Local."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest

from chalicelib.adapters.login_table import LoginTable
from chalicelib.adapters.memory_logins import MemoryLogins
from chalicelib.adapters.memory_tokens import MemoryTokens
from chalicelib.adapters.token_table import TokenTable
from chalicelib.core.ports.logins import LoginStore
from chalicelib.core.ports.tokens import TokenStore
from emulators.aws.locked import locked_moto
from emulators.aws.resources import create_tables
from emulators.aws.template import read_template

TEMPLATE = read_template(Path(__file__).parents[2] / "infra/template.json")


def each_store() -> list[Any]:
    """The parameters of a fixture that gives a store."""
    return ["memory", "moto", pytest.param("local", marks=pytest.mark.java)]


def token_stores(request: pytest.FixtureRequest) -> Iterator[TokenStore]:
    """A token store of the requested kind, empty."""
    if request.param == "memory":
        yield MemoryTokens()
        return
    with _tables(request) as (client, names):
        yield TokenTable(lambda: client, names["TokensTable"])


def login_stores(request: pytest.FixtureRequest) -> Iterator[LoginStore]:
    """A login store of the requested kind, empty."""
    if request.param == "memory":
        yield MemoryLogins()
        return
    with _tables(request) as (client, names):
        yield LoginTable(lambda: client, names["LoginsTable"])


@contextmanager
def _tables(request: pytest.FixtureRequest) -> Iterator[tuple[Any, dict[str, str]]]:
    if request.param == "local":
        client = request.getfixturevalue("dynamodb_local").client()
        names = create_tables(TEMPLATE, client, expiring=False)
        try:
            yield client, names
        finally:
            for name in names.values():
                client.delete_table(TableName=name)
            client.close()
        return
    with locked_moto():
        client = boto3.client(
            "dynamodb", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        yield client, create_tables(TEMPLATE, client)
