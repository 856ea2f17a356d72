"""When a login session is good enough, and until when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.ids import UserId
from chalicelib.core.sessions import (
    NEVER,
    Authentication,
    Session,
    SignInDemand,
    good_until,
    newest,
    read_session,
    satisfies,
    session_values,
)

NOW = datetime(2026, 11, 22, 17, tzinfo=UTC)
DAY = timedelta(days=1)


def signed_in(username: str, hours_ago: float = 0, *, mfa: bool = False) -> Authentication:
    return Authentication(
        identity=UserId(username), username=username, auth_time=NOW - timedelta(hours=hours_ago), mfa=mfa
    )


SESSION = Session(authentications=(signed_in("ada@uni.example", 30, mfa=True), signed_in("ada@Alcf.anl.gov", 2)))


def test_the_newest_of_the_kind_demanded_counts() -> None:
    assert newest(SESSION, SignInDemand(max_age=DAY)) == SESSION.authentications[1]
    assert newest(SESSION, SignInDemand(mfa=True)) == SESSION.authentications[0]
    assert newest(SESSION, SignInDemand(domains=("google.com",))) is None


def test_one_authentication_must_meet_all_of_a_demand() -> None:
    assert satisfies(SESSION, SignInDemand(mfa=True), NOW)
    assert satisfies(SESSION, SignInDemand(max_age=DAY), NOW)
    assert not satisfies(SESSION, SignInDemand(mfa=True, max_age=DAY), NOW)
    assert not satisfies(SESSION, SignInDemand(mfa=True, domains=("alcf.anl.gov",)), NOW)


def test_domains_are_compared_whatever_their_case() -> None:
    assert satisfies(SESSION, SignInDemand(domains=("ALCF.ANL.GOV", "elsewhere.org")), NOW)


@pytest.mark.parametrize(
    ("demand", "until"),
    [
        (SignInDemand(), None),
        (SignInDemand(mfa=True), None),
        (SignInDemand(max_age=DAY), NOW + timedelta(hours=22)),
        (SignInDemand(max_age=DAY, mfa=True), NOW - timedelta(hours=6)),
        (SignInDemand(domains=("google.com",)), NEVER),
    ],
)
def test_a_session_serves_until_the_newest_fitting_authentication_is_too_old(
    demand: SignInDemand, until: datetime | None
) -> None:
    assert good_until(SESSION, demand) == until


def test_no_session_meets_no_demand_but_the_empty_one() -> None:
    assert satisfies(Session(), SignInDemand(), NOW)
    assert not satisfies(Session(), SignInDemand(max_age=DAY), NOW)


authentications = st.builds(
    signed_in, st.sampled_from(["a@x.org", "b@y.org"]), st.floats(min_value=-1, max_value=100), mfa=st.booleans()
)
sessions = st.builds(Session, authentications=st.lists(authentications, max_size=4).map(tuple))
demands = st.builds(
    SignInDemand,
    domains=st.lists(st.sampled_from(["x.org", "y.org"]), max_size=2).map(tuple),
    mfa=st.booleans(),
    max_age=st.none() | st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4)),
)


@given(session=sessions, demand=demands, later=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=9)))
def test_a_demand_is_met_up_to_the_moment_told_and_never_after(
    session: Session, demand: SignInDemand, later: timedelta
) -> None:
    until = good_until(session, demand)
    assert satisfies(session, demand, NOW + later) == (until is None or NOW + later <= until)


@given(session=sessions, demand=demands, one_more=authentications)
def test_another_authentication_never_makes_a_session_worse(
    session: Session, demand: SignInDemand, one_more: Authentication
) -> None:
    more = Session(authentications=(*session.authentications, one_more))
    before, after = good_until(session, demand), good_until(more, demand)
    assert after is None or (before is not None and after >= before)


@given(session=sessions)
def test_a_session_is_read_back_as_it_was_written(session: Session) -> None:
    assert read_session(session_values(session)) == session
