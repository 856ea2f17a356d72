"""How much the Globus emulator carries, and whether any step of it grows faster than its load.

``load`` submits many tasks, polls among them, and moves one large tree, through the unmodified globus-sdk. It
gives seconds, and for what should not grow the ratio of the last tenth's cost to the first's: about 1 if a step
costs the same however much there is already.
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import globus_sdk
from globus_sdk.transport import RetryConfig

from emulators.clock import TurnedClock
from emulators.globus import Browser, GlobusEmulator
from emulators.globus.config import Settings, default_config

CALLBACK = "http://127.0.0.1:4321/api/callback"
SCOPE = "urn:globus:auth:scope:transfer.api.globus.org:all"
FOREVER = 1e6
PATIENCE = 600.0


def load(folder: Path, *, tasks: int, files: int) -> dict[str, float]:
    """Run it in an empty folder; returns figures by name, seconds unless the name says otherwise."""
    before = _memory()
    figures = _many_tasks(folder / "tasks", tasks) | _one_tree(folder / "tree", files)
    return {**figures, "globus_memory_mb": round(_memory() - before, 1)}


def _many_tasks(folder: Path, count: int) -> dict[str, float]:
    settings = Settings(overhead=FOREVER, pending_tasks=count + 1, rate_per_second=None)
    with GlobusEmulator(folder, replace(default_config(), settings=settings), clock=TurnedClock(1.8e9)) as globus:
        client, guest = _client(globus), globus.collections["archive"]
        made: list[str] = []
        took = [_timed(lambda: made.append(_submit(client, guest, len(made)))) for _ in range(count)]
        chosen = made[:: max(1, count // 50)][:50]
        polls = [_timed(lambda: client.task_list(filter=f"task_id:{','.join(chosen)}", limit=50)) for _ in range(20)]
    tenth = max(1, count // 10)
    growth = statistics.median(took[-tenth:]) / statistics.median(took[:tenth])
    return {
        f"globus_submit_{count}_s": round(sum(took), 2),
        "globus_submit_growth": round(growth, 2),
        f"globus_poll_50_of_{count}_s": round(statistics.median(polls), 4),
    }


def _one_tree(folder: Path, count: int) -> dict[str, float]:
    settings = Settings(overhead=0.0, bandwidth=1e12, rate_per_second=None)
    figures = {}
    for size in (count // 10, count):
        with GlobusEmulator(folder / str(size), replace(default_config(), settings=settings)) as globus:
            _lay_files(globus.directory("archive") / "in", size)
            client, guest = _client(globus), globus.collections["archive"]
            data = globus_sdk.TransferData(guest, guest, verify_checksum=True)
            data.add_item("/in/", "/out/", recursive=True)
            began = time.perf_counter()
            task = client.submit_transfer(data)["task_id"]
            while (seen := client.get_task(task))["status"] == "ACTIVE":
                assert time.perf_counter() - began < PATIENCE, "the tree does not arrive"
                time.sleep(0.05)
            figures[size] = time.perf_counter() - began
            assert (seen["status"], seen["files_transferred"]) == ("SUCCEEDED", size), seen
    growth = figures[count] / figures[count // 10] / 10
    return {f"globus_tree_{count}_s": round(figures[count], 1), "globus_tree_growth": round(growth, 2)}


def _submit(client: globus_sdk.TransferClient, guest: str, number: int) -> str:
    data = globus_sdk.TransferData(guest, guest, submission_id=client.get_submission_id()["value"])
    data.add_item(f"/in/{number}", f"/out/{number}")
    return str(client.submit_transfer(data)["task_id"])


def _lay_files(top: Path, count: int) -> None:
    for number in range(count):
        folder = top / f"{number // 1000:04}"
        if number % 1000 == 0:
            folder.mkdir(parents=True)
        (folder / f"{number:07}").write_bytes(b"x" * 100)


def _client(globus: GlobusEmulator) -> globus_sdk.TransferClient:
    os.environ.update(globus.environment())
    known = globus.client("qstage")
    auth = globus_sdk.ConfidentialAppAuthClient(known.id, known.secret or "")
    auth.oauth2_start_flow(CALLBACK, [SCOPE])
    with Browser() as browser:
        back = browser.sign_in(auth.oauth2_get_authorize_url(), "ada@uni.example")
    answer = auth.oauth2_exchange_code_for_tokens(back.partition("code=")[2].partition("&")[0])
    token = answer.by_resource_server["transfer.api.globus.org"]["access_token"]
    authorizer = globus_sdk.AccessTokenAuthorizer(token)
    return globus_sdk.TransferClient(authorizer=authorizer, retry_config=RetryConfig(max_retries=0))


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _memory() -> float:
    """The most memory that this process has had, in MB; client and emulator together."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
