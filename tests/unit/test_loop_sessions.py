"""The planner watches over login sessions: what it learns, when it warns, and that it says a thing once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from loop_house import ADA, ARCHIVE, LAB, OTHER, START, CrashNow, House, a_document

from chalicelib.api.render import waiting_for
from chalicelib.core.consent import MAPPED, CollectionFacts, LoginReason, SessionDemand
from chalicelib.core.errors import FarSide, LoginNeeded
from chalicelib.core.forecast import Standing
from chalicelib.core.ids import JobNumber
from chalicelib.core.job import State
from chalicelib.core.logins import Profile
from chalicelib.core.notices import Kind, Notice
from chalicelib.core.sessions import NOBODY, Authentication, Session
from chalicelib.service.observing import GRACE

DAY = timedelta(days=1)
LEAD = timedelta(hours=6)


def a_house(**demands: object) -> House:
    """The archive wants a sign-in of the last day unless a test says otherwise; ada has signed in just now."""
    house = House()
    house.globus.put(OTHER, "/in/a")
    wanted = demands or {"max_age": DAY}
    house.globus.demands[ARCHIVE] = CollectionFacts(id=ARCHIVE, entity_type=MAPPED, **wanted)  # type: ignore[arg-type]
    sign_in(house)
    house.rung.take()
    return house


def sign_in(house: House, *, mfa: bool = False) -> None:
    """A login as the rooms around the planner keep it: in the profile, with the tokens, and on the desk."""
    who = Authentication(identity=ADA.user, username=ADA.username, auth_time=house.clock.now(), mfa=mfa)
    house.access.session = Session(authentications=(who,))
    house.logins.put_profile(
        Profile(
            user=ADA.user,
            username=ADA.username,
            name="Ada",
            email="",
            auth_time=who.auth_time,
            scopes=(),
            identities=(ADA.user,),
            signed_in_at=who.auth_time,
            session=house.access.session,
        )
    )
    house.sign_in()


def standing(house: House, number: int) -> Standing:
    prospect = house.manage.show(ADA, JobNumber(number)).prospect
    assert prospect is not None
    return prospect.outlook.standing


def asked_about(house: House) -> int:
    return house.globus.calls.count("facts")


def told(house: House, kind: Kind = Kind.SESSION_ENDS) -> list[Notice]:
    return [notice for notice in house.told.sent if notice.kind is kind]


def at_the_desk(house: House) -> datetime | None:
    return house.desk().wake_at


def queue(house: House, *numbers: int) -> None:
    """Let the site's scheduler take these jobs, and keep them."""
    for _ in range(5):
        house.clock.turn(minutes=1)
        house.by_sweep_alone()
    answer = house.agent.call()
    reports = [
        {
            "job": str(lease.job.ref),
            "epoch": lease.job.epoch,
            "event": "queued",
            "native_id": f"7{lease.job.ref.number}",
        }
        for lease in answer.leases
    ]
    house.agent.call(*reports)
    house.by_sweep_alone()
    assert {house.job(number).state for number in numbers} == {State.QUEUED}


def test_a_job_is_unchecked_until_the_planner_has_learnt_its_collections_and_then_warned_of() -> None:
    house = a_house()
    (number,) = house.post(a_document())
    assert standing(house, number) is Standing.UNCHECKED
    house.answer_rings()
    assert standing(house, number) is Standing.ENDS
    prospects = house.post_jobs.post(ADA, a_document(), None).prospects
    assert {each.outlook.standing for each in prospects.values()} == {Standing.ENDS}


def test_a_job_with_nothing_to_stage_is_looked_at_all_the_same() -> None:
    house = a_house()
    (number,) = house.post(a_document(source=None))
    house.answer_rings()
    assert standing(house, number) is Standing.ENDS


def test_each_collection_is_asked_about_once_for_a_thousand_jobs() -> None:
    house = a_house()
    house.post(*(a_document(f"j{each}") for each in range(500)))
    house.answer_rings()
    house.post(*(a_document(f"k{each}") for each in range(500)))
    house.answer_rings()
    assert asked_about(house) == 3


