"""An agent and jobs that their scheduler holds before their data is there: submitted or found, watched, released."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest

from qstage.agent.clocks import Clocks
from qstage.agent.config import AgentConfig
from qstage.agent.journal import Journal
from qstage.agent.orders import STRAY_GRACE, Orders
from qstage.agent.policy import Policy
from qstage.agent.rules import ASK_AGAIN, RELEASE_AGAIN, RELEASE_SELDOM, Phase, Presence
from qstage.agent.schedulers import Receipt, Rejected
from qstage.agent.wire import Lease, Report, read_command, read_lease
from qstage.agent.work import Work
from qstage.client.results import Secret

ADOPT = {"duration": 600, "custom_attributes": {"cobalt.adopt": "held"}}
GRACE = 1.0


class Holding:
    """A scheduler's end, in memory: its jobs by native id, each with a name; whose hold is gone is ``free``."""

    keeps_walltime = True

    def __init__(self) -> None:
        self.can_hold = True
        self.names: dict[str, str] = {}
        self.free: set[str] = set()
        self.runs: set[str] = set()
        self.start: float | None = None
        self.asked = 0
        self.releases = 0
        self.refusal: str | None = None

    def submit(self, lease: Lease, script: str, directory: str) -> Receipt:
        native = str(5001 + len(self.names))
        self.names[native] = lease.scheduler_name
        if lease.staged:
            self.free.add(native)
        return Receipt(native_id=native, ticket="t")

    def expected_starts(self, held: Collection[str]) -> Mapping[str, float | None]:
        self.asked += bool(held)
        return dict.fromkeys(held, self.start)

    def presence(self, native_ids: Mapping[str, str]) -> Mapping[str, Presence]:
        here = {native: Presence.ACTIVE if native in self.runs else Presence.QUEUED for native in self.names}
        return {native: here.get(native, Presence.GONE) for native in native_ids}

    def cancel(self, native_id: str, script: str) -> None:
        self.names.pop(native_id, None)

    def find(self, name: str) -> str | None:
        return next((native for native, other in self.names.items() if other == name), None)

    def hold(self, native_id: str) -> None:
        raise AssertionError("what is submitted held is not held by a second command")

    def release(self, native_id: str) -> None:
        self.releases += 1
        if self.refusal is not None:
            raise Rejected(self.refusal)
        self.free.add(native_id)

    def forget(self, native_id: str, ticket: str | None) -> None:
        pass


