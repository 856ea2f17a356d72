"""Every switch of the Globus emulator, and what the unmodified SDK makes of it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import globus_sdk
import pytest
import requests
from globus_sdk.gare import to_gare
from globus_sdk.scopes import AuthScopes, GCSCollectionScopes, TransferScopes

from emulators.clock import TurnedClock
from emulators.globus import Browser, Client, Collection, GlobusEmulator, Pace, Permission
from emulators.globus.config import OwnScope, default_config

CALLBACK = "http://127.0.0.1:4321/api/callback"


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock(1_800_000_000.0)


@pytest.fixture
def globus(tmp_path: Path, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[GlobusEmulator]:
    config = default_config()
    more = (
        Collection(name="laptop", kind="personal", public=False),
        Collection(
            name="strict",
            kind="guest",
            permissions=(
                Permission(access="r"),
                Permission(path="/open", access="rw"),
                Permission(path="/no", access="none"),
            ),
        ),
        Collection(name="far", high_assurance=True, session_timeout_minutes=10, session_error=502),
    )
    own = OwnScope(suffix="all", dependents=(f"*{TransferScopes.all}",))
    service = Client(name="service", scopes=(own,))
    config = dataclasses.replace(config, collections=(*config.collections, *more), clients=(*config.clients, service))
    with GlobusEmulator(tmp_path / "data", config, clock=clock, pace=Pace.at_once(), control=True) as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        yield emulator


@pytest.fixture
def app(globus: GlobusEmulator) -> Iterator[globus_sdk.ConfidentialAppAuthClient]:
    client = globus.client("qstage")
    with globus_sdk.ConfidentialAppAuthClient(client.id, client.secret) as sdk:
        sdk.retry_config.max_retries = 0
        yield sdk


@pytest.fixture
def browser() -> Iterator[Browser]:
    with Browser() as one:
        yield one


Login = Callable[..., globus_sdk.TransferClient]


@pytest.fixture
def login(globus: GlobusEmulator, app: globus_sdk.ConfidentialAppAuthClient, browser: Browser) -> Iterator[Login]:
    """Sign a person in and hand out their Transfer client."""
    clients = []

    def one(username: str = "ada@uni.example", **parameters: object) -> globus_sdk.TransferClient:
        needed = [GCSCollectionScopes(globus.collections[name]).data_access for name in ("lab", "theta")]
        scopes = [AuthScopes.openid, TransferScopes.all.with_dependencies(needed)]
        app.oauth2_start_flow(CALLBACK, scopes, refresh_tokens=True)
        back = browser.sign_in(app.oauth2_get_authorize_url(**parameters), username)
        tokens = app.oauth2_exchange_code_for_tokens(parse_qs(urlsplit(back).query)["code"][0])
        access = tokens.by_resource_server["transfer.api.globus.org"]["access_token"]
        client = globus_sdk.TransferClient(authorizer=globus_sdk.AccessTokenAuthorizer(access))
        client.retry_config.max_retries = 0
        clients.append(client)
        return client

    yield one
    for client in clients:
        client.close()


def submit(
    globus: GlobusEmulator,
    client: globus_sdk.TransferClient,
    route: tuple[str, str] = ("lab", "theta"),
    **options: object,
) -> str:
    """Submit one small file that is there; the task's id."""
    (globus.directory(route[0]) / "f").write_text("data")
    data = globus_sdk.TransferData(globus.collections[route[0]], globus.collections[route[1]], **options)
    data.add_item("/f", "/g")
    return client.submit_transfer(data)["task_id"]


# -- calls -------------------------------------------------------------------------------------------------


def test_an_answer_on_order_is_what_the_sdk_raises_once(globus: GlobusEmulator, login: Login) -> None:
    client = login()
    body = {"code": "ServiceUnavailable", "message": "maintenance", "request_id": "abc"}
    globus.controls.fail(path="/v0.10/task_list", status=503, body=body, headers={"Retry-After": "7"})
    with pytest.raises(globus_sdk.TransferAPIError) as raised:
        client.task_list()
    error = raised.value
    assert (error.http_status, error.code, error.request_id) == (503, "ServiceUnavailable", "abc")
    assert error.headers["Retry-After"] == "7"
    assert client.task_list()["total"] == 0


