"""Random trees, moved for real: the destination is the source under every filter and sync level, and nothing else."""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulators.globus import GlobusEmulator, Pace, Settings
from emulators.globus.config import default_config

TRANSFER = "urn:globus:auth:scope:transfer.api.globus.org:all"
MONDAY = 1_800_000_000
EXAMPLES = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Names of every kind that a file system takes: blanks, quotes, other scripts, control characters, dots at the front.
name = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/\0"), min_size=1, max_size=12).filter(
    lambda text: text not in (".", "..") and len(text.encode()) <= 200
)
content = st.binary(max_size=40)
tree = st.recursive(content, lambda below: st.dictionaries(name, below, max_size=4), max_leaves=12).filter(
    lambda top: isinstance(top, dict)
)

# Few names and few contents, so that two trees have much in common.
leaf = st.sampled_from([b"", b"x", b"y", b"xx"])
folder = st.dictionaries(st.sampled_from("ab"), leaf, max_size=2)
near = st.dictionaries(st.sampled_from("abcd"), st.one_of(leaf, leaf, leaf, folder), min_size=2)


@dataclass(frozen=True)
class Bench:
    """A running emulator, seen by its service account: one collection, and a guard around its directory."""

    globus: GlobusEmulator
    head: dict[str, str]

    @property
    def root(self) -> Path:
        return self.globus.directory("archive")

    def transfer(self, **fields: Any) -> dict[str, Any]:
        archive = self.globus.collections["archive"]
        body = {
            "submission_id": str(uuid.uuid4()),
            "source_endpoint": archive,
            "destination_endpoint": archive,
            "DATA": [{"source_path": "/in/", "destination_path": "/out/", "recursive": True}],
            **fields,
        }
        made = requests.post(f"{self.globus.url}/v0.10/transfer", json=body, headers=self.head, timeout=30).json()
        task = requests.get(f"{self.globus.url}/v0.10/task/{made['task_id']}", headers=self.head, timeout=30).json()
        if task["status"] == "ACTIVE":
            requests.post(f"{self.globus.url}/v0.10/task/{made['task_id']}/cancel", headers=self.head, timeout=30)
        return task

    def fresh(self) -> tuple[Path, Path]:
        """Both directories, empty."""
        for place in ("in", "out"):
            shutil.rmtree(self.root / place, ignore_errors=True)
        (self.root / "in").mkdir()
        return self.root / "in", self.root / "out"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    config = dataclasses.replace(default_config(), settings=Settings(rate_per_second=None))
    with GlobusEmulator(tmp_path_factory.mktemp("trees"), config, pace=Pace.at_once()) as globus:
        account = globus.client("cli")
        form = {"grant_type": "client_credentials", "scope": TRANSFER}
        credentials = (account.id, account.secret or "")
        reply = requests.post(f"{globus.url}/v2/oauth2/token", data=form, auth=credentials, timeout=30)
        yield Bench(globus, {"Authorization": f"Bearer {reply.json()['access_token']}"})


def plant(root: Path, top: dict[str, Any]) -> None:
    root.mkdir(exist_ok=True)
    for each, below in top.items():
        if isinstance(below, dict):
            plant(root / each, below)
        else:
            (root / each).write_bytes(below)


def harvest(root: Path) -> dict[str, Any]:
    return {path.name: harvest(path) if path.is_dir() else path.read_bytes() for path in root.iterdir()}


@EXAMPLES
@given(tree)
def test_the_destination_is_the_source(bench: Bench, top: dict[str, Any]) -> None:
    source, target = bench.fresh()
    plant(source, top)
    task = bench.transfer(verify_checksum=True)
    assert task["status"] == "SUCCEEDED", task["nice_status_details"]
    assert harvest(target) == top == harvest(source)
    assert {path.name for path in bench.root.iterdir()} == {"in", "out"}


@EXAMPLES
@given(
    tree,
    st.lists(
        st.tuples(st.sampled_from(["include", "exclude"]), name, st.sampled_from([None, "file", "dir"])), max_size=4
    ),
    st.data(),
)
def test_the_destination_is_what_the_rules_let_pass(
    bench: Bench, top: dict[str, Any], loose: list[tuple[str, str, str | None]], data: st.DataObject
) -> None:
    source, target = bench.fresh()
    plant(source, top)
    names = sorted({path.name for path in source.rglob("*")}) or ["x"]
    rules = [
        (method, data.draw(st.sampled_from([*names, text, text[:1] + "*", "*"])), kind) for method, text, kind in loose
    ]

    def passes(each: str, is_directory: bool) -> bool:
        for method, pattern, kind in rules:
            if kind in (None, "dir" if is_directory else "file") and fnmatch.fnmatchcase(each, pattern):
                return method == "include"
        return True

    def expected(below: dict[str, Any]) -> dict[str, Any]:
        return {
            each: expected(value) if isinstance(value, dict) else value
            for each, value in below.items()
            if passes(each, isinstance(value, dict))
        }

    documents = [{"method": method, "name": pattern, "type": kind} for method, pattern, kind in rules]
    task = bench.transfer(filter_rules=documents)
    assert task["status"] == "SUCCEEDED"
    assert harvest(target) == expected(top)


