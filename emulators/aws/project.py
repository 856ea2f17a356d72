"""What a Chalice project declares: its functions, routes, queues, schedules, time-outs and policy files.

Read from the app object itself, in a process of its own (two projects in one process would share
`sys.modules`), and from `.chalice/config.json` by the rules of `chalice package`. Deployed names follow
Chalice's: the function behind the REST API is `api_handler`, and its logical id in the packaged template is
`APIHandler`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulators.aws.errors import ProjectError

API_FUNCTION = "api_handler"
CHALICE_TIMEOUT = 60.0  # Chalice's own default, seconds

_DESCRIBE = Path(__file__).with_name("describe.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    path: str
    method: str
    cors: Mapping[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSource:
    """An SQS event source, by the queue's name."""

    queue: str
    batch_size: int
    maximum_concurrency: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One Lambda function. ``queue`` and ``schedule`` are what invokes it, if either does."""

    name: str
    handler: str
    timeout: float
    policy_file: Path
    queue: QueueSource | None = None
    schedule: str | None = None

    @property
    def logical_id(self) -> str:
        """Its resource in the packaged template (`chalice.utils.to_cfn_resource_name`)."""
        if self.name == API_FUNCTION:
            return "APIHandler"
        words = re.split(r"[-_]", self.name)
        return re.sub(r"[^A-Za-z0-9]+", "", "".join(word[:1].upper() + word[1:] for word in words))


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    directory: Path
    app_name: str
    routes: tuple[Route, ...]
    functions: Mapping[str, Function]
    binary_types: tuple[str, ...]


def read_project(directory: Path, *, stage: str, environment: Mapping[str, str]) -> Project:
    """Describe the project in ``directory`` as deployed to ``stage``.

    :raises ProjectError: if app.py does not import, or declares an event source that this stack does not
    feed.
    """
    said, config = _describe(directory, environment), read_config(directory)
    declared = list(said["functions"])
    if said["routes"]:
        declared.insert(0, {"name": API_FUNCTION, "handler": "app.app", "kind": "rest"})
    return Project(
        directory=directory,
        app_name=said["app"],
        routes=tuple(Route(**route) for route in said["routes"]),
        functions={one["name"]: _function(one, directory, config, stage) for one in declared},
        binary_types=tuple(said["binary_types"]),
    )


def read_config(directory: Path) -> Mapping[str, Any]:
    """The project's `.chalice/config.json`; empty if it has none."""
    path = directory / ".chalice" / "config.json"
    found: Mapping[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def read_gateway_stage(directory: Path, *, stage: str) -> str:
    """The path prefix that the REST API is deployed under."""
    return str(configured(read_config(directory), stage, "", "api_gateway_stage", "api"))


def _describe(directory: Path, environment: Mapping[str, str]) -> Any:
    ran = subprocess.run(
        [sys.executable, "-P", str(_DESCRIBE)],
        cwd=directory,
        env={"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise ProjectError(f"{directory}/app.py does not import:\n{ran.stderr}")
    return json.loads(ran.stdout)


def _function(one: Mapping[str, Any], directory: Path, config: Mapping[str, Any], stage: str) -> Function:
    if one["kind"] not in {"rest", "invoked", "queue", "schedule"}:
        raise ProjectError(f"{one['name']}: this stack does not feed a {one['kind']}")
    queue = None
    if one["kind"] == "queue":
        queue = QueueSource(
            queue=one["queue"],
            batch_size=one["batch_size"],
            maximum_concurrency=one["maximum_concurrency"],
        )
    default_policy = f"policy-{stage}.json"
    return Function(
        name=one["name"],
        handler=one["handler"],
        timeout=float(str(configured(config, stage, one["name"], "lambda_timeout", CHALICE_TIMEOUT))),
        policy_file=directory
        / ".chalice"
        / str(configured(config, stage, one["name"], "iam_policy_file", default_policy)),
        queue=queue,
        schedule=one.get("schedule"),
    )


def configured(config: Mapping[str, Any], stage: str, function: str, key: str, default: object) -> object:
    """Chalice's order: the stage's function, the stage, the function, the whole."""
    stages = config.get("stages", {}).get(stage, {})
    for scope in (
        stages.get("lambda_functions", {}).get(function, {}),
        stages,
        config.get("lambda_functions", {}).get(function, {}),
        config,
    ):
        if key in scope:
            found: object = scope[key]
            return found
    return default
