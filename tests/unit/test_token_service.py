"""Access tokens: renewed at use and ahead, never an older one over a newer, never a refresh token lost."""

from __future__ import annotations

import sys
from datetime import timedelta

import pytest
from login_house import ADA, BOB, START, House

from chalicelib.core.consent import LoginReason
from chalicelib.core.errors import FarSide, LoginNeeded
from chalicelib.core.ports.auth import ExchangeRequest
from chalicelib.core.tokens import IDLE, MARGIN, PURPOSE, AccessToken, PlainTokens, TokenRecord
from chalicelib.service.tokens import Outcome


@pytest.fixture
def house() -> House:
    return House()


def signed_in(house: House) -> TokenRecord:
    house.exchanging.exchange(
        ExchangeRequest(code="ada", verifier="v", nonce="n", redirect_uri="r", scopes=("s",), for_user=None)
    )
    return stored(house)


def stored(house: House) -> TokenRecord:
    record = house.stored.load(ADA)
    assert record is not None
    return record


def refresh_token(house: House) -> str | None:
    return house.seal.unseal(stored(house).sealed, user=ADA, purpose=PURPOSE).refresh_token


def test_a_user_who_never_signed_in_is_asked_to(house: House) -> None:
    with pytest.raises(LoginNeeded) as needed:
        house.tokens.access_token(ADA, START)
    assert needed.value.reason is LoginReason.NEVER


def test_a_token_with_time_left_is_used_as_it_is_and_unsealed_once(house: House) -> None:
    signed_in(house)
    values = {house.tokens.access_token(ADA, house.clock.turn(seconds=10)).value for _ in range(20)}
    assert values == {"access-1"}
    assert (house.seal.unsealed, house.auth.refreshed) == (1, [])


def test_a_warm_process_keeps_the_access_token_while_it_is_good_and_never_the_refresh_token(house: House) -> None:
    signed_in(house)
    for _ in range(47):
        house.tokens.access_token(ADA, house.clock.turn(hours=1))
    assert house.seal.unsealed == 1
    kept = [warm.token for warm in house.tokens._warm.values()]
    assert [type(each) for each in kept] == [AccessToken]
    assert "refresh-1" not in [getattr(each, name) for each in kept for name in AccessToken.__slots__]


def test_a_warm_copy_is_worth_nothing_once_its_record_is_refused_or_removed(house: House) -> None:
    record = signed_in(house)
    house.tokens.access_token(ADA, house.clock.now())
    house.stored.refuse(ADA, record.version)
    with pytest.raises(LoginNeeded):
        house.tokens.access_token(ADA, house.clock.now())
    assert house.stored.remove(ADA, record.version)
    with pytest.raises(LoginNeeded):
        house.tokens.access_token(ADA, house.clock.now())


def test_a_token_within_the_margin_of_its_end_is_renewed_before_use(house: House) -> None:
    record = signed_in(house)
    before = record.expires_at - MARGIN - timedelta(seconds=1)
    assert house.tokens.access_token(ADA, before).value == "access-1"
    house.clock.at = record.expires_at - MARGIN
    assert house.tokens.access_token(ADA, house.clock.now()).value == "access-2"
    assert stored(house).version == record.version + 1


def test_a_renewal_that_does_not_repeat_the_refresh_token_keeps_it(house: House) -> None:
    signed_in(house)
    house.auth.repeats_refresh = False
    for _ in range(3):
        house.tokens.access_token(ADA, house.clock.turn(hours=48))
    assert house.auth.refreshed == ["refresh-1"] * 3
    assert refresh_token(house) == "refresh-1"


def test_a_token_that_globus_rejected_is_renewed_though_its_time_is_not_over(house: House) -> None:
    signed_in(house)
    first = house.tokens.access_token(ADA, house.clock.now())
    second = house.tokens.access_token(ADA, house.clock.now(), rejected=first.version)
    assert (second.value, second.version) == ("access-2", first.version + 1)


def test_a_rejected_version_that_was_replaced_meanwhile_is_not_renewed_again(house: House) -> None:
    signed_in(house)
    first = house.tokens.access_token(ADA, house.clock.now())
    other = house.another_process().access_token(ADA, house.clock.now(), rejected=first.version)
    assert house.tokens.access_token(ADA, house.clock.now(), rejected=first.version) == other
    assert len(house.auth.refreshed) == 1


