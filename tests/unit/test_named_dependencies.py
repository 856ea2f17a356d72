"""Whatever this repository imports is named by one of its own lists, and does not arrive with something else."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = {"app", "bench", "chalicelib", "docs", "emulators", "infra", "qstage", "tests"}


def imported(top: Path) -> set[str]:
    """The top-level packages of others that the sources below a directory import, wherever they do it."""
    found: set[str] = set()
    for path in top.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(str(node.module).partition(".")[0])
    beside = {path.stem for path in top.rglob("*.py")}
    return found - OURS - beside - sys.stdlib_module_names


def named(*requirements: str) -> set[str]:
    """The distributions of requirement lines, as the index writes them."""
    names = [re.split(r"[\[<>=!~; ]", line, maxsplit=1)[0] for line in requirements]
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names if name and not name.startswith("#")}


def unnamed(top: str, lists: set[str]) -> set[str]:
    distributions = packages_distributions()
    return {
        package
        for package in imported(ROOT / top)
        if not lists & {re.sub(r"[-_.]+", "-", each).lower() for each in distributions.get(package, [package])}
    }


@pytest.mark.parametrize("top", ["bench", "docs", "emulators", "infra", "qstage", "tests"])
def test_an_import_is_of_a_dependency_that_is_named(top: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = named(*project["dependencies"])
    for extra in ("agent",) if top == "qstage" else ("agent", "dev"):
        lists |= named(*project["optional-dependencies"][extra])
    assert unnamed(top, lists) == set()


def test_what_is_deployed_imports_what_lambda_installs_or_has() -> None:
    has = {"boto3", "botocore", "chalice"}
    assert unnamed("chalicelib", has | named(*(ROOT / "requirements.txt").read_text().splitlines())) == set()


def test_a_list_without_the_package_is_noticed() -> None:
    assert "werkzeug" in unnamed("emulators", {"requests"})
