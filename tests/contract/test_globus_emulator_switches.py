"""Every switch over HTTP, the list of them in the manual, and what the SDK raises under each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import globus_sdk
import pytest
import requests
from globus_sdk.scopes import GCSCollectionScopes, TransferScopes

from emulators.clock import TurnedClock
from emulators.globus import Browser, GlobusEmulator

pytest_plugins = ["emulators.globus.fixtures"]

MANUAL = Path(__file__).parents[2] / "emulators" / "globus" / "README.md"
CALLBACK = "http://127.0.0.1:4321/api/callback"
ADA = "ada@uni.example"


class Person:
    """Ada, signed in: her Transfer client and her refresh token. Calls one switch after another over HTTP."""

    def __init__(self, globus: GlobusEmulator) -> None:
        self.globus, self.collections = globus, globus.collections
        app = globus.client("qstage")
        self.auth = globus_sdk.ConfidentialAppAuthClient(app.id, app.secret)
        self.auth.retry_config.max_retries = 0
        needed = [GCSCollectionScopes(globus.collections[name]).data_access for name in ("lab", "theta")]
        self.auth.oauth2_start_flow(CALLBACK, [TransferScopes.all.with_dependencies(needed)], refresh_tokens=True)
        with Browser() as browser:
            back = browser.sign_in(self.auth.oauth2_get_authorize_url(), ADA)
        tokens = self.auth.oauth2_exchange_code_for_tokens(back.partition("code=")[2].partition("&")[0])
        self.refresh_token = str(tokens["refresh_token"])
        self.client = globus_sdk.TransferClient(authorizer=globus_sdk.AccessTokenAuthorizer(tokens["access_token"]))
        self.client.retry_config.max_retries = 0

    def close(self) -> None:
        self.auth.close()
        self.client.close()

    def throw(self, switch: str, **arguments: object) -> object:
        reply = requests.post(f"{self.globus.url}/_emulator/{switch}", json=arguments, timeout=10)
        assert reply.ok, reply.text
        return reply.json()["result"]

    def submit(self, **options: object) -> str:
        (self.globus.directory("lab") / "f").write_text("data")
        route = [self.collections[name] for name in ("lab", "theta")]
        data = globus_sdk.TransferData(*route, **options)
        data.add_item("/f", "/g")
        return str(self.client.submit_transfer(data)["task_id"])

    def status(self, task: str) -> tuple[str, str | None]:
        seen = self.client.get_task(task)
        return seen["status"], seen["nice_status"]


@pytest.fixture
def ada(globus_emulator: GlobusEmulator) -> Iterator[Person]:
    one = Person(globus_emulator)
    yield one
    one.close()


def test_the_manual_names_every_switch_and_no_other(globus_emulator: GlobusEmulator) -> None:
    there = requests.get(f"{globus_emulator.url}/_emulator", timeout=10).json()["switches"]
    chapter = MANUAL.read_text().partition("## Switches")[2].partition("\n## ")[0]
    first_cells = " ".join(line.split("|")[1] for line in chapter.splitlines() if line.startswith("|"))
    told = set(re.findall(r"`([a-z_]+)\b", first_cells)) - {"requests", "overview"}
    assert told == set(there)


# -- what is raised ----------------------------------------------------------------------------------------

Call = Callable[[Person], object]


def lab(person: Person) -> object:
    return person.client.operation_ls(person.collections["lab"])


def submission(person: Person) -> object:
    return person.submit()


def refresh(person: Person) -> object:
    return person.auth.oauth2_refresh_token(person.refresh_token)


@pytest.mark.parametrize(
    ("switch", "arguments", "call", "raised"),
    [
        ("turn_clock", {"seconds": 172_800}, lab, (401, "ClientError.AuthenticationFailed")),
        ("turn_clock", {"seconds": 183 * 86_400}, refresh, (401, None)),
        ("fail", {"status": 500, "path": "*/ls"}, lab, (500, "ServiceUnavailable")),
        ("fail", {"status": 429, "body": {"code": "Slow", "message": "slow"}}, lab, (429, "Slow")),
        ("offline", {"collection": "lab"}, lab, (502, "ExternalError.DirListingFailed.ConnectFailed")),
        ("delete_collection", {"collection": "lab"}, lab, (404, "EndpointDeleted")),
        ("delete_collection", {"collection": "theta"}, submission, (404, "EndpointDeleted")),
        ("pause", {"collection": "lab", "username": ADA}, lab, (409, "OperationPaused")),
        ("revoke_consent", {"username": ADA}, lab, (401, "ClientError.AuthenticationFailed")),
        ("revoke_consent", {"username": ADA}, refresh, (401, None)),
        ("revoke_tokens", {"username": ADA, "kind": "access"}, submission, (401, "ClientError.AuthenticationFailed")),
        ("revoke_tokens", {"username": ADA, "kind": "refresh"}, refresh, (401, None)),
    ],
)  # fmt: skip
def test_a_refusal_comes_as_the_sdks_own_error(
    ada: Person, switch: str, arguments: dict[str, object], call: Call, raised: tuple[int, str | None]
) -> None:
    call(ada)
    ada.throw(switch, **arguments)
    with pytest.raises(globus_sdk.GlobusAPIError) as error:
        call(ada)
    assert (error.value.http_status, error.value.code) == raised
    assert raised[1] or error.value.raw_json == {"error": "invalid_grant"}


def test_an_ended_session_is_refused_where_one_is_demanded(ada: Person) -> None:
    ada.throw("end_session", username=ADA)
    with pytest.raises(globus_sdk.TransferAPIError) as error:
        ada.client.operation_ls(ada.collections["secure"])
    assert (error.value.http_status, error.value.code) == (403, "AuthPolicyFailed")
    assert error.value.info.authorization_parameters.session_required_single_domain == ["uni.example"]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reset_before", globus_sdk.GlobusConnectionError),
        ("reset_after", globus_sdk.GlobusConnectionError),
        ("truncate", globus_sdk.NetworkError),
    ],
)
def test_a_broken_connection_is_the_sdks_network_error(ada: Person, kind: str, error: type[Exception]) -> None:
    ada.throw("fail", kind=kind, path="/v0.10/submission_id")
    with pytest.raises(error):
        ada.client.get_submission_id()
    assert ada.client.get_submission_id()["value"]


def test_faults_that_wait_can_be_taken_back(ada: Person) -> None:
    ada.throw("fail", times=5)
    ada.throw("corrupt_file", path="/f")
    assert ada.globus.controls.overview()["faults_waiting"] == 2
    ada.throw("clear_faults")
    assert ada.status(ada.submit(verify_checksum=True)) == ("SUCCEEDED", None)


# -- what tasks do -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("switch", "arguments", "seen", "cure"),
    [
        ("fill_quota", {"collection": "theta"}, ("ACTIVE", "QUOTA_EXCEEDED"), ("set_quota", {"collection": "theta"})),
        ("offline", {"collection": "theta"}, ("ACTIVE", "CONNECT_FAILED"), ("online", {"collection": "theta"})),
        ("pause", {"collection": "theta"}, ("ACTIVE", "PAUSED_BY_ADMIN"), ("unpause", {})),
        ("fail_file", {"path": "/f", "code": "TIMEOUT"}, ("ACTIVE", "TIMEOUT"), ("settle", {})),
        ("corrupt_file", {"path": "/f"}, ("ACTIVE", "VERIFY_CHECKSUM"), ("settle", {})),
    ],
)  # fmt: skip
def test_a_task_under_a_switch_lives_on_until_the_cause_is_gone(
    ada: Person,
    globus_clock: TurnedClock,
    switch: str,
    arguments: dict[str, object],
    seen: tuple[str, str],
    cure: tuple[str, dict[str, object]],
) -> None:
    ada.throw(switch, **arguments)
    task = ada.submit(verify_checksum=True)
    assert ada.status(task) == seen
    ada.throw(cure[0], **cure[1])
    ada.throw("turn_clock", seconds=10)
    assert ada.status(task) == ("SUCCEEDED", None)


def test_credentials_that_expire_make_a_task_inactive(ada: Person) -> None:
    ada.throw("set_pace", kind="poll", polls=3)
    task = ada.submit()
    ada.throw("expire_credentials", task_id=task)
    assert ada.status(task) == ("INACTIVE", "AUTH")
    ada.throw("expire_credentials", task_id=task, expired=False)
    assert [ada.status(task)[0] for _ in range(3)][-1] == "SUCCEEDED"


def test_requests_are_counted_from_where_they_were_forgotten(ada: Person) -> None:
    ada.throw("forget_requests")
    ada.client.get_submission_id()
    seen = requests.get(f"{ada.globus.url}/_emulator/requests", timeout=10).json()["requests"]
    assert [(each["method"], each["path"], each["status"]) for each in seen] == [("GET", "/v0.10/submission_id", 200)]
    assert seen[0]["user"] == ada.globus.config.identities[0].id


# -- pause rules, as administrators make them --------------------------------------------------------------


def test_the_owner_of_a_collection_makes_changes_and_ends_pause_rules(ada: Person) -> None:
    client, theta = ada.client, ada.collections["theta"]
    rule = client.endpoint_manager_create_pause_rule(
        {"DATA_TYPE": "pause_rule", "message": "cleaning", "endpoint_id": theta, "pause_ls": False}
    )
    assert client.operation_ls(theta)["DATA"] == []
    task = ada.submit()
    assert client.get_task(task)["is_paused"] is True
    for found in (client.task_pause_info(task), client.endpoint_manager_task_pause_info(task)):
        assert [each["message"] for each in found["pause_rules"]] == ["cleaning"]
    client.endpoint_manager_update_pause_rule(rule["id"], {"message": "still cleaning", "pause_ls": True})
    assert client.endpoint_manager_get_pause_rule(rule["id"])["message"] == "still cleaning"
    with pytest.raises(globus_sdk.TransferAPIError, match="OperationPaused"):
        client.operation_ls(theta)
    assert [each["id"] for each in client.endpoint_manager_pause_rule_list(filter_endpoint=theta)] == [rule["id"]]
    assert [each["id"] for each in client.my_effective_pause_rule_list(theta)] == [rule["id"]]
    client.endpoint_manager_delete_pause_rule(rule["id"])
    assert ada.status(task) == ("SUCCEEDED", None)


def test_the_owner_reads_what_is_monitored_and_how_its_tasks_went(ada: Person) -> None:
    client, task = ada.client, ada.submit()
    assert {each["display_name"] for each in client.endpoint_manager_monitored_endpoints()} >= {"Lab Storage"}
    assert client.endpoint_manager_get_endpoint(ada.collections["lab"])["display_name"] == "Lab Storage"
    assert client.endpoint_manager_get_task(task)["owner_string"] == ADA
    assert [each["code"] for each in client.endpoint_manager_task_event_list(task)] == ["SUCCEEDED", "STARTED"]
    moved = client.endpoint_manager_task_successful_transfers(task)
    assert [each["destination_path"] for each in moved] == ["/g"]
    assert list(client.endpoint_manager_task_skipped_errors(task)) == []
