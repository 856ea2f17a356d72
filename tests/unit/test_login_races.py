"""Two planners, the schedule and a login on one user's tokens and desk, in every order that a seed can give.

The tokens' own races are in ``test_token_races``; here the desk is in the race too, because it is the desk that
says whether a job waits for a login.
"""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from login_house import ScriptedAuth, WorldFacts
from loop_actors import Stage
from loop_house import ADA, Gated, House, a_document

from chalicelib.adapters.memory.places import MemoryCollections
from chalicelib.adapters.memory_tokens import MemorySeal, MemoryTokens
from chalicelib.api.render import waiting_for
from chalicelib.core.consent import LoginReason
from chalicelib.core.job import State
from chalicelib.core.logins import SignInPolicy
from chalicelib.core.ports.auth import ExchangeRequest
from chalicelib.core.tokens import PURPOSE, TokenRecord
from chalicelib.service.exchange import Exchanging
from chalicelib.service.tokens import Tokens

ORDERS, BLOCK = 1000, 50
OLD, NEW = "refresh-1", "refresh-2"


class Written(MemoryTokens):
    """Token records in memory, with all that was ever written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[TokenRecord] = []

    def replace(self, record: TokenRecord, *, over: int | None) -> bool:
        done = super().replace(record, over=over)
        if done:
            self.written.append(record)
        return done


class Race:
    """A user whose access token is at its end, with one job to plan, and who signs in meanwhile.

    ``dead``: Globus no longer takes the old refresh token, and has dropped the access token with it.
    """

    def __init__(self, seed: int, *, dead: bool) -> None:
        self.seed, self.dead = seed, dead
        self.house = house = House()
        self.auth = ScriptedAuth(house.clock, repeats_refresh=seed % 2 == 0)  # type: ignore[arg-type]
        self.seal, self.stored = MemorySeal(), Written()
        self.refusals = 0
        self.login()
        house.clock.turn(hours=47, minutes=[30, 59][seed // 2 % 2])
        house.post(a_document())
        house.rung.take()
        if dead:
            self.auth.dead.add(OLD)
            house.globus.dead_tokens = {record.version for record in self.stored.written}
        self.theatre = Stage(house)

    # who races; each is a process of its own, with nothing warm

    def tokens(self) -> Any:
        store: Any = Gated(self.stored, "tokens", self.house)
        endpoint: Any = Gated(self.auth, "auth", self.house)
        return Tokens(store=store, seal=self.seal, endpoint=endpoint, live=self.house.waking)

    def wake(self) -> None:
        passing = replace(self.house.reconciler.passing, access=self.tokens())
        replace(self.house.reconciler, passing=passing).wake(ADA.user, self.house.time_left)

    def schedule(self) -> None:
        self.tokens().renew_due(self.house.clock.now())

    def login(self) -> None:
        """What the exchange stores, and then what the API tells the planner."""
        Exchanging(
            endpoint=self.auth,
            sealer=self.seal,
            tokens=Gated(self.stored, "tokens", self.house),  # type: ignore[arg-type]
            source=WorldFacts(),
            cache=MemoryCollections(self.house.rows),
            policy=SignInPolicy(anyone=True),
            clock=self.house.clock,
        ).exchange(ExchangeRequest(code="ada", verifier="v", nonce="n", redirect_uri="r", scopes=("s",), for_user=None))
        self.house.waking.user_signed_in(ADA.user)

    # the race

    def run(self) -> None:
        pick = random.Random(self.seed)
        for act in pick.sample([self.wake, self.wake, self.schedule, self.login], 4):
            self.theatre.begin(act.__name__, act, timedelta(hours=1))
        while self.theatre.actors:
            self.theatre.step(pick.randrange(len(self.theatre.actors)))
            self.check_tokens()

    def check_tokens(self) -> None:
        """Never an older token over a newer one, never a refresh token lost: after every single step."""
        versions = [record.version for record in self.stored.written]
        assert versions == sorted(set(versions)), self.seed
        kept = [self.seal.unseal(r.sealed, user=ADA.user, purpose=PURPOSE).refresh_token for r in self.stored.written]
        assert kept == sorted(kept, key=[OLD, NEW].index), f"seed {self.seed}: {kept}"

    def settle(self) -> None:
        """Deliver what was rung; the sweep is for what was not."""
        self.house.gate = lambda call, moment: None
        self.house.clock.turn(seconds=1)
        while rung := [user for user, delay in self.house.rung.take() if delay == 0]:
            assert set(rung) == {ADA.user}
            self.wake()

    def check_not_parked(self) -> None:
        record = self.stored.load(ADA.user)
        assert record is not None
        assert not record.refused, f"seed {self.seed}: the new token counts as refused"
        assert self.seal.unseal(record.sealed, user=ADA.user, purpose=PURPOSE).refresh_token == NEW
        (job,) = self.house.committed()
        assert self.house.desk().plan.need is None, f"seed {self.seed}: parked under a good token"
        assert "login" not in waiting_for(self.house.manage.show(ADA, job.ref.number), self.house.clock.now())
        assert job.state is State.STAGE_IN, f"seed {self.seed}: nobody planned the job"
        assert self.house.faults() == []
        assert len(self.house.globus.tasks) == 1


@pytest.mark.parametrize("dead", [False, True], ids=["the old grant is good", "the old grant is dead"])
@pytest.mark.parametrize("block", range(ORDERS // BLOCK // 2))
def test_no_order_of_planners_schedule_and_login_parks_a_job_under_a_good_token(block: int, dead: bool) -> None:
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        race = Race(seed, dead=dead)
        try:
            race.run()
        finally:
            race.theatre.end_all()
        race.settle()
        race.check_not_parked()


def test_the_races_meet_refusals_on_the_desk_and_are_not_all_alike() -> None:
    """Honesty: without the login the same actors do park the job, so what the races end with is the login's doing."""
    race = Race(1, dead=True)
    for act in (race.wake, race.schedule):
        race.theatre.begin(act.__name__, act, timedelta(hours=1))
        while race.theatre.actors:
            race.theatre.step(0)
    race.settle()
    need = race.house.desk().plan.need
    assert need is not None
    assert need.reason is LoginReason.REFUSED
