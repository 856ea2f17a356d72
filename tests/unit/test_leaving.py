"""Signing out everywhere: what ends at once, what the planner ends, and what a later login keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from login_browser import Visitor, visitor_of
from login_house import ADA, BOB, House
from loop_house import ADA as ADA_CALLING
from loop_house import CrashNow, a_document
from loop_house import House as Loop

from chalicelib.core.errors import FarSide, Forbidden, NoKeyYet, Unauthenticated
from chalicelib.core.ids import UserId
from chalicelib.core.keys import Caller, KeyKind
from chalicelib.core.ports.auth import ExchangeRequest
from chalicelib.core.tokens import PURPOSE, TokenRecord
from chalicelib.service.device import DeviceAsk
from chalicelib.service.keys import KeyAsk
from chalicelib.service.leaving import Leaving

DOWN = FarSide("auth", "x", "Globus does not answer.", transient=True)


class Whole(House):
    """Logins, and the loop of a user's jobs over the same tokens and the same clock."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = Loop(clock=self.clock)  # type: ignore[arg-type]
        passing = replace(self.loop.reconciler.passing, access=self.tokens)
        self.loop.reconciler = replace(self.loop.reconciler, passing=passing)
        self.leaving = Leaving(
            logins=self.logins,
            jobs=self.loop.manage,
            desks=self.loop.desks,
            bell=self.loop.rung,
            clock=self.clock,
        )
        self.caller = replace(ADA_CALLING, user=ADA, key_id="")

    def exchanged(self) -> TokenRecord:
        """A login's tokens, stored; the planner is told, as a sign-in tells it."""
        self.exchanging.exchange(
            ExchangeRequest(code="ada", verifier="v", nonce="n", redirect_uri="r", scopes=("s",), for_user=None)
        )
        self.loop.waking.user_signed_in(ADA)
        record = self.stored.load(ADA)
        assert record is not None
        return record

    def in_the_clear(self, record: TokenRecord) -> set[str | None]:
        plain = self.seal.unseal(record.sealed, user=ADA, purpose=PURPOSE)
        return {plain.access_token, plain.refresh_token}

    def leave(self) -> None:
        self.leaving.leave(self.caller)


@pytest.fixture
def house() -> Whole:
    return Whole()


@pytest.fixture
def browser(house: Whole, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visitor]:
    with visitor_of(house, monkeypatch) as one:
        yield one


def caller_with(house: Whole, *scopes: str, user: UserId = ADA) -> Caller:
    return house.access.authenticate(f"Bearer {house.key_of(user, *scopes)}", house.clock.now())


# what ends at once


def test_every_key_and_every_browser_of_the_user_is_dead_and_nobody_elses(browser: Visitor, house: Whole) -> None:
    mine, other, bobs = house.key_of(ADA, "jobs"), house.key_of(ADA, "admin"), house.key_of(BOB, "jobs")
    agent = house.keys.mint(
        user=ADA,
        username="ada",
        name="theta",
        scopes=frozenset({"site:theta"}),
        life=timedelta(days=9),
        now=house.clock.now(),
        kind=KeyKind.AGENT,
    ).key
    assert agent is not None
    browser.sign_in()
    house.clock.turn(seconds=1)
    answer = browser.post("/v1/me/logout", {}, Authorization=f"Bearer {mine}")
    assert (answer.status, answer.json) == (200, {"keys": 2, "browsers": 1, "stops": [], "more": False})
    for dead in (mine, other):
        assert browser.get("/v1/me", Authorization=f"Bearer {dead}").status == 401
    assert house.sign_in.session(browser.cookies["qstage_session"], house.clock.now()) is None
    assert browser.get("/v1/me", Authorization=f"Bearer {bobs}").status == 200
    assert house.access.authenticate(f"Bearer {agent.reveal()}", house.clock.now()).kind is KeyKind.AGENT


@pytest.mark.parametrize("scope", ["read", "site:theta"])
def test_a_key_that_may_only_look_signs_nobody_out(house: Whole, scope: str) -> None:
    caller = caller_with(house, scope)
    with pytest.raises(Forbidden):
        house.leaving.leave(caller)
    assert house.logins.departure(ADA) is None


