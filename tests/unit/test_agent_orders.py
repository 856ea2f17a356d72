"""Orders to the scheduler, as the agent carries them out: once answered, safe to repeat, in the scheduler's words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qstage.agent import cobalt_told
from qstage.agent.clocks import Clocks
from qstage.agent.journal import Journal
from qstage.agent.orders import Orders
from qstage.agent.policy import Policy
from qstage.agent.rules import Held, Phase, Presence
from qstage.agent.schedulers import Receipt, Rejected, SchedulerAway
from qstage.agent.wire import BadLease, Change, Lease, read_command, read_lease

JOB = "user/1001"
LEASE = {
    "job": JOB, "id": 1001, "epoch": 1, "leased_until": "x", "owner": {"id": "u", "username": "ada"}, "tag": "k3j2",
    "name": "md", "directory": "/jobs/k3j2/md-1001", "executable": "run.sh", "resources": {"node_count": 2},
    "attributes": {"duration": 600, "queue_name": "debug"},
}  # fmt: skip


class Killed(BaseException):
    """The agent's process ends here."""


class Told:
    """A scheduler that notes what it is told. ``fault`` is raised instead, or, where ``after``, once it is done."""

    keeps_walltime = True
    can_hold = False

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.fault: BaseException | None = None
        self.after = False

    def hold(self, native_id: str) -> None:
        self._do("hold", native_id)

    def release(self, native_id: str) -> None:
        self._do("release", native_id)

    def alter(self, native_id: str, change: Change, was: Lease) -> None:
        self._do("alter", native_id, change)

    def _do(self, *what: Any) -> None:
        fault, self.fault = self.fault, None
        if fault is None or self.after:
            self.told.append(what)
        if fault is not None:
            raise fault

    def submit(self, lease: Lease, script: str, directory: str) -> Receipt:
        raise AssertionError("nothing is submitted here")

    def expected_starts(self, held: Collection[str]) -> Mapping[str, float | None]:
        return {}

    def presence(self, native_ids: Mapping[str, str]) -> Mapping[str, Presence]:
        raise AssertionError("nobody is asked here")

    def cancel(self, native_id: str, script: str) -> None:
        raise AssertionError("nothing is canceled here")

    def find(self, name: str) -> str | None:
        raise AssertionError("nothing is looked for here")

    def forget(self, native_id: str, ticket: str | None) -> None:
        raise AssertionError("nothing has ended here")


