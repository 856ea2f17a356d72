"""What a deployment chooses: refused by name where it cannot be meant, and closed where nothing is said."""

from __future__ import annotations

import pytest

from chalicelib.core.ids import UserId
from chalicelib.core.logins import SignInPolicy
from chalicelib.settings import BadSetting, read_settings
from chalicelib.wiring import Services

AWAY, HERE = {"QSTAGE_BASE_URL": "https://q.example/api"}, {"QSTAGE_BASE_URL": "http://127.0.0.1:4321/api"}
ADA = (UserId("11111111-1111-4111-8111-111111111111"), "ada@uni.example")
SCOPE = "https://auth.globus.org/scopes/dddddddd-0000-4000-8000-000000000005/jobs"


def policy(environment: dict[str, str]) -> SignInPolicy:
    """Who may sign in, and who may show a Globus token: one policy for both."""
    services = Services(read_settings(environment))
    assert services.inspecting.policy is services.exchanging.policy
    return services.exchanging.policy


def test_where_nothing_is_said_nobody_may_sign_in_but_on_ones_own_machine() -> None:
    assert not policy(AWAY).admits_any([ADA])
    assert policy(HERE).admits_any([ADA])


@pytest.mark.parametrize("where", [AWAY, HERE])
@pytest.mark.parametrize(
    ("name", "value", "admitted"),
    [
        ("QSTAGE_ALLOWED_DOMAINS", "Uni.Example, other.example", True),
        ("QSTAGE_ALLOWED_DOMAINS", "other.example", False),
        ("QSTAGE_ALLOWED_DOMAINS", "example", False),
        ("QSTAGE_ALLOWED_IDENTITIES", "ADA@uni.example", True),
        ("QSTAGE_ALLOWED_IDENTITIES", ADA[0], True),
        ("QSTAGE_ALLOWED_IDENTITIES", "bob@uni.example", False),
    ],
)
def test_who_is_named_may_sign_in_and_nobody_else(where: dict[str, str], name: str, value: str, admitted: bool) -> None:
    assert policy({**where, name: value}).admits_any([ADA]) is admitted


def test_blanks_and_commas_name_nobody() -> None:
    assert not policy({**AWAY, "QSTAGE_ALLOWED_DOMAINS": " , ,", "QSTAGE_ALLOWED_IDENTITIES": ","}).admits_any([ADA])
    assert not policy({**AWAY, "QSTAGE_ALLOWED_DOMAINS": "x.example"}).admits_any([(ADA[0], "")])


def test_limits_have_their_figures_where_nothing_is_said() -> None:
    chosen = read_settings({**AWAY, "QSTAGE_MOST_LIVE_JOBS": ""})
    assert (chosen.sign_ins_per_address, chosen.most_live_jobs, chosen.most_live_bytes) == (300, 50_000, 2**30)
    assert read_settings({**AWAY, "QSTAGE_MOST_LIVE_JOBS": "7"}).most_live_jobs == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QSTAGE_BASE_URL", "http://q.example/api"),
        ("QSTAGE_BASE_URL", "q.example"),
        ("QSTAGE_MOST_LIVE_JOBS", "0"),
        ("QSTAGE_MOST_LIVE_BYTES", "1 GiB"),
        ("QSTAGE_SIGN_INS_PER_ADDRESS", "-1"),
        ("QSTAGE_GLOBUS_SCOPE", "urn:globus:auth:scope:transfer.api.globus.org:all"),
        ("QSTAGE_GLOBUS_SCOPE", "https://auth.globus.org/scopes/me/jobs"),
        ("QSTAGE_CLOCK_FILE", "/tmp/clock"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=name):
        read_settings({**AWAY, name: value})


def test_globus_tokens_open_nothing_unless_the_service_has_a_scope() -> None:
    assert Services(read_settings(AWAY)).access.bearers is None
    assert Services(read_settings({**AWAY, "QSTAGE_GLOBUS_SCOPE": SCOPE})).access.bearers is not None
