"""Transfers of the Globus emulator: real files, moved by the unmodified SDK's submissions."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import globus_sdk
import pytest
from globus_sdk.scopes import GCSCollectionScopes, TransferScopes

from emulators.clock import TurnedClock
from emulators.globus import GlobusEmulator, Pace

HOUR, DAY = 3600, 86_400


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(1_800_000_000.0)


@pytest.fixture
def globus(tmp_path: Path, clock: TurnedClock) -> Iterator[GlobusEmulator]:
    with GlobusEmulator(tmp_path / "data", clock=clock, pace=Pace.at_once()) as emulator:
        yield emulator


@pytest.fixture
def transfer(globus: GlobusEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[globus_sdk.TransferClient]:
    """The service account, with consent for the data of both mapped collections."""
    for name, value in globus.environment().items():
        monkeypatch.setenv(name, value)
    account = globus.client("cli")
    needed = [GCSCollectionScopes(globus.collections[name]).data_access for name in ("lab", "theta")]
    scope = TransferScopes.all.with_dependencies(needed)
    with globus_sdk.ConfidentialAppAuthClient(account.id, account.secret) as auth:
        token = auth.oauth2_client_credentials_tokens(requested_scopes=[scope])["access_token"]
    with globus_sdk.TransferClient(authorizer=globus_sdk.AccessTokenAuthorizer(token)) as client:
        client.retry_config.max_retries = 0
        yield client


def document(globus: GlobusEmulator, *items: tuple[str, str], recursive: bool | None = None, **options: object):
    data = globus_sdk.TransferData(globus.collections["lab"], globus.collections["theta"], **options)
    for source, target in items:
        extra = {} if recursive is None else {"recursive": recursive}
        data.add_item(source, target, **extra)
    return data


def tree_of(root: Path) -> dict[str, str | None]:
    """Relative path to the hash of each file, None for directories."""
    return {
        str(path.relative_to(root)): None if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
    }


def test_one_file_arrives_whole_under_its_name(globus: GlobusEmulator, transfer: globus_sdk.TransferClient) -> None:
    (globus.directory("lab") / "in.txt").write_text("hello")
    submitted = transfer.submit_transfer(document(globus, ("/in.txt", "/new/dir/out.txt"), verify_checksum=True))
    task = transfer.get_task(submitted["task_id"])
    assert task["status"] == "SUCCEEDED"
    assert (globus.directory("theta") / "new/dir/out.txt").read_text() == "hello"
    assert [task["files"], task["files_transferred"], task["bytes_transferred"]] == [1, 1, 5]
    moved = list(transfer.task_successful_transfers(submitted["task_id"]))
    assert moved[0]["checksum"] == hashlib.md5(b"hello").hexdigest()


def test_a_tree_of_odd_names_empty_files_and_empty_directories_arrives_the_same(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient
) -> None:
    top = globus.directory("lab") / "run"
    for folder in ("", "a b", "deep/er/est", "empty", "ünï"):
        (top / folder).mkdir(parents=True, exist_ok=True)
    picker = random.Random(7)
    names = ["it's", 'q"uote', "日本", "tab\there", "per%20cent", "back\\slash", "new\nline", "-dash", "sp ace"]
    for number in range(1000):
        folder = picker.choice(["", "a b", "deep/er/est", "ünï"])
        name = f"{picker.choice(names)}-{number}"
        (top / folder / name).write_bytes(b"" if number % 17 == 0 else picker.randbytes(number))
    submitted = transfer.submit_transfer(document(globus, ("/run/", "/copy/"), recursive=True))
    task = transfer.get_task(submitted["task_id"])
    assert task["status"] == "SUCCEEDED"
    assert tree_of(globus.directory("theta") / "copy") == tree_of(top)
    assert task["files"] == 1000
    assert task["subtasks_succeeded"] == task["subtasks_total"] == 1 + task["files"] + task["directories"]


def test_a_big_file_is_streamed_and_proved(globus: GlobusEmulator, transfer: globus_sdk.TransferClient) -> None:
    source = globus.directory("lab") / "big.bin"
    with source.open("wb") as file:
        for index in range(200):
            file.write(bytes([index]) * 1024 * 1024)
    task_id = transfer.submit_transfer(document(globus, ("/big.bin", "/big.bin"), verify_checksum=True))["task_id"]
    task = transfer.get_task(task_id)
    assert task["status"] == "SUCCEEDED"
    assert task["bytes_checksummed"] == task["bytes_transferred"] == 200 * 1024 * 1024
    target = globus.directory("theta") / "big.bin"
    assert os.path.getsize(target) == 200 * 1024 * 1024
    assert tree_of(target.parent) == tree_of(source.parent)


def test_mode_bits_are_dropped_and_links_in_a_tree_are_passed_over(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient
) -> None:
    top = globus.directory("lab") / "d"
    top.mkdir()
    (top / "run.sh").write_text("#!/bin/sh")
    (top / "run.sh").chmod(0o755)
    (top / "link").symlink_to("run.sh")
    task_id = transfer.submit_transfer(document(globus, ("/d/", "/d/"), recursive=True))["task_id"]
    task = transfer.get_task(task_id)
    assert task["status"] == "SUCCEEDED"
    assert os.listdir(globus.directory("theta") / "d") == ["run.sh"]
    assert (globus.directory("theta") / "d/run.sh").stat().st_mode & 0o777 == 0o644


def test_a_missing_source_stays_active_with_faults_until_the_deadline(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, clock: TurnedClock
) -> None:
    task_id = transfer.submit_transfer(document(globus, ("/none.txt", "/x.txt")))["task_id"]
    task = transfer.get_task(task_id)
    assert [task["status"], task["is_ok"], task["nice_status"]] == ["ACTIVE", False, "FILE_NOT_FOUND"]
    assert task["faults"] == 1
    clock.turn(HOUR)
    assert transfer.get_task(task_id)["faults"] == 2
    event = transfer.task_event_list(task_id, query_params={"filter": "is_error:1"})["DATA"][0]
    assert event["code"] == "FILE_NOT_FOUND"
    clock.turn(DAY)
    task = transfer.get_task(task_id)
    assert [task["status"], task["subtasks_expired"] > 0, task["nice_status"]] == ["FAILED", True, None]


def test_a_source_that_appears_later_ends_the_trouble(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, clock: TurnedClock
) -> None:
    task_id = transfer.submit_transfer(document(globus, ("/late.txt", "/late.txt")))["task_id"]
    assert transfer.get_task(task_id)["status"] == "ACTIVE"
    (globus.directory("lab") / "late.txt").write_text("here")
    clock.turn(60)
    task = transfer.get_task(task_id)
    assert [task["status"], task["faults"]] == ["SUCCEEDED", 1]


def test_identical_live_paths_are_refused_and_free_again_after_cancel(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient
) -> None:
    task_id = transfer.submit_transfer(document(globus, ("/none", "/x")))["task_id"]
    with pytest.raises(globus_sdk.TransferAPIError) as refused:
        transfer.submit_transfer(document(globus, ("/none", "/x")))
    assert (refused.value.http_status, refused.value.code) == (409, "Conflict")
    assert transfer.cancel_task(task_id)["code"] == "Canceled"
    task = transfer.get_task(task_id)
    assert [task["status"], task["subtasks_canceled"]] == ["FAILED", 1]
    assert transfer.task_event_list(task_id)["DATA"][0]["code"] == "CANCELED"
    assert transfer.submit_transfer(document(globus, ("/none", "/x")))["code"] == "Accepted"


def test_a_repeated_submission_id_answers_duplicate_with_the_same_task(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient
) -> None:
    (globus.directory("lab") / "a").write_text("a")
    data = document(globus, ("/a", "/a"), submission_id=transfer.get_submission_id()["value"])
    first = transfer.submit_transfer(data)
    again = transfer.submit_transfer(data)
    assert (first["code"], again["code"]) == ("Accepted", "Duplicate")
    assert first["task_id"] == again["task_id"]


def test_only_three_are_worked_on_and_the_hundredth_and_first_is_refused(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, clock: TurnedClock
) -> None:
    for number in range(100):
        transfer.submit_transfer(document(globus, (f"/none-{number}", f"/x-{number}")))
        clock.turn(0.2)
    with pytest.raises(globus_sdk.TransferAPIError) as refused:
        transfer.submit_transfer(document(globus, ("/one", "/more")))
    assert refused.value.code == "ClientError.Conflict.TooManyPendingJobs"
    nice = [task["nice_status"] for task in transfer.task_list(limit=1000)]
    assert nice.count("Queued") == 97
    assert nice.count("FILE_NOT_FOUND") == 3


def test_requests_beyond_twenty_a_second_over_ten_seconds_are_told_to_wait(
    transfer: globus_sdk.TransferClient, clock: TurnedClock
) -> None:
    for _ in range(200):
        transfer.get_submission_id()
    with pytest.raises(globus_sdk.TransferAPIError) as refused:
        transfer.get_submission_id()
    assert refused.value.http_status == 429
    assert refused.value.headers["Retry-After"] == "10"
    clock.turn(10)
    assert transfer.get_submission_id()["value"]


def test_skip_source_errors_lets_the_rest_succeed_and_says_what_was_skipped(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient
) -> None:
    (globus.directory("lab") / "there").write_text("x")
    (globus.directory("lab") / "locked").write_text("x")
    (globus.directory("lab") / "locked").chmod(0)
    items = [("/there", "/there"), ("/gone", "/gone"), ("/locked", "/locked")]
    task_id = transfer.submit_transfer(document(globus, *items, skip_source_errors=True))["task_id"]
    task = transfer.get_task(task_id)
    assert [task["status"], task["subtasks_skipped_errors"], task["faults"]] == ["SUCCEEDED", 2, 0]
    assert task["subtasks_total"] == task["subtasks_succeeded"] + 2
    skipped = {each["source_path"]: each["error_code"] for each in transfer.task_skipped_errors(task_id)}
    assert skipped == {"/gone": "FILE_NOT_FOUND", "/locked": "PERMISSION_DENIED"}


def test_a_recursive_flag_that_contradicts_the_path_is_a_fault_and_no_refusal(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient
) -> None:
    (globus.directory("lab") / "dir").mkdir()
    (globus.directory("lab") / "file").write_text("x")
    for path, recursive, code in (("/dir", False, "IS_A_DIRECTORY"), ("/file", True, "NOT_A_DIRECTORY")):
        data = document(globus, (path, path + "-copy"), recursive=recursive, skip_source_errors=True)
        task = transfer.get_task(transfer.submit_transfer(data)["task_id"])
        assert [task["status"], task["nice_status"]] == ["ACTIVE", code]


def test_the_contents_of_a_directory_go_into_the_destination_and_recursion_is_found_out(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient
) -> None:
    (globus.directory("lab") / "d").mkdir()
    (globus.directory("lab") / "d/f").write_text("x")
    task_id = transfer.submit_transfer(document(globus, ("/d", "/e/g")))["task_id"]
    assert transfer.get_task(task_id)["status"] == "SUCCEEDED"
    assert tree_of(globus.directory("theta")) == {
        "e": None,
        "e/g": None,
        "e/g/f": hashlib.sha256(b"x").hexdigest(),
    }


@pytest.mark.parametrize("path", ["/../outside", "/a/../../outside", "/link/secret", "/abslink/secret", "/self"])
def test_nothing_outside_a_collection_is_read(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, path: str
) -> None:
    root = globus.directory("lab")
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (root / "link").symlink_to("../outside")
    (root / "abslink").symlink_to(outside)
    (root / "self").symlink_to("self")
    task_id = transfer.submit_transfer(document(globus, (path, "/stolen")))["task_id"]
    assert transfer.get_task(task_id)["status"] == "ACTIVE"
    assert tree_of(globus.directory("theta")) == {}
    with pytest.raises(globus_sdk.TransferAPIError):
        transfer.operation_ls(globus.collections["lab"], path=path)


@pytest.mark.parametrize("path", ["/../escaped", "/link/escaped", "/abslink/deep/escaped"])
def test_nothing_outside_a_collection_is_written(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, path: str
) -> None:
    root = globus.directory("theta")
    outside = root.parent / "outside"
    outside.mkdir()
    (root / "link").symlink_to("../outside")
    (root / "abslink").symlink_to(outside)
    (globus.directory("lab") / "a").write_text("a")
    task_id = transfer.submit_transfer(document(globus, ("/a", path)))["task_id"]
    task = transfer.get_task(task_id)
    assert [task["status"], task["nice_status"]] == ["ACTIVE", "PERMISSION_DENIED"]
    assert os.listdir(outside) == []
    assert not (root.parent / "escaped").exists()
    with pytest.raises(globus_sdk.TransferAPIError):
        transfer.operation_mkdir(globus.collections["theta"], path)


def test_a_link_named_as_an_item_is_followed_inside_the_collection(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient
) -> None:
    root = globus.directory("lab")
    (root / "real").write_text("x")
    (root / "alias").symlink_to("real")
    transfer.submit_transfer(document(globus, ("/alias", "/got")))
    assert (globus.directory("theta") / "got").read_text() == "x"
    assert not (globus.directory("theta") / "got").is_symlink()


def test_a_task_by_clock_takes_overhead_and_bytes_over_bandwidth(
    tmp_path: Path, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with GlobusEmulator(tmp_path / "slow", clock=clock, pace=Pace.by_clock(scale=0.001)) as globus:
        for name, value in globus.environment().items():
            monkeypatch.setenv(name, value)
        account = globus.client("cli")
        needed = [GCSCollectionScopes(globus.collections[name]).data_access for name in ("lab", "theta")]
        with globus_sdk.ConfidentialAppAuthClient(account.id, account.secret) as auth:
            scope = TransferScopes.all.with_dependencies(needed)
            token = auth.oauth2_client_credentials_tokens(requested_scopes=[scope])["access_token"]
        (globus.directory("lab") / "a").write_text("a")
        with globus_sdk.TransferClient(authorizer=globus_sdk.AccessTokenAuthorizer(token)) as client:
            task_id = client.submit_transfer(document(globus, ("/a", "/a")))["task_id"]
            clock.turn(199)
            assert client.get_task(task_id)["status"] == "ACTIVE"
            assert not (globus.directory("theta") / "a").exists()
            clock.turn(2)
            assert client.task_wait(task_id, timeout=10, polling_interval=1)
            assert client.get_task(task_id)["status"] == "SUCCEEDED"


def test_a_task_by_polls_ends_at_the_poll_that_was_chosen(
    tmp_path: Path, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with GlobusEmulator(tmp_path / "polled", clock=clock, pace=Pace.by_poll(3)) as globus:
        for name, value in globus.environment().items():
            monkeypatch.setenv(name, value)
        account = globus.client("cli")
        needed = [GCSCollectionScopes(globus.collections[name]).data_access for name in ("lab", "theta")]
        with globus_sdk.ConfidentialAppAuthClient(account.id, account.secret) as auth:
            scope = TransferScopes.all.with_dependencies(needed)
            token = auth.oauth2_client_credentials_tokens(requested_scopes=[scope])["access_token"]
        (globus.directory("lab") / "a").write_text("a")
        with globus_sdk.TransferClient(authorizer=globus_sdk.AccessTokenAuthorizer(token)) as client:
            task_id = client.submit_transfer(document(globus, ("/a", "/a")))["task_id"]
            seen = [client.get_task(task_id)["status"] for _ in range(3)]
    assert seen == ["ACTIVE", "ACTIVE", "SUCCEEDED"]
