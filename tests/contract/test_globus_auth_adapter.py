"""The Globus Auth adapters against the emulator: real links, real pages, real tokens, and what its errors become."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from deployment import Deployment

from chalicelib.adapters.id_token import read_id_token
from chalicelib.core.consent import LoginReason, SessionDemand
from chalicelib.core.errors import FarSide, GrantRefused, LoginNeeded, Refusal, SignInRefused
from chalicelib.core.ids import CollectionId
from chalicelib.core.logins import LoginRequest, hashed, request_for
from chalicelib.core.sessions import SignInDemand
from chalicelib.core.tokens import PURPOSE
from chalicelib.service.sign_in import Answer
from emulators.clock import TurnedClock
from emulators.globus import Browser, GlobusEmulator
from emulators.globus.config import Collection, Config, Policy, default_config
from emulators.globus.faults import CallFault

MONTH = Policy(name="monthly", domains=("alcf.anl.gov",), timeout_minutes=30 * 24 * 60, readers=("qstage",))
OURS = Policy(name="ours", mfa=True, timeout_minutes=60, readers=("qstage",))
FOREIGN = Policy(name="foreign", domains=("elsewhere.org",), mfa=True)


def demanding_world() -> Config:
    """The default world, and collections under policies that our client may read or may not."""
    plain = default_config()
    more = (
        Collection(name="alcf", policy="monthly", session_timeout_minutes=45 * 24 * 60),
        Collection(name="vault", kind="guest", policy="ours"),
        Collection(name="abroad", policy="foreign", mfa=True),
    )
    return replace(plain, collections=(*plain.collections, *more), policies=(MONTH, OURS, FOREIGN))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    clock = TurnedClock(1_800_000_000.0)
    with GlobusEmulator(tmp_path / "data", demanding_world(), clock=clock) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        yield Deployment(emulator, clock)


@pytest.fixture
def browser() -> Iterator[Browser]:
    with Browser() as one:
        yield one


def test_a_login_through_the_pages_brings_tokens_that_reach_the_collections(here: Deployment, browser: Browser) -> None:
    done = here.login(browser, "lab", "theta", "archive", "secure")
    assert done.profile.username == "ada@uni.example"
    assert done.profile.name == "Ada Lovelace"
    assert done.profile.auth_time == here.clock.now()
    assert len(done.profile.identities) == 2
    token = here.tokens.access_token(done.profile.user, here.clock.now())
    assert token.expires_at == here.clock.now() + timedelta(hours=48)
    for name in ("lab", "theta", "archive", "secure"):
        here.list_directory(token, name)


def test_collection_facts_tell_which_need_a_consent(here: Deployment) -> None:
    unknown = CollectionId("00000000-0000-4000-8000-000000000000")
    names = ("lab", "archive", "secure")
    facts = here.source.facts([*(here.collection(each) for each in names), unknown])
    assert [facts[here.collection(each)].needs_data_access for each in names] == [True, False, False]
    assert unknown not in facts


def test_collection_facts_tell_what_a_sign_in_must_be_like(here: Deployment) -> None:
    ids = {name: here.collection(name) for name in ("lab", "secure", "alcf", "vault", "abroad")}
    found = here.source.facts(ids.values())
    days = timedelta(days=1)
    assert {name: found[each].demand for name, each in ids.items()} == {
        "lab": SignInDemand(),
        "secure": SignInDemand(max_age=timedelta(minutes=30)),
        "alcf": SignInDemand(max_age=30 * days, domains=("alcf.anl.gov",)),
        "vault": SignInDemand(max_age=timedelta(hours=1), mfa=True),
        "abroad": SignInDemand(mfa=True),
    }, "the stricter of endpoint and policy holds; what is in a policy of others is not known"
    assert found[ids["abroad"]].policies == (FOREIGN.id,), "but the link can name it"


def test_a_policy_endpoint_that_fails_costs_no_login(here: Deployment) -> None:
    here.emulator.controls.fail(path="/v2/api/policies/*", status=503, times=10)
    alcf = here.collection("alcf")
    assert here.source.facts([alcf])[alcf].demand == SignInDemand(max_age=timedelta(days=45))


def test_a_missing_consent_becomes_a_login_that_ends_it(here: Deployment, browser: Browser) -> None:
    done = here.login(browser, "lab")
    user = done.profile.user
    with pytest.raises(LoginNeeded) as needed:
        here.list_directory(here.tokens.access_token(user, here.clock.now()), "theta")
    assert needed.value.reason is LoginReason.CONSENT
    request = request_for(needed.value.demand, user, consented=done.profile.scopes)
    assert set(request.collections) == {here.collection("lab"), here.collection("theta")}
    here.login(browser, request=request)
    token = here.tokens.access_token(user, here.clock.now())
    for name in ("lab", "theta"):
        here.list_directory(token, name)


def test_a_lapsed_session_becomes_a_login_that_ends_it(here: Deployment, browser: Browser) -> None:
    done = here.login(browser)
    user = done.profile.user
    here.turned.turn(31 * 60)
    with pytest.raises(LoginNeeded) as needed:
        here.list_directory(here.tokens.access_token(user, here.clock.now()), "secure")
    assert needed.value.reason is LoginReason.SESSION
    again = here.login(browser, request=request_for(needed.value.demand, user, consented=done.profile.scopes))
    assert again.profile.auth_time == here.clock.now()
    here.list_directory(here.tokens.access_token(user, here.clock.now()), "secure")


def test_a_login_tells_who_of_the_linked_identities_signed_in_when_and_how(here: Deployment, browser: Browser) -> None:
    first = here.clock.now()
    done = here.login(browser)
    (own,) = done.profile.session.authentications
    assert (own.identity, own.username) == (done.profile.user, "ada@uni.example")
    assert (own.auth_time, own.mfa) == (first, True)
    here.turned.turn(3600)
    demand = SessionDemand(single_domain=("alcf.anl.gov",))
    again = here.login(browser, who="ada@alcf.anl.gov", request=LoginRequest(session=demand))
    told = {each.username: (each.auth_time, each.mfa) for each in again.profile.session.authentications}
    assert told == {"ada@uni.example": (first, True), "ada@alcf.anl.gov": (here.clock.now(), False)}
    record = here.stored.load(done.profile.user)
    assert record is not None
    assert record.session == again.profile.session, "the tokens and the profile tell of one session"


def test_a_login_that_auth_does_not_describe_counts_by_its_id_token(here: Deployment, browser: Browser) -> None:
    here.emulator.controls.fail(path="/v2/oauth2/token/introspect", times=10)
    done = here.login(browser)
    (own,) = done.profile.session.authentications
    assert (own.username, own.auth_time, own.mfa) == ("ada@uni.example", here.clock.now(), False)


@pytest.mark.parametrize("status", [403, 502])
def test_a_refusal_for_want_of_a_domain_becomes_a_login_that_brings_it(
    here: Deployment, browser: Browser, status: int
) -> None:
    user = here.login(browser, "abroad").profile.user
    place = here.emulator.world.places.named("abroad")
    place.collection = replace(place.collection, session_error=status, required_domains=("alcf.anl.gov",), mfa=False)
    with pytest.raises(LoginNeeded) as needed:
        here.list_directory(here.tokens.access_token(user, here.clock.now()), "abroad")
    assert (needed.value.reason, needed.value.session.single_domain) == (LoginReason.SESSION, ("alcf.anl.gov",))
    place.collection = replace(place.collection, policy=None)
    with pytest.raises(LoginNeeded) as needed:
        here.list_directory(here.tokens.access_token(user, here.clock.now()), "abroad")
    here.login(browser, who="ada@alcf.anl.gov", request=request_for(needed.value.demand, user))
    here.list_directory(here.tokens.access_token(user, here.clock.now()), "abroad")


def test_a_domain_is_asked_of_the_sign_in(here: Deployment, browser: Browser) -> None:
    demand = SessionDemand(single_domain=("google.com",))
    done = here.login(browser, who="bob@google.com", request=LoginRequest(session=demand))
    assert done.profile.username == "bob@google.com"


def test_a_renewal_outlasts_the_access_token_and_keeps_the_refresh_token(here: Deployment, browser: Browser) -> None:
    user = here.login(browser, "lab").profile.user
    first = here.tokens.access_token(user, here.clock.now())
    here.turned.turn(60 * 86_400)
    second = here.tokens.access_token(user, here.clock.now())
    assert second.value != first.value
    here.list_directory(second, "lab")


@pytest.mark.parametrize("status", [400, 401])
def test_a_revoked_grant_asks_for_a_login_at_either_status(here: Deployment, browser: Browser, status: int) -> None:
    world = here.emulator.world
    world.settings = replace(world.settings, invalid_grant_status=status)
    user = here.login(browser).profile.user
    plain = here.seal.unseal(here.stored.load(user).sealed, user=user, purpose=PURPOSE)  # type: ignore[union-attr]
    here.endpoint.revoke(plain.refresh_token or "")
    token = here.tokens.access_token(user, here.clock.now())
    with pytest.raises(FarSide) as rejected:
        here.list_directory(token, "lab")
    assert (rejected.value.status, rejected.value.transient) == (401, False)
    with pytest.raises(LoginNeeded) as needed:
        here.tokens.access_token(user, here.clock.now(), rejected=token.version)
    assert needed.value.reason is LoginReason.REFUSED
    here.login(browser)
    assert here.tokens.access_token(user, here.clock.now()).version > token.version


def test_a_code_bought_with_another_verifier_is_refused(here: Deployment, browser: Browser) -> None:
    begun = here.sign_in.begin(LoginRequest(), here.clock.now())
    back = dict(parse_qsl(urlsplit(browser.sign_in(begun.url, "ada@uni.example")).query))
    (attempt,) = here.logins._attempts.values()
    other = "another-browsers-secret-of-the-right-length-0123456789"
    here.logins.put_attempt(replace(attempt, browser_hash=hashed(other)))
    with pytest.raises(SignInRefused) as refused:
        here.sign_in.finish(Answer(state=back["state"], code=back["code"]), other, here.clock.now())
    assert (refused.value.why, refused.value.word) == (Refusal.PROVIDER, "invalid_grant")


def test_saying_no_on_the_consent_page_is_a_refusal(here: Deployment, browser: Browser) -> None:
    with pytest.raises(SignInRefused) as refused:
        here.login(browser, decision="deny")
    assert refused.value.why is Refusal.DENIED


def test_a_dead_refresh_token_is_refused_and_revoking_it_again_is_nothing(here: Deployment) -> None:
    with pytest.raises(GrantRefused):
        here.endpoint.refresh("never-was-one")
    here.endpoint.revoke("never-was-one")


def test_a_wrong_secret_is_no_fault_of_the_user(here: Deployment) -> None:
    here.credentials = replace(here.credentials, client_secret="wrong")
    with pytest.raises(FarSide) as error:
        here.endpoint.refresh("any")
    assert (error.value.code, error.value.transient) == ("invalid_client", False)


@pytest.mark.parametrize(
    ("fault", "retry_after"),
    [
        (CallFault(kind="answer", path="/v2/oauth2/token", status=503, headers={"Retry-After": "7"}), 7),
        (CallFault(kind="reset_before", path="/v2/oauth2/token"), None),
    ],
)
def test_globus_failing_for_the_moment_is_tried_later_and_not_here(
    here: Deployment, fault: CallFault, retry_after: int | None
) -> None:
    with here.emulator.world.lock:
        here.emulator.world.faults.calls.append(fault)
    with pytest.raises(FarSide) as error:
        here.endpoint.refresh("any")
    assert (error.value.transient, error.value.retry_after) == (True, retry_after)
    assert here.emulator.world.faults.calls == []


def test_an_error_of_ours_shows_no_token_and_no_secret(here: Deployment) -> None:
    with pytest.raises(FarSide) as error:
        here.endpoint.refresh("tell-tale-token")
    told = f"{error.value!r} {error.value} {error.value.__cause__!r} {vars(error.value)}"
    assert "tell-tale-token" not in told
    assert here.credentials.client_secret not in told
    assert here.credentials.client_secret not in repr(here.credentials)


# id tokens that are not what they seem

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CLAIMS = {
    "iss": "https://auth.globus.org",
    "aud": "our-client",
    "sub": "11111111-1111-4111-8111-111111111111",
    "preferred_username": "ada@uni.example",
    "nonce": "n",
    "iat": 1_800_000_000,
    "exp": 1_800_003_600,
    "last_authentication": None,
}


def read(token: str) -> str:
    return read_id_token(token, key=KEY.public_key(), issuer="https://auth.globus.org", audience="our-client").user


def test_an_id_token_of_any_time_is_read_because_our_clock_judges_it() -> None:
    old = {**CLAIMS, "iat": 1, "exp": 2, "nbf": 4_000_000_000}
    for claims in (CLAIMS, old):
        assert read(jwt.encode(claims, KEY, algorithm="RS512")) == CLAIMS["sub"]


@pytest.mark.parametrize(
    "spoiled",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"sub": None},
        {"nonce": None},
        {"exp": None},
        {"exp": "soon"},
        {"preferred_username": None},
    ],
)
def test_an_id_token_that_is_not_for_us_or_lacks_what_we_check_is_refused(spoiled: dict[str, object]) -> None:
    claims = {name: value for name, value in {**CLAIMS, **spoiled}.items() if value is not None}
    with pytest.raises(SignInRefused):
        read(jwt.encode(claims, KEY, algorithm="RS512"))


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_an_id_token_signed_by_another_or_in_another_way_is_refused() -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    tokens = [
        jwt.encode(CLAIMS, other, algorithm="RS512"),
        jwt.encode(CLAIMS, KEY, algorithm="RS256"),
        jwt.encode(CLAIMS, "shared", algorithm="HS512"),
        jwt.encode(CLAIMS, None, algorithm="none"),
        "not.a.token",
    ]
    for token in tokens:
        with pytest.raises(SignInRefused):
            read(token)
