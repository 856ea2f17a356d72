"""What a site's policy lets through, as text alone; the agent's contract tests plant real links."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstage.agent.policy import Policy, refusal, relative_parts, split_directory
from qstage.agent.wire import BadLease, read_command, read_lease

POLICY = Policy(
    owners=("ada",), directories=("/lus/scratch/qstage",), accounts=("chem",), queues=("*",),
    attributes=("slurm.q*",), roots=("/lus/shared",), max_nodes=4, max_minutes=60,
)  # fmt: skip
RAW: dict[str, Any] = {
    "job": "u/1001", "id": 1001, "epoch": 1, "leased_until": "x", "owner": {"id": "u", "username": "ada"},
    "tag": "k3j2", "name": "md", "directory": "/lus/scratch/qstage/k3j2/md-1001", "executable": "run.sh",
}  # fmt: skip


def said(**changes: Any) -> str | None:
    return refusal(read_lease(RAW | changes), POLICY)


def test_a_lease_within_the_policy_is_allowed() -> None:
    assert said() is None
    assert said(owner={"id": "x", "username": "ada"}, attributes={"account": "chem", "queue_name": "any"}) is None
    assert said(links=[{"path": "in/x", "target": "/lus/shared/x"}]) is None
    assert said(attributes={"custom_attributes": {"slurm.qos": "debug"}, "duration": 3600}) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"owner": {"id": "u", "username": "eve"}},
        {"attributes": {"account": "gold"}},
        {"attributes": {"reservation_id": "R.1"}},
        {"attributes": {"duration": 3601}},
        {"attributes": {"queue_name": 'a"; reboot'}},
        {"attributes": {"custom_attributes": {"slurm.account": "gold"}}},
        {"attributes": {"custom_attributes": {"slurm.qos": "x\n#SBATCH --uid=0"}}},
        {"resources": {"node_count": 5}},
        {"resources": {"process_count": 4000}},
        {"links": [{"path": "x", "target": "/lus/shared/../../etc"}]},
        {"links": [{"path": "x", "target": "/lus/sharedness/x"}]},
        {"links": [{"path": ".", "target": "/lus/shared/x"}]},
        {"staged_modes": [{"path": "../x", "mode": "0755"}]},
        {"directory": "/lus/scratch/qstage/md-1001"},
        {"directory": "/lus/scratch/qstage/../x/md-1001"},
        {"directory": "/lus/scratch/qstage/.qstage/md-1001"},
        {"directory": "lus/scratch/qstage/k3j2/md-1001"},
    ],
)
def test_a_lease_outside_the_policy_is_refused_with_words(changes: dict[str, Any]) -> None:
    words = said(**changes)
    assert words is not None
    assert len(words) > 20


@given(st.text(alphabet="a./~\0", max_size=12))
def test_a_path_that_is_let_through_stays_inside(path: str) -> None:
    parts = relative_parts(path)
    if parts is not None:
        assert not path.startswith("/")
        assert all(part not in {"", ".", ".."} and "/" not in part and "\0" not in part for part in parts)


@given(st.text(alphabet="ab./", max_size=12))
def test_a_directory_that_is_let_through_lies_below_a_root_by_two(tail: str) -> None:
    found = split_directory(f"/r/{tail}", Policy(owners=("*",), directories=("/r",)))
    if found is not None:
        root, parts = found
        assert len(parts) >= 2
        assert ".." not in parts
        assert f"{root}/{'/'.join(parts)}" == f"/r/{tail}".rstrip("/")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "a b"},
        {"name": "../x"},
        {"epoch": "1"},
        {"epoch": True},
        {"owner": None},
        {"executable": ""},
        {"arguments": ["a\0b"]},
        {"environment": {"A B": "x"}},
        {"environment": {"A": 1}},
        {"files": [{"path": "x", "content": "?", "encoding": "base64"}]},
        {"files": [{"path": "x", "content": "x", "mode": "4755"}]},
        {"resources": {"quantum": 1}},
        {"resources": {"node_count": "2"}},
    ],
)
def test_a_lease_that_cannot_be_read_says_which_member(changes: dict[str, Any]) -> None:
    with pytest.raises(BadLease):
        read_lease(RAW | changes)


def test_a_command_of_a_newer_service_is_not_guessed_at() -> None:
    with pytest.raises(BadLease, match="migrate"):
        read_command({"job": "u/1", "id": 1, "epoch": 1, "command": "migrate"})