def test_a_refused_grant_asks_for_a_login_and_is_never_tried_again(house: House) -> None:
    signed_in(house)
    house.auth.dead.add("refresh-1")
    for hours in (48, 1, 100):
        house.clock.turn(hours=hours)
        with pytest.raises(LoginNeeded) as needed:
            house.tokens.access_token(ADA, house.clock.now())
        assert needed.value.reason is LoginReason.REFUSED
    assert house.auth.refreshed == ["refresh-1"]


def test_a_login_ends_a_refusal(house: House) -> None:
    signed_in(house)
    house.auth.dead.add("refresh-1")
    with pytest.raises(LoginNeeded):
        house.tokens.access_token(ADA, house.clock.turn(hours=48))
    signed_in(house)
    assert house.tokens.access_token(ADA, house.clock.now()).value == "access-2"


def test_a_refusal_of_the_old_version_does_not_count_against_a_login_stored_meanwhile(house: House) -> None:
    old = signed_in(house)
    house.auth.dead.add("refresh-1")

    def login_meanwhile() -> None:
        house.auth.before_answer = None
        signed_in(house)

    house.auth.before_answer = login_meanwhile
    token = house.tokens.access_token(ADA, house.clock.turn(hours=48))
    assert token.value == "access-2"
    assert token.version > old.version
    assert not stored(house).refused


def test_a_renewal_that_comes_after_a_login_does_not_overwrite_it(house: House) -> None:
    signed_in(house)

    def login_meanwhile() -> None:
        house.auth.before_answer = None
        signed_in(house)

    house.auth.before_answer = login_meanwhile
    token = house.tokens.access_token(ADA, house.clock.turn(hours=48))
    assert refresh_token(house) == "refresh-2"
    assert token.version == stored(house).version


def test_globus_not_answering_asks_nobody_for_a_login(house: House) -> None:
    signed_in(house)
    house.auth.fails = FarSide("auth", "503", "down", transient=True)
    with pytest.raises(FarSide):
        house.tokens.access_token(ADA, house.clock.turn(hours=48))
    house.auth.fails = None
    assert house.tokens.access_token(ADA, house.clock.now()).value == "access-2"


def test_a_record_made_again_after_a_removal_never_bears_an_old_version(house: House) -> None:
    first = signed_in(house)
    house.tokens.access_token(ADA, house.clock.now())
    assert house.stored.remove(ADA, first.version)
    house.clock.turn(seconds=1)
    again = signed_in(house)
    assert again.version > first.version
    assert house.tokens.access_token(ADA, house.clock.now()).value == "access-2"


def test_tokens_moved_to_another_user_do_not_open(house: House) -> None:
    record = signed_in(house)
    with pytest.raises(KeyError):
        house.seal.unseal(record.sealed, user="someone-else", purpose=PURPOSE)  # type: ignore[arg-type]


def test_the_schedule_renews_ahead_for_users_with_live_jobs(house: House) -> None:
    record = signed_in(house)
    house.bell.live.add(ADA)
    assert house.tokens.renew_due(house.clock.turn(hours=44)).outcomes == ()
    house.clock.turn(hours=1)
    assert house.tokens.renew_due(house.clock.now()).users(Outcome.RENEWED) == (ADA,)
    assert stored(house).expires_at > record.expires_at
    assert house.tokens.renew_due(house.clock.now()).outcomes == ()


def test_the_schedule_lets_resting_users_rest_and_uses_their_refresh_token_in_time(house: House) -> None:
    signed_in(house)
    assert house.tokens.renew_due(house.clock.turn(hours=45)).users(Outcome.POSTPONED) == (ADA,)
    assert house.tokens.renew_due(house.clock.turn(days=60)).outcomes == ()
    house.clock.at = START + IDLE
    assert house.tokens.renew_due(house.clock.now()).users(Outcome.RENEWED) == (ADA,)
    assert house.auth.refreshed == ["refresh-1"]


