"""What several files of this rung use: Amazon's own DynamoDB Local, started once for all tests of a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulators.aws.dynamodb_local import DynamoDBLocal, missing


@pytest.fixture(scope="session")
def dynamodb_local() -> Iterator[DynamoDBLocal]:
    """A server without tables: who makes some takes them away again."""
    if reason := missing():
        pytest.skip(reason)
    with DynamoDBLocal(brief=True) as running:
        yield running