def test_a_reset_before_has_no_effect_and_a_reset_after_has(globus: GlobusEmulator, login: Login) -> None:
    client = login()
    made = []
    for kind in ("reset_before", "reset_after"):
        globus.controls.fail(kind, path="*/mkdir", method="POST")
        with pytest.raises(globus_sdk.NetworkError):
            client.operation_mkdir(globus.collections["archive"], f"/{kind}")
        made.append((globus.directory("archive") / kind).is_dir())
    assert made == [False, True]


def test_a_submission_lost_after_the_effect_is_a_duplicate_when_repeated(globus: GlobusEmulator, login: Login) -> None:
    client = login()
    data = globus_sdk.TransferData(globus.collections["lab"], globus.collections["theta"])
    data.add_item("/f", "/g")
    data["submission_id"] = client.get_submission_id()["value"]
    globus.controls.fail("reset_after", path="/v0.10/transfer")
    with pytest.raises(globus_sdk.NetworkError):
        client.submit_transfer(data)
    again = client.submit_transfer(data)
    assert again["code"] == "Duplicate"
    assert [task["task_id"] for task in client.task_list()] == [again["task_id"]]


def test_a_slow_answer_is_a_timeout(globus: GlobusEmulator, login: Login) -> None:
    client = login()
    client.transport.http_timeout = 0.2
    globus.controls.fail("slow", path="/v0.10/submission_id", seconds=1.0)
    with pytest.raises(globus_sdk.GlobusTimeoutError):
        client.get_submission_id()


def test_a_truncated_body_is_a_network_error(globus: GlobusEmulator, login: Login) -> None:
    client = login()
    globus.controls.fail("truncate", path="/v0.10/submission_id")
    with pytest.raises(globus_sdk.NetworkError):
        client.get_submission_id()["value"]


def test_a_page_instead_of_json_leaves_no_code(globus: GlobusEmulator, login: Login) -> None:
    client = login()
    globus.controls.fail(path="/v0.10/submission_id", status=502, body="<html>bad gateway</html>")
    with pytest.raises(globus_sdk.TransferAPIError) as raised:
        client.get_submission_id()
    assert (raised.value.http_status, raised.value.code) == (502, None)


def test_calls_can_be_let_through_before_the_fault(globus: GlobusEmulator, login: Login) -> None:
    client = login()
    globus.controls.fail(path="/v0.10/submission_id", skip=2, times=1)
    assert client.get_submission_id()["value"]
    assert client.get_submission_id()["value"]
    with pytest.raises(globus_sdk.TransferAPIError):
        client.get_submission_id()


def test_every_request_is_remembered_without_tokens_or_codes(globus: GlobusEmulator, login: Login) -> None:
    client = login()
    client.task_list(limit=5)
    seen = globus.controls.requests()
    assert [each.path for each in seen].count("/v2/oauth2/token") == 1
    assert seen[-1].query["limit"] == ["5"]
    assert all(not each.query for each in seen if each.path.startswith("/v2/"))
    globus.controls.forget_requests()
    assert globus.controls.requests() == []


def test_the_control_api_throws_the_same_switches(globus: GlobusEmulator, clock: TurnedClock) -> None:
    before = clock.now()
    reply = requests.post(f"{globus.url}/_emulator/turn_clock", json={"seconds": 60}, timeout=10)
    assert reply.json() == {"result": None}
    assert clock.now() == before + 60
    assert "turn_clock" in requests.get(f"{globus.url}/_emulator", timeout=10).json()["switches"]
    assert requests.post(f"{globus.url}/_emulator/offline", json={"place": "x"}, timeout=10).status_code == 400
    assert requests.post(f"{globus.url}/_emulator/nothing", json={}, timeout=10).status_code == 404
    assert requests.post(f"{globus.url}/_emulator/settle", data={"a": "b"}, timeout=10).status_code == 400


