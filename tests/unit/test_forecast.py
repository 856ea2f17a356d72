"""How long a job will need its user's login session, and whether that lasts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.consent import MAPPED, CollectionFacts, LoginReason, SessionDemand
from chalicelib.core.desk import LoginNeed, Route
from chalicelib.core.forecast import (
    Expectations,
    Standing,
    alert_at,
    collections_of,
    course,
    held_up,
    needs,
    outlook,
)
from chalicelib.core.ids import CollectionId, JobNumber, JobRef, SiteId, UserId
from chalicelib.core.job import Job, Leg, LegStatus, Mark, Stage, State
from chalicelib.core.journey import Journey
from chalicelib.core.sessions import NEVER, NOBODY, Authentication, Session

NOW = datetime(2026, 11, 22, 17, tzinfo=UTC)
LAB, ARCHIVE, HOME, OTHER = (CollectionId(name) for name in ("lab", "archive", "home", "other"))
ALL = (LAB, ARCHIVE, HOME, OTHER)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EXPECTED = Expectations(queue_wait=DAY, staging=HOUR, lead=6 * HOUR)
PENDING, DONE = Leg(item=0), Leg(item=0, status=LegStatus.DONE)


def a_job(state: State = State.NEW, *, at: datetime = NOW, code: str = "", legs: tuple[Leg, ...] = (PENDING,)) -> Job:
    return Job(
        ref=JobRef(user=UserId("ada"), number=JobNumber(1001)),
        owner="ada@uni.example",
        site=SiteId("theta"),
        name="job",
        index=0,
        created_at=at,
        updated_at=at,
        state=state,
        legs=legs,
        trail=(Mark(version=1, at=at, code=code or str(state), state=state),),
        journey=Journey(inputs=(LAB,), outputs=(ARCHIVE,), walltime=2 * 3600),
    )


def signed_in(ago: timedelta = timedelta(), *, mfa: bool = False, username: str = "ada@uni.example") -> Session:
    who = Authentication(identity=UserId(username), username=username, auth_time=NOW - ago, mfa=mfa)
    return Session(authentications=(who,))


def facts(**demands: CollectionFacts) -> Mapping[CollectionId, CollectionFacts]:
    plain = {each: CollectionFacts(id=each, entity_type=MAPPED) for each in ALL}
    return plain | {found.id: found for found in demands.values()}


def recent(collection: CollectionId, age: timedelta, **more: object) -> CollectionFacts:
    return replace(CollectionFacts(id=collection, entity_type=MAPPED, max_age=age), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("job", "end"),
    [
        (a_job(), HOUR + DAY + 2 * HOUR + HOUR),
        (a_job(legs=()), DAY + 2 * HOUR + HOUR),
        (a_job(State.STAGED, legs=(DONE,)), DAY + 2 * HOUR + HOUR),
        (replace(a_job(), awaits_start=True), DAY + 2 * HOUR + HOUR),
        (replace(a_job(), awaits_start=True, starts_at=NOW + 3 * DAY), 3 * DAY + 2 * HOUR + HOUR),
        (replace(a_job(), starts_at=NOW + 3 * DAY), 3 * DAY + 2 * HOUR + HOUR),
        (replace(a_job(), starts_at=NOW - DAY), HOUR + 2 * HOUR + HOUR),
        (a_job(State.QUEUED, at=NOW - 6 * HOUR), 18 * HOUR + 2 * HOUR + HOUR),
        (a_job(State.QUEUED, at=NOW - 18 * HOUR), 18 * HOUR + 2 * HOUR + HOUR),
        (a_job(State.QUEUED, at=NOW - 9 * DAY), DAY + 2 * HOUR + HOUR),
        (a_job(State.ACTIVE, at=NOW - HOUR), HOUR + HOUR),
        (a_job(State.ACTIVE, at=NOW - 9 * HOUR), HOUR),
        (a_job(State.STAGE_OUT), HOUR),
        (a_job(State.STAGE_OUT, legs=(DONE,)), timedelta()),
    ],
)
def test_a_job_s_end_is_expected_from_where_it_stands(job: Job, end: timedelta) -> None:
    found = course(job, EXPECTED, NOW)
    assert found is not None
    assert found.end - NOW == end


def test_a_site_s_own_queue_counts_before_the_deployment_s() -> None:
    found = course(a_job(), EXPECTED.at(600), NOW)
    assert found is not None
    assert found.end - NOW == HOUR + timedelta(minutes=10) + 3 * HOUR


def test_a_final_job_needs_nothing_and_neither_is_one_judged_whose_journey_is_not_known() -> None:
    for job in (a_job(State.COMPLETED), replace(a_job(), journey=None)):
        assert outlook(job, HOME, {}, NOBODY, EXPECTED, NOW).standing is Standing.OK


def test_each_collection_is_needed_until_the_last_stage_that_touches_it_is_over() -> None:
    found = course(a_job(), EXPECTED, NOW)
    assert found is not None
    assert needs(a_job(), HOME, found) == {LAB: NOW + HOUR, HOME: found.end, ARCHIVE: found.end}
    assert collections_of(a_job(State.ACTIVE), HOME) == {HOME, ARCHIVE}
    assert collections_of(a_job(State.STAGE_OUT, legs=(DONE,)), HOME) == frozenset()


def test_a_session_that_serves_the_inputs_to_their_end_is_good_enough_for_them() -> None:
    known = facts(lab=recent(LAB, 2 * HOUR))
    assert outlook(a_job(), HOME, known, signed_in(), EXPECTED, NOW).standing is Standing.OK


@pytest.mark.parametrize(
    ("ago", "standing"),
    [
        (timedelta(), Standing.ENDS),
        (18 * HOUR - timedelta(seconds=1), Standing.ENDS),
        (18 * HOUR, Standing.ENDS_SOON),
        (24 * HOUR, Standing.ENDS_SOON),
        (24 * HOUR + timedelta(seconds=1), Standing.ENDED),
    ],
)
def test_a_session_that_ends_before_its_job_is_told_of_with_the_moment(ago: timedelta, standing: Standing) -> None:
    seen = outlook(a_job(), HOME, facts(archive=recent(ARCHIVE, DAY)), signed_in(ago), EXPECTED, NOW)
    assert (seen.standing, seen.until, seen.collections) == (standing, NOW - ago + DAY, (ARCHIVE,))
    assert seen.login.fresh


def test_the_login_asks_for_all_that_the_failing_collections_demand() -> None:
    known = facts(
        lab=replace(recent(LAB, timedelta(minutes=5)), policies=("p1",)),
        archive=CollectionFacts(id=ARCHIVE, entity_type=MAPPED, mfa=True, domains=("alcf.anl.gov",), policies=("p2",)),
    )
    seen = outlook(a_job(), HOME, known, signed_in(), EXPECTED, NOW)
    assert (seen.standing, seen.until) == (Standing.ENDED, NEVER)
    assert seen.login == SessionDemand(single_domain=("alcf.anl.gov",), policies=("p2", "p1"), mfa=True, fresh=True)


def test_what_is_not_known_is_said_to_be_unchecked_unless_something_known_fails() -> None:
    known = {each: found for each, found in facts().items() if each != LAB}
    assert outlook(a_job(), HOME, known, signed_in(), EXPECTED, NOW).standing is Standing.UNCHECKED
    known |= {ARCHIVE: recent(ARCHIVE, DAY)}
    assert outlook(a_job(), HOME, known, signed_in(), EXPECTED, NOW).standing is Standing.ENDS


def test_the_warning_comes_the_lead_before_the_end_and_at_once_for_what_never_served() -> None:
    assert alert_at(NOW, EXPECTED) == NOW - 6 * HOUR
    assert alert_at(NEVER, EXPECTED) == NEVER


def need(**fields: object) -> LoginNeed:
    asked = {"reason": LoginReason.SESSION, "words": "", "since": NOW, "collections": frozenset(), **fields}
    return LoginNeed(**asked)  # type: ignore[arg-type]


STAGE_IN = Route(stage=Stage.STAGE_IN, source=LAB, destination=HOME)


@pytest.mark.parametrize(
    ("job", "wanted", "waits"),
    [
        (a_job(), need(collections=frozenset({LAB})), True),
        (a_job(), need(collections=frozenset({ARCHIVE})), False),
        (a_job(), need(routes=(STAGE_IN,)), True),
        (a_job(), need(routes=(replace(STAGE_IN, source=OTHER),)), False),
        (a_job(), need(collections=None), True),
        (a_job(legs=(DONE,)), need(collections=None), False),
        (a_job(State.QUEUED), need(collections=None), False),
        (a_job(State.STAGE_OUT), need(collections=frozenset({ARCHIVE})), True),
        (a_job(State.STAGE_OUT), need(collections=frozenset({LAB})), False),
        (replace(a_job(), cancel_requested=True), need(collections=frozenset({LAB})), False),
        (replace(a_job(), journey=None), need(collections=frozenset({OTHER})), True),
    ],
)
def test_a_job_waits_for_a_login_only_if_what_it_has_to_move_is_held_up(
    job: Job, wanted: LoginNeed, waits: bool
) -> None:
    assert held_up(job, HOME, wanted) is waits


def test_a_way_that_is_free_again_leaves_the_rest_of_a_need_as_it_was() -> None:
    other = replace(STAGE_IN, source=OTHER)
    both = need(routes=(STAGE_IN, other))
    assert both.without(STAGE_IN) == need(routes=(other,))
    assert need(routes=(other,)).without(other) is None
    assert need(collections=frozenset({LAB}), routes=(other,)).without(other) == need(collections=frozenset({LAB}))


spans = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3))
states = st.sampled_from(
    [(State.NEW, ""), (State.STAGED, ""), (State.QUEUED, "queued"), (State.ACTIVE, "active"), (State.STAGE_OUT, "")]
)
jobs = st.builds(
    lambda state, ago, walltime, outputs: replace(
        a_job(state[0], at=NOW - ago, code=state[1]),
        journey=Journey(inputs=(LAB,), outputs=outputs, walltime=walltime),
    ),
    states,
    spans,
    st.integers(1, 10**6),
    st.just((ARCHIVE,)) | st.just((OTHER,)),
)
worlds = st.fixed_dictionaries(
    {},
    optional={
        each: st.builds(recent, st.just(each), spans, mfa=st.booleans())
        | st.just(CollectionFacts(id=each, entity_type=MAPPED))
        for each in ALL
    },
)
expectations = st.builds(Expectations, queue_wait=spans, staging=spans, lead=spans)


@given(jobs, worlds, spans, expectations)
def test_a_warning_always_names_a_moment_before_the_expected_end_and_a_login(
    job: Job, known: Mapping[CollectionId, CollectionFacts], ago: timedelta, expected: Expectations
) -> None:
    seen = outlook(job, HOME, known, signed_in(ago, mfa=True), expected, NOW)
    assert seen.expected_end is not None
    assert seen.expected_end >= NOW
    warned = seen.standing in (Standing.ENDS, Standing.ENDS_SOON, Standing.ENDED)
    assert warned == (seen.until is not None) == bool(seen.login) == bool(seen.collections)
    if seen.until is not None:
        assert seen.until < seen.expected_end
        assert (seen.standing is Standing.ENDED) == (seen.until < NOW)


@given(jobs, worlds, spans, expectations)
def test_a_fresh_sign_in_of_the_kind_asked_for_never_leaves_a_job_worse_off(
    job: Job, known: Mapping[CollectionId, CollectionFacts], ago: timedelta, expected: Expectations
) -> None:
    before = outlook(job, HOME, known, signed_in(ago), expected, NOW)
    after = outlook(job, HOME, known, signed_in(mfa=True), expected, NOW)
    assert after.until is None or (before.until is not None and after.until >= before.until)
    assert after.standing is not Standing.ENDED


@given(jobs, worlds, spans, expectations, spans)
def test_a_longer_queue_never_hides_a_warning(
    job: Job, known: Mapping[CollectionId, CollectionFacts], ago: timedelta, expected: Expectations, more: timedelta
) -> None:
    longer = replace(expected, queue_wait=expected.queue_wait + more)
    if outlook(job, HOME, known, signed_in(ago), expected, NOW).until is not None:
        assert outlook(job, HOME, known, signed_in(ago), longer, NOW).until is not None


def test_inputs_that_come_just_in_time_need_the_login_until_the_job_starts() -> None:
    job = replace(a_job(), awaits_start=True, starts_at=NOW + 3 * DAY)
    found = course(job, EXPECTED, NOW)
    assert found is not None
    assert found.inputs_until == NOW + 3 * DAY
    assert needs(job, HOME, found)[LAB] == NOW + 3 * DAY
