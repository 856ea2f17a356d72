"""A pytest plugin: no test of any rung may make qstage log, store or answer a secret where it does not belong.

It learns secrets where they are made (the Globus emulator, the hidden fields of the service's own values, the answers
that hand them out) and listens where texts leave: log records and the functions' logs, requests to DynamoDB and SQS,
answers of the API in process and through the gateway, the words of errors. A test during which something leaks fails.
"""

from __future__ import annotations

import functools
import importlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from leak_book import Book, Kind, Place

from chalicelib.logs import JsonLines

_book = Book()
_attempts: list[str] = []
"""Items of sign-ins under way: what they hide is learnt only when the sign-in is finished, so they are read again."""

_HOLDERS = {
    "chalicelib.core.keys": {"ApiKey": {"secret": Kind.KEY}},
    "chalicelib.core.tokens": {
        "PlainTokens": {"access_token": Kind.TOKEN, "refresh_token": Kind.TOKEN},
        "AccessToken": {"value": Kind.TOKEN},
    },
    "chalicelib.core.ports.auth": {
        "ClientCredentials": {"client_secret": Kind.CLIENT},
        "ExchangeRequest": {"code": Kind.CODE, "verifier": Kind.VERIFIER, "nonce": Kind.NONCE},
    },
    "chalicelib.service.sign_in": {
        "Begun": {"state": Kind.STATE, "browser_secret": Kind.COOKIE},
        "Answer": {"state": Kind.STATE, "code": Kind.CODE},
        "Finished": {"cookie": Kind.COOKIE},
    },
    "chalicelib.service.device": {"Started": {"device_code": Kind.DEVICE}},
}
"""Values of the service that hold secrets, and their hidden fields."""

NO_SECRETS = frozenset({"digest", "content", "defaults", "_warm", "_good", "_bad", "_blocked", "_hidden"})
"""Hidden fields that hold none: hashes, ciphertext, and what other values hold."""

OURS = ("chalicelib", "qstage", "lambda", "app", "root", "boto", "globus_sdk", "urllib3", "requests")
"""Whose log records are qstage's: its own, and those of what it ships."""


@contextmanager
def instead(book: Book) -> Iterator[Book]:
    """Let another book be written meanwhile: for tests of the scan itself."""
    global _book
    kept, _book = _book, book
    try:
        yield book
    finally:
        _book = kept


# learning


def learn_from_answer(headers: list[tuple[str, str]], body: str) -> None:
    """What an answer of the API hands out."""
    for name, value in headers:
        if name.lower() == "set-cookie":
            _book.learn(Kind.COOKIE, value.partition(";")[0].partition("=")[2])
        elif name.lower() == "location":
            query = parse_qs(urlsplit(value).query)
            _book.learn(Kind.STATE, query.get("state", [None])[0])
            _book.learn(Kind.NONCE, query.get("nonce", [None])[0])
    if body.startswith("{") and any(f'"{name}"' in body for name in ("device_code", "key", "agent_token")):
        told = json.loads(body)
        _book.learn(Kind.DEVICE, told.get("device_code"))
        for name in ("key", "agent_token"):
            if isinstance(made := told.get(name), str):
                _book.learn(Kind.KEY, made.split("_", 2)[-1])


def learn_from_message(body: bytes) -> None:
    """What the API hands to the exchange function."""
    if b'"verifier"' in body:
        told = json.loads(body)
        _book.learn(Kind.CODE, told["code"])
        _book.learn(Kind.VERIFIER, told["verifier"])
        _book.learn(Kind.NONCE, told["nonce"])


# listening


def look_at_answer(method: str, path: str, headers: list[tuple[str, str]], body: str) -> None:
    learn_from_answer(headers, body)
    for name, value in headers:
        _book.look(Place(what=f"answer's {name}", method=method, path=path), value)
    _book.look(Place(what="answer's body", method=method, path=path), body)


def look_at_item(text: str) -> None:
    _book.look(Place(what="item"), text)
    if "browser_hash" in text:
        _attempts.append(text)


