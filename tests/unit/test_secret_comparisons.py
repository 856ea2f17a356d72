"""What somebody may guess is compared in constant time: the source has no ``==`` on a secret or its hash."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECRET = re.compile(
    r"secret|token|cookie|verifier|nonce|csrf|proof|digest|signature|credential|password|hashed|_hash|authorization"
)
OWN = {
    ("chalicelib/adapters/globus_transfer.py", "token"): "which of our own tokens the client at hand was made with",
    ("chalicelib/adapters/login_table.py", "device_hash"): "whether a stored item is our own write, by hashes",
    ("chalicelib/adapters/login_table.py", "digest"): "whether a stored item is our own write, by hashes",
}
"""Comparisons of what is all our own: no caller chooses either side."""


def compared_secrets(source: str) -> Iterator[tuple[int, str]]:
    """(line, name) of each operand of ``==``, ``!=``, ``in`` or ``not in`` that is named like a secret."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            for left, how, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
                if isinstance(how, ast.Eq | ast.NotEq | ast.In | ast.NotIn) and not _is_fixed(left, right):
                    yield from ((node.lineno, name) for side in (left, right) for name in _names(side))


def _is_fixed(*sides: ast.expr) -> bool:
    """A comparison with what the source itself says (a word, None, a number, a name in capitals) guards no secret."""
    return any(
        isinstance(side, ast.Constant)
        or (isinstance(side, ast.Name | ast.Attribute) and _last(side).isupper())
        or (isinstance(side, ast.Tuple | ast.Set | ast.List) and all(isinstance(e, ast.Constant) for e in side.elts))
        for side in sides
    )


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _names(node: ast.expr) -> list[str]:
    """What the operand is called: a name, an attribute, the function whose answer it is."""
    if isinstance(node, ast.Call):
        return [*_names(node.func), *(name for each in node.args for name in _names(each))]
    if isinstance(node, ast.Tuple):
        return [name for each in node.elts for name in _names(each)]
    name = _last(node)
    return [name] if SECRET.search(name.lower()) else []


def sources() -> list[Path]:
    """All that answers callers; the twins in memory answer tests."""
    found = [ROOT / "app.py", *(ROOT / "chalicelib").rglob("*.py")]
    return sorted(path for path in found if "memory" not in path.relative_to(ROOT).as_posix())


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_secret_is_compared_in_a_time_that_tells_of_it(path: Path) -> None:
    where = str(path.relative_to(ROOT))
    found = [hit for hit in compared_secrets(path.read_text()) if (where, hit[1]) not in OWN]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "record.digest == key.digest",
        "cookie != given",
        "hashed(code) == stored",
        "if api_key.secret in secrets: pass",
        "(user, csrf_token) == (a, b)",
        "1 < 2 == len(x) == token",
    ],
)
def test_the_check_finds_a_comparison_that_tells(source: str) -> None:
    assert list(compared_secrets(source))


def test_every_exception_is_still_there() -> None:
    assert all(name in {hit[1] for hit in compared_secrets((ROOT / where).read_text())} for where, name in OWN)


@pytest.mark.parametrize("path", ["core/keys.py", "core/logins.py"])
def test_where_a_secret_is_checked_it_is_in_constant_time(path: str) -> None:
    assert "hmac.compare_digest(" in (ROOT / "chalicelib" / path).read_text()
