"""Tokens for the service's own scope, obtained by the real SDK from the emulator, and what the reader says of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import globus_sdk
import pytest

from chalicelib.adapters.globus_bearers import GlobusTokenReader
from chalicelib.core.errors import FarSide
from chalicelib.core.ids import UserId
from chalicelib.core.logins import SignInPolicy
from chalicelib.core.ports.auth import ClientCredentials
from chalicelib.service.bearers import Inspecting
from emulators.clock import TurnedClock
from emulators.globus import Browser, GlobusEmulator
from emulators.globus.config import Client, default_config
from emulators.globus.faults import CallFault

CALLBACK = "http://127.0.0.1:4321/callback"


class Moments:
    def __init__(self, clock: TurnedClock) -> None:
        self._clock = clock

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now(), UTC)


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(1_800_000_000.0)


@pytest.fixture
def emulator(tmp_path: Path, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[GlobusEmulator]:
    world = default_config()
    notebook = Client(name="notebook", kind="native", redirect_uris=(CALLBACK,))
    with GlobusEmulator(tmp_path / "data", replace(world, clients=(*world.clients, notebook)), clock=clock) as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def scope(emulator: GlobusEmulator) -> str:
    return f"https://auth.globus.org/scopes/{emulator.client('qstage').id}/jobs"


@pytest.fixture
def inspecting(emulator: GlobusEmulator, clock: TurnedClock, scope: str) -> Inspecting:
    client = emulator.client("qstage")
    credentials = ClientCredentials(client_id=client.id, client_secret=client.secret or "")
    reader = GlobusTokenReader(lambda: credentials)
    return Inspecting(reader=reader, policy=SignInPolicy(anyone=True), scope=scope, clock=Moments(clock))


def token_of(emulator: GlobusEmulator, *scopes: str, who: str = "ada@uni.example") -> str:
    """A token that a notebook of the user got, with consent, through the pages."""
    with globus_sdk.NativeAppAuthClient(emulator.client("notebook").id) as app, Browser() as browser:
        app.oauth2_start_flow(list(scopes), redirect_uri=CALLBACK)
        back = browser.sign_in(app.oauth2_get_authorize_url(), who)
        answer = app.oauth2_exchange_code_for_tokens(parse_qs(urlsplit(back).query)["code"][0])
    return str(answer.data["access_token"])


def test_a_users_token_for_our_scope_is_theirs(
    emulator: GlobusEmulator, inspecting: Inspecting, scope: str, clock: TurnedClock
) -> None:
    bearer = inspecting.bearer(token_of(emulator, scope))
    assert bearer is not None
    assert (bearer.user, bearer.username) == (emulator.world.people.named("ada@uni.example").id, "ada@uni.example")
    assert bearer.expires_at - bearer.issued_at == timedelta(hours=48)
    assert bearer.issued_at == Moments(clock).now()


def test_a_program_of_its_own_is_a_caller_too(emulator: GlobusEmulator, inspecting: Inspecting, scope: str) -> None:
    client = emulator.client("cli")
    with globus_sdk.ConfidentialAppAuthClient(client.id, client.secret) as app:
        token = app.oauth2_client_credentials_tokens(scope).data["access_token"]
    bearer = inspecting.bearer(token)
    assert bearer is not None
    assert bearer.user == client.id


def test_a_token_for_another_service_is_none_of_ours(emulator: GlobusEmulator, inspecting: Inspecting) -> None:
    transfer = token_of(emulator, "urn:globus:auth:scope:transfer.api.globus.org:all")
    assert inspecting.bearer(transfer) is None
    assert inspecting.bearer("nonsense" * 10) is None


def test_a_token_that_our_own_client_was_given_for_transfer_opens_nothing_here(
    emulator: GlobusEmulator, inspecting: Inspecting
) -> None:
    client = emulator.client("qstage")
    with globus_sdk.ConfidentialAppAuthClient(client.id, client.secret) as app:
        token = app.oauth2_client_credentials_tokens("urn:globus:auth:scope:transfer.api.globus.org:all").data
    assert inspecting.reader.facts(token["access_token"]) is not None, "Auth tells our client of it"
    assert inspecting.bearer(token["access_token"]) is None


def test_a_revoked_token_and_an_old_one_are_dead(
    emulator: GlobusEmulator, inspecting: Inspecting, scope: str, clock: TurnedClock
) -> None:
    revoked, old = token_of(emulator, scope), token_of(emulator, scope)
    with globus_sdk.NativeAppAuthClient(emulator.client("notebook").id) as app:
        app.oauth2_revoke_token(revoked)
    assert inspecting.bearer(revoked) is None
    assert inspecting.bearer(old) is not None
    clock.turn(48 * 3600)
    assert inspecting.bearer(old) is None


def test_linked_identities_are_looked_up_by_our_own_client(
    emulator: GlobusEmulator, inspecting: Inspecting, scope: str
) -> None:
    facts = inspecting.reader.facts(token_of(emulator, scope))
    assert facts is not None
    ada, alcf = emulator.world.people.named("ada@uni.example"), emulator.world.people.named("ada@alcf.anl.gov")
    assert set(facts.linked) == {ada.id, alcf.id}
    names = inspecting.reader.usernames([UserId(ada.id), UserId(alcf.id)])
    assert names == {ada.id: "ada@uni.example", alcf.id: "ada@alcf.anl.gov"}


def test_auth_not_answering_is_told_as_such(emulator: GlobusEmulator, inspecting: Inspecting, scope: str) -> None:
    token = token_of(emulator, scope)
    with emulator.world.lock:
        emulator.world.faults.calls.append(CallFault(kind="answer", path="/v2/oauth2/token/introspect", status=503))
    with pytest.raises(FarSide) as error:
        inspecting.bearer(token)
    assert error.value.transient
    assert token not in str(error.value)
