"""A job's directory on a real file system in which links have been planted everywhere."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qstage.agent.jobdir import DirectoryRefused, JobDirectory, NoDirectory, open_directory
from qstage.agent.rules import ExitNote, RunMarker
from qstage.agent.runscript import render
from qstage.agent.wire import read_lease


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    place = tmp_path / "outside"
    place.mkdir()
    (place / "precious").write_text("keep")
    return place


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[JobDirectory]:
    (tmp_path / "root").mkdir()
    with open_directory(str(tmp_path / "root"), ("tag", "md-1"), create=True) as made:
        made.claim("u/1", 1, "theta")
        yield made


def here(directory: JobDirectory) -> Path:
    return Path(directory.path)


def test_a_claimed_directory_stays_its_jobs(directory: JobDirectory) -> None:
    directory.claim("u/1", 1, "theta")
    for job, site in (("u/2", "theta"), ("u/1", "mira")):
        with pytest.raises(DirectoryRefused, match="belongs to job u/1"):
            directory.claim(job, 1, site)
    assert here(directory).stat().st_mode & 0o777 == 0o700


def test_the_way_to_a_directory_may_not_hold_a_link(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/tag").symlink_to(outside)
    with (
        pytest.raises(DirectoryRefused, match="is a link"),
        open_directory(str(tmp_path / "root"), ("tag", "md-1"), create=True),
    ):
        pass
    assert [entry.name for entry in outside.iterdir()] == ["precious"]


def test_looking_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(NoDirectory), open_directory(str(tmp_path), ("tag", "md-1"), create=False):
        pass
    assert list(tmp_path.iterdir()) == []


def test_writing_replaces_a_planted_link_and_does_not_follow_one_on_the_way(
    directory: JobDirectory, outside: Path
) -> None:
    (here(directory) / "run.sh").symlink_to(outside / "precious")
    (here(directory) / "in").symlink_to(outside)
    directory.write_file("run.sh", b"new", 0o755)
    with pytest.raises(DirectoryRefused, match="is a link"):
        directory.write_file("in/precious", b"new", 0o644)
    assert (here(directory) / "run.sh").read_text() == "new"
    assert not (here(directory) / "run.sh").is_symlink()
    assert (here(directory) / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (outside / "precious").read_text() == "keep"


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", ".qstage/job", "."])
def test_paths_that_leave_or_are_the_agents_own_are_not_written(directory: JobDirectory, path: str) -> None:
    with pytest.raises(DirectoryRefused):
        directory.write_file(path, b"", 0o644)


def test_a_mode_is_not_set_through_a_link(directory: JobDirectory, outside: Path) -> None:
    (here(directory) / "x").symlink_to(outside / "precious")
    before = (outside / "precious").stat().st_mode
    with pytest.raises(DirectoryRefused):
        directory.set_mode("x", 0o777)
    assert (outside / "precious").stat().st_mode == before


def test_linking_twice_is_once_and_over_something_else_is_refused(directory: JobDirectory, outside: Path) -> None:
    roots = (str(outside),)
    directory.link("in/data", str(outside / "precious"), roots)
    directory.link("in/data", str(outside / "precious"), roots)
    directory.write_file("in/other", b"", 0o644)
    with pytest.raises(DirectoryRefused, match="something else"):
        directory.link("in/other", str(outside / "precious"), roots)


def test_outputs_are_counted_and_their_links_are_only_listed(directory: JobDirectory, outside: Path) -> None:
    directory.write_file("results/a", b"12345", 0o644)
    directory.write_file("results/deep/b", b"", 0o644)
    (here(directory) / "results/deep/way").symlink_to(outside)
    (here(directory) / "lost").symlink_to(outside / "precious")
    os.mkfifo(here(directory) / "results/pipe")
    assert directory.count("results/") == ("directory", 2, 5, ("deep/way",))
    assert directory.count("results/a") == ("file", 1, 5, ())
    assert directory.count("nothing") == ("missing", 0, 0, ())
    assert directory.count("lost") == ("missing", 0, 0, ("lost",))
    assert directory.count("results/deep/way/precious") == ("missing", 0, 0, ())


@pytest.mark.parametrize(
    ("content", "tail"),
    [(b"short", "short"), ("é".encode() * 5, "éé"), (b"ab\xff\0cd", "b��cd"), (b"", "")],
)
def test_a_tail_is_text_whatever_is_in_the_file(directory: JobDirectory, content: bytes, tail: str) -> None:
    directory.write_file("out", content, 0o644)
    assert directory.tail("out", limit=5) == tail


def test_a_tail_of_a_pipe_or_a_link_is_nothing(directory: JobDirectory, outside: Path) -> None:
    os.mkfifo(here(directory) / "pipe")
    (here(directory) / "link").symlink_to(outside / "precious")
    assert [directory.tail(name) for name in ("pipe", "link", "none", "../outside/precious")] == [""] * 4


def test_removal_takes_everything_and_follows_nothing(directory: JobDirectory, outside: Path) -> None:
    directory.write_file("a/b/c", b"", 0o600)
    (here(directory) / "a/way").symlink_to(outside)
    (here(directory) / "a/b").chmod(0o500)
    directory.remove()
    assert not here(directory).exists()
    assert (outside / "precious").read_text() == "keep"


def test_some_paths_can_be_removed_alone(directory: JobDirectory) -> None:
    directory.write_file("keep", b"", 0o644)
    directory.write_file("scratch/x", b"", 0o644)
    directory.remove_paths(("scratch/", "was/never/there"))
    assert sorted(entry.name for entry in here(directory).iterdir()) == [".qstage", "keep"]


def test_what_a_job_writes_over_its_marks_is_not_believed(directory: JobDirectory) -> None:
    own = here(directory) / ".qstage"
    (own / "run").mkdir()
    (own / "run/native_id").write_text("7\n")
    (own / "run/started").write_text("yesterday")
    (own / "exit").write_text("zero\n")
    assert directory.run_marker() == RunMarker(native_id="7", started=0.0)
    assert directory.exit_note() is None


def script(directory: JobDirectory, command: str, **changes: Any) -> Path:
    lease = read_lease(
        {
            "job": "u/1", "id": 1, "epoch": 1, "leased_until": "x", "owner": {"id": "u", "username": "ada"},
            "tag": "tag", "name": "md", "directory": directory.path, "executable": "/bin/bash",
            "arguments": ["-c", command], **changes,
        }
    )  # fmt: skip
    return Path(directory.write_run_script(render(lease, directory=directory.path, scheduler="cobalt")))


def run(path: Path, native: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [path], env={"PATH": "/usr/bin:/bin", "COBALT_JOBID": native, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_only_the_first_native_id_runs_and_its_exit_status_is_kept(directory: JobDirectory) -> None:
    path = script(directory, "echo ran >>count; exit 3")
    assert run(path, "100").returncode == 3
    assert run(path, "101").returncode == 0
    marker, note = directory.run_marker(), directory.exit_note()
    assert marker is not None
    assert marker.native_id == "100"
    assert isinstance(note, ExitNote)
    assert note.code == 3
    assert (here(directory) / "count").read_text() == "ran\n"


def test_of_many_at_once_one_runs(directory: JobDirectory) -> None:
    path = script(directory, "echo ran >>count")
    racers = [
        subprocess.Popen([path], env={"PATH": "/usr/bin:/bin", "COBALT_JOBID": str(number)}, stderr=subprocess.DEVNULL)
        for number in range(12)
    ]
    assert {racer.wait() for racer in racers} == {0}
    assert (here(directory) / "count").read_text() == "ran\n"
    assert sorted(entry.name for entry in (here(directory) / ".qstage").iterdir()) == ["exit", "job", "run", "run.sh"]


def test_the_schedulers_own_rerun_of_a_job_may_run_again(directory: JobDirectory) -> None:
    path = script(directory, "echo ran >>count")
    run(path, "100")
    run(path, "100")
    assert (here(directory) / "count").read_text() == "ran\nran\n"


def test_a_blocked_job_never_starts(directory: JobDirectory) -> None:
    path = script(directory, "echo ran >>count")
    directory.block(1000.0)
    assert run(path, "100").returncode == 0
    assert not (here(directory) / "count").exists()
    assert directory.run_marker() == RunMarker(native_id=None, started=1000.0)


def test_blocking_a_job_that_has_begun_changes_nothing(directory: JobDirectory) -> None:
    run(script(directory, "true"), "100")
    directory.block(1000.0)
    marker = directory.run_marker()
    assert marker is not None
    assert marker.native_id == "100"


def test_a_signal_reaches_the_command_and_its_own_exit_status_counts(directory: JobDirectory) -> None:
    path = script(directory, "trap 'exit 9' TERM; touch ready; while :; do sleep 0.05; done")
    process = subprocess.Popen([path], env={"PATH": "/usr/bin:/bin", "COBALT_JOBID": "100"})
    deadline = time.monotonic() + 10
    while not (here(directory) / "ready").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline, "the command never started"
        time.sleep(0.01)
    process.terminate()
    assert process.wait(timeout=10) == 9
    note = directory.exit_note()
    assert note is not None
    assert note.code == 9


def test_the_command_sees_the_short_list_and_its_own_variables_only(directory: JobDirectory) -> None:
    path = script(directory, "/usr/bin/env", environment={"QSTAGE_JOB_ID": "77", "A": "it's\n$(x)"})
    run(path, "100", QSTAGE_KEY="qsk_x", LD_PRELOAD="", COBALT_PARTNAME="n1", HOME="/h", MODULEPATH="/m")
    seen = (here(directory) / "md.out").read_text()
    names = {line.partition("=")[0] for line in seen.splitlines() if "=" in line}
    assert {"HOME", "COBALT_PARTNAME", "COBALT_JOBID", "A", "QSTAGE_JOB_DIR", "QSTAGE_JOB_ID"} <= names
    assert not {"QSTAGE_KEY", "LD_PRELOAD", "MODULEPATH"} & names
    assert "QSTAGE_JOB_ID=1\n" in seen
    assert "A=it's\n$(x)\n" in seen


def test_a_command_with_an_equals_sign_in_its_name_is_run_not_assigned(directory: JobDirectory) -> None:
    directory.write_file("a=b", b'#!/bin/bash\necho "ran $1"\n', 0o755)
    run(script(directory, "", executable="a=b", arguments=["x y"]), "100")
    assert (here(directory) / "md.out").read_text() == "ran x y\n"
