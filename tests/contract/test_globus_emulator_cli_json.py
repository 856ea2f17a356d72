"""What each ``globus`` command gives as JSON, how it exits, and the shell in which it all begins."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from globus_shell import NEEDS_TOOL, TOOL, Dirs, Shell, at, files, globus, made, shell

from emulators.globus import GlobusEmulator

pytestmark = NEEDS_TOOL
__all__ = ["files", "globus", "shell"]  # fixtures


def refused(shell: Shell, *words: str) -> dict[str, Any]:
    """Run a command that the service refuses; the body of the refusal."""
    said: dict[str, Any] = json.loads(shell.run(*words, "-Fjson", code=1))
    return said


def names(listing: dict[str, Any]) -> list[str]:
    return [each["name"] for each in listing["DATA"]]


def test_a_shell_that_evaluates_the_printed_lines_has_a_working_tool(tmp_path: Path) -> None:
    script = """
        set -eu
        mkfifo lines
        "$PYTHON" -m emulators.globus --data data > lines &
        trap "kill $!" EXIT
        while read -r line; do
            case "$line" in export*) eval "$line" ;; collection*) set -- $line; last=$3 ;; ready) break ;; esac
        done < lines
        "$GLOBUS" whoami
        "$GLOBUS" mkdir "$last:/made" > /dev/null || echo "refused with $?"
    """
    here = Path(__file__).parents[2]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "NO_PROXY": "127.0.0.1", "PYTHONPATH": str(here)}
    env |= {"PYTHON": sys.executable, "GLOBUS": str(TOOL)}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].endswith("@clients.auth.globus.org")
    assert done.stdout.splitlines()[1:] == ["refused with 4"]  # the last collection wants a person's session


def test_who_one_is(globus: GlobusEmulator, shell: Shell) -> None:
    client = globus.client("cli").id
    linked = json.loads(shell.run("whoami", "--linked-identities", "-Fjson"))
    assert [each["sub"] for each in linked] == [client]
    assert shell.json("session", "show") == {"authentications": {}, "session_id": None}
    found = shell.json("get-identities", client)["identities"]
    assert [each["username"] for each in found] == [f"{client}@clients.auth.globus.org"]


def test_listing_and_looking(globus: GlobusEmulator, shell: Shell, files: Dirs) -> None:
    source, _ = files
    (source / "sub").mkdir()
    for name, size in (("a.txt", 1), ("b.txt", 3), ("sub/c.txt", 2), (".hidden", 9)):
        (source / name).write_text("x" * size)
    where = at(globus, "lab", source)
    assert names(shell.json("ls", "-r", where)) == ["sub", "a.txt", "b.txt", "sub/c.txt"]
    assert names(shell.json("ls", "-a", "--orderby", "size:DESC", "--filter", "!~sub", where)) == [
        ".hidden",
        "b.txt",
        "a.txt",
    ]
    long = shell.run("ls", "-l", where).splitlines()
    assert [word.strip() for word in long[0].split("|")] == [
        "Permissions", "User", "Group", "Size", "Last Modified", "File Type", "Filename",
    ]  # fmt: skip
    assert [word.strip() for word in long[3].split("|")][:4] == ["0644", "emulated", "emulated", "1"]
    looked = shell.json("stat", at(globus, "lab", source, "b.txt"))
    assert [looked[key] for key in ("name", "type", "size", "permissions")] == ["b.txt", "file", 3, "0644"]
    missing = refused(shell, "ls", at(globus, "lab", source, "none"))
    assert missing["code"] == "ClientError.NotFound"
    assert missing["resource"].endswith("/ls")


def test_making_and_renaming(globus: GlobusEmulator, shell: Shell, files: Dirs) -> None:
    source, _ = files
    lab, new = globus.collections["lab"], at(globus, "lab", source, "new")
    assert shell.json("mkdir", new)["code"] == "DirectoryCreated"
    assert refused(shell, "mkdir", new)["code"] == "ExternalError.MkdirFailed.Exists"
    path = f"/{source.name}"
    assert shell.json("rename", lab, f"{path}/new", f"{path}/old")["code"] == "FileRenamed"
    assert refused(shell, "rename", lab, f"{path}/new", f"{path}/old")["code"] == "ClientError.NotFound"
    document = json.dumps({"DATA_TYPE": "mkdir", "path": f"{path}/raw"})
    raw = shell.run("api", "transfer", "POST", f"/operation/endpoint/{lab}/mkdir", "--body", document)
    assert json.loads(raw)["code"] == "DirectoryCreated"
    assert sorted(each.name for each in source.iterdir()) == ["old", "raw"]


def test_what_a_submission_takes_is_what_the_task_says(globus: GlobusEmulator, shell: Shell, files: Dirs) -> None:
    source, target = files
    for name in ("keep.txt", "drop.log", "also.txt"):
        (source / name).write_text(name)
    own_id = shell.run("task", "generate-submission-id").strip()
    words = (
        "transfer", "-r", at(globus, "lab", source), at(globus, "theta", target), "--submission-id", own_id,
        "--include", "*.txt", "--exclude", "*", "--preserve-timestamp", "--encrypt-data", "--skip-source-errors",
        "--fail-on-quota-errors", "--no-verify-checksum", "--sync-level", "size", "--delete-destination-extra",
        "--label", "all of it", "--deadline", "2099-01-02", "--notify", "failed,inactive",
    )  # fmt: skip
    dry = json.loads(shell.run(*words, "--dry-run", "-Fjson"))
    assert [dry[f"notify_on_{end}"] for end in ("succeeded", "failed", "inactive")] == [False, True, True]
    task_id = made(shell, *words)
    again = shell.json(*words)
    assert [again[key] for key in ("code", "task_id")] == ["Duplicate", task_id]
    task = shell.json("task", "show", task_id)
    assert {key: task[key] for key in ("sync_level", "label", "deadline", "files_transferred", "type")} == {
        "sync_level": 1,
        "label": "all of it",
        "deadline": "2099-01-02T00:00:00+00:00",
        "files_transferred": 2,
        "type": "TRANSFER",
    }
    chosen = ("preserve_timestamp", "encrypt_data", "skip_source_errors", "fail_on_quota_errors")
    assert all(task[key] is True for key in (*chosen, "delete_destination_extra"))
    assert task["verify_checksum"] is False
    rules = [(each["method"], each["name"], each["type"]) for each in task["filter_rules"]]  # type: ignore[attr-defined]
    assert rules == [("include", "*.txt", "file"), ("exclude", "*", "file")]
    assert sorted(each.name for each in target.iterdir()) == ["also.txt", "keep.txt"]


def test_a_task_from_its_events_to_its_end(globus: GlobusEmulator, shell: Shell, files: Dirs) -> None:
    source, target = files
    (source / "f").write_text("data")
    batch = "f f\nnone none\n"
    route = (at(globus, "lab", source), at(globus, "theta", target))
    words = ("transfer", "--batch", "-", "--skip-source-errors", *route, "-Fjson")
    task_id = json.loads(shell.run(*words, stdin=batch))["task_id"]
    assert shell.json("task", "wait", task_id)["status"] == "SUCCEEDED"
    moved = shell.json("task", "show", "-t", task_id)["DATA"]
    assert [each["destination_path"] for each in moved] == [f"/{target.name}/f"]
    skipped = shell.json("task", "show", "--skipped-errors", task_id)["DATA"]
    assert [(each["source_path"], each["error_code"]) for each in skipped] == [
        (f"/{source.name}/none", "FILE_NOT_FOUND")
    ]
    events = shell.json("task", "event-list", task_id)["DATA"]
    assert [each["code"] for each in events] == ["SUCCEEDED", "STARTED"]
    assert shell.json("task", "event-list", "--filter-errors", task_id)["DATA"] == []
    listed = shell.json("task", "list", "--filter-task-id", task_id, "--filter-type", "TRANSFER")["DATA"]
    assert [each["task_id"] for each in listed] == [task_id]
    assert shell.json("task", "pause-info", task_id)["pause_rules"] == []
    assert shell.json("task", "cancel", task_id)["code"] == "TaskComplete"
    assert refused(shell, "task", "update", task_id, "--label", "late")["code"] == "ClientError.Conflict"
    nobody = "00000000-0000-0000-0000-000000000000"
    assert refused(shell, "task", "show", nobody)["code"] == "ClientError.NotFound"


def test_a_task_that_lives_is_changed_and_cancelled(globus: GlobusEmulator, shell: Shell, files: Dirs) -> None:
    source, target = files
    route = (at(globus, "lab", source, "none"), at(globus, "theta", target, "x"))
    task_id = str(shell.json("transfer", *route)["task_id"])
    assert refused(shell, "transfer", *route)["code"] == "Conflict"
    assert shell.json("task", "update", task_id, "--label", "later")["code"] == "Updated"
    assert shell.json("task", "show", task_id)["label"] == "later"
    assert shell.json("task", "cancel", task_id)["code"] == "Canceled"
    shell.run("task", "wait", task_id, code=1)
    assert shell.json("task", "event-list", task_id)["DATA"][0]["code"] == "CANCELED"  # type: ignore[index]


def test_deleting(globus: GlobusEmulator, shell: Shell, files: Dirs) -> None:
    source, _ = files
    for name in ("one", "two", "d"):
        (source / name).mkdir() if name == "d" else (source / name).write_text("")
    task_id = made(shell, "delete", at(globus, "lab", source, "d"), "-r", "--label", "gone", "--notify", "off")
    task = shell.json("task", "show", task_id)
    assert [task[key] for key in ("type", "label", "destination_endpoint_id")] == ["DELETE", "gone", None]
    assert shell.json("rm", at(globus, "lab", source, "one"))["status"] == "SUCCEEDED"
    shell.run("rm", at(globus, "lab", source, "one"), code=1)
    shell.run("rm", "--ignore-missing", at(globus, "lab", source, "one"))
    assert [each.name for each in source.iterdir()] == ["two"]


def test_finding_collections(globus: GlobusEmulator, shell: Shell) -> None:
    lab = globus.collections["lab"]
    found = shell.json("endpoint", "search", "lab storage", "--filter-owner-id", "ada@uni.example")["DATA"]
    assert [each["id"] for each in found] == [lab]
    assert shell.json("endpoint", "search", "lab storage", "--filter-owner-id", "bob@google.com")["DATA"] == []
    assert shell.json("endpoint", "search", "--filter-scope", "administered-by-me")["DATA"] == []
    shown = shell.json("endpoint", "show", "--skip-endpoint-type-check", lab)
    assert [shown[key] for key in ("display_name", "entity_type")] == ["Lab Storage", "GCSv5_mapped_collection"]
    nobody = "00000000-0000-0000-0000-000000000000"
    assert refused(shell, "endpoint", "show", nobody)["code"] == "EndpointNotFound"


def test_bookmarks_by_name_and_by_id(globus: GlobusEmulator, shell: Shell) -> None:
    archive = globus.collections["archive"]
    mark = shell.json("bookmark", "create", f"{archive}:/runs/", "mine")
    assert [mark[key] for key in ("name", "endpoint_id", "path")] == ["mine", archive, "/runs/"]
    assert shell.json("bookmark", "show", str(mark["id"])) == shell.json("bookmark", "show", "mine") == mark
    assert shell.json("bookmark", "rename", "mine", "ours")["name"] == "ours"
    assert names(shell.json("bookmark", "list")) == ["ours"]
    assert shell.json("bookmark", "delete", "ours")["code"] == "Deleted"
    assert "No bookmark found" in shell.run("bookmark", "show", "ours", code=1)


def test_what_is_not_covered_is_an_error_that_says_so(globus: GlobusEmulator, shell: Shell) -> None:
    said = refused(shell, "endpoint", "role", "list", globus.collections["lab"])
    assert (said["code"], said["message"].split(" GET")[0]) == ("NotImplemented", "This emulator does not cover")
    shell.run("api", "transfer", "GET", "/no/such", "--map-http-status", "501=77", code=77)