def test_facts_older_than_a_day_are_asked_for_again_when_a_job_is_planned() -> None:
    house = a_house()
    house.post(a_document())
    house.answer_rings()
    house.clock.turn(hours=25)
    house.globus.demands[ARCHIVE] = CollectionFacts(id=ARCHIVE, entity_type=MAPPED)
    (number,) = house.post(a_document("later"))
    house.answer_rings()
    assert asked_about(house) == 6
    assert house.collections.get([ARCHIVE])[ARCHIVE].max_age is None
    assert house.job(number).state is not State.NEW


def test_a_collection_that_globus_does_not_show_stays_unchecked_and_is_not_asked_about_all_the_time() -> None:
    house = a_house()
    house.globus.unseen = {ARCHIVE}
    (number,) = house.post(a_document())
    house.live_on(5, agent=False)
    assert standing(house, number) is Standing.UNCHECKED
    assert asked_about(house) == 3


def test_what_could_not_be_learnt_now_is_learnt_later_though_the_job_has_moved_on() -> None:
    house = a_house()
    house.gate = failing("globus.facts", 2)
    (number,) = house.post(a_document(source=None))
    house.answer_rings()
    assert standing(house, number) is Standing.UNCHECKED
    for _ in range(3):
        house.clock.turn(minutes=1)
        house.by_sweep_alone()
    assert standing(house, number) is Standing.ENDS


def test_the_desk_wakes_before_the_session_ends_and_tells_of_every_job_once() -> None:
    house = a_house()
    first, second, spared = house.post(
        a_document(notify={"email": "ada@uni.example"}), a_document("b"), a_document("c", results=False)
    )
    queue(house, first, second, spared)
    assert at_the_desk(house) == START + DAY - LEAD
    house.clock.turn(hours=17)
    house.by_sweep_alone()
    assert told(house) == []
    house.clock.turn(hours=1)
    house.by_sweep_alone()
    (notice,) = told(house)
    assert set(notice.jobs) == {first, second}
    assert (notice.at, notice.emails, notice.username) == (START + DAY, ("ada@uni.example",), ADA.username)
    assert "fresh=1" in notice.login_url
    assert standing(house, first) is Standing.ENDS_SOON
    house.post(a_document("d"))
    house.live_on(30, agent=False)
    assert len(told(house)) == 1, "nobody is told twice of one end"


def test_an_idle_desk_with_a_session_to_watch_is_not_looked_at_before_its_time() -> None:
    house = a_house()
    (number,) = house.post(a_document())
    queue(house, number)
    before = list(house.globus.calls)
    house.live_on(60, agent=False)
    assert house.globus.calls == before


def test_nobody_is_watched_whose_collections_demand_nothing() -> None:
    house = a_house(high_assurance=True)
    (number,) = house.post(a_document())
    queue(house, number)
    assert house.desk().plan.watch is None
    assert at_the_desk(house) is None


def test_a_login_in_time_moves_the_warning_on() -> None:
    house = a_house()
    (number,) = house.post(a_document())
    queue(house, number)
    house.clock.turn(hours=12)
    renewed = house.clock.now()
    sign_in(house)
    house.by_sweep_alone()
    assert at_the_desk(house) == renewed + DAY - LEAD
    house.clock.turn(hours=7)
    house.by_sweep_alone()
    assert told(house) == []


def test_after_a_renewal_the_next_end_is_told_of_again() -> None:
    house = a_house()
    (number,) = house.post(a_document())
    queue(house, number)
    house.clock.turn(hours=18)
    house.by_sweep_alone()
    sign_in(house)
    house.by_sweep_alone()
    house.clock.turn(hours=18)
    house.by_sweep_alone()
    assert [notice.at for notice in told(house)] == [START + DAY, START + timedelta(minutes=5, hours=18) + DAY]


def test_jobs_that_have_ended_by_the_time_of_the_warning_are_told_of_to_nobody() -> None:
    house = a_house()
    house.post(a_document())
    house.live_on()
    house.clock.turn(hours=18)
    house.by_sweep_alone()
    assert told(house) == []
    assert at_the_desk(house) is None