def test_the_control_api_is_off_unless_asked_for(tmp_path: Path) -> None:
    with GlobusEmulator(tmp_path) as plain:
        assert requests.get(f"{plain.url}/_emulator", timeout=10).status_code == 501


def test_what_is_not_covered_says_so(globus: GlobusEmulator, login: Login) -> None:
    client = login()
    with pytest.raises(globus_sdk.TransferAPIError) as raised:
        client.endpoint_role_list(globus.collections["lab"])
    assert (raised.value.http_status, raised.value.code) == (501, "NotImplemented")
    assert "does not cover GET" in raised.value.message


# -- logins and consents -----------------------------------------------------------------------------------


def test_a_lapsed_session_is_told_with_what_to_do_and_a_new_login_cures_it(
    globus: GlobusEmulator, login: Login, clock: TurnedClock
) -> None:
    client, secure = login(), globus.collections["secure"]
    assert client.operation_ls(secure)["DATA"] == []
    clock.turn(31 * 60)
    for call in (lambda: client.operation_ls(secure), lambda: submit(globus, client, ("secure", "theta"))):
        with pytest.raises(globus_sdk.TransferAPIError) as raised:
            call()
        assert raised.value.http_status == 403
        gare = to_gare(raised.value)
        assert gare is not None
        assert gare.authorization_parameters.session_required_single_domain == ["uni.example"]
        assert gare.authorization_parameters.prompt == "login"
    login(prompt="login", session_required_single_domain="uni.example")
    assert [each["name"] for each in client.operation_ls(secure)] == ["f"]


def test_a_site_whose_own_login_tells_of_the_session_answers_502(
    globus: GlobusEmulator, login: Login, clock: TurnedClock
) -> None:
    client = login()
    clock.turn(601)
    with pytest.raises(globus_sdk.TransferAPIError) as raised:
        client.operation_ls(globus.collections["far"])
    assert raised.value.http_status == 502
    assert raised.value.code == "ExternalError.DirListingFailed.LoginFailed"
    assert to_gare(raised.value).authorization_parameters.session_required_identities


def test_ending_a_session_leaves_the_tokens_alive(globus: GlobusEmulator, login: Login) -> None:
    client = login()
    globus.controls.end_session("ada@uni.example")
    assert client.get_submission_id()["value"]
    with pytest.raises(globus_sdk.TransferAPIError):
        client.operation_ls(globus.collections["secure"])


def test_a_revoked_data_access_consent_stops_submissions_but_not_the_token(
    globus: GlobusEmulator, login: Login
) -> None:
    client, lab = login(), globus.collections["lab"]
    scope = GCSCollectionScopes(lab).data_access.scope_string
    assert globus.controls.revoke_consent("ada@uni.example", scope=scope) == 1
    with pytest.raises(globus_sdk.TransferAPIError) as raised:
        submit(globus, client)
    assert raised.value.info.consent_required.required_scopes == [f"{TransferScopes.all}[*{scope}]"]
    assert client.get_submission_id()["value"]


def test_revoked_tokens_are_refused(globus: GlobusEmulator, login: Login) -> None:
    client = login()
    assert globus.controls.revoke_tokens("ada@uni.example", "access") >= 2
    with pytest.raises(globus_sdk.TransferAPIError) as raised:
        client.get_submission_id()
    assert (raised.value.http_status, raised.value.code) == (401, "ClientError.AuthenticationFailed")