class Desk:
    """An agent that holds one queued job, and can be started again from its journal."""

    def __init__(self, home: Path) -> None:
        self.home, self.scheduler = home, Told()
        self.policy = Policy(
            owners=("*",), directories=("/jobs",), queues=("debug", "long"), accounts=("chem",), max_nodes=4
        )
        self.start()
        self.journal.put(Held(lease=read_lease(LEASE), phase=Phase.QUEUED, native_id="71"))

    def start(self) -> None:
        self.journal = Journal.open(self.home / "journal")
        clocks = Clocks(wall=lambda: 1000.0, steady=lambda: 1000.0)
        self.orders = Orders(self.policy, self.journal, self.scheduler, clocks)

    def obey(self, word: str, order: int = 5, **fields: Any) -> None:
        self.orders.obey(read_command({"job": JOB, "id": 1001, "epoch": 1, "command": word, "order": order} | fields))

    @property
    def held(self) -> Held:
        return self.journal.held[JOB]

    def said(self) -> list[tuple[Any, ...]]:
        return [(each.event, each.order, each.command) for each in self.journal.reports.values()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.journal.close()


def test_an_answer_is_of_the_lease_that_the_service_knows(desk: Desk) -> None:
    desk.obey("hold", epoch=2)  # the answer that gave the second lease got lost
    assert [each.epoch for each in desk.journal.reports.values()] == [2]


@pytest.mark.parametrize(("word", "event"), [("hold", "held"), ("release", "released")])
def test_an_order_is_carried_out_once_while_its_answer_is_on_its_way(desk: Desk, word: str, event: str) -> None:
    desk.obey(word)
    desk.obey(word)
    assert desk.scheduler.told == [(word, "71")]
    assert desk.said() == [(event, 5, word)]
    desk.obey(word, order=6)
    assert desk.said() == [(event, 5, word), (event, 6, word)], "another order is another answer"


def test_what_the_scheduler_would_not_is_answered_once_in_its_words(desk: Desk) -> None:
    desk.scheduler.fault = Rejected("job 71 is already active")
    desk.obey("hold")
    desk.obey("hold")
    assert desk.said() == [("refused", 5, "hold")]
    assert [each.detail for each in desk.journal.reports.values()] == ["job 71 is already active"]
    assert desk.held.phase is Phase.QUEUED, "the job goes on as it is"


def test_a_scheduler_that_is_away_is_asked_again(desk: Desk) -> None:
    desk.scheduler.fault = SchedulerAway("no answer")
    desk.obey("hold")
    assert desk.said() == []
    desk.obey("hold")
    assert desk.said() == [("held", 5, "hold")]


def test_a_cancel_that_was_about_an_earlier_lease_does_not_end_the_job_that_is_tried_again(desk: Desk) -> None:
    desk.journal.put(Held(lease=read_lease({**LEASE, "epoch": 2, "attempt": 2}), phase=Phase.QUEUED, native_id="72"))
    desk.obey("cancel", unless_ran=True)
    assert desk.held.cancel_at is None
    desk.obey("cancel", epoch=2)
    assert desk.held.cancel_at == 1000.0


@pytest.mark.parametrize("after", [False, True])
def test_an_agent_killed_around_the_call_does_it_when_it_is_told_again(desk: Desk, after: bool) -> None:
    desk.scheduler.fault, desk.scheduler.after = Killed(), after
    with pytest.raises(Killed):
        desk.obey("hold")
    desk.journal.close()
    desk.start()
    assert desk.said() == []
    desk.obey("hold")
    assert desk.said() == [("held", 5, "hold")]
    assert desk.scheduler.told == [("hold", "71")] * (2 if after else 1)


def test_an_agent_killed_after_its_note_has_the_answer_ready(desk: Desk) -> None:
    desk.obey("hold")
    desk.journal.close()
    desk.start()
    desk.obey("hold")
    assert desk.scheduler.told == [("hold", "71")]
    assert desk.said() == [("held", 5, "hold")]


@pytest.mark.parametrize(
    "change",
    [
        {"cancel_at": 900.0},
        {"phase": Phase.SUBMITTING, "native_id": None},
        {"phase": Phase.ENDED},
    ],
)
def test_a_job_that_is_about_to_end_or_to_come_is_left_alone(desk: Desk, change: dict[str, Any]) -> None:
    desk.journal.put(replace(desk.held, **change))
    desk.obey("hold")
    assert (desk.scheduler.told, desk.said()) == ([], [])


def test_a_job_that_is_not_held_here_is_refused(desk: Desk) -> None:
    desk.journal.drop(JOB)
    desk.obey("hold")
    assert desk.said() == [("refused", 5, "hold")]


CHANGE = {"attributes": {"duration": 2700, "queue_name": "long"}}


def test_a_job_that_waits_at_the_scheduler_for_its_data_is_altered_there(desk: Desk) -> None:
    desk.journal.put(replace(desk.held, phase=Phase.HELD))
    desk.obey("alter", change=CHANGE)
    assert (desk.said(), desk.held.phase) == ([("altered", 5, "alter")], Phase.HELD)
    assert desk.held.lease.attributes.duration == 2700


def test_an_alteration_is_told_and_the_lease_says_it_from_then_on_whoever_reads_the_journal(desk: Desk) -> None:
    desk.obey("alter", change=CHANGE)
    desk.obey("alter", change=CHANGE)
    assert desk.scheduler.told == [("alter", "71", Change(duration=2700, queue_name="long"))]
    assert desk.said() == [("altered", 5, "alter")]
    assert [each.to_wire()["change"] for each in desk.journal.reports.values()] == [CHANGE]
    desk.journal.close()
    desk.start()
    assert (desk.held.lease.attributes.duration, desk.held.lease.attributes.queue_name) == (2700, "long")
    assert desk.held.lease.resources.node_count == 2


@pytest.mark.parametrize("after", [False, True])
def test_an_agent_killed_around_an_alteration_makes_it_when_it_is_told_again(desk: Desk, after: bool) -> None:
    desk.scheduler.fault, desk.scheduler.after = Killed(), after
    with pytest.raises(Killed):
        desk.obey("alter", change=CHANGE)
    desk.journal.close()
    desk.start()
    assert desk.held.lease.attributes.duration == 600
    desk.obey("alter", change=CHANGE)
    assert desk.said() == [("altered", 5, "alter")]


def test_with_the_nodes_goes_the_number_of_processes_which_no_document_has_to_name(desk: Desk) -> None:
    desk.obey("alter", change={"resources": {"node_count": 4}})
    assert desk.scheduler.told == [("alter", "71", Change(node_count=4, process_count=4))]
    assert [each.change for each in desk.journal.reports.values()] == [{"resources": {"node_count": 4}}]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"attributes": {"queue_name": "prod"}}, "queue 'prod' is not among those that this site's policy allows"),
        ({"attributes": {"account": "chem; rm"}}, "holds characters"),
        ({"resources": {"node_count": 5}}, "5 nodes are more than this site's policy allows: 4"),
    ],
)
def test_the_site_s_policy_is_asked_before_its_scheduler(desk: Desk, change: dict[str, Any], words: str) -> None:
    desk.obey("alter", change=change)
    assert desk.scheduler.told == []
    assert desk.said() == [("refused", 5, "alter")]
    assert words in str([each.detail for each in desk.journal.reports.values()])
    assert desk.held.lease.raw == LEASE


