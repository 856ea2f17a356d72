"""What the journal keeps through every way of being cut short."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qstage.agent.journal import Journal, JournalDamaged
from qstage.agent.rules import Held, Phase
from qstage.agent.wire import FoundOutput, Report, read_lease

RAW: dict[str, Any] = {
    "id": 1001, "epoch": 1, "leased_until": "x", "owner": {"id": "u", "username": "ada"}, "tag": "k3j2",
    "name": "md", "directory": "/jobs/k3j2/md-1001", "executable": "run.sh", "environment": {"A": "é\U0001f600"},
}  # fmt: skip


def held(job: str, phase: Phase = Phase.LEASED) -> Held:
    return Held(lease=read_lease(RAW | {"job": job}), phase=phase)


def exit_report(job: str) -> Report:
    found = FoundOutput(item=0, kind="directory", files=2, bytes=9, links=("a/b",))
    return Report(
        job=job,
        epoch=1,
        event="exited",
        at="t",
        native_id="7",
        exit_code=3,
        outcome="error",
        tail="é",
        outputs=(found,),
    )


def test_what_was_put_is_there_after_a_restart(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal")
    journal.put(held("u/1"), [exit_report("u/1")])
    journal.put(held("u/2", Phase.ACTIVE))
    journal.drop("u/1")
    journal.say(exit_report("u/3"))
    again = Journal.open(tmp_path / "journal")
    assert again.instance == journal.instance
    assert again.held == {"u/2": held("u/2", Phase.ACTIVE)}
    assert list(again.reports.values()) == [exit_report("u/1"), exit_report("u/3")]


def test_an_answered_report_does_not_come_back_and_its_number_is_not_given_again(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal")
    journal.say(exit_report("u/1"))
    journal.say(exit_report("u/2"))
    (first, second) = journal.reports
    journal.answered([first])
    again = Journal.open(tmp_path / "journal")
    again.say(exit_report("u/3"))
    assert next(iter(again.reports)) == second
    assert len(set(again.reports) | {first}) == 3


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    Journal.open(tmp_path / "journal").close()
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(cut=st.integers(1, 10_000))
def test_a_file_cut_anywhere_in_its_last_line_opens_as_before_that_line(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal"
    path.unlink(missing_ok=True)
    journal = Journal.open(path)
    journal.put(held("u/1"))
    whole = path.stat().st_size
    journal.put(held("u/1", Phase.SUBMITTING), [exit_report("u/1")])
    data = path.read_bytes()
    path.write_bytes(data[: max(whole, len(data) - cut)])
    again = Journal.open(path)
    assert again.held == {"u/1": held("u/1")} or len(data) - cut >= len(data) - 1
    assert again.reports == {} or again.held["u/1"].phase is Phase.SUBMITTING


def test_damage_before_the_last_line_stops_the_agent(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal.open(path)
    journal.put(held("u/1"))
    path.write_bytes(b'{"put": \n' + path.read_bytes())
    with pytest.raises(JournalDamaged, match="line 1"):
        Journal.open(path)


def test_a_last_line_that_ends_in_a_newline_and_is_damaged_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal.open(path).close()
    path.write_bytes(path.read_bytes() + b"nonsense\n")
    with pytest.raises(JournalDamaged):
        Journal.open(path)


def test_the_file_does_not_grow_with_what_is_over(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal.open(path)
    empty = path.stat().st_size
    for number in range(50):
        journal.put(replace(held(f"u/{number}")), [exit_report(f"u/{number}")])
        journal.answered(list(journal.reports))
        journal.drop(f"u/{number}")
    journal.close()
    Journal.open(path).close()
    assert path.stat().st_size == empty