def test_a_dependent_scope_the_user_denied_is_told_to_the_resource_server(
    globus: GlobusEmulator, browser: Browser
) -> None:
    own, app = globus.client("service"), globus.client("qstage")
    scope = f"https://auth.globus.org/scopes/{own.id}/all"
    with (
        globus_sdk.ConfidentialAppAuthClient(app.id, app.secret) as auth,
        globus_sdk.ConfidentialAppAuthClient(own.id, own.secret) as service,
    ):
        auth.oauth2_start_flow(CALLBACK, [scope])
        back = browser.sign_in(auth.oauth2_get_authorize_url(), "ada@uni.example", deny=(str(TransferScopes.all),))
        held = auth.oauth2_exchange_code_for_tokens(parse_qs(urlsplit(back).query)["code"][0])["access_token"]
        with pytest.raises(globus_sdk.AuthAPIError) as raised:
            service.oauth2_get_dependent_tokens(held)
        gare = to_gare(raised.value)
        assert gare is not None
        assert gare.code == "ConsentRequired"
        assert gare.authorization_parameters.required_scopes == [str(TransferScopes.all)]
        browser.sign_in(auth.oauth2_get_authorize_url(), "ada@uni.example")
        tokens = service.oauth2_get_dependent_tokens(held).by_resource_server
        assert tokens["transfer.api.globus.org"]["access_token"]


def test_a_private_collection_is_found_by_its_owner_only(
    globus: GlobusEmulator, login: Login, browser: Browser
) -> None:
    def found(client: globus_sdk.TransferClient) -> list[str]:
        return [each["display_name"] for each in client.endpoint_search("laptop")]

    assert found(login()) == ["laptop"]
    browser.session.cookies.clear()
    assert found(login("bob@google.com")) == []


def test_a_user_does_not_see_the_tasks_of_another(globus: GlobusEmulator, login: Login, browser: Browser) -> None:
    task_id = submit(globus, login())
    browser.session.cookies.clear()
    bob = login("bob@google.com")
    with pytest.raises(globus_sdk.TransferAPIError) as raised:
        bob.get_task(task_id)
    assert (raised.value.http_status, raised.value.code) == (404, "ClientError.NotFound")
    assert bob.task_list()["total"] == 0


# -- tasks -------------------------------------------------------------------------------------------------


def test_a_paused_task_stays_active_and_goes_on_when_the_rule_is_lifted(globus: GlobusEmulator, login: Login) -> None:
    client = login()
    rule = globus.controls.pause("theta", "disks are being replaced")
    task_id = submit(globus, client)
    task = client.get_task(task_id)
    assert [task["status"], task["is_paused"], task["is_ok"]] == ["ACTIVE", True, False]
    info = client.task_pause_info(task_id)
    assert [(each["id"], each["message"]) for each in info["pause_rules"]] == [(rule, "disks are being replaced")]
    with pytest.raises(globus_sdk.TransferAPIError) as raised:
        client.operation_ls(globus.collections["theta"])
    assert raised.value.code == "OperationPaused"
    globus.controls.unpause(rule)
    assert client.get_task(task_id)["status"] == "SUCCEEDED"


def test_expired_credentials_make_a_task_inactive_and_new_ones_let_it_go_on(
    globus: GlobusEmulator, login: Login
) -> None:
    client = login()
    globus.controls.offline("theta")
    task_id = submit(globus, client)
    globus.controls.expire_credentials(task_id)
    globus.controls.online("theta")
    assert client.get_task(task_id)["status"] == "INACTIVE"
    assert client.task_wait(task_id, timeout=1, polling_interval=1) is True  # the SDK's own reading of INACTIVE
    globus.controls.expire_credentials(task_id, expired=False)
    assert client.get_task(task_id)["status"] == "SUCCEEDED"


def test_a_task_becomes_inactive_when_the_session_it_needs_runs_out(
    globus: GlobusEmulator, login: Login, clock: TurnedClock
) -> None:
    client = login()
    globus.controls.offline("theta")
    task_id = submit(globus, client, ("secure", "theta"))
    clock.turn(31 * 60)
    globus.controls.online("theta")
    assert client.get_task(task_id)["status"] == "INACTIVE"
    login(prompt="login", session_required_single_domain="uni.example")
    assert client.get_task(task_id)["status"] == "SUCCEEDED"