class Listener(logging.Handler):
    """Reads each record as it would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines())

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(OURS):
            _book.look(Place(what="log"), self.format(record))


def _after(owner: Any, name: str, heard: Callable[..., None]) -> None:
    """Have ``heard(answer, *arguments)`` called after each call of a method."""
    before = getattr(owner, name)

    @functools.wraps(before)
    def called(*args: Any, **named: Any) -> Any:
        answer = before(*args, **named)
        heard(answer, *args, **named)
        return answer

    setattr(owner, name, called)


def _listen_to_emulators() -> None:
    from emulators.aws.front import Front
    from emulators.aws.gateway import Gateway
    from emulators.aws.stack import AwsStack
    from emulators.globus.auth_models import AuthBook
    from emulators.globus.emulator import GlobusEmulator

    _after(AuthBook, "issue", lambda token, *_, **__: _book.learn(Kind.TOKEN, token.value))
    _after(AuthBook, "issue_code", lambda code, *_, **__: _book.learn(Kind.CODE, code))
    _after(GlobusEmulator, "start", _learn_clients)
    _after(Gateway, "answer", _look_at_gateway)
    _after(Front, "answer", _look_at_front)
    stop = AwsStack.stop

    def stopped(stack: Any) -> None:
        stop(stack)
        beside = stack.state_dir.parent
        for path in [
            *stack.state_dir.glob("logs/*.log"),
            *beside.glob("agent/*.log"),
            *beside.glob("agent/state/**/*"),
        ]:
            if path.is_file():
                _book.look(Place(what=f"log of {path.stem}"), path.read_text(errors="replace"))

    AwsStack.stop = stopped  # type: ignore[method-assign]


def _learn_clients(_: Any, emulator: Any, *__: Any) -> None:
    for client in emulator.world.people.clients.values():
        _book.learn(Kind.CLIENT, client.secret)


def _look_at_gateway(answer: Any, gateway: Any, request: Any) -> None:
    path = request.target.partition("?")[0].removeprefix(f"/{gateway._stage}")
    look_at_answer(request.method, path, list(answer.headers), answer.body.decode(errors="replace"))


def _look_at_front(answer: Any, front: Any, request: Any) -> None:
    target = (request.header("X-Amz-Target") or "").lower()
    if target.startswith(("dynamodb", "amazonsqs")):
        look_at_item(request.body.decode(errors="replace"))
    elif "/functions/" in request.target:
        learn_from_message(request.body)
        _book.look(Place(what="answer of a function"), answer.body.decode(errors="replace"))


def _listen_in_process() -> None:
    from botocore.client import BaseClient
    from chalice.test import TestHTTPClient

    from chalicelib.core.errors import QstageError

    for module, holders in _HOLDERS.items():
        for name, hidden in holders.items():
            _after(getattr(importlib.import_module(module), name), "__init__", _learner(hidden))
    _after(TestHTTPClient, "request", _look_at_test_answer)
    _after(BaseClient, "_make_api_call", _look_at_call)
    _after(QstageError, "__init__", lambda _, __, *said: _book.look(Place(what="error"), repr(said)))


def _learner(hidden: dict[str, Kind]) -> Callable[..., None]:
    def learn(_: Any, made: Any, *__: Any, **___: Any) -> None:
        for name, kind in hidden.items():
            _book.learn(kind, getattr(made, name))

    return learn


def _look_at_test_answer(answer: Any, _: Any, method: str, path: str, *__: Any, **___: Any) -> None:
    flat = [
        (name, each)
        for name, value in (answer.headers or {}).items()
        for each in (value if isinstance(value, list) else [value])
    ]
    look_at_answer(method, path.partition("?")[0], flat, (answer.body or b"").decode(errors="replace"))


def _look_at_call(_: Any, client: Any, operation: str, parameters: Any) -> None:
    service = client.meta.service_model.service_name
    if service in ("dynamodb", "sqs"):
        look_at_item(str(parameters))


def hidden_fields(module: Any) -> set[tuple[str, str]]:
    """(class, field) of every field that a module's values keep out of their repr."""
    return {
        (cls.__name__, each.name)
        for cls in vars(module).values()
        if isinstance(cls, type) and is_dataclass(cls) and cls.__module__ == module.__name__
        for each in fields(cls)
        if not each.repr and each.name not in NO_SECRETS
    }


# pytest

_TOLD, _SECRETS = "leak_scan", "secrets"
_elsewhere: Counter[str] = Counter()
"""What other processes of this run have looked at, and how many secrets they knew."""


def pytest_configure(config: pytest.Config) -> None:
    _listen_in_process()
    _listen_to_emulators()
    logging.getLogger().addHandler(Listener())
    logging.getLogger("chalicelib").setLevel(logging.INFO)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Any:
    _book.where = item.nodeid
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Any:
    found = yield
    if _book.findings:
        leaks, _book.findings = _book.findings, []
        pytest.fail("secrets leaked:\n" + "\n".join(dict.fromkeys(leaks)), pytrace=False)
    return found


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Of tests that are spread over processes, each tells the one that reports what it has looked at."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[_TOLD] = (_book.secrets(), dict(_shortly(_book.looked_at)))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    secrets, looked_at = getattr(node, "workeroutput", {}).get(_TOLD, (0, {}))
    _elsewhere.update({_SECRETS: secrets, **looked_at})


def pytest_terminal_summary(terminalreporter: Any) -> None:
    sums = _elsewhere + _shortly(_book.looked_at)
    secrets = _book.secrets() + sums.pop(_SECRETS, 0)
    looked = ", ".join(f"{what} {size:,}" for what, size in sorted(sums.items()))
    terminalreporter.write_line(f"leak scan: {secrets} secrets; characters looked at: {looked or 'none'}")


def _shortly(looked_at: Mapping[str, int]) -> Counter[str]:
    """By the first word: log, item, answer's, error."""
    sums: Counter[str] = Counter()
    for what, size in looked_at.items():
        sums[what.split(" ")[0].removesuffix("'s")] += size
    return sums
