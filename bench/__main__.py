"""``make bench``: measures, and writes ``bench/results.json``.

Cold starts of what is deployed, as `make package` built it: new processes against a whole stack with a user signed
in, to the first POST of a job answered, and to the end of the first reconcile of a desk with work, which unseals a
token. Then what a thousand jobs ask of KMS and Globus Auth, and what the Globus emulator carries. Ratios and counts
are kept, and milliseconds shown: machines differ.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import token_calls
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
    parser.add_argument("--globus-only", action="store_true", help="measure the emulator, and keep the other figures")
    asked = parser.parse_args()
    kept = json.loads(RESULTS.read_text()) if asked.globus_only else {}
    results = {name: figure for name, figure in kept.items() if not name.startswith("globus_")}
    if not asked.globus_only:
        with tempfile.TemporaryDirectory() as name:
            results |= _cold(Path(name), asked.runs)
        with tempfile.TemporaryDirectory() as name:
            results |= token_calls.count(Path(name))
        results |= {"package_mb": _megabytes(), "python": sys.version.split()[0]}
    with tempfile.TemporaryDirectory() as name:
        results |= load(Path(name), tasks=asked.tasks, files=asked.files)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(f"written to {RESULTS.relative_to(ROOT)}: {json.dumps(results)}")
    return 0


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
