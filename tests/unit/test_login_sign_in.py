"""Signing in by link: what is asked for, what is refused, and what a login leaves behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest
from login_house import ADA, BOB, GUEST, MAPPED, OTHER, SECURE, START, House

from chalicelib.core.consent import (
    TRANSFER,
    LoginDemand,
    LoginReason,
    SessionDemand,
    consented_collections,
    data_access,
    scopes_to_ask,
)
from chalicelib.core.errors import FarSide, GrantRefused, Invalid, Refusal, SignInRefused
from chalicelib.core.logins import (
    LoginAttempt,
    LoginRequest,
    SignInPolicy,
    hashed,
    is_path,
    nonce_of,
    read_request,
    request_for,
    verifier_of,
)
from chalicelib.service.sign_in import Answer, Begun, Finished


@pytest.fixture
def house() -> House:
    return House()


def attempt_of(house: House, begun: Begun) -> LoginAttempt:
    return house.logins._attempts[hashed(begun.state)]


def asked(house: House, request: LoginRequest) -> frozenset[str]:
    return consented_collections(attempt_of(house, house.sign_in.begin(request, house.clock.now())).scopes)


def login(house: House, who: str = "ada", request: LoginRequest | None = None) -> Finished:
    begun = house.sign_in.begin(request or LoginRequest(), house.clock.now())
    return finish(house, begun, who)


def finish(house: House, begun: Begun, who: str = "ada") -> Finished:
    return house.sign_in.finish(Answer(state=begun.state, code=who), begun.browser_secret, house.clock.now())


def refused(house: House, answer: Answer, secret: str) -> SignInRefused:
    with pytest.raises(SignInRefused) as error:
        house.sign_in.finish(answer, secret, house.clock.now())
    assert house.stored.load(ADA) is None
    assert house.bell.woken == []
    return error.value


def test_a_login_stores_tokens_tells_who_it_was_and_wakes_the_jobs(house: House) -> None:
    done = login(house)
    assert (done.profile.user, done.profile.username) == (ADA, "ada@uni.example")
    assert house.tokens.access_token(ADA, house.clock.now()).value == "access-1"
    assert house.bell.woken == [ADA]
    session = house.sign_in.session(done.cookie, house.clock.now())
    assert session is not None
    assert session.user == ADA


def test_nothing_that_a_browser_keeps_secret_is_stored_in_the_clear(house: House) -> None:
    begun = house.sign_in.begin(LoginRequest(), START)
    kept = repr(house.logins.__dict__)
    assert begun.state not in kept
    for secret in (begun.browser_secret, verifier_of(begun.browser_secret), nonce_of(begun.browser_secret)):
        assert secret not in kept
    done = finish(house, begun)
    assert done.cookie not in repr(house.logins.__dict__)


def test_data_access_is_asked_for_just_where_it_exists(house: House) -> None:
    assert asked(house, LoginRequest(collections=(MAPPED, GUEST, SECURE))) == {MAPPED}


def test_collections_are_looked_up_once_for_all_users(house: House) -> None:
    for _ in range(3):
        asked(house, LoginRequest(collections=(MAPPED, GUEST)))
    assert house.world.asked == [(MAPPED, GUEST)]


def test_a_collection_that_cannot_be_looked_up_now_does_not_stop_the_login(house: House) -> None:
    house.world.fails = FarSide("transfer", "503", "down", transient=True)
    assert asked(house, LoginRequest(collections=(MAPPED,))) == frozenset()
    assert login(house, request=LoginRequest(collections=(MAPPED,))).profile.user == ADA


def test_a_browser_that_is_signed_in_is_asked_for_the_union(house: House) -> None:
    done = login(house, request=LoginRequest(collections=(MAPPED,)))
    session = house.sign_in.session(done.cookie, house.clock.now())
    begun = house.sign_in.begin(LoginRequest(collections=(OTHER,)), house.clock.now(), session=session)
    assert consented_collections(attempt_of(house, begun).scopes) == {MAPPED, OTHER}


def test_a_login_that_asked_for_less_than_was_given_before_goes_round_once_more_for_the_union(house: House) -> None:
    login(house, request=LoginRequest(collections=(MAPPED,)))
    second = login(house, request=LoginRequest(collections=(OTHER,), next="/jobs/1001"))
    assert second.more is not None
    attempt = attempt_of(house, second.more)
    assert consented_collections(attempt.scopes) == {MAPPED, OTHER}
    assert attempt.request.for_user == ADA
    third = finish(house, second.more)
    assert (third.more, third.next) == (None, "/jobs/1001")
    assert consented_collections(third.profile.scopes) == {MAPPED, OTHER}


def test_a_consented_collection_that_is_gone_since_is_not_asked_for(house: House) -> None:
    gone = replace(login(house).profile, scopes=scopes_to_ask(["dddddddd-0000-4000-8000-00000000dead"]))  # type: ignore[list-item]
    house.logins.put_profile(gone)
    again = login(house)
    assert again.more is not None
    assert consented_collections(attempt_of(house, again.more).scopes) == frozenset()
    assert finish(house, again.more).more is None


def test_a_state_works_once(house: House) -> None:
    begun = house.sign_in.begin(LoginRequest(), START)
    finish(house, begun)
    with pytest.raises(SignInRefused) as error:
        finish(house, begun, "bob")
    assert error.value.why is Refusal.EXPIRED
    assert house.stored.load(BOB) is None


def test_a_state_dies_after_ten_minutes(house: House) -> None:
    begun = house.sign_in.begin(LoginRequest(), START)
    house.clock.turn(minutes=10)
    answer = Answer(state=begun.state, code="ada")
    assert refused(house, answer, begun.browser_secret).why is Refusal.EXPIRED
    assert house.auth.bought == []


def test_a_forged_state_is_refused(house: House) -> None:
    begun = house.sign_in.begin(LoginRequest(), START)
    forged = Answer(state=begun.state[:-1] + "x", code="ada")
    assert refused(house, forged, begun.browser_secret).why is Refusal.EXPIRED


def test_a_callback_in_another_browser_is_refused_and_leaves_the_attempt_to_its_own(house: House) -> None:
    begun = house.sign_in.begin(LoginRequest(), START)
    for secret in ("", "x" * 43):
        assert refused(house, Answer(state=begun.state, code="ada"), secret).why is Refusal.EXPIRED
    assert finish(house, begun).profile.user == ADA


def test_a_link_made_for_one_user_and_completed_by_another_stores_nothing(house: House) -> None:
    begun = house.sign_in.begin(LoginRequest(for_user=BOB), START)
    error = refused(house, Answer(state=begun.state, code="ada"), begun.browser_secret)
    assert error.why is Refusal.OTHER_IDENTITY
    assert "fresh=1" in error.again
    assert f"for={BOB}" in error.again


def test_an_answer_with_another_nonce_is_refused(house: House) -> None:
    house.auth.claims = {"nonce": "somebody else's"}
    begun = house.sign_in.begin(LoginRequest(), START)
    assert refused(house, Answer(state=begun.state, code="ada"), begun.browser_secret).word == "nonce"


@pytest.mark.parametrize(
    "times",
    [
        {"expires_at": START - timedelta(minutes=6)},
        {"issued_at": START + timedelta(minutes=6)},
    ],
)
def test_an_id_token_out_of_its_time_by_our_clock_is_refused(house: House, times: dict[str, object]) -> None:
    house.auth.claims = times
    begun = house.sign_in.begin(LoginRequest(), START)
    assert refused(house, Answer(state=begun.state, code="ada"), begun.browser_secret).word == "time"


def test_a_person_who_says_no_is_told_so_and_can_try_again(house: House) -> None:
    begun = house.sign_in.begin(LoginRequest(collections=(MAPPED,)), START)
    error = refused(house, Answer(state=begun.state, error="access_denied"), begun.browser_secret)
    assert error.why is Refusal.DENIED
    assert read_request(dict(parse_qsl(error.again))).collections == (MAPPED,)


def test_words_of_a_provider_are_passed_on_only_if_they_are_words(house: House) -> None:
    for said, word in (("temporarily_unavailable", "temporarily_unavailable"), ("<b>hi</b>\n", "")):
        begun = house.sign_in.begin(LoginRequest(), START)
        error = refused(house, Answer(state=begun.state, error=said), begun.browser_secret)
        assert (error.why, error.word) == (Refusal.PROVIDER, word)


@pytest.mark.parametrize("fails", [GrantRefused(), FarSide("auth", "503", "down", transient=True)])
def test_a_failing_exchange_is_the_providers_page_with_another_try(house: House, fails: FarSide) -> None:
    house.auth.fails = fails
    begun = house.sign_in.begin(LoginRequest(next="/jobs"), START)
    error = refused(house, Answer(state=begun.state, code="ada"), begun.browser_secret)
    assert (error.why, error.word, error.again) == (Refusal.PROVIDER, fails.code, "next=%2Fjobs")


def test_a_session_is_new_at_each_login_and_the_old_one_ends(house: House) -> None:
    first = login(house)
    begun = house.sign_in.begin(LoginRequest(), house.clock.now())
    answer = Answer(state=begun.state, code="ada")
    second = house.sign_in.finish(answer, begun.browser_secret, house.clock.now(), cookie=first.cookie)
    assert second.cookie != first.cookie
    assert house.sign_in.session(first.cookie, house.clock.now()) is None
    assert house.sign_in.session(second.cookie, house.clock.now()) is not None
    assert house.sign_in.session(second.cookie, house.clock.turn(hours=12)) is None


# who may sign in


@pytest.mark.parametrize(
    ("policy", "admitted"),
    [
        (SignInPolicy(), False),
        (SignInPolicy(anyone=True), True),
        (SignInPolicy(domains=frozenset({"uni.example"})), True),
        (SignInPolicy(domains=frozenset({"example"})), False),
        (SignInPolicy(domains=frozenset({"i.example"})), False),
        (SignInPolicy(identities=frozenset({ADA})), True),
        (SignInPolicy(identities=frozenset({"ada@uni.example"})), True),
        (SignInPolicy(identities=frozenset({BOB})), False),
    ],
)
def test_who_may_sign_in_is_configured(policy: SignInPolicy, admitted: bool) -> None:
    house = House(policy)
    begun = house.sign_in.begin(LoginRequest(), START)
    if admitted:
        assert finish(house, begun).profile.user == ADA
    else:
        answer = Answer(state=begun.state, code="ada")
        assert refused(house, answer, begun.browser_secret).why is Refusal.NOT_ALLOWED


def test_a_linked_identity_of_an_allowed_domain_is_enough() -> None:
    house = House(SignInPolicy(domains=frozenset({"alcf.anl.gov"})))
    house.auth.claims = {"identities": ((ADA, "ada@uni.example"), (BOB, "ada@alcf.anl.gov"))}
    assert login(house).profile.user == ADA


# links


def test_a_link_reads_back_as_the_request_it_was_made_from() -> None:
    request = LoginRequest(
        collections=(MAPPED, OTHER),
        session=SessionDemand(
            single_domain=("alcf.anl.gov",), identities=(ADA,), policies=(BOB,), mfa=True, fresh=True
        ),
        next="/jobs/1001?x=1",
        device="BCDFGHJK",
        for_user=ADA,
    )
    assert read_request(dict(parse_qsl(request.query()))) == request


def test_a_demand_becomes_a_link_with_all_that_was_consented_before() -> None:
    demand = LoginDemand(reason=LoginReason.CONSENT, detail="", scopes=(f"{TRANSFER}[*{data_access(OTHER)}]",))
    link = request_for(demand, ADA, consented=scopes_to_ask([MAPPED]))
    assert (set(link.collections), link.for_user) == ({MAPPED, OTHER}, ADA)


@pytest.mark.parametrize("path", ["/", "/jobs/1001", "/device?code=BCDF-GHJK"])
def test_paths_of_our_own_are_gone_on_to(path: str) -> None:
    assert is_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "https://evil.example",
        "\\evil",
        "/\\evil.example",
        "jobs",
        "/a\nb",
        "/a\r\nSet-Cookie: x",
        "/é",
        "",
    ],
)
def test_no_link_goes_on_to_a_place_of_others(path: str) -> None:
    assert not is_path(path)
    if path:
        with pytest.raises(Invalid):
            read_request({"next": path})


def test_every_malformed_parameter_of_a_link_is_named() -> None:
    with pytest.raises(Invalid) as error:
        read_request({"collections": "x", "domain": "no spaces.example", "for": "me", "next": "//x"})
    assert [fault.pointer for fault in error.value.faults] == ["?collections", "?for", "?domain", "?next"]


def test_scopes_name_each_collection_once_and_let_it_be_revoked_alone() -> None:
    *identity, transfer = scopes_to_ask([OTHER, MAPPED, OTHER], scopes_to_ask([MAPPED]))
    assert identity == ["openid", "profile", "email"]
    assert transfer == f"{TRANSFER}[*{data_access(MAPPED)} *{data_access(OTHER)}]"
