"""How much the Globus emulator carries, and whether any step of it grows faster than its load.

``load`` submits many tasks, polls them, moves one large tree and pages through what arrived, through the unmodified
globus-sdk. It gives seconds, and a growth for each: what one step costs at the end, or with ten times as much, against
what it cost before; about 1 if a step costs the same however much there is already. Growths are of processor time,
which a busy machine blurs less.
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
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
AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds that passed, and seconds of processor time of this process: client and emulator together."""

    seconds: float
    work: float

    @classmethod
    def now(cls) -> Cost:
        return cls(time.perf_counter(), time.process_time())

    def since(self) -> Cost:
        now = Cost.now()
        return Cost(now.seconds - self.seconds, now.work - self.work)


def load(folder: Path, *, tasks: int, files: int) -> dict[str, float]:
    """Run it in an empty folder; returns figures by name, seconds unless the name says otherwise."""
    before = _memory()
    figures = _many_tasks(folder / "tasks", tasks) | _one_tree(folder / "tree", files)
    return {**figures, "globus_memory_mb": round(_memory() - before, 1)}


def _many_tasks(folder: Path, count: int) -> dict[str, float]:
    """Submit tasks that all stay live, and poll them: 50 of them at a time, at a tenth and at the end."""
    settings = Settings(overhead=FOREVER, pending_tasks=count + 1, rate_per_second=None)
    tenth = max(1, count // 10)
    with GlobusEmulator(folder, replace(default_config(), settings=settings), clock=TurnedClock(1.8e9)) as globus:
        client, guest = _client(globus), globus.collections["archive"]
        made: list[str] = []

        def submit() -> None:
            made.append(_submit(client, guest, len(made)))

        took = [_timed(submit) for _ in range(tenth)]
        few = _polls(client, made)
        took += [_timed(submit) for _ in range(count - tenth)]
        many = _polls(client, made)
    return {
        f"globus_submit_{tenth}_s": round(sum(each.seconds for each in took[:tenth]), 2),
        f"globus_submit_{count}_s": round(sum(each.seconds for each in took), 2),
        "globus_submit_growth": _growth(took[:tenth], took[-tenth:]),
        f"globus_poll_50_of_{count}_s": round(statistics.median(each.seconds for each in many), 4),
        f"globus_poll_all_{count}_s": round(sum(each.seconds for each in many), 2),
        "globus_poll_growth": _growth(few, many),
    }


def _growth(before: list[Cost], after: list[Cost]) -> float:
    return round(statistics.median(each.work for each in after) / statistics.median(each.work for each in before), 2)


def _polls(client: globus_sdk.TransferClient, tasks: list[str]) -> list[Cost]:
    """Ask for every task once; what each call cost."""
    took = []
    for start in range(0, len(tasks), AT_ONCE):
        ids = ",".join(tasks[start : start + AT_ONCE])
        took.append(_timed(lambda ids=ids: client.task_list(filter=f"task_id:{ids}", limit=AT_ONCE)))  # type: ignore[misc]
    return took


def _one_tree(folder: Path, count: int) -> dict[str, float]:
    """Move a tree of a tenth and a whole one, and list what arrived."""
    moved, listed = {}, {}
    for size in (count // 10, count):
        moved[size], listed[size] = _tree(folder / str(size), size)
    growth = [each[count].work / each[count // 10].work / 10 for each in (moved, listed)]
    return {
        f"globus_tree_{count}_s": round(moved[count].seconds, 1),
        "globus_tree_growth": round(growth[0], 2),
        f"globus_list_{count}_s": round(listed[count].seconds, 1),
        "globus_list_growth": round(growth[1], 2),
    }


def _tree(folder: Path, size: int) -> tuple[Cost, Cost]:
    settings = Settings(overhead=0.0, bandwidth=1e12, rate_per_second=None)
    with GlobusEmulator(folder, replace(default_config(), settings=settings)) as globus:
        _lay_files(globus.directory("archive") / "in", size)
        client, guest = _client(globus), globus.collections["archive"]
        data = globus_sdk.TransferData(guest, guest, verify_checksum=True)
        data.add_item("/in/", "/out/", recursive=True)
        began = Cost.now()
        task = client.submit_transfer(data)["task_id"]
        while (seen := client.get_task(task))["status"] == "ACTIVE":
            assert began.since().seconds < PATIENCE, "the tree does not arrive"
            time.sleep(0.05)
        moved = began.since()
        assert (seen["status"], seen["files_transferred"]) == ("SUCCEEDED", size), seen
        began = Cost.now()
        assert sum(1 for _ in client.paginated.task_successful_transfers(task).items()) == size
        return moved, began.since()


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


def _timed(call: Callable[[], object]) -> Cost:
    began = Cost.now()
    call()
    return began.since()


def _memory() -> float:
    """The most memory that this process has had, in MB; client and emulator together."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
