"""What only the user can help, and how little of their work waits for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from loop_house import ADA, LAB, OTHER, SCRATCH, CrashNow, House, a_document

from chalicelib.api.render import waiting_for
from chalicelib.core.consent import LoginReason, SessionDemand, data_access
from chalicelib.core.errors import FarSide, LoginNeeded
from chalicelib.core.ids import CollectionId, JobNumber
from chalicelib.core.job import State
from chalicelib.core.tokens import first_version


def a_house() -> House:
    house = House()
    house.globus.put(OTHER, "/in/a")
    return house


def shown_wait(house: House, number: int) -> frozenset[str]:
    return waiting_for(house.manage.show(ADA, JobNumber(number)), house.clock.now())


def test_a_collection_without_consent_holds_up_no_job_of_another() -> None:
    house = a_house()
    house.globus.without_consent = {LAB}
    held, free = house.post(a_document(), a_document(lab=OTHER))
    house.live_on(20)
    assert house.job(free).state is State.COMPLETED
    assert house.job(held).state is State.STAGE_IN
    assert shown_wait(house, held) == {"login"}


def test_a_refused_submission_is_not_tried_again_before_the_login() -> None:
    house = a_house()
    house.globus.without_consent = {LAB}
    house.post(a_document())
    house.live_on(20)
    assert house.globus.calls.count("submit") == 1


def test_jobs_that_waited_for_a_consent_go_on_by_themselves_after_the_login() -> None:
    house = a_house()
    house.globus.without_consent = {LAB}
    (number,) = house.post(a_document())
    house.live_on(5)
    house.globus.without_consent = set()
    house.sign_in()
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    assert house.faults() == []


@pytest.mark.parametrize("whole", [True, False])
def test_a_login_whose_teller_died_after_its_tokens_were_stored_is_found_by_itself(whole: bool) -> None:
    house = a_house()
    house.access.refused = whole
    house.globus.without_consent = {LAB}
    (number,) = house.post(a_document())
    house.live_on(5)
    assert shown_wait(house, number) == {"login"}
    house.access.refused = False
    house.globus.without_consent = set()
    house.access.version = first_version(house.clock.now())
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    assert house.faults() == []


@pytest.mark.parametrize("whole", [True, False])
def test_a_login_that_does_not_come_is_looked_for_seldom_and_not_at_globus(whole: bool) -> None:
    house = a_house()
    house.access.refused = whole
    house.globus.without_consent = {LAB}
    house.post(a_document())
    house.live_on(5)
    calls = len(house.globus.calls)
    looks = {house.desk().wake_at}
    for _ in range(48):
        house.clock.turn(minutes=30)
        house.by_sweep_alone()
        looks.add(house.desk().wake_at)
    assert len(looks) < 25
    assert len(house.globus.calls) == calls


def test_one_login_is_asked_for_everything_that_two_collections_miss() -> None:
    house = a_house()
    house.globus.without_consent = {LAB, OTHER}
    house.post(a_document(), a_document(lab=OTHER))
    house.live_on(5)
    demand = house.waking.current(ADA.user)
    assert demand is not None
    assert demand.reason is LoginReason.CONSENT
    assert {data_access(LAB), data_access(OTHER)} <= set(demand.scopes)


@pytest.mark.parametrize("scopes", [(), (data_access(CollectionId("dddddddd-0000-4000-8000-000000000009")),)])
def test_a_refusal_that_names_no_collection_of_the_route_still_ends_the_trying(scopes: tuple[str, ...]) -> None:
    """A session demand names no scope; a guest collection's refusal names the collection beneath it."""
    house = a_house()
    asked = SessionDemand(policies=("p",))
    need = LoginNeeded(LoginReason.SESSION, "sign in again", scopes=scopes, session=asked)
    house.globus.refused[LAB] = need
    number, other = house.post(a_document(), a_document(source=None))
    house.live_on(20)
    assert house.globus.calls.count("submit") == 2, "one refused, and the other job's stage-out"
    assert house.job(number).state is State.STAGE_IN
    assert house.job(other).state is State.COMPLETED
    demand = house.waking.current(ADA.user)
    assert demand is not None
    assert demand.session == asked


