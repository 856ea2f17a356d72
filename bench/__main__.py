"""``make bench``: measures, and writes ``bench/results.json``.

Cold starts of what is deployed, as `make package` built it: new processes against a whole stack with a user signed
in, to the first POST of a job answered, and to the end of the first reconcile of a desk with work, which unseals a
token. Then what a thousand jobs ask of KMS and Globus Auth; how fast jobs are staged under the peer's conditions; what
a job costs over its whole life; how cost grows; every crash point; and what the Globus emulator carries. ``--only``
measures one part and keeps the figures of the others. Ratios and counts are kept where machines differ.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import budgets, cpu, growth, staging, token_calls
from bench.cold_start import Command, commands, measure, post_event, show, unpack, wake_event
from bench.globus_load import load
from chalicelib.adapters.dynamodb.desks import DeskTable
from chalicelib.adapters.dynamodb.table import Table
from chalicelib.core.desk import InboxItem
from chalicelib.core.ids import UserId
from emulators.stack import SITE, Stack

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "build" / "package"
RESULTS = ROOT / "bench" / "results.json"
RECONCILE, POST = "first reconcile", "first POST answered"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=11, help="cold starts of each kind (default: %(default)s)")
    parser.add_argument("--tasks", type=int, default=10_000, help="live Globus tasks (default: %(default)s)")
    parser.add_argument("--files", type=int, default=100_000, help="files in one Globus task (default: %(default)s)")
    parser.add_argument("--only", action="append", choices=PARTS, help="measure this, and keep the other figures")
    asked = parser.parse_args()
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if asked.only else {}
    for name in asked.only or PARTS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            results |= PARTS[name](Path(folder), asked)
        print(f"-- {name}: {time.monotonic() - began:.0f} s", flush=True)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(f"written to {RESULTS.relative_to(ROOT)}: {json.dumps(results)}")
    return 0


def _crashes(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Run every crash point, in a process of its own: they are the tests' own."""
    places = os.pathsep.join((str(ROOT), str(ROOT / "tests" / "unit")))
    script = ROOT / "tests" / "unit" / "crash_points.py"
    ran = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=False,
    )
    print(ran.stdout, end="")
    lines = ran.stdout.splitlines()
    assert lines, ran.stderr
    found: dict[str, Any] = json.loads(lines[-1])
    return found


PARTS: dict[str, Callable[[Path, argparse.Namespace], dict[str, Any]]] = {
    "cold": lambda folder, asked: _cold(folder, asked.runs),
    "package": lambda folder, asked: {"package_mb": _megabytes(), "python": sys.version.split()[0]},
    "tokens": lambda folder, asked: dict(token_calls.count(folder)),
    "cpu": lambda folder, asked: dict(cpu.measure()),
    "staging": lambda folder, asked: dict(staging.measure()),
    "budgets": lambda folder, asked: dict(budgets.measure()),
    "growth": lambda folder, asked: dict(growth.measure()),
    "crashes": _crashes,
    "globus": lambda folder, asked: dict(load(folder, tasks=asked.tasks, files=asked.files)),
}


def _cold(folder: Path, runs: int) -> dict[str, float]:
    for part in ("lab", "archive", "code"):
        (folder / part).mkdir()
    task, layer = unpack(PACKAGE, folder / "code")
    with Stack(folder / "state", input=folder / "lab", output=folder / "archive") as stack:
        login = stack.sign_in()
        stack.register_site()
        user = login.client.me().id
        timed = _commands(stack, login.key, user, folder, task, layer)
        unsealed = _count_unsealing(stack)
        made = measure(timed, runs=runs, prepare=_waker(stack, UserId(user)))
    show(made)
    assert len(unsealed) >= runs, f"only {len(unsealed)} of the reconciles used a token"
    ratios = {figure.name: round(figure.ratio, 2) for figure in made}
    return {"cold_post_ratio": ratios[POST], "cold_reconcile_ratio": ratios[RECONCILE]}


def _commands(stack: Stack, key: str, user: str, folder: Path, task: Path, layer: str) -> dict[str, Command]:
    document = {"site": SITE, "executable": "/bin/true", "name": "cold"}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    post = post_event("/v1/jobs", json.dumps(document).encode(), headers)
    return commands(stack.aws, task, folder, post=post, wake=wake_event(user), path=layer)


def _waker(stack: Stack, user: UserId) -> Callable[[str], None]:
    """Puts work on the desk before each reconcile, and rings for it nowhere: the timed process is to find it."""
    table = stack.aws.created.look_up("JobsTable", None)
    desks = DeskTable(Table(lambda: stack.aws.client("dynamodb"), table))

    def prepare(name: str) -> None:
        if name == RECONCILE:
            desks.record(user, InboxItem(id=os.urandom(8).hex()), datetime.now(UTC))

    return prepare


def _count_unsealing(stack: Stack) -> list[str]:
    """Fills with the functions that unsealed a token."""
    found: list[str] = []

    def seen(one: Any) -> None:
        if one.status == 200 and (one.call.service, one.call.operation) == ("kms", "Decrypt"):
            found.append(one.caller)

    stack.aws.observe(seen)
    return found


def _megabytes() -> float:
    """What Lambda loads: the function's archive and its layer, zipped."""
    return round(sum(path.stat().st_size for path in PACKAGE.glob("*.zip")) / 1e6, 1)


if __name__ == "__main__":
    raise SystemExit(main())