@EXAMPLES
@given(
    near,
    near,
    st.sampled_from([None, 0, 1, 2, 3]),
    st.booleans(),
    st.sets(st.sampled_from("abcd")),
    st.sampled_from([None, "a", "[ab]"]),
)
def test_a_second_tree_over_a_first_is_merged_by_the_sync_level_and_the_rules(
    bench: Bench,
    new: dict[str, Any],
    old: dict[str, Any],
    level: int | None,
    extra_goes: bool,
    newer: set[str],
    left_out: str | None,
) -> None:
    source, target = bench.fresh()
    plant(source, new)
    plant(target, old)
    for root, late in ((source, newer), (target, set())):
        for path in root.rglob("*"):
            os.utime(path, (MONDAY, MONDAY + 60 if path.name in late else MONDAY))

    def passes(each: str) -> bool:
        return left_out is None or not fnmatch.fnmatchcase(each, left_out)

    def kept(each: str, here: bytes, there: bytes) -> bool:
        """Whether the level finds the file at the destination good enough."""
        alike = level == 0 or len(here) == len(there)
        return alike and (level in (0, 1) or (level == 2 and each not in newer))

    def merged(here: dict[str, Any], there: dict[str, Any]) -> dict[str, Any] | None:
        """What must be there at the end; None where a file stands against a directory, which no transfer settles."""
        found = {each: value for each, value in there.items() if not passes(each) or not (extra_goes or each in here)}
        for each, value in ((each, value) for each, value in here.items() if passes(each)):
            before = there.get(each)
            if before is not None and isinstance(before, dict) != isinstance(value, dict):
                return None
            if isinstance(value, dict):
                deeper = merged(value, before if isinstance(before, dict) else {})
                if deeper is None:
                    return None
                found[each] = deeper
            else:
                found[each] = before if before is not None and kept(each, value, before) else value
        return found

    options: dict[str, Any] = {"delete_destination_extra": extra_goes}
    if level is not None:
        options["sync_level"] = level
    if left_out is not None:
        options["filter_rules"] = [{"method": "exclude", "name": left_out}]
    task = bench.transfer(**options)
    expected = merged(new, old)
    if expected is None:
        assert task["status"] == "ACTIVE"
        assert task["faults"] > 0
    else:
        assert task["status"] == "SUCCEEDED", task["nice_status_details"]
        assert harvest(target) == expected
        assert left_out is not None or level not in (None, 3) or not extra_goes or harvest(target) == new
    assert harvest(source) == new


@EXAMPLES
@given(
    st.lists(st.sampled_from(["..", ".", "in", "a", "~", "", "up", "out of here", "\udcff", "é"]), max_size=8),
    st.booleans(),
)
def test_no_path_reads_or_writes_outside(bench: Bench, parts: list[str], absolute: bool) -> None:
    source, _ = bench.fresh()
    plant(source, {"a": b"inside"})
    (source / "up").symlink_to("../../..")
    outside = bench.root.parent
    before = {
        path: path.read_bytes() for path in outside.rglob("*") if path.is_file() and bench.root not in path.parents
    }
    guarded = set(outside.iterdir())
    path = ("/" if absolute else "") + "/".join(parts) or "/"
    for item in itertools.product(("/in/a", path), ("/out/x", path)):
        bench.transfer(DATA=[{"source_path": item[0], "destination_path": item[1]}])
    archive = bench.globus.collections["archive"]
    url = f"{bench.globus.url}/v0.10/operation/endpoint/{archive}"
    requests.post(f"{url}/mkdir", json={"path": path + "/made"}, headers=bench.head, timeout=30)
    rename = {"old_path": "/in/a", "new_path": path + "/moved"}
    requests.post(f"{url}/rename", json=rename, headers=bench.head, timeout=30)
    assert set(outside.iterdir()) == guarded
    after = {
        path: path.read_bytes() for path in outside.rglob("*") if path.is_file() and bench.root not in path.parents
    }
    assert after == before
