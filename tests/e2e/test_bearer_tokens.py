"""A program of a Globus user calls the service with a token for its scope, and no key of ours."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import globus_sdk
import pytest
import requests
from whole_stack import document, finished

from emulators.globus import Browser
from emulators.stack import USER, Stack
from qstage.client import Client, LoginNeeded

CALLBACK = "http://127.0.0.1:4321/callback"
TRANSFER = "urn:globus:auth:scope:transfer.api.globus.org:all"


def app_of(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> globus_sdk.NativeAppAuthClient:
    for name, value in stack.globus.environment().items():
        monkeypatch.setenv(name, value)
    return globus_sdk.NativeAppAuthClient(stack.globus.client("notebook").id)


def token_of(app: globus_sdk.NativeAppAuthClient, scope: str, who: str = USER) -> str:
    """What a notebook does: the user signs in at Globus, consents, and the SDK brings the token."""
    app.oauth2_start_flow(scope, redirect_uri=CALLBACK)
    with Browser() as browser:
        back = browser.sign_in(app.oauth2_get_authorize_url(), who)
    answer = app.oauth2_exchange_code_for_tokens(parse_qs(urlsplit(back).query)["code"][0])
    return str(answer.data["access_token"])


def test_a_token_for_our_scope_submits_a_job_that_runs_as_its_user(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app_of(stack, monkeypatch) as app:
        client = Client(stack.url, token_of(app, stack.scope))
    assert client.me().username == USER
    number = client.submit(document(stack)).jobs[0].id
    assert finished(stack, number).state == "completed", "the login of the same user by a key moves its data"
    assert client.job(number).name == "whole"
    refused = requests.post(
        f"{stack.url}/v1/keys",
        json={"name": "x"},
        headers={"Authorization": f"Bearer {token_of(app, stack.scope)}"},
        timeout=30,
    )
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:qstage:missing-scope")


def test_a_token_for_another_scope_a_revoked_one_and_garbage_open_nothing(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app_of(stack, monkeypatch) as app:
        revoked = token_of(app, stack.scope)
        app.oauth2_revoke_token(revoked)
        for token in (token_of(app, TRANSFER), revoked, "A" * 80):
            with pytest.raises(LoginNeeded) as error:
                Client(stack.url, token).jobs()
            assert error.value.status == 401
            assert token not in str(error.value)


def test_a_token_revoked_while_it_is_known_is_dead_within_a_minute(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app_of(stack, monkeypatch) as app:
        token = token_of(app, stack.scope)
        client = Client(stack.url, token)
        client.jobs()
        app.oauth2_revoke_token(token)
    stack.clock.turn(61)
    with pytest.raises(LoginNeeded):
        client.jobs()


def test_another_user_of_globus_sees_nothing_of_the_first(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    with app_of(stack, monkeypatch) as app:
        client = Client(stack.url, token_of(app, stack.scope, "bob@google.com"))
    assert client.me().username == "bob@google.com"
    assert client.jobs().jobs == ()
    assert client.me().login_state == "needed"
