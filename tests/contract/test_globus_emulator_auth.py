"""What Auth asks of a login, what its tokens say, and how they end, through the unmodified SDK."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import globus_sdk
import jwt
import pytest
import requests
from globus_sdk.scopes import AuthScopes, TransferScopes
from globus_sdk.testing import get_response_set
from globus_sdk.transport import RetryConfig

from emulators.clock import TurnedClock
from emulators.globus import Browser, Client, Config, GlobusEmulator, Policy
from emulators.globus.browser import SignInError
from emulators.globus.config import default_config
from emulators.globus.signing import at_hash

pytest_plugins = ["emulators.globus.fixtures"]

CALLBACK = "http://127.0.0.1:4321/api/callback"
SCOPES = [AuthScopes.openid, AuthScopes.profile, AuthScopes.email, TransferScopes.all]
ADA, ARGONNE = "ada@uni.example", "ada@alcf.anl.gov"
PAGES = ["/v2/web/provider", "/v2/web/identity"]


@pytest.fixture
def globus_config() -> Config:
    """The default world with a policy and an application that has no secret."""
    config = default_config()
    policy = Policy(name="argonne", domains=("alcf.anl.gov",), timeout_minutes=60)
    ours = Policy(name="ours", mfa=True, timeout_minutes=15, readers=("qstage",))
    native = Client(name="native", kind="native", redirect_uris=(CALLBACK,))
    return dataclasses.replace(config, policies=(policy, ours), clients=(*config.clients, native))


@pytest.fixture
def app(globus_emulator: GlobusEmulator) -> Iterator[globus_sdk.ConfidentialAppAuthClient]:
    client = globus_emulator.client("qstage")
    with globus_sdk.ConfidentialAppAuthClient(client.id, client.secret) as sdk:
        sdk.retry_config.max_retries = 0
        yield sdk


@pytest.fixture
def browser() -> Iterator[Browser]:
    with Browser() as one:
        yield one


App = globus_sdk.ConfidentialAppAuthClient


def link(app: App, **extra: object) -> str:
    app.oauth2_start_flow(CALLBACK, SCOPES, refresh_tokens=True)
    return app.oauth2_get_authorize_url(**extra)


def test_a_policy_is_told_to_a_client_that_administers_it_and_to_no_other(
    globus_emulator: GlobusEmulator, app: App
) -> None:
    own, other = (each.id for each in globus_emulator.config.policies)
    scope = AuthScopes.manage_projects
    token = app.oauth2_client_credentials_tokens(scope)["access_token"]
    retries = RetryConfig(max_retries=0)
    with globus_sdk.AuthClient(authorizer=globus_sdk.AccessTokenAuthorizer(token), retry_config=retries) as auth:
        told = auth.get_policy(other)["policy"]
        assert {*told} == {*get_response_set("auth.get_policy").lookup("default").json["policy"]}
        assert (told["authentication_assurance_timeout"], told["required_mfa"]) == (900, True)
        with pytest.raises(globus_sdk.AuthAPIError) as refused:
            auth.get_policy(own)
        assert refused.value.http_status == 404


def code_of(back: str) -> str:
    return parse_qs(urlsplit(back).query)["code"][0]


def login(app: App, browser: Browser, username: str = ADA, **extra: object) -> globus_sdk.OAuthTokenResponse:
    back = browser.sign_in(link(app, **extra), username)
    return app.oauth2_exchange_code_for_tokens(code_of(back))


def shown(browser: Browser, app: App, username: str = ADA, **extra: object) -> list[str]:
    """The pages that a login link leads through."""
    browser.pages.clear()
    browser.sign_in(link(app, **extra), username)
    return list(browser.pages)


# -- what a login is asked for -----------------------------------------------------------------------------


def test_a_second_login_needs_no_page_unless_the_link_demands_one(app: App, browser: Browser) -> None:
    assert shown(browser, app) == [*PAGES, "/v2/web/consent"]
    assert shown(browser, app) == []
    assert shown(browser, app, prompt="login") == PAGES


def test_a_login_asked_for_by_identity_offers_only_that_one(
    globus_emulator: GlobusEmulator, app: App, browser: Browser
) -> None:
    wanted = next(each.id for each in globus_emulator.config.identities if each.username == ARGONNE)
    login(app, browser)
    with pytest.raises(SignInError, match="not among the choices"):
        browser.sign_in(link(app, session_required_identities=[wanted]), ADA)
    assert shown(browser, app, ARGONNE, session_required_identities=[wanted]) == ["/v2/web/identity"]
    assert shown(browser, app, ARGONNE, session_required_identities=[wanted]) == []


def test_a_second_factor_is_asked_of_those_who_have_one(app: App, browser: Browser) -> None:
    login(app, browser, ARGONNE)
    with pytest.raises(SignInError, match="not among the choices"):
        browser.sign_in(link(app, session_required_mfa=True), ARGONNE)
    token = login(app, browser, session_required_mfa=True)["access_token"]
    signed_in = app.oauth2_token_introspect(token, include="session_info")["session_info"]["authentications"]
    assert sorted(each["amr"] for each in signed_in.values()) == [["pwd"], ["pwd", "mfa"]]


def test_a_policy_asks_for_its_domain_again_when_its_time_is_over(
    globus_emulator: GlobusEmulator, globus_clock: TurnedClock, app: App, browser: Browser
) -> None:
    policy = globus_emulator.config.policies[0].id
    login(app, browser)
    assert shown(browser, app, ARGONNE, session_required_policies=[policy]) == ["/v2/web/identity"]
    globus_clock.turn(3_600)
    assert shown(browser, app, ARGONNE, session_required_policies=[policy]) == []
    globus_clock.turn(1)
    assert shown(browser, app, ARGONNE, session_required_policies=[policy]) == ["/v2/web/identity"]
    with pytest.raises(SignInError, match="Unknown policy"):
        browser.sign_in(link(app, session_required_policies=["none"]), ADA)


def test_the_message_of_the_application_is_shown_and_never_as_html(app: App) -> None:
    page = requests.get(link(app, session_message="<b>Theta</b> wants you", prompt="login"), timeout=10).text
    assert "&lt;b&gt;Theta&lt;/b&gt; wants you" in page
    assert "<b>Theta" not in page


# -- codes -------------------------------------------------------------------------------------------------


def test_a_code_is_bought_by_its_own_client_at_its_own_address_only(
    globus_emulator: GlobusEmulator, app: App, browser: Browser
) -> None:
    other = globus_emulator.client("cli")
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK}
    with globus_sdk.ConfidentialAppAuthClient(other.id, other.secret) as thief:
        for buyer, wrong in ((thief, {}), (app, {"redirect_uri": CALLBACK + "/else"})):
            code = code_of(browser.sign_in(link(app), ADA))
            with pytest.raises(globus_sdk.AuthAPIError) as refused:
                buyer.oauth2_token({**form, "code": code, **wrong})
            assert refused.value.raw_json == {"error": "invalid_grant"}


def test_an_application_without_a_secret_needs_pkce_and_then_refreshes_by_its_id(
    globus_emulator: GlobusEmulator, browser: Browser
) -> None:
    with globus_sdk.NativeAppAuthClient(globus_emulator.client("native").id) as native:
        native.oauth2_start_flow(SCOPES, redirect_uri=CALLBACK, refresh_tokens=True)
        url = native.oauth2_get_authorize_url()
        bare = url.replace("code_challenge=", "unused=")
        assert parse_qs(urlsplit(browser.sign_in(bare, ADA)).query)["error"] == ["invalid_request"]
        tokens = native.oauth2_exchange_code_for_tokens(code_of(browser.sign_in(url, ADA)))
        refresh = tokens.by_resource_server["transfer.api.globus.org"]["refresh_token"]
        assert native.oauth2_refresh_token(refresh)["refresh_token"] == refresh
        native.oauth2_revoke_token(refresh)
        with pytest.raises(globus_sdk.AuthAPIError):
            native.oauth2_refresh_token(refresh)


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "code": "guess", "redirect_uri": CALLBACK}, 401, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "guess"}, 401, "invalid_grant"),
    ],
)
def test_a_grant_that_is_none_is_refused_in_the_words_of_oauth(
    app: App, form: dict[str, str], status: int, error: str
) -> None:
    with pytest.raises(globus_sdk.AuthAPIError) as refused:
        app.oauth2_token(form)
    assert (refused.value.http_status, refused.value.raw_json) == (status, {"error": error})


# -- what tokens say ---------------------------------------------------------------------------------------


def test_an_id_token_is_signed_with_rs512_and_has_every_claim(
    globus_emulator: GlobusEmulator, globus_clock: TurnedClock, app: App, browser: Browser
) -> None:
    tokens = login(app, browser, query_params={"nonce": "n"})
    assert jwt.get_unverified_header(tokens["id_token"])["alg"] == "RS512"
    assert app.get_openid_configuration()["id_token_signing_alg_values_supported"] == ["RS512"]
    claims = tokens.decode_id_token(jwt_params={"verify_exp": False, "verify_iat": False})
    now = int(globus_clock.now())
    ada, provider = globus_emulator.config.identities[0], globus_emulator.config.providers[0]
    linked = claims.pop("identity_set")
    assert claims == {
        "iss": "https://auth.globus.org",
        "aud": app.client_id,
        "sub": ada.id,
        "iat": now,
        "exp": now + 172_800,
        "at_hash": at_hash(tokens["access_token"]),
        "nonce": "n",
        "auth_time": now,
        "last_authentication": now,
        "preferred_username": ADA,
        "name": ada.name,
        "email": ada.email,
        "organization": ada.organization,
        "identity_provider": provider.id,
        "identity_provider_display_name": provider.name,
    }
    assert [(each["username"], each["last_authentication"]) for each in linked] == [(ADA, now), (ARGONNE, None)]


def test_userinfo_says_what_the_scopes_let_it(app: App, browser: Browser) -> None:
    token = login(app, browser)["access_token"]
    with globus_sdk.AuthClient(authorizer=globus_sdk.AccessTokenAuthorizer(token)) as auth:
        told = auth.userinfo()
    assert [told[key] for key in ("preferred_username", "name", "email")] == [ADA, "Ada Lovelace", ADA]
    app.oauth2_start_flow(CALLBACK, [AuthScopes.openid])
    code = code_of(browser.sign_in(app.oauth2_get_authorize_url(), ADA))
    token = app.oauth2_exchange_code_for_tokens(code)["access_token"]
    with globus_sdk.AuthClient(authorizer=globus_sdk.AccessTokenAuthorizer(token)) as auth:
        assert not {"name", "email", "organization"} & {*auth.userinfo().data}


def test_a_client_acts_for_itself_by_its_credentials(app: App) -> None:
    answer = app.oauth2_client_credentials_tokens(requested_scopes=[TransferScopes.all])
    told = app.oauth2_token_introspect(answer["access_token"])
    assert (told["sub"], told["username"]) == (app.client_id, f"{app.client_id}@clients.auth.globus.org")
    assert answer.by_resource_server["transfer.api.globus.org"]["refresh_token"] is None


def test_identities_are_found_by_name_or_id_with_their_providers(
    globus_emulator: GlobusEmulator, app: App, browser: Browser
) -> None:
    ada, bob = (globus_emulator.config.identities[index] for index in (0, 2))
    nobody, extra = "00000000-0000-0000-0000-000000000000", {"include": "identity_provider"}
    authorizer = globus_sdk.AccessTokenAuthorizer(login(app, browser)["access_token"])
    with globus_sdk.AuthClient(authorizer=authorizer) as auth:
        found = auth.get_identities(ids=[ada.id, bob.id, nobody], query_params=extra)
        assert [each["username"] for each in found] == [ada.username, bob.username]
        domains = [each["domains"][0] for each in found["included"]["identity_providers"]]
        assert domains == ["uni.example", "google.com"]
        assert globus_sdk.IdentityMap(auth, [ADA])[ADA]["id"] == ada.id
        for wrong in ({"ids": ["no-uuid"]}, {"ids": [ada.id], "query_params": {"usernames": ADA}}):
            with pytest.raises(globus_sdk.AuthAPIError) as refused:
                auth.get_identities(**wrong)
            assert (refused.value.http_status, refused.value.code) == (400, "INVALID_PARAMETERS")


# -- how tokens end ----------------------------------------------------------------------------------------


def test_revoking_a_refresh_token_takes_its_access_tokens_with_it(app: App, browser: Browser) -> None:
    tokens = login(app, browser).by_resource_server
    transfer, own = tokens["transfer.api.globus.org"], tokens["auth.globus.org"]
    later = app.oauth2_refresh_token(transfer["refresh_token"])["access_token"]
    app.oauth2_revoke_token(transfer["refresh_token"])
    active = {each: app.oauth2_token_introspect(each)["active"] for each in (transfer["access_token"], later)}
    assert set(active.values()) == {False}
    assert app.oauth2_token_introspect(own["access_token"])["active"] is True
    with pytest.raises(globus_sdk.AuthAPIError) as refused:
        app.oauth2_refresh_token(transfer["refresh_token"])
    assert refused.value.raw_json == {"error": "invalid_grant"}


def test_validating_tells_whether_a_token_lives(
    globus_emulator: GlobusEmulator, globus_clock: TurnedClock, app: App, browser: Browser
) -> None:
    token = login(app, browser)["access_token"]

    def valid() -> bool:
        answer = requests.post(f"{globus_emulator.url}/v2/oauth2/token/validate", data={"token": token}, timeout=10)
        return bool(answer.json()["active"])

    assert valid()
    globus_clock.turn(172_799)
    assert valid()
    globus_clock.turn(1)
    assert not valid()


def test_a_token_is_shown_to_the_client_that_holds_it_and_to_no_other(
    globus_emulator: GlobusEmulator, app: App, browser: Browser
) -> None:
    token, other = login(app, browser)["access_token"], globus_emulator.client("cli")
    with globus_sdk.ConfidentialAppAuthClient(other.id, other.secret) as curious:
        assert curious.oauth2_token_introspect(token).data == {"active": False}