def test_a_task_that_waits_for_a_credential_holds_up_no_other_task() -> None:
    house = a_house()
    stuck, free = house.post(a_document(), a_document(lab=OTHER, results=False))
    house.answer_rings()
    house.globus.suspended = {LAB}
    house.live_on(20)
    assert house.job(free).state is State.COMPLETED
    assert house.job(stuck).state is State.STAGE_IN
    assert shown_wait(house, stuck) == {"login"}
    assert house.desk().wake_at is not None, "it goes on by itself once the user has signed in"


def test_a_task_that_goes_on_ends_the_wait_for_a_login() -> None:
    house = a_house()
    (number,) = house.post(a_document())
    house.answer_rings()
    house.globus.suspended = {LAB}
    house.live_on(3)
    assert house.desk().plan.need is not None
    house.globus.suspended = set()
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    assert house.desk().plan.need is None


def test_an_event_that_only_the_user_can_help_asks_for_a_login_and_fails_nothing() -> None:
    house = a_house()
    house.globus.bad_paths["/in"] = "LOGIN_DENIED"
    (number,) = house.post(a_document())
    house.live_on(5)
    assert shown_wait(house, number) == {"login"}
    house.globus.bad_paths.clear()
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    assert len(house.globus.of_job(number)) == 2


def test_a_login_counts_though_the_process_dies_before_the_desk_is_closed() -> None:
    house = a_house()
    house.globus.without_consent = {LAB}
    (number,) = house.post(a_document())
    house.live_on(3)
    house.manage.cancel(ADA, JobNumber(number))
    house.live_on(3)
    house.globus.without_consent = set()
    house.sign_in()
    house.gate = die_before("desks.close")
    with pytest.raises(CrashNow):
        house.wake()
    house.gate = lambda call, moment: None
    (later,) = house.post(a_document())
    house.live_on()
    assert house.job(later).state is State.COMPLETED


def test_a_token_that_works_again_ends_the_wait_that_it_began() -> None:
    house = a_house()
    house.access.refused = True
    (number,) = house.post(a_document())
    house.live_on(3)
    assert shown_wait(house, number) == {"login"}
    house.access.refused = False
    house.waking.look_again(ADA.user)
    house.live_on()
    assert house.job(number).state is State.COMPLETED


@pytest.mark.parametrize("at", ["submission", "submit", "look"])
def test_a_rejected_token_is_renewed_once_and_fails_no_job(at: str) -> None:
    house = a_house()

    def dies(call: str, moment: str) -> None:
        if call == f"globus.{at}" and moment == "before" and house.access.renewals == 0:
            house.globus.dead_tokens = {1}

    house.gate = dies
    (number,) = house.post(a_document())
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    assert house.access.renewals == 1
    assert len(house.globus.of_job(number)) == 2


def test_a_renewed_token_that_is_rejected_too_is_not_renewed_in_the_same_pass() -> None:
    house = a_house()
    house.globus.dead_tokens = set(range(100))
    (number,) = house.post(a_document())
    house.wake()
    assert house.access.renewals == 1
    assert house.desk().plan.trouble is not None
    assert house.job(number).state is State.NEW
    assert house.desk().wake_at is not None


def test_a_refusal_without_a_cure_fails_the_job_in_globus_own_words() -> None:
    house = a_house()
    words = "You may not write there"
    house.globus.refused[SCRATCH] = FarSide("transfer", "PermissionDenied", words, transient=False, status=403)
    (number,) = house.post(a_document())
    house.live_on(5)
    job = house.job(number)
    assert (job.state, job.failed_stage, job.error) == (State.FAILED, "stage_in", "PermissionDenied")
    told = house.manage.show(ADA, JobNumber(number)).told
    assert told is not None
    assert told.detail["words"] == [words]


def die_before(name: str) -> Callable[[str, str], None]:
    def gate(call: str, moment: str) -> None:
        if call == name and moment == "before":
            raise CrashNow

    return gate
