"""Nothing secret lies, is logged or is answered in the clear; and each function can do only what its policy says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError
from whole_stack import document, finished

from emulators.stack import USER, Stack
from qstage.client import Client

TABLES = ("JobsTable", "TokensTable", "LoginsTable", "PlacesTable")


@pytest.fixture(scope="module")
def answers(stack: Stack) -> list[str]:
    """Every answer of the API to a run that uses each part of it, and a run that fails."""
    assert stack.login is not None
    heard: list[str] = []
    session = requests.Session()
    session.hooks["response"].append(lambda reply, **_: heard.append(f"{reply.headers}\n{reply.text}"))
    client = Client(stack.url, stack.login.key, session=session)
    good = client.submit(document(stack)).jobs[0].id
    bad = client.submit(document(stack, script="#!/bin/bash\nenv\nexit 3\n")).jobs[0].id
    assert finished(stack, good).state == "completed"
    assert finished(stack, bad).state == "failed"
    for number in (good, bad):
        client.job(number)
        client.story(number)
    client.jobs()
    client.me()
    client.sites()
    client.keys()
    for path in ("/", "/login?next=//evil", "/callback?state=x&code=y", "/device", "/v1/jobs/1", "/v1/nowhere"):
        session.get(stack.url + path, allow_redirects=False)
    return heard


def secrets_of(stack: Stack) -> dict[str, str]:
    """Everything that must not be seen: Globus's tokens and the client's secret, the key, the agent's token."""
    assert stack.login is not None
    found = {f"{token.kind} token": token.value for token in stack.globus.world.auth.tokens()}
    token_file = stack.state / "agent" / "theta.token"
    found |= {
        "client secret": str(stack.globus.client("qstage").secret),
        "API key": stack.login.key.split("_", 2)[2],
        "agent's token": token_file.read_text().strip().split("_", 2)[2],
    }
    assert len(found) >= 5
    assert all(len(value) > 20 for value in found.values())
    return found


def items(stack: Stack) -> Iterator[str]:
    client = stack.aws.client("dynamodb")
    for table in TABLES:
        name = stack.aws.created.look_up(table, None)
        for page in client.get_paginator("scan").paginate(TableName=name):
            for item in page["Items"]:
                yield f"{table}: {item}"


def test_no_item_log_line_or_answer_holds_a_secret(stack: Stack, answers: list[str]) -> None:
    secrets = secrets_of(stack)
    logs = [*(stack.state / "aws" / "logs").glob("*.log"), stack.agent_log]
    jobs = [path for path in stack.site_directory.rglob("*") if path.is_file()]
    journal = [path for path in (stack.state / "agent" / "state").rglob("*") if path.is_file()]
    places: dict[str, list[str]] = {
        "items": list(items(stack)),
        "logs": [path.read_text(errors="replace") for path in logs],
        "answers": answers,
        "job directories": [path.read_text(errors="replace") for path in jobs],
        "the agent's journal": [path.read_bytes().decode("latin-1") for path in journal],
    }
    for place, texts in places.items():
        assert sum(map(len, texts)) > 500, f"{place}: too little was looked at"
    seen = [(what, place) for what, value in secrets.items() for place, texts in places.items() if value in str(texts)]
    assert seen == []


def test_the_scan_would_find_a_secret_that_is_there(stack: Stack, answers: list[str]) -> None:
    """The scan is honest: tokens are stored, sealed, and the words of the run are seen where they should be."""
    stored = list(items(stack))
    assert any(text.startswith("TokensTable") and "sealed" in text for text in stored)
    assert any(USER in text for text in stored)
    assert any("whole" in text for text in answers)


def refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return str(error.value.response["Error"]["Code"])


@pytest.fixture
def sealed(stack: Stack) -> Any:
    """Ada's tokens as they are stored."""
    name = stack.aws.created.look_up("TokensTable", None)
    return stack.aws.client("dynamodb").scan(TableName=name)["Items"][0]


@pytest.mark.parametrize("function", ["api_handler", "exchange", "sweep"])
def test_no_function_that_need_not_can_unseal_a_token(stack: Stack, sealed: Any, function: str) -> None:
    context = {"user": sealed["user"]["S"], "purpose": "transfer"}
    request = {"CiphertextBlob": sealed["sealed"]["B"], "EncryptionContext": context}
    assert refused(stack.aws.client("kms", function).decrypt, **request) == "AccessDeniedException"
    opened = stack.aws.client("kms", "reconcile").decrypt(**request)
    assert b"access_token" in opened["Plaintext"], "the planner can: the refusals above are not for a broken request"


@pytest.mark.parametrize("function", ["api_handler", "sweep"])
def test_no_function_that_need_not_can_read_the_globus_secret_or_the_tokens(stack: Stack, function: str) -> None:
    secret = stack.aws.created.look_up("GlobusClientSecret", None)
    tokens = stack.aws.created.look_up("TokensTable", None)
    get = stack.aws.client("secretsmanager", function).get_secret_value
    assert refused(get, SecretId=secret) == "AccessDeniedException"
    query = {"TableName": tokens, "Key": {"user": {"S": "anybody"}}}
    assert refused(stack.aws.client("dynamodb", function).get_item, **query) == "AccessDeniedException"


def test_one_users_sealed_tokens_do_not_open_as_anothers(stack: Stack, sealed: Any) -> None:
    context = {"user": "somebody else", "purpose": "transfer"}
    request = {"CiphertextBlob": sealed["sealed"]["B"], "EncryptionContext": context}
    assert refused(stack.aws.client("kms", "reconcile").decrypt, **request) == "InvalidCiphertextException"


def test_the_public_function_is_told_neither_the_key_nor_the_secret_nor_the_tokens_table(stack: Stack) -> None:
    told = stack.aws.function_environment("api_handler")
    assert not {"QSTAGE_TOKEN_KEY", "QSTAGE_GLOBUS_SECRET", "QSTAGE_TOKENS_TABLE"} & told.keys()
    assert "QSTAGE_JOBS_TABLE" in told
    assert not any(str(stack.globus.client("qstage").secret) in value for value in told.values())


def test_the_stack_listens_on_loopback_only(stack: Stack) -> None:
    for address in (stack.url, stack.globus.url, stack.aws.endpoint_url):
        assert address.startswith("http://127.0.0.1:")
    assert Path(stack.state / "agent" / "theta.token").stat().st_mode & 0o077 == 0