def test_what_was_done_of_an_alteration_that_was_refused_in_part_is_told_with_the_refusal(desk: Desk) -> None:
    desk.scheduler.fault = Rejected("queue 'long' does not exist", Change(duration=2700))
    desk.obey("alter", change=CHANGE)
    assert desk.said() == [("refused", 5, "alter")]
    assert [each.change for each in desk.journal.reports.values()] == [{"attributes": {"duration": 2700}}]
    assert (desk.held.lease.attributes.duration, desk.held.lease.attributes.queue_name) == (2700, "debug")


@pytest.mark.parametrize("change", [{}, {"attributes": {"memory": 1}}, {"files": {"a": "b"}}])
def test_an_alteration_that_is_not_understood_whole_is_refused_and_not_carried_out_in_part(
    desk: Desk, change: Any
) -> None:
    raw = {"job": JOB, "id": 1001, "epoch": 1, "command": "alter", "order": 5, "change": change}
    for _ in range(2):
        with pytest.raises(BadLease, match="may be older than the service") as error:
            desk.orders.obey(read_command(raw))
        desk.orders.misread(raw, str(error.value))
    assert desk.said() == [("refused", 5, "alter")]
    assert desk.scheduler.told == []


@pytest.mark.parametrize(
    ("verb", "out", "refusal"),
    [
        ("hold", "Placed user hold on jobs: \n      71\n", None),
        ("hold", "   Failed to place user hold on jobs: \n      job 71 already in state 'user hold'\n", None),
        ("hold", "   Failed to place user hold on jobs: \n      job 71 is already active\n", "is already active"),
        ("release", "   Removed user hold on jobs: \n      71\n", None),
        ("release", "   Failed to remove user hold on jobs: \n      job 71 does not have a 'user hold'\n", None),
        ("release", "   No jobs found.\nFailed to match any jobs\n", "Failed to match any jobs"),
        ("hold", "", "gave no reason"),
    ],
)
def test_cobalts_words_tell_what_its_exit_status_does_not(verb: str, out: str, refusal: str | None) -> None:
    found = cobalt_told.refusal_of(verb, out)
    assert (found is None) if refusal is None else (found is not None and refusal in found)
