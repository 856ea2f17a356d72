"""A site's demands on its submitters, met through the real login pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from whole_stack import finished, until

from emulators.globus import Browser
from emulators.stack import SITE, USER, Stack
from qstage.client import Client, Forbidden, LoginNeeded

PLAIN = {"name": "plain", "site": SITE, "executable": "/bin/true"}
HOURS = 3600


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    """Ada's client; whatever the site demanded, it demands nothing afterwards."""
    assert stack.login is not None
    yield stack.login.client
    stack.login.client.change_site(SITE, {"demands": None})


def follow(link: str) -> None:
    with Browser() as browser:
        browser.sign_in(link, USER, follow=True)


def test_a_sign_in_that_is_too_old_is_refused_and_its_link_lets_the_job_in(stack: Stack, client: Client) -> None:
    demands = {"domains": ["uni.example"], "signed_in_within": 60}
    site = client.change_site(SITE, {"demands": demands})
    assert site.raw["demands"] == {**demands, "mfa": False, "key_life": None}
    follow(f"{stack.url}/login")
    assert finished(stack, client.submit(PLAIN).jobs[0].id).state == "completed"
    stack.clock.turn(2 * HOURS)
    with pytest.raises(LoginNeeded) as refused:
        client.submit(PLAIN)
    assert "not longer ago than 60 minutes" in str(refused.value)
    assert refused.value.login_url is not None
    follow(refused.value.login_url)
    assert finished(stack, client.submit(PLAIN).jobs[0].id).state == "completed"


def test_a_job_whose_owners_sign_in_aged_before_the_lease_waits_with_the_link_and_goes_on_after_it(
    stack: Stack, client: Client
) -> None:
    client.change_site(SITE, {"demands": {"signed_in_within": 60}})
    follow(f"{stack.url}/login")
    stack.stop_agent()
    number = client.submit(PLAIN).jobs[0].id
    until(lambda: client.job(number).state == "staged" or None, "the job is staged")
    stack.clock.turn(2 * HOURS)
    stack.start_agent()
    link = until(lambda: client.job(number).login_url, "the job waits for a login")
    assert client.job(number).state == "staged"
    assert "login" in client.job(number).waiting_for
    follow(link)
    assert finished(stack, number).state == "completed"


def test_a_key_that_was_made_for_too_long_is_told_to_be_shorter(stack: Stack, client: Client) -> None:
    client.change_site(SITE, {"demands": {"key_life": 7}})
    with pytest.raises(Forbidden, match="at most 7 days, and this one was made for 30"):
        client.submit(PLAIN)