@pytest.mark.parametrize(("place", "code"), [("theta", "CONNECT_FAILED"), ("laptop", "GC_NOT_CONNECTED")])
def test_an_offline_collection_holds_tasks_up_until_it_is_back(
    globus: GlobusEmulator, login: Login, place: str, code: str
) -> None:
    client = login()
    globus.controls.offline(place)
    task_id = submit(globus, client, ("lab", place))
    assert client.get_task(task_id)["nice_status"] == code
    with pytest.raises(globus_sdk.TransferAPIError) as raised:
        client.operation_ls(globus.collections[place])
    assert raised.value.http_status == 502
    globus.controls.online(place)
    assert client.get_task(task_id)["status"] == "SUCCEEDED"


def test_a_deleted_collection_is_gone_for_good(globus: GlobusEmulator, login: Login) -> None:
    client = login()
    gone = globus.collections["archive"]
    globus.controls.delete_collection("archive")
    with pytest.raises(globus_sdk.TransferAPIError) as raised:
        client.get_endpoint(gone)
    assert raised.value.code == "EndpointDeleted"


def test_a_full_quota_is_a_fault_that_room_cures(globus: GlobusEmulator, login: Login, clock: TurnedClock) -> None:
    client = login()
    globus.controls.fill_quota("theta")
    task_id = submit(globus, client)
    assert client.get_task(task_id)["nice_status"] == "QUOTA_EXCEEDED"
    globus.controls.set_quota("theta", None)
    clock.turn(10)
    assert client.get_task(task_id)["status"] == "SUCCEEDED"


def test_fail_on_quota_errors_ends_the_task(globus: GlobusEmulator, login: Login) -> None:
    client = login()
    globus.controls.fill_quota("theta")
    task = client.get_task(submit(globus, client, fail_on_quota_errors=True))
    assert [task["status"], task["fatal_error"]["code"]] == ["FAILED", "QUOTA_EXCEEDED"]


def test_a_file_corrupted_in_flight_is_sent_again_until_it_is_right(
    globus: GlobusEmulator, login: Login, clock: TurnedClock
) -> None:
    client = login()
    globus.controls.corrupt_file("/f")
    task_id = submit(globus, client, verify_checksum=True)
    assert client.get_task(task_id)["nice_status"] == "VERIFY_CHECKSUM"
    assert not (globus.directory("theta") / "g").exists()
    clock.turn(10)
    task = client.get_task(task_id)
    assert [task["status"], task["faults"]] == ["SUCCEEDED", 1]
    assert (globus.directory("theta") / "g").read_text() == "data"


def test_without_verification_the_corrupt_file_is_what_arrives(globus: GlobusEmulator, login: Login) -> None:
    client = login()
    globus.controls.corrupt_file("/f")
    assert client.get_task(submit(globus, client))["status"] == "SUCCEEDED"
    assert (globus.directory("theta") / "g").read_bytes() != b"data"


def test_a_wrong_external_checksum_ends_the_task(globus: GlobusEmulator, login: Login) -> None:
    client = login()
    (globus.directory("lab") / "f").write_text("data")
    data = globus_sdk.TransferData(globus.collections["lab"], globus.collections["theta"])
    data.add_item("/f", "/g", external_checksum="0" * 32, checksum_algorithm="MD5")
    task = client.get_task(client.submit_transfer(data)["task_id"])
    assert [task["status"], task["fatal_error"]["code"]] == ["FAILED", "VERIFY_CHECKSUM"]
    assert not (globus.directory("theta") / "g").exists()


def test_permissions_of_a_guest_collection_hold_for_calls_and_tasks(globus: GlobusEmulator, login: Login) -> None:
    client, strict = login(), globus.collections["strict"]
    for name in ("open", "no"):
        (globus.directory("strict") / name).mkdir()
    assert len(client.operation_ls(strict)["DATA"]) == 2
    with pytest.raises(globus_sdk.TransferAPIError) as raised:
        client.operation_ls(strict, path="/no")
    assert (raised.value.http_status, raised.value.code) == (403, "EndpointPermissionDenied")
    with pytest.raises(globus_sdk.TransferAPIError):
        client.operation_mkdir(strict, "/new")
    assert client.operation_mkdir(strict, "/open/new")["code"] == "DirectoryCreated"
    assert client.get_task(submit(globus, client, ("lab", "strict")))["nice_status"] == "PERMISSION_DENIED"


