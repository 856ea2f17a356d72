"""The login pages and tokens of the Globus emulator, driven by the unmodified SDK and by forms."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import globus_sdk
import pytest
import requests
from globus_sdk.scopes import AuthScopes, GCSCollectionScopes, TransferScopes

from emulators.clock import TurnedClock
from emulators.globus import Browser, GlobusEmulator
from emulators.globus.browser import SignInError

CALLBACK = "http://127.0.0.1:4321/api/callback"
SCOPES = [AuthScopes.openid, AuthScopes.profile, AuthScopes.email, TransferScopes.all]


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(1_800_000_000.0)


@pytest.fixture
def globus(tmp_path: Path, clock: TurnedClock) -> Iterator[GlobusEmulator]:
    with GlobusEmulator(tmp_path / "data", clock=clock) as emulator:
        yield emulator


@pytest.fixture
def app(globus: GlobusEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[globus_sdk.ConfidentialAppAuthClient]:
    for name, value in globus.environment().items():
        monkeypatch.setenv(name, value)
    client = globus.client("qstage")
    with globus_sdk.ConfidentialAppAuthClient(client.id, client.secret) as sdk:
        sdk.retry_config.max_retries = 0
        yield sdk


@pytest.fixture
def browser() -> Iterator[Browser]:
    with Browser() as one:
        yield one


def link(app: globus_sdk.ConfidentialAppAuthClient, scopes: object = SCOPES, **extra: object) -> str:
    app.oauth2_start_flow(CALLBACK, scopes, state="st4te", refresh_tokens=True)
    return app.oauth2_get_authorize_url(**extra)


def code_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["code"][0]


def login(
    app: globus_sdk.ConfidentialAppAuthClient, browser: Browser, **extra: object
) -> globus_sdk.OAuthTokenResponse:
    back = browser.sign_in(link(app, **extra), "ada@uni.example")
    return app.oauth2_exchange_code_for_tokens(code_of(back))


def test_a_login_leads_back_with_the_state_and_a_code_that_brings_tokens(
    globus: GlobusEmulator, app: globus_sdk.ConfidentialAppAuthClient, browser: Browser
) -> None:
    back = browser.sign_in(link(app), "ada@uni.example")
    assert back.startswith(CALLBACK)
    assert parse_qs(urlsplit(back).query)["state"] == ["st4te"]
    tokens = app.oauth2_exchange_code_for_tokens(code_of(back))
    transfer = tokens.by_resource_server["transfer.api.globus.org"]
    assert transfer["scope"] == str(TransferScopes.all)
    assert transfer["refresh_token"]
    assert tokens["expires_in"] == 172_800
    assert browser.pages == ["/v2/web/provider", "/v2/web/identity", "/v2/web/consent"]


def test_the_id_token_is_signed_and_names_the_user_the_client_and_the_nonce(
    app: globus_sdk.ConfidentialAppAuthClient, browser: Browser, clock: TurnedClock
) -> None:
    tokens = login(app, browser, query_params={"nonce": "n-1"})
    claims = tokens.decode_id_token(jwt_params={"verify_exp": False, "verify_iat": False})
    assert claims["iss"] == "https://auth.globus.org"
    assert claims["aud"] == app.client_id
    assert claims["nonce"] == "n-1"
    assert claims["preferred_username"] == "ada@uni.example"
    assert claims["auth_time"] == clock.now()
    assert {each["username"] for each in claims["identity_set"]} == {"ada@uni.example", "ada@alcf.anl.gov"}


def test_a_code_works_once_and_using_it_again_kills_what_it_brought(
    app: globus_sdk.ConfidentialAppAuthClient, browser: Browser
) -> None:
    code = code_of(browser.sign_in(link(app), "ada@uni.example"))
    tokens = app.oauth2_exchange_code_for_tokens(code)
    with pytest.raises(globus_sdk.AuthAPIError) as refused:
        app.oauth2_exchange_code_for_tokens(code)
    assert refused.value.raw_json == {"error": "invalid_grant"}
    assert app.oauth2_token_introspect(tokens["access_token"])["active"] is False


def test_a_code_dies_after_ten_minutes(
    app: globus_sdk.ConfidentialAppAuthClient, browser: Browser, clock: TurnedClock
) -> None:
    code = code_of(browser.sign_in(link(app), "ada@uni.example"))
    clock.turn(600)
    with pytest.raises(globus_sdk.AuthAPIError):
        app.oauth2_exchange_code_for_tokens(code)


def test_pkce_is_enforced_when_it_was_begun(app: globus_sdk.ConfidentialAppAuthClient, browser: Browser) -> None:
    verifier = "v" * 50
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {"code_challenge": challenge, "code_challenge_method": "S256"}
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK}
    url = link(app, query_params=asked)
    for wrong in ({}, {"code_verifier": "w" * 50}):
        code = code_of(browser.sign_in(url, "ada@uni.example"))
        with pytest.raises(globus_sdk.AuthAPIError):
            app.oauth2_token({**form, "code": code, **wrong})
    code = code_of(browser.sign_in(url, "ada@uni.example"))
    assert app.oauth2_token({**form, "code": code, "code_verifier": verifier})["access_token"]


def test_plain_pkce_is_refused(app: globus_sdk.ConfidentialAppAuthClient, browser: Browser) -> None:
    url = link(app, query_params={"code_challenge": "abc", "code_challenge_method": "plain"})
    back = browser.sign_in(url, "ada@uni.example")
    assert parse_qs(urlsplit(back).query)["error"] == ["invalid_request"]


def test_a_refresh_repeats_the_refresh_token_which_lives_six_months_from_its_last_use(
    app: globus_sdk.ConfidentialAppAuthClient, browser: Browser, clock: TurnedClock
) -> None:
    refresh = login(app, browser).by_resource_server["transfer.api.globus.org"]["refresh_token"]
    for _ in range(3):
        clock.turn(170 * 86_400)
        again = app.oauth2_refresh_token(refresh)
        assert again["refresh_token"] == refresh
        assert again["other_tokens"] == []
    clock.turn(184 * 86_400)
    with pytest.raises(globus_sdk.AuthAPIError):
        app.oauth2_refresh_token(refresh)


def test_an_access_token_dies_after_48_hours_and_the_sdk_refreshes_it_by_itself(
    app: globus_sdk.ConfidentialAppAuthClient, browser: Browser, clock: TurnedClock
) -> None:
    tokens = login(app, browser).by_resource_server["transfer.api.globus.org"]
    clock.turn(172_801)
    renewed = []
    authorizer = globus_sdk.RefreshTokenAuthorizer(
        tokens["refresh_token"],
        app,
        access_token=tokens["access_token"],
        expires_at=9_999_999_999,
        on_refresh=renewed.append,
    )
    with globus_sdk.TransferClient(authorizer=authorizer) as transfer:
        assert transfer.get_submission_id()["value"]
    assert len(renewed) == 1


def test_denying_consent_leads_back_with_access_denied(
    app: globus_sdk.ConfidentialAppAuthClient, browser: Browser
) -> None:
    back = browser.sign_in(link(app), "ada@uni.example", decision="deny")
    assert parse_qs(urlsplit(back).query)["error"] == ["access_denied"]


def test_data_access_of_a_guest_collection_is_an_unknown_scope(
    globus: GlobusEmulator, app: globus_sdk.ConfidentialAppAuthClient, browser: Browser
) -> None:
    for name in ("archive", "secure"):
        scope = TransferScopes.all.with_dependency(GCSCollectionScopes(globus.collections[name]).data_access)
        with pytest.raises(SignInError, match="Unknown scope"):
            browser.sign_in(link(app, [scope]), "ada@uni.example")


def test_an_optional_dependent_can_be_denied_and_asked_for_again(
    globus: GlobusEmulator, app: globus_sdk.ConfidentialAppAuthClient, browser: Browser
) -> None:
    lab = globus.collections["lab"]
    data_access = GCSCollectionScopes(lab).data_access.with_optional(True)
    url = link(app, [TransferScopes.all.with_dependency(data_access)])
    back = browser.sign_in(url, "ada@uni.example", deny=(GCSCollectionScopes(lab).data_access.scope_string,))
    tokens = app.oauth2_exchange_code_for_tokens(code_of(back))
    authorizer = globus_sdk.AccessTokenAuthorizer(tokens["access_token"])
    with globus_sdk.TransferClient(authorizer=authorizer) as transfer:
        with pytest.raises(globus_sdk.TransferAPIError) as refused:
            transfer.operation_ls(lab)
        assert refused.value.info.consent_required.required_scopes == [
            f"{TransferScopes.all}[*https://auth.globus.org/scopes/{lab}/data_access]"
        ]
        browser.sign_in(url, "ada@uni.example")
        assert transfer.operation_ls(lab)["DATA"] == []


def test_consents_name_the_path_from_root_to_dependent(
    globus: GlobusEmulator, app: globus_sdk.ConfidentialAppAuthClient, browser: Browser
) -> None:
    scope = TransferScopes.all.with_dependency(GCSCollectionScopes(globus.collections["lab"]).data_access)
    url = link(app, [AuthScopes.openid, AuthScopes.view_consents, scope])
    tokens = app.oauth2_exchange_code_for_tokens(code_of(browser.sign_in(url, "ada@uni.example")))
    access = tokens.by_resource_server["auth.globus.org"]["access_token"]
    with globus_sdk.AuthClient(authorizer=globus_sdk.AccessTokenAuthorizer(access)) as auth:
        sub = auth.userinfo()["sub"]
        forest = auth.get_consents(sub).to_forest()
    assert forest.meets_scope_requirements(scope)


def test_rescinding_the_consent_kills_every_token_of_it(
    globus: GlobusEmulator, app: globus_sdk.ConfidentialAppAuthClient, browser: Browser
) -> None:
    tokens = login(app, browser)
    transfer = tokens.by_resource_server["transfer.api.globus.org"]
    access = tokens.by_resource_server["auth.globus.org"]["access_token"]
    with globus_sdk.AuthClient(authorizer=globus_sdk.AccessTokenAuthorizer(access)) as auth:
        sub = auth.userinfo()["sub"]
        consent = next(c for c in auth.get_consents(sub)["consents"] if c["scope_name"] == transfer["scope"])
        auth.delete(f"/v2/api/identities/{sub}/consents/{consent['id']}")
    with pytest.raises(globus_sdk.AuthAPIError):
        app.oauth2_refresh_token(transfer["refresh_token"])
    assert app.oauth2_token_introspect(transfer["access_token"])["active"] is False


def test_introspection_shows_when_each_identity_signed_in(
    app: globus_sdk.ConfidentialAppAuthClient, browser: Browser, clock: TurnedClock
) -> None:
    first = clock.now()
    token = login(app, browser)["access_token"]
    clock.turn(100)
    browser.sign_in(link(app, session_required_single_domain="alcf.anl.gov", prompt="login"), "ada@alcf.anl.gov")
    info = app.oauth2_token_introspect(token, include="session_info,identity_set")
    times = [each["auth_time"] for each in info["session_info"]["authentications"].values()]
    assert times == [first, first + 100]
    assert len(info["identity_set"]) == 2
    assert info["active"] is True


def test_a_login_asked_for_by_domain_offers_only_that_domain(
    app: globus_sdk.ConfidentialAppAuthClient, browser: Browser
) -> None:
    with pytest.raises(SignInError, match="not among the choices"):
        browser.sign_in(link(app, session_required_single_domain="google.com"), "ada@uni.example")


def test_an_unregistered_redirect_uri_is_told_to_the_user_and_never_followed(
    app: globus_sdk.ConfidentialAppAuthClient, globus: GlobusEmulator
) -> None:
    app.oauth2_start_flow("https://evil.example/api/callback", SCOPES)
    reply = requests.get(app.oauth2_get_authorize_url(), allow_redirects=False, timeout=10)
    assert reply.status_code == 400
    assert "redirect" in reply.text


def test_a_form_without_the_browsers_cookie_or_token_is_refused(
    app: globus_sdk.ConfidentialAppAuthClient,
) -> None:
    page = requests.get(link(app), timeout=10)
    attempt = page.text.split('name="attempt" value="')[1].split('"')[0]
    csrf = page.text.split('name="csrf" value="')[1].split('"')[0]
    base = page.url.split("/v2/")[0]
    form = {"attempt": attempt, "csrf": csrf, "provider": "x"}
    assert requests.post(f"{base}/v2/web/provider", data=form, timeout=10).status_code == 403
    cookies = page.cookies
    wrong = {**form, "csrf": "guess"}
    assert requests.post(f"{base}/v2/web/provider", data=wrong, cookies=cookies, timeout=10).status_code == 403


def test_a_wrong_secret_gets_no_token(globus: GlobusEmulator, app: globus_sdk.ConfidentialAppAuthClient) -> None:
    with (
        globus_sdk.ConfidentialAppAuthClient(app.client_id, "guess") as wrong,
        pytest.raises(globus_sdk.AuthAPIError) as refused,
    ):
        wrong.oauth2_client_credentials_tokens(requested_scopes=[TransferScopes.all])
    assert refused.value.http_status == 401
