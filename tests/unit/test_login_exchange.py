"""What passes between the public API and its exchange function, and what never does."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from login_house import ADA, BOB, GUEST, MAPPED, WORLD, House

from chalicelib.adapters.exchange_function import ExchangeFunction
from chalicelib.api.exchange import answer
from chalicelib.core.errors import FarSide, GrantRefused, Refusal, SignInRefused
from chalicelib.core.ids import UserId
from chalicelib.core.ports.auth import ExchangeRequest


class Lambda:
    """Invokes the exchange function's own handler, through JSON, and keeps what it answered."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.answered: list[str] = []

    def invoke(self, **call: Any) -> dict[str, Any]:
        assert (call["FunctionName"], call["InvocationType"]) == ("exchange", "RequestResponse")
        try:
            said = json.dumps(answer(json.loads(call["Payload"]), self.house.exchanging, self.house.inspecting))
        except Exception as error:
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(repr(error).encode())}
        self.answered.append(said)
        return {"Payload": io.BytesIO(said.encode())}


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def far(house: House) -> Lambda:
    return Lambda(house)


def request(code: str = "ada", for_user: UserId | None = None) -> ExchangeRequest:
    return ExchangeRequest(
        code=code, verifier="v", nonce="n", redirect_uri="r", scopes=("openid", "t[*a]"), for_user=for_user
    )


def test_a_login_is_told_of_and_no_token_crosses(house: House, far: Lambda) -> None:
    told = ExchangeFunction(lambda: far, "exchange").exchange(request())
    assert (told.user, told.username, told.scopes) == (ADA, "ada@uni.example", ("openid", "t[*a]"))
    assert told.auth_time == house.clock.now()
    assert house.stored.load(ADA) is not None
    (said,) = far.answered
    assert "access-1" not in said
    assert "refresh-1" not in said


def test_a_refusal_crosses_whole(house: House, far: Lambda) -> None:
    with pytest.raises(SignInRefused) as error:
        ExchangeFunction(lambda: far, "exchange").exchange(request(for_user=BOB))
    assert error.value.why is Refusal.OTHER_IDENTITY
    assert house.stored.load(ADA) is None


def test_failures_of_globus_cross_whole(house: House, far: Lambda) -> None:
    house.auth.fails = FarSide("auth", "busy", "Later.", transient=True, retry_after=3, status=503)
    with pytest.raises(FarSide) as error:
        ExchangeFunction(lambda: far, "exchange").exchange(request())
    assert vars(error.value) == vars(house.auth.fails)
    house.auth.fails = GrantRefused(status=400)
    with pytest.raises(GrantRefused):
        ExchangeFunction(lambda: far, "exchange").exchange(request())


def test_a_crash_of_the_function_tells_the_api_nothing_of_it(house: House, far: Lambda) -> None:
    house.auth.fails = RuntimeError("inner secret")
    with pytest.raises(FarSide) as error:
        ExchangeFunction(lambda: far, "exchange").exchange(request())
    assert (error.value.code, error.value.transient) == ("crashed", False)
    assert "inner secret" not in str(error.value)


def test_collections_are_looked_up_across(house: House, far: Lambda) -> None:
    facts = ExchangeFunction(lambda: far, "exchange").collections([MAPPED, GUEST])
    assert facts == {MAPPED: WORLD[MAPPED], GUEST: WORLD[GUEST]}


def test_an_unknown_action_crashes(house: House) -> None:
    with pytest.raises(ValueError, match="no action"):
        answer({"action": "unseal"}, house.exchanging, house.inspecting)
