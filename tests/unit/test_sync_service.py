"""A site's one call: what it is given, what it may say, and what a lost answer costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from loop_actors import Stage as Theatre
from loop_house import ADA, AGENT, BOB, LIFE, THETA, AgentTwin, House, a_caller, a_document, a_site

from chalicelib.api.render import waiting_for
from chalicelib.core.errors import Conflict, NotFound
from chalicelib.core.ids import JobNumber, SiteId
from chalicelib.core.job import State
from chalicelib.core.keys import site_scope
from chalicelib.core.sites import LEASE, SILENCE
from chalicelib.service.commanding import MOST_COMMANDS
from chalicelib.service.sync import Synced

MIRA = SiteId("mira")


def staged(house: House, *documents: dict[str, Any]) -> list[JobNumber]:
    """Jobs without inputs, which are staged as soon as they are planned."""
    numbers = house.post(*(documents or (a_document(source=None, results=False),)))
    house.answer_rings()
    return numbers


def report(number: int, event: str, *, epoch: int = 1, **fields: Any) -> dict[str, Any]:
    named = {"native_id": f"7{number}"} if event in ("queued", "active", "exited") else {}
    ended = {"outcome": "ok", "exit_code": 0} if event == "exited" else {}
    return {"job": f"{ADA.user}/{number}", "epoch": epoch, "event": event, **named, **ended, **fields}


def leased(answer: Synced) -> list[tuple[int, int]]:
    return [(lease.job.ref.number, lease.job.epoch) for lease in answer.leases]


def commands(answer: Synced) -> list[tuple[int, str]]:
    return [(command.job.ref.number, command.word) for command in answer.commands]


def results(answer: Synced) -> list[str]:
    return [each.result for each in answer.answers]


def test_a_staged_job_is_leased_with_its_document() -> None:
    house = House()
    (number,) = staged(house)
    answer = house.agent.call()
    assert leased(answer) == [(number, 1)]
    assert answer.leases[0].document.executable == "/bin/true"
    assert house.job(number).leased_until == house.clock.now() + LEASE


def test_no_more_is_leased_than_the_agent_takes() -> None:
    house = House()
    numbers = staged(house, *(a_document(source=None, results=False) for _ in range(5)))
    held: list[dict[str, Any]] = []
    given = []
    for _ in range(3):
        answer = house.agent.call(take=2, holding=held)
        given.append(len(answer.leases))
        held += [{"job": str(lease.job.ref), "epoch": lease.job.epoch} for lease in answer.leases]
    assert given == [2, 2, 1]
    assert sorted(each["job"] for each in held) == [f"{ADA.user}/{number}" for number in numbers]
    assert house.agent.call(take=0).leases == []


@pytest.mark.parametrize("steps", range(8))
def test_of_two_racing_calls_one_makes_the_lease(steps: int) -> None:
    """A second call comes when the first has made ``steps`` calls of its own: there is one epoch for all that."""
    house = House()
    (number,) = staged(house)
    theatre = Theatre(house)
    theatre.begin("first", house.agent.call, LIFE)
    for _ in range(steps):
        if theatre.actors:
            theatre.step(0)
    second = house.agent.call()
    while theatre.actors:
        theatre.step(0)
    assert leased(second) == [(number, 1)]
    assert house.job(number).epoch == 1


def test_a_lease_whose_answer_was_lost_is_given_again_under_the_same_epoch() -> None:
    house = House()
    (number,) = staged(house)
    assert leased(house.agent.call()) == leased(house.agent.call()) == [(number, 1)]


def test_a_lease_that_the_agent_holds_is_not_given_again() -> None:
    house = House()
    (number,) = staged(house)
    house.agent.call()
    assert leased(house.agent.call(holding=[{"job": f"{ADA.user}/{number}", "epoch": 1}])) == []


def test_a_lease_that_is_worked_on_is_prolonged_in_time_and_no_other() -> None:
    house = House()
    (number,) = staged(house)
    house.agent.call()
    holding = [{"job": f"{ADA.user}/{number}", "epoch": 1}]
    for _ in range(10):
        house.clock.turn(minutes=4)
        assert leased(house.agent.call(holding=holding)) == []
        until = house.job(number).leased_until
        assert until is not None
        assert until > house.clock.now() + timedelta(minutes=4)
    house.clock.turn(minutes=11)
    assert leased(house.agent.call()) == [(number, 2)]
    before = house.job(number)
    house.agent.call(holding=holding, take=0)
    assert house.job(number) == before, "a lease of an old epoch is not prolonged"


def test_a_report_of_an_old_lease_is_stale_and_changes_nothing() -> None:
    house = House()
    (number,) = staged(house)
    house.agent.call()
    house.clock.turn(minutes=11)
    assert leased(house.agent.call()) == [(number, 2)]
    before = house.job(number)
    for event in ("queued", "active", "exited", "rejected"):
        assert results(house.agent.call(report(number, event), take=0)) == ["stale"]
    assert house.job(number) == before
    assert results(house.agent.call(report(number, "queued", epoch=2))) == ["recorded"]


@pytest.mark.parametrize("events", [["queued"], ["queued", "active"], ["active"], ["queued", "active", "exited"]])
def test_a_report_that_is_repeated_is_recorded_again_and_changes_nothing(events: list[str]) -> None:
    house = House()
    (number,) = staged(house)
    house.agent.call()
    for event in events:
        house.agent.call(report(number, event), take=0)
    before = (house.job(number), house.inbox(), house.desk())
    for event in events:
        assert results(house.agent.call(report(number, event), take=0)) == ["recorded"]
    assert (house.job(number), house.inbox(), house.desk()) == before


def test_an_exit_is_planned_for_even_if_the_ring_is_lost() -> None:
    house = House()
    (number,) = staged(house)
    house.agent.call()
    house.agent.call(report(number, "exited"))
    assert house.job(number).state is State.STAGE_OUT
    house.clock.turn(minutes=1)
    house.by_sweep_alone()
    assert house.job(number).state is State.COMPLETED


def test_another_sites_agent_knows_nothing_of_a_job() -> None:
    house = House()
    house.sites.put(a_site(MIRA, BOB.user))
    (number,) = staged(house)
    house.agent.call()
    before = house.job(number)
    hostile = a_caller(BOB.user, BOB.username, site_scope(MIRA))
    for event in ("queued", "active", "exited", "rejected", "cleaned"):
        request = house.agent.request(report(number, event), holding=[{"job": f"{ADA.user}/{number}", "epoch": 1}])
        answer = house.syncing.sync(hostile, MIRA, request)
        assert results(answer) == ["unknown"]
        assert leased(answer) == []
        assert commands(answer) == []
    house.clock.turn(minutes=6)
    house.syncing.sync(
        hostile, MIRA, house.agent.request(holding=[{"job": f"{ADA.user}/{number}", "epoch": 1}], take=0)
    )
    assert house.job(number) == before


@pytest.mark.parametrize("text", ["1001", "somebody/1001", "x/" + "9" * 30, f"{ADA.user}/77"])
def test_a_report_of_what_is_no_job_of_the_site_is_unknown_and_keeps_back_no_other(text: str) -> None:
    house = House()
    (number,) = staged(house)
    house.agent.call()
    answer = house.agent.call({**report(number, "queued"), "job": text}, report(number, "queued"))
    assert results(answer) == ["unknown", "recorded"]


def test_a_token_opens_its_own_site_alone() -> None:
    house = House()
    house.sites.put(a_site(MIRA, ADA.user))
    with pytest.raises(NotFound):
        house.syncing.sync(AGENT, MIRA, house.agent.request())
    with pytest.raises(NotFound):
        house.syncing.sync(ADA, THETA, house.agent.request())


def test_a_second_agent_is_told_who_has_the_site_and_until_when() -> None:
    house = House()
    house.agent.call()
    other = AgentTwin(house, "agent-two")
    house.clock.turn(seconds=30)
    with pytest.raises(Conflict) as busy:
        other.call()
    assert busy.value.code == "agent-busy"
    assert busy.value.retry_after == 60
    assert "login of agent-one" in str(busy.value)
    house.clock.turn(seconds=60)
    other.call()
    with pytest.raises(Conflict):
        house.agent.call()


def test_a_cancel_is_told_to_the_site_until_it_answers() -> None:
    house = House()
    (number,) = staged(house)
    house.agent.call()
    house.agent.call(report(number, "queued"), take=0)
    house.manage.cancel(ADA, number)
    for _ in range(3):
        assert commands(house.agent.call()) == [(number, "cancel")]
    answer = house.agent.call(report(number, "exited", outcome="canceled", exit_code=-15))
    assert results(answer) == ["recorded"]
    assert commands(answer) == []
    house.answer_rings()
    assert house.job(number).state is State.CANCELED


class Watched:
    """A store whose calls of one name are noted: what each was asked for."""

    def __init__(self, store: Any, name: str) -> None:
        self._store, self._name = store, name
        self.asked: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        def noted(*args: Any, **fields: Any) -> Any:
            self.asked.append(args[0] if name == "get_many" else fields)
            return getattr(self._store, name)(*args, **fields)

        return noted if name == self._name else getattr(self._store, name)


def to_be_ended(house: House, count: int) -> list[JobNumber]:
    """So many jobs in the queue that their user wants ended."""
    numbers = staged(house, *(a_document(source=None, results=False) for _ in range(count)))
    for some in (numbers[:100], numbers[100:]):
        house.agent.call(take=100)
        house.agent.call(*(report(number, "queued") for number in some), take=0)
    for number in numbers:
        house.manage.cancel(ADA, number)
    return numbers


def test_a_hundred_commands_that_are_never_answered_keep_no_other_waiting_for_ever() -> None:
    house = House()
    to_be_ended(house, 100)
    house.clock.turn(minutes=11)
    (late,) = to_be_ended(house, 1)
    told: set[int] = set()
    for _ in range(20):
        house.clock.turn(seconds=2)
        some = commands(house.agent.call(take=0))
        assert len(some) == MOST_COMMANDS
        told |= {number for number, _ in some}
    assert late in told, "among the commands of twenty calls"


def test_commands_that_have_just_been_given_cost_no_second_look_at_the_queue() -> None:
    house = House()
    numbers = to_be_ended(house, 105)
    queue = Watched(house.syncing.queue, "due")
    house.syncing = replace(house.syncing, queue=queue)
    assert commands(house.agent.call(take=0)) == [(number, "cancel") for number in numbers[:100]]
    assert queue.asked == [{"commands": MOST_COMMANDS, "leases": 0}]


@pytest.mark.parametrize("holds", [True, False])
def test_a_long_queue_costs_a_call_no_more_than_what_its_agent_takes(holds: bool) -> None:
    """Whether it knows how to hold a job or not, where there is none to be held."""
    house = House()
    numbers = staged(house, *(a_document(source=None, results=False) for _ in range(50)))
    queue, jobs = Watched(house.syncing.queue, "due"), Watched(house.syncing.jobs, "get_many")
    house.syncing = replace(house.syncing, queue=queue, jobs=jobs)
    holding = [{"job": f"{ADA.user}/{number}", "epoch": 1} for number in numbers[:2]]
    answer = house.agent.call(take=5, holds=holds, holding=holding)
    assert leased(answer) == [(number, 1) for number in numbers[2:7]]
    assert queue.asked == [{"commands": MOST_COMMANDS, "leases": 7}]
    assert {ref.number for refs in jobs.asked for ref in refs} == set(numbers[:7])


def test_jobs_that_only_another_agent_could_hold_keep_no_staged_one_waiting() -> None:
    house = House()
    house.post(*(a_document(staging="just_in_time") for _ in range(30)))
    house.answer_rings()
    (number,) = staged(house)
    house.clock.turn(minutes=1)
    house.by_sweep_alone()
    assert leased(house.agent.call(take=3, holds=False)) == [(number, 1)]
    assert [each for each, _ in leased(house.agent.call(take=3, holds=True))] == [1001, 1002, 1003]


def test_a_job_that_was_leased_is_not_canceled_before_its_site_says_so() -> None:
    """The lease has run out, and still the site may have given the job to its scheduler."""
    house = House()
    (number,) = staged(house)
    house.agent.call()
    house.manage.cancel(ADA, number)
    house.answer_rings()
    house.clock.turn(hours=1)
    house.by_sweep_alone()
    assert house.job(number).state is State.STAGED
    answer = house.agent.call()
    assert leased(answer) == []
    assert commands(answer) == [(number, "cancel")]


def test_a_job_that_was_never_leased_is_canceled_at_once() -> None:
    house = House()
    (number,) = staged(house)
    house.manage.cancel(ADA, number)
    house.answer_rings()
    assert house.job(number).state is State.CANCELED
    answer = house.agent.call()
    assert (leased(answer), commands(answer)) == ([], [])


@pytest.mark.parametrize("steps", range(10))
def test_a_cancel_that_meets_a_lease_ends_the_job_whoever_comes_first(steps: int) -> None:
    house = House()
    (number,) = staged(house)
    theatre = Theatre(house)
    answers: list[Synced] = []
    theatre.begin("agent", lambda: answers.append(house.agent.call()), LIFE)
    for _ in range(steps):
        if theatre.actors:
            theatre.step(0)
    house.manage.cancel(ADA, number)
    house.wake()
    while theatre.actors:
        theatre.step(0)
    assert (house.job(number).state is State.CANCELED) == (house.job(number).epoch == 0)
    if house.job(number).epoch == 0:
        assert leased(answers[0]) == []
    house.live_on(10)
    assert house.job(number).state is State.CANCELED


def test_a_cleanup_is_told_until_it_is_answered_and_for_completed_jobs_only() -> None:
    house = House()
    good, bad = staged(house, *(a_document(source=None, results=False, cleanup=["tmp/"]) for _ in range(2)))
    house.agent.call()
    house.agent.call(report(good, "exited"), report(bad, "exited", exit_code=1), take=0)
    house.answer_rings()
    assert (house.job(good).state, house.job(bad).state) == (State.COMPLETED, State.FAILED)
    for _ in range(2):
        answer = house.agent.call()
        assert commands(answer) == [(good, "cleanup")]
        assert answer.commands[0].paths == ("tmp/",)
    assert commands(house.agent.call(report(good, "cleaned"))) == []
    assert house.job(good).state is State.COMPLETED


def test_a_held_job_is_not_leased_before_its_release() -> None:
    house = House()
    (number,) = staged(house, a_document(source=None, results=False, hold=True))
    assert house.job(number).state is State.STAGED
    assert leased(house.agent.call()) == []
    house.manage.release(ADA, number)
    assert leased(house.agent.call()) == [(number, 1)]


def test_a_job_that_the_scheduler_refuses_fails_with_the_schedulers_words() -> None:
    house = House()
    (number,) = staged(house)
    house.agent.call()
    house.agent.call(report(number, "rejected", detail="no such queue"))
    job = house.job(number)
    assert (job.state, job.failed_stage, job.error) == (State.FAILED, "submit", "rejected")
    told = house.manage.show(ADA, number).told
    assert told is not None
    assert told.detail["words"] == ["no such queue"]


def test_a_report_that_cannot_follow_is_refused_and_keeps_back_no_other() -> None:
    house = House()
    one, two = staged(house, *(a_document(source=None, results=False) for _ in range(2)))
    house.agent.call()
    answer = house.agent.call(report(one, "cleaned"), report(two, "queued"))
    assert results(answer) == ["refused", "recorded"]
    assert house.job(one).state is State.STAGED


def test_an_index_that_lags_costs_a_call_and_never_a_job() -> None:
    house = House(lag=50)
    (number,) = staged(house)
    assert leased(house.agent.call()) == []
    house.rows.catch_up()
    assert leased(house.agent.call()) == [(number, 1)]
    house.agent.call(report(number, "queued"), take=0)
    assert leased(house.agent.call()) == [], "the index still shows the job, its status does not"


def test_a_site_that_has_not_called_for_long_is_what_its_jobs_wait_for() -> None:
    house = House()
    (number,) = staged(house)
    house.agent.call()
    assert waits(house, number) == set()
    house.clock.turn(seconds=90 + SILENCE.total_seconds())
    assert waits(house, number) == set()
    house.clock.turn(seconds=1)
    assert waits(house, number) == {"site"}
    house.agent.call()
    assert waits(house, number) == set()


def test_jobs_of_a_site_that_never_called_wait_for_it() -> None:
    house = House()
    (number,) = staged(house)
    assert waits(house, number) == {"site"}


def waits(house: House, number: JobNumber) -> set[str]:
    return set(waiting_for(house.manage.show(ADA, number), house.clock.now()))


def test_what_an_agent_without_a_journal_has_found_at_the_scheduler_is_its_own_again() -> None:
    house = House()
    (number,) = staged(house)
    house.agent.call()
    house.agent.call(report(number, "queued"), report(number, "active"))
    before = house.job(number)
    found = house.agent.call(strays=[str(before.ref)])
    assert (leased(found), house.job(number)) == ([(number, 1)], before), "no write"
    assert results(house.agent.call(report(number, "exited"))) == ["recorded"]
    assert house.agent.call(strays=[str(before.ref)]).leases == [], "it has ended"


def test_nobody_is_given_what_is_not_at_the_scheduler_or_at_another_site_by_naming_it() -> None:
    house = House()
    house.sites.put(a_site(MIRA, ADA.user))
    waits, elsewhere = staged(
        house, a_document(source=None, results=False, hold=True), a_document(source=None, results=False, site=MIRA)
    )
    mira = replace(AGENT, scopes=frozenset({site_scope(MIRA)}))
    house.syncing.sync(mira, MIRA, house.agent.request())
    house.syncing.sync(mira, MIRA, house.agent.request(report(elsewhere, "queued")))
    assert house.job(elsewhere).state is State.QUEUED
    named = [f"{ADA.user}/{number}" for number in (waits, elsewhere, 999)]
    assert house.agent.call(strays=[*named, "nobody"]).leases == []


def test_an_agent_with_work_is_asked_back_sooner_than_an_idle_one() -> None:
    house = House()
    idle = house.agent.call().next_seconds
    staged(house)
    assert house.agent.call().next_seconds < idle
