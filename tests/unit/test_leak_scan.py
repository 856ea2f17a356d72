"""The scan for secrets is honest: what is planted is found, where it belongs it is not, and the session fails."""

from __future__ import annotations

import importlib
import json
import logging
import os
import pkgutil
import secrets
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import leak_scan
import pytest
from leak_book import Book, Kind, Place
from login_browser import Visitor, visitor_of
from login_house import ADA, House

import chalicelib
from chalicelib.core.errors import FarSide
from chalicelib.core.tokens import PlainTokens

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def book() -> Iterator[Book]:
    """A book of one's own: what this test plants is not the suite's leak."""
    with leak_scan.instead(Book()) as own:
        yield own


@pytest.fixture
def secret() -> str:
    return secrets.token_urlsafe(32)


@pytest.mark.parametrize(
    "around", ["{}", "x{}y", '{{"a": "{}"}}', "https://x/?code={}&state=1", "Bearer qsk_abc_{}", "'{}'"]
)
def test_a_secret_is_found_whatever_is_around_it(book: Book, secret: str, around: str) -> None:
    book.learn(Kind.CODE, secret)
    book.look(Place(what="log"), around.format(secret))
    (found,) = book.findings
    assert "authorization code" in found
    assert secret not in found, "a finding is read by many"


def test_a_secret_may_be_where_it_is_handed_out_and_nowhere_else(book: Book, secret: str) -> None:
    book.learn(Kind.KEY, secret)
    for path in ("/v1/keys", "/v1/device/token", "/v1/sites"):
        book.look(Place(what="answer's body", method="POST", path=path), secret)
    assert book.findings == []
    book.look(Place(what="answer's body", method="GET", path="/v1/keys"), secret)
    book.look(Place(what="answer's Location", method="POST", path="/v1/keys"), secret)
    book.look(Place(what="item"), secret)
    assert len(book.findings) == 3


@pytest.mark.parametrize("kind", [Kind.TOKEN, Kind.CLIENT, Kind.CODE])
def test_what_is_globus_own_is_shown_nowhere(book: Book, secret: str, kind: Kind) -> None:
    book.learn(kind, secret)
    for what in ("answer's body", "answer's Location", "answer's Set-Cookie", "item"):
        book.look(Place(what=what, method="GET", path="/callback"), secret)
    assert len(book.findings) == 4


def test_the_words_of_a_test_are_no_secrets(book: Book) -> None:
    for word in ("access-1", "x" * 43, "", None):
        book.learn(Kind.TOKEN, word)
    assert book.secrets() == 0


def test_every_hidden_field_of_the_service_is_one_that_the_scan_knows() -> None:
    known = {
        (cls, name) for holders in leak_scan._HOLDERS.values() for cls, hidden in holders.items() for name in hidden
    }
    modules = [each.name for each in pkgutil.walk_packages(chalicelib.__path__, "chalicelib.")]
    hidden = {field for name in modules for field in leak_scan.hidden_fields(importlib.import_module(name))}
    assert hidden == known


def test_a_token_in_a_log_record_or_in_its_traceback_is_found(
    book: Book, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = PlainTokens(access_token=secret, refresh_token=None, expires_at=House().clock.now() + timedelta(hours=1))
    log = logging.getLogger("chalicelib.somewhere")
    log.info("harmless", extra={"fields": {"tokens": tokens}})
    assert book.findings == [], "what hides itself is no leak"
    log.info("a leak", extra={"fields": {"token": tokens.access_token}})
    assert len(book.findings) == 1
    log.error("another", exc_info=(ValueError, ValueError(f"bad token {secret}"), None))
    assert len(book.findings) == 2


def test_a_secret_in_the_words_of_an_error_is_found(book: Book, secret: str) -> None:
    book.learn(Kind.CODE, secret)
    FarSide("auth", "x", f"the code {secret} is no good", transient=False)
    assert len(book.findings) == 1


def test_a_secret_in_an_answer_is_found(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    with visitor_of(house, monkeypatch) as visitor:
        visitor.sign_in()
        assert book.findings == []
        key = house.key_of(ADA, "read")
        ask(visitor, key)
        assert book.findings == []
        monkeypatch.setattr("chalicelib.api.me._shown", lambda who: {"your key": key})
        ask(visitor, key)
    assert len(book.findings) == 1
    assert "answer's body GET /v1/me" in book.findings[0]


def ask(visitor: Visitor, key: str) -> None:
    assert visitor.get("/v1/me", Authorization=f"Bearer {key}").status == 200


def test_a_secret_in_an_item_is_found(book: Book, secret: str) -> None:
    book.learn(Kind.VERIFIER, secret)
    leak_scan.look_at_item(json.dumps({"verifier": {"S": secret}}))
    assert len(book.findings) == 1


LEAKING = """
import logging, secrets
from chalicelib.core.keys import ApiKey, KeyKind

def test_that_leaks():
    key = ApiKey(kind=KeyKind.KEY, id="a" * 12, secret=secrets.token_urlsafe(32))
    logging.getLogger("chalicelib.x").warning("made %s", key.reveal())

def test_that_does_not():
    key = ApiKey(kind=KeyKind.KEY, id="a" * 12, secret=secrets.token_urlsafe(32))
    logging.getLogger("chalicelib.x").warning("made %s", key)
"""


def test_a_session_in_which_something_leaks_fails_and_names_the_test(tmp_path: Path) -> None:
    (tmp_path / "test_planted.py").write_text(LEAKING)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "leak_scan", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 passed, 1 error" in done.stdout
    assert "API key or agent's token" in done.stdout
    assert "test_planted.py::test_that_leaks" in done.stdout
