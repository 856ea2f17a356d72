"""Two passes, the schedule and a login on one user's tokens, in every order that a seed can give."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from login_house import ADA, House

from chalicelib.core.errors import LoginNeeded
from chalicelib.core.ports.auth import ExchangeRequest
from chalicelib.core.tokens import PURPOSE
from chalicelib.service.tokens import Tokens

PATIENCE = 20.0


class Turns:
    """Lets one actor at a time make one step, chosen by a seed. An actor stops before each of its steps."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._condition = threading.Condition()
        self._waiting: set[int] = set()
        self._running = 0
        self._next: int | None = None

    def step(self) -> None:
        me = int(threading.current_thread().name)
        with self._condition:
            self._waiting.add(me)
            self._running -= 1
            self._condition.notify_all()
            assert self._condition.wait_for(lambda: self._next == me, PATIENCE)
            self._next = None
            self._waiting.discard(me)
            self._running += 1

    def run(self, actors: list[Callable[[], None]]) -> list[BaseException]:
        """Run all actors to their ends; what they raised."""
        raised: list[BaseException] = []

        def act(actor: Callable[[], None]) -> None:
            try:
                self.step()
                actor()
            except BaseException as error:
                raised.append(error)
            finally:
                with self._condition:
                    self._running -= 1
                    self._condition.notify_all()

        self._running = len(actors)
        threads = [threading.Thread(target=act, args=(actor,), name=str(place)) for place, actor in enumerate(actors)]
        for thread in threads:
            thread.start()
        while True:
            with self._condition:
                assert self._condition.wait_for(lambda: self._running == 0 and self._next is None, PATIENCE)
                if not self._waiting:
                    break
                self._next = self._random.choice(sorted(self._waiting))
                self._condition.notify_all()
                assert self._condition.wait_for(lambda: self._next is None, PATIENCE)
        for thread in threads:
            thread.join(PATIENCE)
        return raised


class Stepping:
    """Stands before a port and takes a turn before each call."""

    def __init__(self, port: Any, turns: Turns, calls: tuple[str, ...]) -> None:
        self._port, self._turns, self._calls = port, turns, calls

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._port, name)
        if name not in self._calls:
            return call

        def stepped(*args: Any, **kwargs: Any) -> Any:
            self._turns.step()
            return call(*args, **kwargs)

        return stepped


def login(exchanging: Any) -> None:
    exchanging.exchange(
        ExchangeRequest(code="ada", verifier="v", nonce="n", redirect_uri="r", scopes=("s",), for_user=None)
    )


@pytest.mark.parametrize("dead", [False, True], ids=["the old grant is good", "the old grant is dead"])
@pytest.mark.parametrize("block", range(10))
def test_no_order_loses_a_token_or_parks_a_user_under_a_good_one(block: int, dead: bool) -> None:
    for seed in range(block * 50, block * 50 + 50):
        _one_order(seed, dead=dead)


def _one_order(seed: int, *, dead: bool) -> None:
    house = House()
    house.auth.repeats_refresh = seed % 2 == 0
    login(house.exchanging)
    if dead:
        house.auth.dead.add("refresh-1")
    house.bell.live.add(ADA)
    now = house.clock.turn(hours=47, minutes=59)
    turns = Turns(seed)
    store: Any = Stepping(house.stored, turns, ("load", "replace", "refuse", "postpone"))
    auth: Any = Stepping(house.auth, turns, ("refresh",))
    versions: list[int] = []

    def process() -> Tokens:
        return Tokens(store=store, seal=house.seal, endpoint=auth, live=house.bell)

    def reconcile() -> None:
        try:
            versions.append(process().access_token(ADA, now).version)
        except LoginNeeded:
            assert dead

    def schedule() -> None:
        process().renew_due(now)

    raised = turns.run([reconcile, reconcile, schedule, lambda: login(replace(house.exchanging, tokens=store))])
    assert raised == [], f"seed {seed}"
    record = house.stored.load(ADA)
    assert record is not None
    assert not record.refused, f"seed {seed}: parked under a good token"
    kept = house.seal.unseal(record.sealed, user=ADA, purpose=PURPOSE).refresh_token
    assert kept == "refresh-2", f"seed {seed}: an older token over a newer one, or a refresh token lost"
    assert record.version >= max(versions, default=0)
    assert house.another_process().access_token(ADA, now).value
    assert house.auth.refreshed.count("refresh-1") <= 3, f"seed {seed}: retried in a loop"