def test_a_token_that_rested_is_seen_to_again_once_it_is_used(house: House) -> None:
    signed_in(house)
    assert house.tokens.renew_due(house.clock.turn(hours=45)).users(Outcome.POSTPONED) == (ADA,)
    house.tokens.access_token(ADA, house.clock.turn(hours=1))
    house.bell.live.add(ADA)
    house.auth.dead.add("refresh-1")
    assert house.tokens.renew_due(house.clock.turn(hours=1)).users(Outcome.REFUSED) == (ADA,)
    assert house.bell.looked == [ADA], "their job, which waits in a queue, says early that a login is needed"


def test_the_schedule_sets_back_whom_globus_does_not_answer_for(house: House) -> None:
    signed_in(house)
    house.bell.live.add(ADA)
    house.auth.fails = FarSide("auth", "503", "down", transient=True)
    house.clock.turn(hours=46)
    assert house.tokens.renew_due(house.clock.now()).users(Outcome.FAILED) == (ADA,)
    assert house.tokens.renew_due(house.clock.now()).outcomes == ()
    house.auth.fails = None
    house.clock.turn(minutes=16)
    assert house.tokens.renew_due(house.clock.now()).users(Outcome.RENEWED) == (ADA,)


def test_the_schedule_reports_a_refusal_once_and_leaves_the_user_alone(house: House) -> None:
    signed_in(house)
    house.bell.live.add(ADA)
    house.auth.dead.add("refresh-1")
    house.clock.turn(hours=46)
    assert house.tokens.renew_due(house.clock.now()).users(Outcome.REFUSED) == (ADA,)
    assert house.tokens.renew_due(house.clock.turn(days=300)).outcomes == ()
    assert house.auth.refreshed == ["refresh-1"]
    assert house.bell.looked == [ADA], "their planner looks, and their jobs say what they wait for"


def test_the_planner_is_rung_before_a_refusal_is_stored(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in(house)
    house.bell.live.add(ADA)
    house.auth.dead.add("refresh-1")
    house.clock.turn(hours=46)
    monkeypatch.setattr(house.stored, "refuse", lambda *_: sys.exit("the process is gone"))
    with pytest.raises(SystemExit):
        house.tokens.renew_due(house.clock.now())
    assert house.bell.looked == [ADA]


@pytest.mark.parametrize(
    "breaks", [FarSide("auth", "no_token", "none", transient=False), KeyError("a bug")], ids=["far side", "bug"]
)
def test_a_user_whose_renewal_breaks_holds_up_nobody_behind(house: House, breaks: Exception) -> None:
    signed_in(house)
    house.exchanging.exchange(
        ExchangeRequest(code="bob", verifier="v", nonce="n", redirect_uri="r", scopes=("s",), for_user=None)
    )
    house.bell.live |= {ADA, BOB}
    house.clock.turn(hours=46)

    def break_for_ada() -> None:
        if house.auth.refreshed[-1] == "refresh-1":
            raise breaks

    house.auth.before_answer = break_for_ada
    done = house.tokens.renew_due(house.clock.now())
    assert (done.users(Outcome.BROKEN), done.users(Outcome.RENEWED)) == ((ADA,), (BOB,))
    assert house.tokens.renew_due(house.clock.now()).outcomes == ()
    house.auth.before_answer = None
    assert house.tokens.renew_due(house.clock.turn(minutes=16)).users(Outcome.RENEWED) == (ADA,)


def test_the_schedule_stops_when_its_time_is_up(house: House) -> None:
    signed_in(house)
    house.bell.live.add(ADA)
    house.clock.turn(hours=46)
    assert house.tokens.renew_due(house.clock.now(), go_on=lambda: False).outcomes == ()
    assert house.auth.refreshed == []


def test_a_job_that_waits_sixty_days_is_served_by_one_login(house: House) -> None:
    signed_in(house)
    house.bell.live.add(ADA)
    for _ in range(60 * 24):
        house.tokens.renew_due(house.clock.turn(hours=1))
    assert house.tokens.access_token(ADA, house.clock.now()).expires_at > house.clock.now()
    assert len(house.auth.refreshed) == 32


def test_no_repr_shows_a_token(house: House) -> None:
    record = signed_in(house)
    plain = PlainTokens(access_token="sec-ret", refresh_token="sec-ret", expires_at=START)
    shown = repr((record, plain, house.tokens, house.tokens.access_token(ADA, START), house.auth.bought))
    assert "access-1" not in shown
    assert "sec-ret" not in shown
    assert repr(record.sealed.content) not in shown