def test_a_key_that_the_index_did_not_show_yet_is_dead_at_its_first_use(
    house: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = house.key_of(ADA, "jobs")
    monkeypatch.setattr(house.logins, "keys_of", lambda user: ())
    monkeypatch.setattr(house.logins, "sessions_of", lambda user: ())
    house.leave()
    with pytest.raises(Unauthenticated):
        house.access.authenticate(f"Bearer {made}", house.clock.turn(seconds=1))
    later = house.key_of(ADA, "jobs")
    assert house.access.authenticate(f"Bearer {later}", house.clock.now()).user == ADA


def test_a_browser_that_the_index_did_not_show_is_signed_out_all_the_same(
    browser: Visitor, house: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.sign_in()
    monkeypatch.setattr(house.logins, "sessions_of", lambda user: ())
    house.leave()
    assert house.sign_in.session(browser.cookies["qstage_session"], house.clock.turn(seconds=1)) is None
    browser.sign_in()
    assert house.sign_in.session(browser.cookies["qstage_session"], house.clock.now()) is not None


def test_a_terminal_that_was_approved_before_gets_no_key_after(browser: Visitor, house: Whole) -> None:
    browser.sign_in()
    started = house.devices.start(
        DeviceAsk(client="c", host="h", address="192.0.2.1", scopes=frozenset({"admin"})), house.clock.now()
    )
    session = house.sign_in.session(browser.cookies["qstage_session"], house.clock.now())
    assert session is not None
    house.devices.decide(started.grant.user_code, session, approve=True, now=house.clock.now())
    house.clock.turn(seconds=1)
    house.leave()
    with pytest.raises(NoKeyYet):
        house.devices.poll(started.device_code, house.clock.turn(seconds=3))
    assert house.logins.keys_of(ADA) == []


def test_a_request_that_was_cut_off_can_be_sent_again_by_the_same_key(
    house: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = caller_with(house, "admin")
    for name in ("a", "b", "c"):
        house.keys.create(admin, KeyAsk(name=name, scopes=("jobs",), days=30), house.clock.now(), None)
    whole, removed = house.logins.remove_key, list[str]()

    def cut(key: str, user: UserId) -> bool:
        if len(removed) == 2:
            raise CrashNow
        removed.append(key)
        return whole(key, user)

    monkeypatch.setattr(house.logins, "remove_key", cut)
    with pytest.raises(CrashNow):
        house.leaving.leave(admin)
    monkeypatch.undo()
    assert [key.id for key in house.logins.keys_of(ADA) if key.id == admin.key_id], "its own goes last"
    house.leaving.leave(admin)
    assert house.logins.keys_of(ADA) == []


# what the planner ends


def test_the_tokens_are_revoked_at_globus_and_their_record_is_gone(house: Whole) -> None:
    record = house.exchanged()
    tokens = house.in_the_clear(record)
    house.clock.turn(hours=1)
    house.leave()
    assert house.stored.load(ADA) == record, "the public function cannot"
    assert house.loop.answer_rings() >= 1
    assert house.stored.load(ADA) is None
    assert house.auth.dead == tokens
    assert house.loop.inbox(house.caller) == []


def test_live_jobs_that_need_globus_are_named_wait_for_login_and_go_on_after_it(house: Whole) -> None:
    house.exchanged()
    moves, stays = house.loop.post(a_document("moves"), a_document("stays", source=None, results=False))
    house.clock.turn(seconds=1)
    left = house.leaving.leave(house.caller)
    assert [job.ref.number for job in left.stops] == [moves]
    assert not left.more
    house.loop.live_on(5)
    assert house.loop.job(stays).state == "completed"
    seen = house.loop.manage.show(house.caller, moves)
    assert seen.desk.plan.need is not None
    assert not seen.job.state.final
    house.clock.turn(hours=1)
    house.exchanged()
    house.loop.live_on(60)
    assert house.loop.job(moves).state == "completed"
    assert house.loop.faults() == []


def test_a_login_that_comes_after_the_wish_is_not_undone_by_it(house: Whole) -> None:
    first = house.in_the_clear(house.exchanged())
    house.clock.turn(hours=1)
    house.leave()
    house.clock.turn(seconds=2)
    second = house.exchanged()
    house.loop.answer_rings()
    assert house.stored.load(ADA) == second
    assert house.auth.dead == set() != first
    assert house.loop.desk(house.caller).plan.need is None


def test_a_login_in_the_middle_of_it_is_not_undone_either(house: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    first = house.in_the_clear(house.exchanged())
    house.clock.turn(hours=1)
    house.leave()
    whole = house.auth.revoke

    def revoke(token: str) -> None:
        whole(token)
        if token.startswith("access"):
            house.clock.turn(seconds=1)
            house.exchanged()

    monkeypatch.setattr(house.auth, "revoke", revoke)
    house.loop.answer_rings()
    record = house.stored.load(ADA)
    assert record is not None
    assert house.auth.dead == first
    assert not house.in_the_clear(record) & house.auth.dead


def test_a_renewal_in_the_middle_of_it_saves_nothing(house: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    house.exchanged()
    house.clock.turn(hours=1)
    house.leave()
    whole, renewed = house.auth.revoke, list[bool]()

    def revoke(token: str) -> None:
        if not renewed:
            renewed.append(True)
            house.another_process().access_token(ADA, house.clock.now(), rejected=_version(house))
        whole(token)

    monkeypatch.setattr(house.auth, "revoke", revoke)
    house.loop.answer_rings()
    assert renewed
    assert house.stored.load(ADA) is None
    assert {"access-1", "access-2", "refresh-1"} <= house.auth.dead


def _version(house: Whole) -> int:
    record = house.stored.load(ADA)
    assert record is not None
    return record.version


@pytest.mark.parametrize("call", ["desks.inbox", "desks.discard", "desks.close"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_pass_that_dies_anywhere_is_finished_by_the_next(house: Whole, call: str, moment: str) -> None:
    tokens = house.in_the_clear(house.exchanged())
    house.loop.answer_rings()
    house.clock.turn(hours=1)
    house.leave()

    def gate(made: str, at: str) -> None:
        if (made, at) == (call, moment):
            raise CrashNow

    house.loop.gate = gate
    with pytest.raises(CrashNow):
        house.loop.answer_rings()
    house.loop.gate = lambda made, at: None
    house.clock.turn(minutes=10)
    house.loop.by_sweep_alone()
    assert house.stored.load(ADA) is None
    assert house.auth.dead == tokens
    assert house.loop.inbox(house.caller) == []


@pytest.mark.parametrize("dies_at", ["revoke", "remove"])
def test_dying_between_globus_and_our_record_leaves_both_to_the_next_pass(
    house: Whole, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    tokens = house.in_the_clear(house.exchanged())
    house.loop.answer_rings()
    house.clock.turn(hours=1)
    house.leave()

    def die(*_: object) -> None:
        raise CrashNow

    monkeypatch.setattr(house.auth if dies_at == "revoke" else house.stored, dies_at, die)
    with pytest.raises(CrashNow):
        house.loop.answer_rings()
    monkeypatch.undo()
    assert house.stored.load(ADA) is not None
    house.clock.turn(minutes=10)
    house.loop.by_sweep_alone()
    assert house.stored.load(ADA) is None
    assert house.auth.dead == tokens


def test_while_globus_does_not_answer_the_wish_stays_and_no_token_is_used(
    house: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = house.in_the_clear(house.exchanged())
    (number,) = house.loop.post(a_document())
    house.clock.turn(seconds=5)
    house.leave()

    def down(_: str) -> None:
        raise DOWN

    monkeypatch.setattr(house.auth, "revoke", down)
    house.loop.live_on(3)
    assert house.stored.load(ADA) is not None
    assert house.loop.globus.tasks == {}, "its tokens move nothing any more"
    assert house.loop.job(number).state == "new"
    trouble = house.loop.desk(house.caller).plan.trouble
    assert trouble is not None
    assert trouble.words == "Globus does not answer."
    monkeypatch.undo()
    house.loop.live_on(10)
    assert house.stored.load(ADA) is None
    assert house.auth.dead == tokens


def test_the_wish_is_seen_to_even_while_a_login_is_needed_for_all(
    house: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = house.exchanged()
    house.loop.answer_rings()
    assert house.stored.refuse(ADA, record.version)
    house.loop.waking.look_again(ADA)
    house.loop.answer_rings()
    assert house.loop.desk(house.caller).plan.need is not None

    def down(_: str) -> None:
        raise DOWN

    monkeypatch.setattr(house.auth, "revoke", down)
    house.clock.turn(seconds=5)
    house.leave()
    house.loop.answer_rings()
    monkeypatch.undo()
    house.loop.live_on(5)
    assert house.stored.load(ADA) is None


def test_signing_out_twice_or_without_having_signed_in_is_no_error(house: Whole) -> None:
    house.leave()
    house.leave()
    house.loop.answer_rings()
    assert house.auth.dead == set()
    assert house.loop.inbox(house.caller) == []
