"""The unmodified ``globus`` command line tool against the emulator: what it prints and how it exits."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from globus_shell import NEEDS_TOOL, TOOL, Dirs, Shell, at, files, globus, made, shell

from emulators.globus import Browser, GlobusEmulator

pytestmark = NEEDS_TOOL
__all__ = ["files", "globus", "shell"]  # fixtures


def test_whoami_names_the_service_account(globus: GlobusEmulator, shell: Shell) -> None:
    name = f"{globus.client('cli').id}@clients.auth.globus.org"
    assert shell.run("whoami").strip() == name
    assert shell.run("whoami", "--linked-identities").strip() == name
    assert shell.json("whoami")["sub"] == globus.client("cli").id


def test_session_show_and_identities(shell: Shell) -> None:
    assert "Auth Time" in shell.run("session", "show")
    found = shell.json("get-identities", "ada@uni.example")["identities"]
    assert [each["name"] for each in found] == ["Ada Lovelace"]  # type: ignore[attr-defined]


def test_ls_long_recursive_hidden_and_filtered(globus: GlobusEmulator, shell: Shell, files: Dirs) -> None:
    source, _ = files
    (source / "sub").mkdir()
    for name in ("a.txt", ".hidden", "sub/b.txt", "sub/c.dat"):
        (source / name).write_text(name)
    where = at(globus, "lab", source)
    assert shell.run("ls", where).split() == ["sub/", "a.txt"]
    assert shell.run("ls", "-a", where).split() == ["sub/", ".hidden", "a.txt"]
    assert shell.run("ls", "-r", where).split() == ["sub/", "a.txt", "sub/b.txt", "sub/c.dat"]
    assert shell.run("ls", "-r", "--filter", "~*.txt", where).split() == ["sub/", "a.txt", "sub/b.txt"]
    assert "0644" in shell.run("ls", "-l", where)
    assert [each["name"] for each in shell.json("ls", where)["DATA"]] == ["sub", "a.txt"]  # type: ignore[attr-defined]


def test_ls_of_nothing_is_an_error_with_its_code(globus: GlobusEmulator, shell: Shell, files: Dirs) -> None:
    said = shell.run("ls", at(globus, "lab", files[0], "none"), code=1)
    assert "ClientError.NotFound" in said
    shell.run("ls", at(globus, "lab", files[0], "none"), "--map-http-status", "404=50", code=50)


def test_stat_mkdir_and_rename(globus: GlobusEmulator, shell: Shell, files: Dirs) -> None:
    source, _ = files
    (source / "f").write_text("four")
    assert shell.json("stat", at(globus, "lab", source, "f"))["size"] == 4
    assert "Nothing found" in shell.run("stat", at(globus, "lab", source, "none"))
    shell.run("mkdir", at(globus, "lab", source, "new"))
    assert "MkdirFailed.Exists" in shell.run("mkdir", at(globus, "lab", source, "new"), code=1)
    shell.run("rename", globus.collections["lab"], f"/{source.name}/f", f"/{source.name}/g")
    assert sorted(os.listdir(source)) == ["g", "new"]


def test_a_single_transfer_with_label_deadline_and_notify(globus: GlobusEmulator, shell: Shell, files: Dirs) -> None:
    source, target = files
    (source / "f").write_text("data")
    task_id = made(
        shell,
        "transfer",
        at(globus, "lab", source, "f"),
        at(globus, "theta", target, "f"),
        "--label",
        "run 7",
        "--deadline",
        "2099-01-02",
        "--notify",
        "off",
    )
    task = shell.json("task", "show", task_id)
    assert [task["status"], task["label"], task["deadline"]] == ["SUCCEEDED", "run 7", "2099-01-02T00:00:00+00:00"]
    assert (target / "f").read_text() == "data"
    assert "Bytes Transferred:            4" in shell.run("task", "show", task_id)
    moved = shell.json("task", "show", "-t", task_id)["DATA"]
    assert moved[0]["checksum_algorithm"] == "MD5"  # type: ignore[index]


def test_recursive_and_batch_transfers_with_filters(globus: GlobusEmulator, shell: Shell, files: Dirs) -> None:
    source, target = files
    for name in ("a b", "deep", "deep/er"):
        (source / name).mkdir()
    for name in ("a b/it's", "deep/er/x.log", "deep/y.txt"):
        (source / name).write_text(name)
    made(shell, "transfer", "-r", at(globus, "lab", source), at(globus, "theta", target, "r"), "--exclude", "*.log")
    found = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert found == ["r/a b/it's", "r/deep/y.txt"]
    batch = f"{shlex.quote(chr(97) + ' b/it' + chr(39) + 's')} one # the first\n--recursive deep two\n"
    words = ("transfer", "--batch", "-", at(globus, "lab", source), at(globus, "theta", target, "b"), "-Fjson")
    task_id = json.loads(shell.run(*words, stdin=batch))["task_id"]
    shell.run("task", "wait", task_id, "--timeout", "30")
    assert (target / "b/one").read_text() == "a b/it's"
    assert (target / "b/two/er/x.log").exists()


@pytest.mark.parametrize(("level", "moved"), [("exists", 0), ("size", 0), ("mtime", 0), ("checksum", 1)])
def test_sync_levels(globus: GlobusEmulator, shell: Shell, files: Dirs, level: str, moved: int) -> None:
    """Same size, newer at the destination, other content: only a checksum tells."""
    source, target = files
    (source / "f").write_text("aaaa")
    (target / "f").write_text("bbbb")
    os.utime(source / "f", (1_000_000_000, 1_000_000_000))
    task_id = made(
        shell, "transfer", "--sync-level", level, at(globus, "lab", source, "f"), at(globus, "theta", target, "f")
    )
    task = shell.json("task", "show", task_id)
    assert [task["files_transferred"], task["files_skipped"]] == [moved, 1 - moved]


def test_a_task_that_cannot_end_waits_and_is_changed_listed_and_cancelled(
    globus: GlobusEmulator, shell: Shell, files: Dirs
) -> None:
    source, target = files
    route = (at(globus, "lab", source, "none"), at(globus, "theta", target, "x"))
    task_id = str(shell.json("transfer", *route)["task_id"])
    shell.run("task", "wait", "--timeout", "1", "--timeout-exit-code", "77", task_id, code=77)
    assert "FILE_NOT_FOUND" in shell.run("task", "show", task_id)
    errors = shell.json("task", "event-list", "--filter-errors", task_id)["DATA"]
    assert errors[0]["code"] == "FILE_NOT_FOUND"  # type: ignore[index]
    assert "identical paths" in shell.run("transfer", *route, code=1)
    assert "is not paused" in shell.run("task", "pause-info", task_id)
    shell.run("task", "update", task_id, "--label", "late", "--deadline", "2099-01-02")
    listed = shell.json("task", "list", "--filter-status", "ACTIVE", "--filter-label", "late")["DATA"]
    assert [each["task_id"] for each in listed] == [task_id]  # type: ignore[attr-defined]
    assert "cancelled successfully" in shell.run("task", "cancel", task_id)
    assert shell.json("task", "show", task_id)["status"] == "FAILED"
    shell.run("task", "wait", task_id, code=1)


def test_cancel_all_ends_what_lives(globus: GlobusEmulator, shell: Shell, files: Dirs) -> None:
    source, target = files
    for name in ("one", "two"):
        shell.run("transfer", at(globus, "lab", source, name), at(globus, "theta", target, name))
    assert shell.run("task", "cancel", "--all").count("cancelled successfully") == 2
    assert shell.json("task", "list", "--filter-status", "ACTIVE")["DATA"] == []


def test_delete_and_rm(globus: GlobusEmulator, shell: Shell, files: Dirs) -> None:
    source, _ = files
    (source / "d").mkdir()
    for name in ("d/f", "x1.tmp", "x2.tmp", "keep"):
        (source / name).write_text("")
    shell.run("rm", "-r", at(globus, "lab", source, "d"))
    shell.run("rm", at(globus, "lab", source, "*.tmp"))
    assert os.listdir(source) == ["keep"]
    task_id = str(shell.json("delete", at(globus, "lab", source, "none"))["task_id"])
    shell.run("task", "wait", task_id, code=1)
    assert shell.json("task", "show", task_id)["fatal_error"]["code"] == "FILE_NOT_FOUND"  # type: ignore[index]
    made(shell, "delete", "--ignore-missing", at(globus, "lab", source, "none"))


def test_endpoints_bookmarks_and_the_raw_api(globus: GlobusEmulator, shell: Shell) -> None:
    lab, archive = globus.collections["lab"], globus.collections["archive"]
    assert lab in shell.run("endpoint", "search", "Lab")
    shell.run("endpoint", "show", lab, code=3)
    assert "Lab Storage" in shell.run("endpoint", "show", "--skip-endpoint-type-check", lab)
    assert "Lab Storage" in shell.run("api", "transfer", "GET", f"/endpoint/{lab}")
    assert shell.json("api", "auth", "GET", "/v2/oauth2/userinfo")["sub"] == globus.client("cli").id
    shell.run("bookmark", "create", f"{archive}:/runs/", "runs")
    assert "Group Archive" in shell.run("bookmark", "list")
    assert shell.run("bookmark", "show", "runs").strip() == f"{archive}:/runs/"
    shell.run("bookmark", "rename", "runs", "old")
    shell.run("bookmark", "delete", "old")
    assert shell.json("bookmark", "list")["DATA"] == []


def test_a_paused_task_shows_who_paused_it_and_why(globus: GlobusEmulator, shell: Shell, files: Dirs) -> None:
    source, target = files
    (source / "f").write_text("f")
    rule = globus.controls.pause("theta", "new disks")
    route = (at(globus, "lab", source, "f"), at(globus, "theta", target, "f"))
    task_id = str(shell.json("transfer", *route)["task_id"])
    assert "new disks" in shell.run("task", "pause-info", task_id)
    globus.controls.unpause(rule)
    shell.run("task", "wait", task_id, "--timeout", "30")


def test_high_assurance_asks_for_a_login(globus: GlobusEmulator, shell: Shell) -> None:
    assert "session" in shell.run("ls", globus.collections["secure"], code=4)


def test_a_person_logs_in_by_pasting_a_code_and_out_again(globus: GlobusEmulator, tmp_path: Path, shell: Shell) -> None:
    env = {name: value for name, value in shell.env.items() if not name.startswith("GLOBUS_CLI_CLIENT")}
    env |= {"HOME": str(tmp_path), "GLOBUS_CLI_INTERACTIVE": "1"}
    words = [str(TOOL), "login", "--no-local-server"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=env, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True) as login:
        assert login.stdout is not None
        url = next(line.strip() for line in login.stdout if "/v2/oauth2/authorize" in line)
        try:
            with Browser() as browser:
                page = browser.sign_in(url, "ada@uni.example", follow=True)
            said, _ = login.communicate(page.split("code=")[1].split("&")[0] + "\n", timeout=30)
        finally:
            login.kill()
    assert login.returncode == 0, said

    def run(*words: str) -> str:
        done = subprocess.run([str(TOOL), *words], env=env, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    assert run("whoami").strip() == "ada@uni.example"
    assert "ada@uni.example" in run("session", "show")
    assert run("ls", globus.collections["archive"]) is not None
    assert "logged out" in run("logout", "--yes")


def test_logout_of_the_service_account(shell: Shell) -> None:
    assert "revoked all CLI tokens" in shell.run("logout", "--yes")