def test_a_demand_that_the_session_never_met_is_told_of_at_once() -> None:
    house = a_house(mfa=True)
    (number,) = house.post(a_document())
    house.answer_rings()
    (notice,) = told(house)
    assert notice.values()["at"] is None
    assert "mfa=1" in notice.login_url
    assert standing(house, number) is Standing.ENDED
    sign_in(house, mfa=True)
    house.answer_rings()
    assert standing(house, number) is Standing.OK


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_pass_that_dies_at_the_message_tells_once_or_twice_and_never_not_at_all(moment: str) -> None:
    house = a_house()
    (number,) = house.post(a_document())
    queue(house, number)
    house.clock.turn(hours=18)
    house.gate = dying("notices.publish", moment)
    with pytest.raises(CrashNow):
        house.by_sweep_alone()
    house.gate = lambda call, when: None
    house.clock.turn(minutes=10)
    house.live_on(30, agent=False)
    sent = told(house)
    assert len(sent) == (2 if moment == "after" else 1)
    assert len({notice.cause for notice in sent}) == 1, "who hears it twice can tell"


def test_a_message_that_was_not_taken_is_sent_later() -> None:
    house = a_house()
    (number,) = house.post(a_document())
    queue(house, number)
    house.clock.turn(hours=18)
    house.told.error = FarSide("sns", "Throttling", "", transient=True)
    house.by_sweep_alone()
    assert told(house) == []
    house.told.error = None
    house.clock.turn(minutes=5)
    house.by_sweep_alone()
    assert len(told(house)) == 1


def test_a_login_that_jobs_wait_for_is_told_of_once_however_many_they_are() -> None:
    house = a_house()
    house.globus.without_consent = {LAB}
    numbers = house.post(*(a_document(f"j{each}") for each in range(30)))
    house.live_on(20)
    (notice,) = told(house, Kind.LOGIN_NEEDED)
    assert (notice.count, len(notice.jobs)) == (30, 20)
    assert set(notice.jobs) <= set(numbers)
    assert LAB in notice.login_url


def test_a_refused_token_is_told_of_for_jobs_that_are_in_no_inbox() -> None:
    house = a_house()
    (number,) = house.post(a_document())
    queue(house, number)
    house.access.refused = True
    house.waking.look_again(ADA.user)
    house.live_on(3, agent=False)
    (notice,) = told(house, Kind.LOGIN_NEEDED)
    assert notice.jobs == (number,)


def test_a_desk_whose_warning_is_due_is_at_rest_while_it_waits_for_a_login() -> None:
    house = a_house()
    (number,) = house.post(a_document())
    queue(house, number)
    house.access.refused = True
    house.waking.look_again(ADA.user)
    house.live_on(3, agent=False)
    house.clock.turn(hours=18)
    house.live_on(3, agent=False)
    next_look = at_the_desk(house)
    assert next_look is not None
    assert next_look > house.clock.now() + timedelta(hours=1), "only the login is looked for"
    sign_in(house)
    house.by_sweep_alone()
    assert at_the_desk(house) == house.clock.now() + DAY - LEAD


def test_a_session_that_is_no_longer_known_is_not_watched() -> None:
    house = a_house()
    (number,) = house.post(a_document())
    queue(house, number)
    house.access.session = NOBODY
    house.clock.turn(hours=18)
    house.live_on(3, agent=False)
    assert (told(house), at_the_desk(house)) == ([], None)


def test_a_second_want_of_a_login_is_told_of_after_the_first_was_met() -> None:
    house = a_house()
    house.globus.without_consent = {LAB}
    house.post(a_document())
    house.live_on(3)
    house.globus.without_consent = {OTHER}
    sign_in(house)
    house.live_on(3, agent=False)
    house.post(a_document(lab=OTHER))
    house.live_on(3, agent=False)
    assert len(told(house, Kind.LOGIN_NEEDED)) == 2


def waits(house: House, number: int) -> frozenset[str]:
    return waiting_for(house.manage.show(ADA, JobNumber(number)), house.clock.now()) - {"site"}


def test_only_jobs_whose_own_way_is_held_up_say_that_they_wait_for_a_login() -> None:
    house = a_house()
    house.globus.without_consent = {LAB}
    held, other, queued = house.post(a_document(), a_document("o", lab=OTHER), a_document("q", source=None))
    house.globus.takes = timedelta(hours=9)
    house.answer_rings()
    assert [waits(house, number) for number in (held, other, queued)] == [{"login"}, frozenset(), frozenset()]


