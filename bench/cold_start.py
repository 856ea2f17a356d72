"""How long a new Lambda process takes to its first answer, next to what any function on AWS pays.

Each run is a fresh process, timed from its start to the line that bears its answer; runs of the commands
take turns, so that a busy machine slows all alike. Figures are medians, and ratios to a process that
imports boto3 and makes a DynamoDB client: milliseconds differ between machines, ratios much less. `measure`
takes any commands; `bench.__main__` says which.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulators.aws import AwsStack
from emulators.aws import function as runtime
from emulators.aws.project import Route
from emulators.aws.proxy_event import Match, proxy_event
from emulators.aws.web import Request

ROOT = Path(__file__).parents[1]
BASELINE = "boto3 and a DynamoDB client"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A process that prints one line when it has its answer; it must end with status 0."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Milliseconds of a command's runs, and its median's ratio to the baseline's."""

    name: str
    runs: tuple[float, ...]
    ratio: float

    @property
    def median(self) -> float:
        return statistics.median(self.runs)


def baseline(environment: Mapping[str, str]) -> Command:
    code = "import boto3; boto3.client('dynamodb', region_name='us-east-1'); print('ready', flush=True)"
    return Command(arguments=(sys.executable, "-P", "-c", code), environment=environment)


def once(name: str, *, project: Path, event: Path, environment: Mapping[str, str]) -> Command:
    """A function's host that runs one event and prints the handler's answer."""
    arguments = (sys.executable, "-P", runtime.__file__, name, "--project", str(project), "--once", str(event))
    return Command(arguments=arguments, environment=environment)


def time_once(command: Command) -> float:
    """Milliseconds from the start of the process to its line.

    :raises RuntimeError: if it fails: a cold start to an error is no figure.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        command.arguments, env=dict(command.environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        took = (time.perf_counter() - started) * 1000
        _, errors = process.communicate()
    if process.returncode or not line or _refused(line):
        raise RuntimeError(f"{command.arguments[-1]}: {line}{errors}")
    return took


def _refused(line: str) -> bool:
    try:
        answer = json.loads(line)
    except ValueError:
        return False
    return isinstance(answer, dict) and int(answer.get("statusCode", 200)) >= 400


def measure(
    commands: Mapping[str, Command], *, runs: int, prepare: Callable[[str], None] = lambda name: None
) -> list[Figure]:
    """Time every command ``runs`` times, in turns, after one run of each that does not count. The first is
    the base. ``prepare`` is called with a command's name before each of its runs, outside the time."""
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, command in commands.items():
            prepare(name)
            took = time_once(command)
            if turn:
                taken[name].append(took)
    base = statistics.median(next(iter(taken.values())))
    return [
        Figure(name=name, runs=tuple(times), ratio=statistics.median(times) / base) for name, times in taken.items()
    ]


def post_event(path: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """The proxy event of one POST to a route without parameters."""
    request = Request(method="POST", target=path, headers=tuple(headers.items()), body=body)
    match = Match(route=Route(path=path, method="POST", cors=None), parameters=None)
    return proxy_event(request, match, path=path, stage="api", port=443, now=time.time(), binary_types=[])


def wake_event(user: str) -> dict[str, Any]:
    """The queue event of one ring for a user."""
    record = {"messageId": "1", "receiptHandle": "1", "body": json.dumps({"user": user}), "attributes": {}}
    return {"Records": [{**record, "eventSource": "aws:sqs"}]}


def commands(
    stack: AwsStack, project: Path, directory: Path, *, post: Mapping[str, Any], wake: Mapping[str, Any], path: str = ""
) -> dict[str, Command]:
    """The baseline, the first POST and the first reconcile. Events are written into ``directory``.

    ``post`` must be answered and ``wake`` must end well against what the stack holds. ``path`` goes before
    the machine's own packages, as a layer does.
    """
    found = {BASELINE: baseline(stack.admin_environment() | {"PATH": "/usr/bin:/bin"})}
    for title, name, event in (("first POST answered", "api_handler", post), ("first reconcile", "reconcile", wake)):
        file = directory / f"{name}.json"
        file.write_text(json.dumps(event))
        environment = stack.function_environment(name) | ({"PYTHONPATH": path} if path else {})
        found[title] = once(name, project=project, event=file, environment=environment)
    return found


def unpack(package: Path, directory: Path) -> tuple[Path, str]:
    """Lay a package out as Lambda does. Returns the task's directory and the layer's import path."""
    for name, part in (("deployment.zip", "task"), ("layer-deployment.zip", "opt")):
        with zipfile.ZipFile(package / name) as files:
            files.extractall(directory / part)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return directory / "task", str(directory / "opt/python/lib" / version / "site-packages")


def show(figures: Sequence[Figure]) -> None:
    print(f"{'a fresh process, to':<32} {'median':>10} {'least':>10} {'ratio':>7}")
    for one in figures:
        print(f"{one.name:<32} {one.median:>7.0f} ms {min(one.runs):>7.0f} ms {one.ratio:>6.2f}x")
