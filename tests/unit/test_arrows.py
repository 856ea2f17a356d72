"""The arrows between the parts: who may import whom, read from the source by ``ast``.

Imports count wherever they stand: at the top of a module, inside a function, under TYPE_CHECKING, or as the
literal argument of ``import_module``. The checker itself is tried on small wrong sources below.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("app.py", "chalicelib", "qstage", "emulators", "infra", "bench")
OURS = frozenset({"app", "chalicelib", "qstage", "emulators", "infra", "bench", "tests"})
SHIPPED = ("app", "chalicelib")
NEVER_SHIPPED = frozenset({"moto", "psij", "click", "rich"})
HEAVY = frozenset({"boto3", "botocore", "globus_sdk"})
"""What costs a cold start hundreds of milliseconds: imported where it is used."""

LAYERS: dict[str, tuple[str, ...]] = {
    "app": (
        "chalicelib.api",
        "chalicelib.core",
        "chalicelib.service",
        "chalicelib.wiring",
        "chalicelib.logs",
    ),
    "chalicelib.core": ("chalicelib.core",),
    "chalicelib.service": ("chalicelib.core", "chalicelib.service"),
    "chalicelib.adapters": ("chalicelib.core", "chalicelib.adapters"),
    "chalicelib.api": (
        "chalicelib.core",
        "chalicelib.service",
        "chalicelib.api",
        "chalicelib.pages",
        "chalicelib.version",
    ),
    "chalicelib.api.rooms": ("chalicelib.core", "chalicelib.service", "chalicelib.wiring"),
    "chalicelib.wiring": (
        "chalicelib.core",
        "chalicelib.service",
        "chalicelib.adapters",
        "chalicelib.settings",
        "chalicelib.version",
    ),
    "chalicelib.pages": ("chalicelib.pages",),
    "chalicelib": (),
    "qstage": ("qstage",),
    # The simulator takes this part alone, so it stands alone.
    "qstage.cobalt": ("qstage.cobalt",),
    "emulators": ("emulators", "chalicelib.core", "qstage.cobalt"),
    "emulators.stack": ("emulators", "chalicelib.core", "qstage.cobalt", "qstage.client"),
    # Loads the application as Lambda would.
    "emulators.aws.describe": ("emulators", "app"),
    "emulators.demo": ("emulators", "chalicelib.core", "qstage.cobalt", "qstage.client"),
    "infra": ("infra", "emulators"),
    "bench": ("bench", "chalicelib", "qstage", "emulators", "app"),
}
"""What of ours each part may import. The longest name that fits a module speaks for it."""

THIRD_PARTY: dict[str, frozenset[str] | None] = {
    "app": frozenset({"chalice"}),
    "chalicelib": frozenset(),
    "chalicelib.adapters": None,
    "chalicelib.api": frozenset({"chalice"}),
    "chalicelib.wiring": HEAVY,
    "qstage": None,
    "qstage.cobalt": frozenset(),
    "emulators": None,
    "infra": None,
    "bench": None,
}
"""Which packages of others it may import; None is any, but for what is never shipped and what is heavy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One import. ``runs`` is import time (``top``), call time (``inside``) or never (``typing``)."""

    name: str
    line: int
    runs: str


def imports(source: str, module: str, *, package: bool = False) -> Iterator[Import]:
    """Every import of a source. A name that is imported from a package of ours is told apart by its own path."""
    yield from _walk(ast.parse(source), module if package else module.rpartition(".")[0], "top")


def _walk(node: ast.AST, package: str, runs: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        here = _runs(node, child, runs)
        match child:
            case ast.Import(names=names):
                yield from (Import(name=alias.name, line=child.lineno, runs=here) for alias in names)
            case ast.ImportFrom(names=names):
                base = _base(child, package)
                yield from (Import(name=f"{base}.{alias.name}", line=child.lineno, runs=here) for alias in names)
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if _is_importer(child.func):
                yield Import(name=name, line=child.lineno, runs=here)
        yield from _walk(child, package, here)


def _base(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    above = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def _is_importer(func: ast.expr) -> bool:
    name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
    return name in ("import_module", "__import__")


def _runs(parent: ast.AST, node: ast.AST, runs: str) -> str:
    if isinstance(parent, ast.If) and _is_type_checking(parent.test) and node in parent.body:
        return "typing"
    inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    return "inside" if inside and runs == "top" else runs


def _is_type_checking(test: ast.expr) -> bool:
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))


def wrong_arrows(module: str, found: Iterator[Import]) -> Iterator[str]:
    """What is wrong with the imports of a module, one sentence for each."""
    part = max((name for name in LAYERS if within(module, name)), key=len)
    others = max((name for name in THIRD_PARTY if within(module, name)), key=len)
    for each in found:
        root = each.name.partition(".")[0]
        where = f"{module}:{each.line}"
        if root in OURS:
            if not any(within(each.name, allowed) for allowed in LAYERS[part]):
                yield f"{where}: {part} must not import {each.name}"
        elif root not in sys.stdlib_module_names:
            allowed_others = THIRD_PARTY[others]
            shipped = module.partition(".")[0] in SHIPPED
            if shipped and root in NEVER_SHIPPED:
                yield f"{where}: {each.name} is never shipped"
            elif allowed_others is not None and root not in allowed_others:
                yield f"{where}: {others} must not import {each.name}"
            elif shipped and root in HEAVY and each.runs == "top":
                yield f"{where}: {each.name} belongs into the function that uses it"
        if each.name.startswith("chalicelib.wiring") and each.runs == "top":
            yield f"{where}: wiring names every adapter and belongs into the function that uses it"


def within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def sources() -> Iterator[tuple[str, Path]]:
    for place in PLACES:
        path = ROOT / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            parts = file.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


def test_every_arrow_of_the_project_points_the_right_way() -> None:
    found: list[str] = []
    seen = set()
    for module, file in sources():
        seen.add(max((name for name in LAYERS if within(module, name)), key=len))
        package = file.name == "__init__.py"
        found += wrong_arrows(module, imports(file.read_text(), module, package=package))
    assert seen == set(LAYERS), f"no source was read for {set(LAYERS) - seen}"
    assert not found, "\n".join(found)


WRONG = {
    "core reaches out": ("chalicelib.core.batch", "import boto3"),
    "core reads a port of others": ("chalicelib.core.batch", "from chalicelib.service import sync"),
    "core asks the web": ("chalicelib.core.batch", "def f():\n    import requests"),
    "core for types only": (
        "chalicelib.core.batch",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from chalicelib.adapters.kms import Kms",
    ),
    "core by a relative path": ("chalicelib.core.batch", "from ..service import sync"),
    "core by two steps up": ("chalicelib.core.ports.jobs", "from ...adapters import kms"),
    "core by name": ("chalicelib.core.batch", "import importlib\nimportlib.import_module('chalicelib.adapters.kms')"),
    "service names an adapter": ("chalicelib.service.sync", "from chalicelib.adapters.sqs import Sqs"),
    "service knows HTTP": ("chalicelib.service.sync", "from chalice.app import Response"),
    "an adapter calls a service": ("chalicelib.adapters.sqs", "from chalicelib.service import sync"),
    "an adapter loads boto3 at once": ("chalicelib.adapters.sqs", "import boto3"),
    "an adapter's class loads an SDK": ("chalicelib.adapters.sqs", "class A:\n    import globus_sdk"),
    "an adapter's else branch loads an SDK": (
        "chalicelib.adapters.sqs",
        "if TYPE_CHECKING:\n    import boto3\nelse:\n    import boto3",
    ),
    "the API names an adapter": ("chalicelib.api.jobs", "def f():\n    from chalicelib.adapters.sqs import Sqs"),
    "the API wires": ("chalicelib.api.jobs", "def f():\n    from chalicelib.wiring import services"),
    "wiring at import": ("chalicelib.api.rooms", "from chalicelib.wiring import services"),
    "the app wires at import": ("app", "from chalicelib.wiring import services"),
    "the app names an adapter": ("app", "def f():\n    from chalicelib import adapters"),
    "the app ships moto": ("app", "def f():\n    import moto"),
    "an adapter ships moto": ("chalicelib.adapters.kms", "def f():\n    import moto.core"),
    "the service imports the client": ("chalicelib.api.jobs", "from qstage.client import Client"),
    "the service imports an emulator": ("chalicelib.wiring", "def f():\n    import emulators.clock"),
    "the client imports the service": ("qstage.cli.app", "from chalicelib.core.document import schema"),
    "the client imports an emulator": ("qstage.agent.loop", "from emulators import clock"),
    "the grammar imports its users": ("qstage.cobalt.qsub", "from qstage.client import Client"),
    "an emulator imports the service": ("emulators.globus.engine", "from chalicelib.service import sync"),
    "an emulator imports the client": ("emulators.cobalt.desk", "from qstage.client import Client"),
    "an emulator within a stack of its own": ("emulators.aws.stack", "from qstage.client import Client"),
    "settings import core": ("chalicelib.settings", "from chalicelib import wiring"),
    "tests are imported": ("emulators.clock", "import tests.unit"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_the_checker_finds(wrong: str) -> None:
    module, source = WRONG[wrong]
    assert list(wrong_arrows(module, imports(source, module)))


RIGHT = {
    "core of core": ("chalicelib.core.batch", "import json\nfrom chalicelib.core import paths\nfrom . import ids"),
    "a lazy SDK": ("chalicelib.adapters.sqs", "def f():\n    import boto3"),
    "an SDK in a method": ("chalicelib.adapters.sqs", "class A:\n    async def f(self):\n        import globus_sdk"),
    "an SDK for types": (
        "chalicelib.adapters.sqs",
        "if typing.TYPE_CHECKING:\n    from globus_sdk import X",
    ),
    "pages and version": (
        "chalicelib.api.home",
        "from chalicelib import pages, version",
    ),
    "the rooms are wired late": ("chalicelib.api.rooms", "def f():\n    from chalicelib.wiring import services"),
    "a demo is a client": ("emulators.demo", "from qstage.client import Client"),
    "the simulator speaks Cobalt": ("emulators.cobalt.desk", "from qstage.cobalt.qsub import parse"),
    "a name that only begins alike": ("qstage.cli.app", "import chalicelibrary"),
}


@pytest.mark.parametrize("right", RIGHT)
def test_the_checker_lets_pass(right: str) -> None:
    module, source = RIGHT[right]
    assert not list(wrong_arrows(module, imports(source, module)))