def test_a_suspended_task_asks_for_a_sign_in_of_the_kind_that_its_collections_demand() -> None:
    house = a_house()
    house.globus.demands[LAB] = CollectionFacts(id=LAB, entity_type=MAPPED, mfa=True, policies=("p",))
    house.globus.takes = timedelta(hours=1)
    (number,) = house.post(a_document())
    house.live_on(3)
    house.globus.suspended = {LAB}
    house.live_on(10)
    need = house.desk().plan.need
    assert need is not None
    assert need.session == SessionDemand(policies=("p",), mfa=True, fresh=True)
    assert waits(house, number) == {"login"}


def test_a_task_that_stays_suspended_after_the_login_is_sent_anew() -> None:
    house = a_house()
    house.globus.takes = timedelta(hours=1)
    (number,) = house.post(a_document(results=False))
    house.live_on(3)
    house.globus.suspended = {LAB}
    house.live_on(10)
    sign_in(house)
    house.live_on(3)
    assert house.desk().plan.need is None, "the user is not asked for a second login"
    house.clock.turn(minutes=GRACE / timedelta(minutes=1))
    house.by_sweep_alone()
    assert len(house.globus.cancels) == 1
    house.globus.suspended = set()
    house.live_on(200)
    assert house.job(number).state is State.COMPLETED
    assert len(house.globus.of_job(number)) == 2


def test_a_task_that_died_for_want_of_a_login_waits_for_it_and_goes_again() -> None:
    house = a_house()
    house.globus.takes = timedelta(hours=1)
    (number,) = house.post(a_document(results=False))
    house.live_on(3)
    (task,) = house.globus.live()
    task.status, task.fatal = task.status.FAILED, "AUTH"
    house.live_on(10)
    assert house.job(number).state is State.STAGE_IN
    assert waits(house, number) == {"login"}
    sign_in(house)
    house.live_on(200)
    assert house.job(number).state is State.COMPLETED


def test_two_refusals_are_met_by_one_login() -> None:
    house = a_house()
    asked = {LAB: SessionDemand(mfa=True, fresh=True), OTHER: SessionDemand(policies=("p",), fresh=True)}
    for collection, session in asked.items():
        house.globus.refused[collection] = LoginNeeded(LoginReason.SESSION, "sign in again", session=session)
    house.post(a_document(), a_document(lab=OTHER))
    house.live_on(3)
    demand = house.waking.current(ADA.user)
    assert demand is not None
    assert demand.session == SessionDemand(policies=("p",), mfa=True, fresh=True)


def test_a_pass_reads_no_job_that_it_has_no_business_with() -> None:
    house = a_house()
    queue(house, *house.post(*(a_document(f"j{each}") for each in range(10))))
    listed: list[str] = []
    house.gate = lambda call, moment: listed.append(call) if moment == "before" else None
    house.post(a_document("one-more"))
    house.live_on(10, agent=False)
    assert "jobs.list" not in listed


def failing(name: str, times: int) -> Callable[[str, str], None]:
    left = [times]

    def gate(call: str, moment: str) -> None:
        if call == name and moment == "before" and left[0]:
            left[0] -= 1
            raise FarSide("transfer", "ServiceUnavailable", "", transient=True, status=503)

    return gate


def dying(name: str, at: str) -> Callable[[str, str], None]:
    def gate(call: str, moment: str) -> None:
        if call == name and moment == at:
            raise CrashNow

    return gate


def test_a_thousand_documents_cost_one_look_at_the_profile_and_one_at_each_collection() -> None:
    house = a_house()
    house.post(a_document("first"))
    house.answer_rings()
    reads: list[object] = []
    outlooks = house.post_jobs.outlooks
    counted = replace(
        outlooks,
        profiles=counting(outlooks.profiles, reads),
        collections=counting(outlooks.collections, reads),
        _warm={},
    )
    posting = replace(house.post_jobs, outlooks=counted)
    raw = {"jobs": [a_document(f"j{each}") for each in range(1000)]}
    prospects = posting.post(ADA, raw, None).prospects
    assert {each.outlook.standing for each in prospects.values()} == {Standing.ENDS}
    assert (len(prospects), len({id(each) for each in prospects.values()})) == (1000, 1)
    assert sorted(str(name) for name in reads) == ["get", "load_profile"]


def counting(port: Any, reads: list[object]) -> Any:
    class Counting:
        def __getattr__(self, name: str) -> Any:
            reads.append(name)
            return getattr(port, name)

    return Counting()
