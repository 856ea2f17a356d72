"""What the options of a submission and the queries of a list do: filters, sync, times, deletion, paging."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import globus_sdk
import pytest

from emulators.clock import TurnedClock
from emulators.globus import GlobusEmulator, Pace, Settings
from emulators.globus.config import default_config

TRANSFER = "urn:globus:auth:scope:transfer.api.globus.org:all"


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(1_800_000_000.0)


@pytest.fixture
def globus(tmp_path: Path, clock: TurnedClock) -> Iterator[GlobusEmulator]:
    config = dataclasses.replace(default_config(), settings=Settings(rate_per_second=None, listing_limit=50))
    with GlobusEmulator(tmp_path / "data", config, clock=clock, pace=Pace.at_once()) as emulator:
        yield emulator


@pytest.fixture
def transfer(globus: GlobusEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[globus_sdk.TransferClient]:
    for name, value in globus.environment().items():
        monkeypatch.setenv(name, value)
    account = globus.client("cli")
    with globus_sdk.ConfidentialAppAuthClient(account.id, account.secret) as auth:
        token = auth.oauth2_client_credentials_tokens(requested_scopes=[TRANSFER])["access_token"]
    with globus_sdk.TransferClient(authorizer=globus_sdk.AccessTokenAuthorizer(token)) as client:
        client.retry_config.max_retries = 0
        yield client


@pytest.fixture
def source(globus: GlobusEmulator) -> Path:
    (globus.directory("archive") / "in").mkdir()
    return globus.directory("archive") / "in"


@pytest.fixture
def target(globus: GlobusEmulator) -> Path:
    return globus.directory("archive") / "out"


def fill(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def files_of(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def copy_tree(
    globus: GlobusEmulator, client: globus_sdk.TransferClient, rules: list[tuple[str, ...]] = (), **options: object
):  # type: ignore[assignment,no-untyped-def]
    """Copy ``/in/`` to ``/out/``; the task at its end."""
    archive = globus.collections["archive"]
    data = globus_sdk.TransferData(archive, archive, **options)
    data.add_item("/in/", "/out/", recursive=True)
    for rule in rules:
        data.add_filter_rule(rule[0], method=rule[1], type=rule[2] if len(rule) > 2 else globus_sdk.MISSING)
    task = client.get_task(client.submit_transfer(data)["task_id"])
    assert task["status"] == "SUCCEEDED", task["nice_status"]
    return task


def test_the_first_rule_that_matches_a_name_decides_and_the_rest_is_included(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, source: Path, target: Path
) -> None:
    fill(source, "keep.log", "drop.log", "a.txt", "logs/x.log", "logs/y.txt", "tmp/z.txt", "tmp.txt")
    rules = [("keep*", "include"), ("*.log", "exclude", "file"), ("tmp", "exclude", "dir")]
    copy_tree(globus, transfer, rules)
    assert files_of(target) == ["a.txt", "keep.log", "logs/y.txt", "tmp.txt"]


def test_extra_files_at_the_destination_go_except_those_the_rules_leave_out(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, source: Path, target: Path
) -> None:
    fill(source, "a", "d/b")
    fill(target, "extra", "d/extra", "gone/x/y", "kept.cfg")
    copy_tree(globus, transfer, [("*.cfg", "exclude")], delete_destination_extra=True)
    assert files_of(target) == ["a", "d/b", "kept.cfg"]
    assert not (target / "gone").exists()


def test_preserved_times_arrive_and_others_do_not(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, source: Path, target: Path
) -> None:
    fill(source, "a")
    os.utime(source / "a", ns=(1_000_000_000_000_000_007, 1_000_000_000_000_000_009))
    copy_tree(globus, transfer)
    assert (target / "a").stat().st_mtime > 1_500_000_000
    copy_tree(globus, transfer, preserve_timestamp=True)
    assert int((target / "a").stat().st_mtime) == 1_000_000_000


@pytest.mark.parametrize(
    ("level", "moved"),
    [("exists", {"new"}), ("size", {"new", "longer"}), ("mtime", {"new", "longer", "newer"}),
     ("checksum", {"new", "longer", "other"})],
)  # fmt: skip
def test_each_sync_level_moves_what_it_finds_different(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, source: Path, target: Path, level: str, moved: set[str]
) -> None:
    for name, here, there in (
        ("same", "ab", "ab"), ("longer", "abc", "ab"), ("newer", "ab", "ab"), ("other", "xy", "ab"),
    ):  # fmt: skip
        fill(source, name)
        fill(target, name)
        (source / name).write_text(here)
        (target / name).write_text(there)
        when = 2_000_000_000 if name == "newer" else 1_000_000_000
        os.utime(source / name, (when, when))
        os.utime(target / name, (1_500_000_000, 1_500_000_000))
    fill(source, "new")
    task = copy_tree(globus, transfer, sync_level=level)
    arrived = {Path(each["source_path"]).name for each in transfer.task_successful_transfers(task["task_id"])}
    assert arrived == moved
    assert task["files_skipped"] == 5 - len(moved)


def delete(
    globus: GlobusEmulator, client: globus_sdk.TransferClient, *paths: str, **options: object
) -> dict[str, object]:
    data = globus_sdk.DeleteData(globus.collections["archive"], **options)
    for path in paths:
        data.add_item(path)
    return client.get_task(client.submit_delete(data)["task_id"]).data  # type: ignore[return-value]


def test_deleting_a_tree_unlinks_links_and_leaves_what_they_lead_to(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, source: Path
) -> None:
    fill(source, "d/x", "kept/y")
    (source / "d/link").symlink_to("../kept")
    task = delete(globus, transfer, "/in/d", recursive=True)
    assert [task["status"], task["destination_endpoint_id"], task["recursive_symlinks"]] == ["SUCCEEDED", None, None]
    assert files_of(source) == ["kept/y"]


def test_deleting_what_is_missing_fails_at_once_unless_told_to_ignore_it(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, source: Path
) -> None:
    task = delete(globus, transfer, "/in/none")
    assert [task["status"], task["fatal_error"]] == [
        "FAILED", {"code": "FILE_NOT_FOUND", "description": "file not found"},
    ]  # fmt: skip
    assert delete(globus, transfer, "/in/none", ignore_missing=True)["status"] == "SUCCEEDED"


def test_globs_are_interpreted_in_the_last_name_only(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, source: Path
) -> None:
    fill(source, "a.tmp", "b.tmp", "d/c.tmp", "keep")
    assert delete(globus, transfer, "/in/*.tmp", interpret_globs=True)["status"] == "SUCCEEDED"
    assert files_of(source) == ["d/c.tmp", "keep"]


def test_listings_are_filtered_ordered_and_paged(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, source: Path
) -> None:
    fill(source, "b.txt", "A.TXT", "c.dat", ".hid", "sub/x")
    (source / "c.dat").write_text("long enough")
    archive = globus.collections["archive"]

    def names(**query: object) -> list[str]:
        return [each["name"] for each in transfer.operation_ls(archive, path="/in", **query)]

    assert names() == ["sub", ".hid", "A.TXT", "b.txt", "c.dat"]
    assert names(show_hidden=False) == ["sub", "A.TXT", "b.txt", "c.dat"]
    assert names(filter="name:~*.txt") == ["A.TXT", "b.txt"]
    assert names(filter=["type:dir", "name:~*.dat"]) == ["sub", "c.dat"]
    assert names(filter={"name": "!~*.txt", "type": "file"}) == [".hid", "c.dat"]
    assert names(filter={"type": "file"}, orderby="size DESC")[0] == "c.dat"
    assert names(limit=2, offset=1) == [".hid", "A.TXT"]
    page = transfer.operation_ls(archive, path="/in", limit=2)
    assert [page["total"], page["length"], page["path"]] == [5, 2, "/in/"]


def test_a_directory_over_the_limit_cannot_be_listed_but_can_be_moved(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, source: Path, target: Path
) -> None:
    fill(source, *(f"f{number}" for number in range(51)))
    with pytest.raises(globus_sdk.TransferAPIError) as refused:
        transfer.operation_ls(globus.collections["archive"], path="/in")
    assert refused.value.code == "ExternalError.DirListingFailed.SizeLimit"
    copy_tree(globus, transfer)
    assert len(files_of(target)) == 51


def test_listing_a_file_and_an_odd_path(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, source: Path
) -> None:
    fill(source, "f")
    archive = globus.collections["archive"]
    for path, status, code in (
        ("/in/f", 502, "ExternalError.DirListingFailed.NotDirectory"),
        ("/in/none", 404, "ClientError.NotFound"),
        ("/in/f\0g", 400, "ClientError.BadRequest"),
    ):
        with pytest.raises(globus_sdk.TransferAPIError) as refused:
            transfer.operation_ls(archive, path=path)
        assert (refused.value.http_status, refused.value.code) == (status, code)
    (source / "dangling").symlink_to("nowhere")
    (source / "alias").symlink_to("f")
    found = {each["name"]: each for each in transfer.operation_ls(archive, path="/~/in")}
    assert found["dangling"]["type"] == "invalid_symlink"
    assert [found["alias"][key] for key in ("type", "size", "link_target")] == ["file", len("f"), "f"]


def test_task_lists_are_filtered_ordered_trimmed_and_paged(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, source: Path, clock: TurnedClock
) -> None:
    archive, ids = globus.collections["archive"], []
    for number in range(5):
        fill(source, f"f{number}")
        data = globus_sdk.TransferData(archive, archive, label=f"run-{number}")
        data.add_item(f"/in/f{number}", f"/out/f{number}")
        ids.append(transfer.submit_transfer(data)["task_id"])
        clock.turn(60)

    def labels(**query: object) -> list[str]:
        return [each["label"] for each in transfer.task_list(**query)]

    assert labels() == [f"run-{number}" for number in (4, 3, 2, 1, 0)]
    assert labels(orderby="request_time ASC", limit=2, offset=1) == ["run-1", "run-2"]
    assert labels(filter={"task_id": ids[1:3]}) == ["run-2", "run-1"]
    assert labels(filter={"label": "~RUN-*,!~*-3,!run-4"}) == ["run-2", "run-1", "run-0"]
    assert labels(filter={"label": "=run-1"}) == ["run-1"]
    assert labels(filter={"status": "ACTIVE"}) == []
    since = transfer.get_task(ids[3])["request_time"]
    assert labels(filter={"request_time": f"{since},"}) == ["run-4", "run-3"]
    trimmed = transfer.task_list(query_params={"fields": "task_id,status"})
    assert {*trimmed["DATA"][0]} == {"task_id", "status"}
    assert trimmed["total"] == 5
    assert len(list(transfer.paginated.task_list(limit=10).items())) == 5
    with pytest.raises(globus_sdk.TransferAPIError):
        transfer.task_list(filter={"colour": "red"})


def test_markers_page_through_what_arrived(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, source: Path
) -> None:
    fill(source, *(f"f{number:03}" for number in range(250)))
    task_id = copy_tree(globus, transfer)["task_id"]
    found = list(transfer.paginated.task_successful_transfers(task_id).items())
    assert [each["source_path"] for each in found] == [f"/in/f{number:03}" for number in range(250)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": "x" * 129}, {"label": " padded"}, {"label": "two\nlines"}, {"sync_level": 4},
        {"verify_checksum": "yes"}, {"deadline": "tomorrow"}, {"deadline": "2001-01-01"},
        {"submission_id": "none"}, {"source_endpoint": ""}, {"DATA": [{"source_path": "/a"}]},
        {"DATA": [{"source_path": "/a", "destination_path": "/b", "recursive": True, "external_checksum": "0"}]},
        {"DATA": "x"}, {"filter_rules": [{"method": "drop", "name": "x"}]},
    ],
)  # fmt: skip
def test_a_submission_that_is_not_well_formed_is_refused_and_makes_no_task(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, wrong: dict[str, object]
) -> None:
    archive = globus.collections["archive"]
    data = {
        "submission_id": transfer.get_submission_id()["value"],
        "source_endpoint": archive,
        "destination_endpoint": archive,
        "DATA": [{"source_path": "/a", "destination_path": "/b"}],
    }
    with pytest.raises(globus_sdk.TransferAPIError) as refused:
        transfer.post("/v0.10/transfer", data={**data, **wrong})
    assert refused.value.http_status == 400
    assert transfer.task_list()["total"] == 0


def test_an_unknown_collection_is_not_found(transfer: globus_sdk.TransferClient) -> None:
    with pytest.raises(globus_sdk.TransferAPIError) as refused:
        transfer.operation_ls("00000000-0000-0000-0000-000000000000")
    assert (refused.value.http_status, refused.value.code) == (404, "EndpointNotFound")


def test_a_deadline_can_be_moved_while_the_task_lives(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, clock: TurnedClock
) -> None:
    archive = globus.collections["archive"]
    data = globus_sdk.TransferData(archive, archive)
    data.add_item("/none", "/x")
    task_id = transfer.submit_transfer(data)["task_id"]
    transfer.update_task(task_id, {"deadline": "2027-02-01T00:00:00Z", "label": "longer"})
    clock.turn(30 * 3600)
    assert [transfer.get_task(task_id)[key] for key in ("status", "label")] == ["ACTIVE", "longer"]


def test_a_fault_at_the_destination_is_never_skipped(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, source: Path, target: Path, clock: TurnedClock
) -> None:
    archive = globus.collections["archive"]
    fill(source, "whole", "blocked", "late")
    (target / "blocked").mkdir(parents=True)
    data = globus_sdk.TransferData(archive, archive, skip_source_errors=True)
    for name in ("whole", "blocked", "none"):
        data.add_item(f"/in/{name}", f"/out/{name}")
    task_id = transfer.submit_transfer(data)["task_id"]
    task = transfer.get_task(task_id)
    assert [task[key] for key in ("status", "nice_status", "files_transferred")] == ["ACTIVE", "IS_A_DIRECTORY", 1]
    assert list(transfer.task_successful_transfers(task_id)) == []  # the lists are of a task that has ended
    assert list(transfer.task_skipped_errors(task_id)) == []
    (target / "blocked").rmdir()
    clock.turn(10)
    assert transfer.get_task(task_id)["status"] == "SUCCEEDED"
    moved = [each["source_path"] for each in transfer.task_successful_transfers(task_id)]
    assert moved == ["/in/whole", "/in/blocked"]
    assert [each["source_path"] for each in transfer.task_skipped_errors(task_id)] == ["/in/none"]


def test_hidden_names_are_listed_unless_they_are_not_wanted(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient, source: Path
) -> None:
    fill(source, "seen", ".hidden")
    archive = globus.collections["archive"]
    for wanted, names in ((True, [".hidden", "seen"]), (False, ["seen"])):
        found = transfer.operation_ls(archive, path="/in", show_hidden=wanted)
        assert [each["name"] for each in found] == names


def test_bookmarks_belong_to_one_user_and_have_one_name_each(
    globus: GlobusEmulator, transfer: globus_sdk.TransferClient
) -> None:
    archive = globus.collections["archive"]
    document = {"name": "here", "endpoint_id": archive, "path": "/in/"}
    mark = transfer.create_bookmark(document)
    with pytest.raises(globus_sdk.TransferAPIError) as refused:
        transfer.create_bookmark(document)
    assert refused.value.http_status == 409
    assert [each["id"] for each in transfer.bookmark_list()] == [mark["id"]]
    transfer.update_bookmark(mark["id"], {"name": "there"})
    assert transfer.get_bookmark(mark["id"])["name"] == "there"
    transfer.delete_bookmark(mark["id"])
    with pytest.raises(globus_sdk.TransferAPIError, match="BookmarkNotFound"):
        transfer.get_bookmark(mark["id"])