class Desk:
    """One agent's work, its scheduler, and a clock to turn."""

    def __init__(self, home: Path) -> None:
        self.home, self.now = home, 1000.0
        (home / "jobs").mkdir()
        self.policy = Policy(owners=("*",), directories=(str(home / "jobs"),), attributes=("cobalt.adopt",))
        self.scheduler = Holding()
        self.open("journal")

    def open(self, journal: str) -> None:
        """An agent with this journal begins."""
        config = AgentConfig(
            service="http://127.0.0.1", site="theta", token=Secret("t"), scheduler="cobalt", path=(), state=self.home,
            work=self.home, poll_seconds=1.0, grace_seconds=GRACE, take=1, keep=(), policy=self.policy,
        )  # fmt: skip
        self.journal = Journal.open(self.home / journal)
        clocks = Clocks(wall=lambda: self.now, steady=lambda: self.now)
        self.work = Work(config, self.journal, self.scheduler, clocks)
        self.orders = Orders(self.policy, self.journal, self.scheduler, clocks)

    def lease(self, *, staged: bool = False, epoch: int = 1, **changes: Any) -> None:
        raw: dict[str, Any] = {
            "job": "u/7", "id": 7, "epoch": epoch, "leased_until": "2026-11-22T17:00:00Z", "name": "md", "tag": "k",
            "owner": {"id": "u", "username": "ada"}, "directory": f"{self.home}/jobs/k/md-7", "executable": "run.sh",
            "attributes": {"duration": 600}, "staged": staged, "held": True,
        }  # fmt: skip
        self.work.take(read_lease(raw | changes))

    def order(self, command: str, **fields: Any) -> None:
        raw = {"job": "u/7", "id": 7, "epoch": 1, "command": command, "native_id": None, "paths": None, "attempt": 1}
        self.orders.obey(read_command({**raw, "directory": f"{self.home}/jobs/k/md-7", **fields}))

    def look(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.work.advance(submit_until=self.now + 60)

    def said(self) -> list[str]:
        return [report.event for report in self.journal.reports.values()]

    def starts(self) -> list[str | None]:
        return [report.starts_at for report in self.journal.reports.values()]

    def phase(self) -> Phase:
        return self.journal.held["u/7"].phase

    def script(self) -> str:
        return (self.home / "jobs/k/md-7/.qstage/run.sh").read_text()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_job_without_its_data_is_submitted_held_with_a_script_that_refuses(desk: Desk) -> None:
    desk.scheduler.start = 4600.0
    desk.lease()
    desk.look()
    assert (desk.said(), desk.phase()) == (["held_ahead"], Phase.HELD)
    assert desk.starts() == ["1970-01-01T01:16:40Z"]
    assert desk.scheduler.names == {"5001": "md-7-k"}
    assert desk.scheduler.free == set()
    assert "the data of job 7 is not here yet" in desk.script()
    assert "env -i" not in desk.script()


def test_with_its_data_it_is_released_once_and_queued(desk: Desk) -> None:
    desk.lease()
    desk.look()
    desk.lease(staged=True, epoch=2, native_id="5001")
    desk.look()
    desk.look(1.0)
    assert (desk.said(), desk.scheduler.free) == (["held_ahead", "queued"], {"5001"})
    assert "env -i" in desk.script()
    assert len(desk.scheduler.names) == 1, "nothing was submitted a second time"


def last(desk: Desk) -> Report:
    return list(desk.journal.reports.values())[-1]


def not_released(desk: Desk) -> None:
    """Its data is there, and an administrator holds it."""
    desk.lease()
    desk.look()
    desk.scheduler.refusal = "job 5001: Access/permission denied"
    desk.lease(staged=True, epoch=2, native_id="5001")
    desk.look()


def test_a_job_that_the_scheduler_does_not_release_is_told_of_once_in_its_words(desk: Desk) -> None:
    not_released(desk)
    for _ in range(5):
        desk.look(RELEASE_SELDOM)
    assert desk.said() == ["held_ahead", "refused"]
    assert (last(desk).command, last(desk).order, last(desk).epoch) == ("release", None, 2)
    assert str(last(desk).detail).endswith("is asked again from time to time: job 5001: Access/permission denied")


def test_the_scheduler_is_asked_ever_more_seldom_and_what_it_lets_go_at_last_is_queued(desk: Desk) -> None:
    not_released(desk)
    desk.look(RELEASE_AGAIN - 1)
    assert desk.scheduler.releases == 1
    desk.look(1)
    desk.look(RELEASE_AGAIN)
    assert desk.scheduler.releases == 2, "the second pause is longer than the first"
    for _ in range(100):
        desk.look(60)
    assert 8 <= desk.scheduler.releases <= 14, "in 100 minutes"
    desk.open("journal")
    desk.scheduler.refusal = None
    desk.look(RELEASE_SELDOM)
    assert (desk.said()[-1], desk.phase(), desk.scheduler.free) == ("queued", Phase.QUEUED, {"5001"})
    assert desk.journal.held["u/7"].release_at is None


def test_a_job_that_is_not_released_is_ended_when_its_user_says_so(desk: Desk) -> None:
    not_released(desk)
    desk.order("cancel", epoch=2)
    desk.look()
    assert (desk.said()[-1], desk.scheduler.names) == ("exited", {})


def test_another_agent_finds_what_is_held_and_releases_it(desk: Desk) -> None:
    desk.lease()
    desk.look()
    desk.open("another")
    desk.lease(staged=True, epoch=2, native_id="5001")
    desk.look()
    assert (desk.said(), desk.scheduler.free, len(desk.scheduler.names)) == (["queued"], {"5001"}, 1)


def test_another_agent_is_given_a_job_that_was_never_told_of_and_finds_it(desk: Desk) -> None:
    desk.lease()
    desk.look()
    desk.open("another")
    desk.lease(epoch=2)
    desk.look()
    assert (desk.said(), len(desk.scheduler.names)) == (["held_ahead"], 1)


def test_a_job_that_never_came_to_be_held_is_submitted_when_its_data_is_there(desk: Desk) -> None:
    desk.lease(staged=True)
    desk.look()
    assert (desk.said(), desk.scheduler.free) == (["queued"], {"5001"})


def test_a_new_estimate_is_reported_if_it_is_another_by_much(desk: Desk) -> None:
    desk.scheduler.start = desk.now + 4000
    desk.lease()
    desk.look()
    desk.look(ASK_AGAIN - 1)
    assert desk.scheduler.asked == 1, "the scheduler is not asked at every look"
    desk.scheduler.start += 900
    desk.look(1)
    assert (desk.said(), desk.scheduler.asked) == (["held_ahead"], 2), "less than a quarter of what was left"
    desk.scheduler.start += 200
    desk.look(ASK_AGAIN)
    assert desk.said() == ["held_ahead", "held_ahead"]
    desk.scheduler.start = None
    desk.look(ASK_AGAIN)
    assert desk.starts()[2:] == [None], "that nothing is known any more is news"


def test_a_job_deleted_at_the_scheduler_is_told_of_in_plain_words(desk: Desk) -> None:
    desk.lease()
    desk.look()
    desk.scheduler.names.clear()
    desk.look()
    assert desk.said() == ["held_ahead"], "a list may be late: it has its grace"
    desk.look(GRACE)
    assert desk.said() == ["held_ahead", "gone"]
    detail = list(desk.journal.reports.values())[-1].detail
    assert detail is not None
    assert detail.endswith("is not there any more: somebody deleted it")


def test_a_job_released_by_hand_runs_nothing_and_is_told_of(desk: Desk) -> None:
    desk.lease()
    desk.look()
    desk.scheduler.runs.add("5001")
    desk.look()
    (desk.home / "jobs/k/md-7/.qstage/early").touch()
    desk.scheduler.names.clear()
    desk.look()
    desk.look(GRACE)
    assert desk.said() == ["held_ahead", "gone"]
    assert "it was started, and nothing ran" in str(list(desk.journal.reports.values())[-1].detail)


def test_a_job_released_by_hand_is_not_released_again_while_it_refuses(desk: Desk) -> None:
    desk.lease()
    desk.look()
    desk.scheduler.runs.add("5001")
    desk.lease(staged=True, epoch=2)
    desk.look()
    assert (desk.said(), desk.scheduler.free) == (["held_ahead"], set())
    assert "is not here yet" in desk.script()


def test_a_job_that_left_the_queue_after_a_crash_at_its_release_has_its_grace_to_show_that_it_ran(desk: Desk) -> None:
    desk.lease()
    desk.look()
    desk.lease(staged=True, epoch=2, native_id="5001")
    desk.open("another")
    desk.scheduler.names.clear()
    desk.lease(staged=True, epoch=2, native_id="5001")
    desk.look()
    assert desk.said() == []
    run = desk.home / "jobs/k/md-7/.qstage/run"
    run.mkdir()
    (run / "native_id").write_text("5001\n")
    (run / "started").write_text("900\n")
    desk.look(GRACE)
    assert desk.said() == ["queued", "active"]


def test_a_job_whose_directory_was_removed_is_found_by_its_name(desk: Desk) -> None:
    desk.lease()
    desk.look()
    shutil.rmtree(desk.home / "jobs/k/md-7")
    desk.open("another")
    desk.lease(epoch=2)
    desk.look()
    assert (desk.said(), len(desk.scheduler.names)) == (["held_ahead"], 1), "it is found, and none is submitted"
    desk.scheduler.names.clear()
    desk.lease(staged=True, epoch=3, native_id="5001")
    desk.look()
    desk.look(GRACE)
    assert desk.said() == ["held_ahead", "gone"]


def test_a_cancel_ends_what_is_held(desk: Desk) -> None:
    desk.lease()
    desk.look()
    desk.order("cancel")
    desk.look()
    desk.look()
    assert (desk.said(), desk.scheduler.names) == (["held_ahead", "exited"], {})
    assert list(desk.journal.reports.values())[-1].outcome == "canceled"


def test_a_cancel_ends_what_an_agent_without_this_journal_left_held(desk: Desk) -> None:
    desk.lease()
    desk.look()
    desk.open("another")
    desk.order("cancel", native_id="5001")
    assert (desk.said(), desk.scheduler.names) == (["exited"], {})


def begin_to_run(desk: Desk) -> Path:
    """A staged job is submitted and runs, and its agent's journal is lost. Returns where its run script writes."""
    desk.lease(staged=True, held=False)
    desk.look()
    desk.scheduler.runs.add("5001")
    own = desk.home / "jobs/k/md-7/.qstage"
    (own / "run").mkdir()
    (own / "run/native_id").write_text("5001\n")
    (own / "run/started").write_text("990\n")
    desk.open("another")
    return own


def test_a_late_job_that_has_begun_runs_on_though_the_agent_s_journal_is_gone(desk: Desk) -> None:
    begin_to_run(desk)
    for _ in range(2):
        desk.order("cancel", unless_ran=True)
    assert (desk.said(), list(desk.scheduler.names)) == (["active"], ["5001"])
    assert (last(desk).native_id, last(desk).command) == ("5001", "cancel")
    desk.order("cancel")
    assert (desk.said(), desk.scheduler.names) == (["active", "exited"], {}), "its user may end it all the same"


@pytest.mark.parametrize(("code", "outcome"), [(0, "ok"), (3, "error")])
def test_a_late_job_that_has_run_is_told_of_by_its_own_exit_status_though_the_agent_s_journal_is_gone(
    desk: Desk, code: int, outcome: str
) -> None:
    own = begin_to_run(desk)
    (own / "exit").write_text(f"{code} 995\n")
    desk.scheduler.names.clear()
    desk.order("cancel", unless_ran=True)
    assert desk.said() == ["exited"]
    assert (last(desk).outcome, last(desk).exit_code) == (outcome, code)
    assert "what it left was not looked at" in str(last(desk).detail)


def test_a_late_job_that_began_and_is_gone_has_its_grace_to_show_an_exit_status_and_is_lost(desk: Desk) -> None:
    begin_to_run(desk)
    desk.scheduler.names.clear()
    desk.order("cancel", unless_ran=True)
    assert desk.said() == []
    desk.now += STRAY_GRACE
    desk.order("cancel", unless_ran=True)
    assert (desk.said(), last(desk).outcome) == (["exited"], "lost")


def test_a_late_job_that_has_not_begun_never_does_though_the_agent_s_journal_is_gone(desk: Desk) -> None:
    desk.lease(staged=True, held=False)
    desk.look()
    desk.open("another")
    desk.order("cancel", unless_ran=True)
    assert (desk.said(), last(desk).outcome, desk.scheduler.names) == (["exited"], "canceled", {})
    assert (desk.home / "jobs/k/md-7/.qstage/run/native_id").read_text() == "\n"


def test_a_cancel_between_the_lease_and_the_release_ends_it_too(desk: Desk) -> None:
    desk.lease()
    desk.look()
    desk.lease(staged=True, epoch=2)
    desk.order("cancel", epoch=2)
    desk.look()
    desk.look()
    assert (desk.said(), desk.scheduler.names) == (["held_ahead", "exited"], {})


def test_a_site_whose_scheduler_cannot_hold_refuses(desk: Desk) -> None:
    desk.scheduler.can_hold = False
    desk.lease()
    desk.look()
    assert (desk.said(), desk.scheduler.names) == (["refused"], {})


def test_what_cannot_be_prepared_is_rejected_and_stays_held_for_its_removal(desk: Desk) -> None:
    desk.lease()
    desk.look()
    desk.lease(staged=True, epoch=2, native_id="5001", staged_modes=[{"path": "no.sh", "mode": "0755"}])
    desk.look()
    assert (desk.said(), desk.scheduler.free) == (["held_ahead", "rejected"], set())


def test_a_job_that_a_filter_left_is_found_and_none_is_submitted(desk: Desk) -> None:
    desk.lease(attributes=ADOPT)
    desk.look()
    desk.scheduler.names["4001"] = "md-7-k"
    desk.look(30.0)
    desk.lease(staged=True, epoch=2, native_id="4001", attributes=ADOPT)
    desk.look()
    assert (desk.said(), desk.scheduler.free) == (["held_ahead", "queued"], {"4001"})
    assert desk.journal.held["u/7"].gone_since is None


def test_a_job_that_a_filter_left_and_that_never_appears_is_told_of_after_a_minute(desk: Desk) -> None:
    desk.lease(attributes=ADOPT)
    desk.look()
    desk.look(59.0)
    assert desk.said() == []
    desk.look(1.0)
    assert desk.said() == ["gone"]
    (report,) = desk.journal.reports.values()
    assert report.detail is not None
    assert report.detail.endswith("or it was deleted): md-7-k")
    assert desk.phase() is Phase.ENDED