def test_a_fault_ordered_for_one_file_leaves_its_neighbours_alone(
    globus: GlobusEmulator, login: Login, clock: TurnedClock
) -> None:
    client = login()
    for name in "abc":
        (globus.directory("lab") / name).write_text(name)
    globus.controls.fail_file("/b", "CONNECTION_RESET")
    data = globus_sdk.TransferData(globus.collections["lab"], globus.collections["theta"])
    for name in "abc":
        data.add_item(f"/{name}", f"/{name}")
    task_id = client.submit_transfer(data)["task_id"]
    task = client.get_task(task_id)
    assert [task["nice_status"], task["files_transferred"], task["subtasks_retrying"]] == ["CONNECTION_RESET", 2, 1]
    clock.turn(10)
    assert client.get_task(task_id)["status"] == "SUCCEEDED"


def test_the_owner_of_a_collection_lists_pauses_and_cancels_tasks_on_it(globus: GlobusEmulator, login: Login) -> None:
    client = login()
    globus.controls.offline("theta")
    task_id = submit(globus, client)
    listed = list(client.endpoint_manager_task_list(filter_endpoint=globus.collections["theta"]))
    assert [each["task_id"] for each in listed] == [task_id]
    client.endpoint_manager_pause_tasks([task_id], "looking into it")
    assert client.get_task(task_id)["is_paused"] is True
    client.endpoint_manager_resume_tasks([task_id])
    assert client.get_task(task_id)["is_paused"] is False
    cancel = client.endpoint_manager_cancel_tasks([task_id], "no room")
    assert client.endpoint_manager_cancel_status(cancel["id"])["done"] is True
    task = client.get_task(task_id)
    assert [task["status"], task["canceled_by_admin"], task["canceled_by_admin_message"]] == [
        "FAILED",
        "BOTH",
        "no room",
    ]


def test_a_stopped_emulator_leaves_no_partial_file_behind(tmp_path: Path, clock: TurnedClock) -> None:
    with GlobusEmulator(tmp_path, clock=clock, pace=Pace.by_clock(scale=1e-5)) as globus:
        account = globus.client("cli")
        (globus.directory("archive") / "big").write_bytes(b"x" * 3_000_000)
        scope = str(TransferScopes.all)
        form = {"grant_type": "client_credentials", "scope": scope}
        token = requests.post(
            f"{globus.url}/v2/oauth2/token", data=form, auth=(account.id, account.secret or ""), timeout=10
        ).json()["access_token"]
        head = {"Authorization": f"Bearer {token}"}
        archive = globus.collections["archive"]
        body = {
            "submission_id": "00000000-0000-0000-0000-000000000001",
            "source_endpoint": archive,
            "destination_endpoint": archive,
            "DATA": [{"source_path": "/big", "destination_path": "/copy"}],
        }
        assert requests.post(f"{globus.url}/v0.10/transfer", json=body, headers=head, timeout=10).status_code == 202
        clock.turn(20_001)  # past the overhead: the first bytes move, and then it waits for the next
        give_up = time.monotonic() + 10
        while len(list(globus.directory("archive").iterdir())) < 2:
            assert time.monotonic() < give_up, "the copy never began"
        assert not (globus.directory("archive") / "copy").exists()
        listing = requests.get(f"{globus.url}/v0.10/operation/endpoint/{archive}/ls", headers=head, timeout=10)
        assert [each["name"] for each in listing.json()["DATA"]] == ["big"]
    assert [path.name for path in (tmp_path / "archive").iterdir()] == ["big"]
