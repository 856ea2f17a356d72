"""An agent whose journal is lost: which jobs it finds by their directories, and how it goes on with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_agent_ahead import GRACE, Desk

from qstage.agent.jobdir import open_job_directory
from qstage.agent.journal import Journal
from qstage.agent.policy import Policy
from qstage.agent.rules import Phase, Presence
from qstage.agent.strays import find_strays


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    (tmp_path / "jobs").mkdir()
    return Policy(owners=("*",), directories=(str(tmp_path / "jobs"), str(tmp_path / "nowhere")))


def claimed(policy: Policy, tag: str, number: int, *, site: str = "theta", job: str | None = None) -> Path:
    path = f"{policy.directories[0]}/{tag}/md-{number}"
    with open_job_directory(path, policy, create=True) as directory:
        directory.claim(job or f"u/{number}", number, site)
    return Path(path)


def test_jobs_are_found_by_the_marks_in_their_directories(policy: Policy) -> None:
    claimed(policy, "k3j2", 7)
    claimed(policy, "a111", 8)
    assert find_strays(policy, "theta") == ["u/7", "u/8"]


def test_what_is_another_sites_or_no_job_or_behind_a_link_is_not_found(policy: Policy, tmp_path: Path) -> None:
    claimed(policy, "k3j2", 7, site="mira")
    (Path(policy.directories[0]) / "k3j2" / "plain").mkdir()
    (Path(policy.directories[0]) / "a file").write_text("")
    for number, mark in enumerate(('"text"', "{", json.dumps({"job": 7, "site": "theta"})), start=20):
        (claimed(policy, "k3j2", number) / ".qstage" / "job").write_text(mark)
    claimed(policy, "k3j2", 30, job="x" * 500)
    elsewhere = Policy(owners=("*",), directories=(str(tmp_path / "other"),))
    (tmp_path / "other").mkdir()
    (Path(policy.directories[0]) / "linked").symlink_to(claimed(elsewhere, "k3j2", 9).parent)
    assert find_strays(policy, "theta") == []


def test_only_a_journal_that_is_new_has_anything_to_look_for(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal.open(path)
    assert not journal.searched
    journal.close()
    again = Journal.open(path)
    assert not again.searched, "it was killed before it had looked"
    again.has_searched()
    again.close()
    assert Journal.open(path).searched
    path.write_text('{"instance":"from before there was such a thing"}\n')
    assert Journal.open(path).searched


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def submitted(desk: Desk) -> str:
    """A job that the scheduler has, of which the agent that begins now knows nothing."""
    desk.lease(staged=True, held=False)
    desk.look()
    (native,) = desk.scheduler.names
    desk.open("another journal")
    return native


def test_a_job_that_is_found_is_watched_and_not_submitted_again(desk: Desk) -> None:
    native = submitted(desk)
    desk.lease(staged=True, held=False, submitted=True, native_id=native)
    desk.look()
    assert (desk.phase(), desk.said(), list(desk.scheduler.names)) == (Phase.QUEUED, [], [native])
    (desk.home / "jobs/k/md-7/.qstage/exit").write_text("3 1000\n")
    desk.look(1.0)
    assert desk.said()[-1:] == ["exited"]
    assert list(desk.journal.reports.values())[-1].exit_code == 3


def test_one_that_ended_without_a_word_meanwhile_is_lost_after_its_grace(desk: Desk) -> None:
    native = submitted(desk)
    desk.lease(staged=True, held=False, submitted=True, native_id=native)
    desk.scheduler.names.clear()
    assert desk.scheduler.presence({native: ""})[native] is Presence.GONE
    desk.look()
    desk.look(GRACE)
    assert [report.outcome for report in desk.journal.reports.values()] == ["lost"]
    assert not desk.scheduler.names


def test_a_job_that_runs_is_not_ended_by_a_policy_that_was_changed(desk: Desk) -> None:
    native = submitted(desk)
    desk.lease(staged=True, held=False, submitted=True, native_id=native, directory="/elsewhere/k/md-7")
    desk.look()
    assert (desk.journal.held, desk.said()) == ({}, [])
