"""The emulator's answers have every key of Globus's recorded ones, with values of the same kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from globus_sdk.testing import get_response_set

from emulators.globus import Browser, Client, GlobusEmulator, Pace
from emulators.globus.config import OwnScope, default_config

CALLBACK = "http://127.0.0.1:4321/api/callback"
TRANSFER = "urn:globus:auth:scope:transfer.api.globus.org:all"
GROUPS = "urn:globus:auth:scope:groups.api.globus.org:view_my_groups_and_memberships"
SERVICE = "7a1d0f1c-0a52-4f39-94d1-3f2c8f7b9a01"


def recorded(name: str, case: str = "default") -> Any:
    """The body that Globus gave, as the SDK's authors recorded it."""
    return get_response_set(name).lookup(case).json


def kind_of(value: Any) -> str:
    """What a value is, coarsely: a whole number may be given where a number was recorded."""
    if isinstance(value, bool):
        return "bool"
    return {int: "number", float: "number", str: "text", list: "list", dict: "object", type(None): "null"}[type(value)]


def differences(theirs: Any, ours: Any, where: str = "") -> list[str]:
    """Where ours lacks a key of theirs or has another kind. A null on either side fits anything."""
    if theirs is None or ours is None:
        return []
    if kind_of(theirs) != kind_of(ours):
        return [f"{where}: {kind_of(theirs)} is recorded, {kind_of(ours)} given"]
    if isinstance(theirs, dict):
        missing = [f"{where}.{key}: missing" for key in theirs if key not in ours]
        return missing + [
            each for key in theirs if key in ours for each in differences(theirs[key], ours[key], f"{where}.{key}")
        ]
    if isinstance(theirs, list) and theirs and ours:
        return differences(theirs[0], ours[0], f"{where}[0]")
    return []


class World:
    """One signed-in user of a running emulator, speaking plain HTTP."""

    def __init__(self, globus: GlobusEmulator, browser: Browser) -> None:
        self.globus, self.app, self.browser = globus, globus.client("qstage"), browser
        self.tokens = self.login(f"openid profile email urn:globus:auth:scope:auth.globus.org:view_consents {TRANSFER}")

    def login(self, scope: str) -> dict[str, Any]:
        query = {
            "client_id": self.app.id,
            "redirect_uri": CALLBACK,
            "scope": scope,
            "state": "_default",
            "response_type": "code",
            "access_type": "offline",
        }
        url = requests.Request("GET", f"{self.globus.url}/v2/oauth2/authorize", params=query).prepare().url
        back = self.browser.sign_in(url or "", "ada@uni.example")
        code = parse_qs(urlsplit(back).query)["code"][0]
        return self.token(grant_type="authorization_code", code=code, redirect_uri=CALLBACK).json()

    def token(self, **form: str) -> requests.Response:
        credentials = (self.app.id, self.app.secret or "")
        return requests.post(f"{self.globus.url}/v2/oauth2/token", data=form, auth=credentials, timeout=10)

    def auth(self, method: str, path: str, **more: Any) -> Any:
        head = {"Authorization": f"Bearer {self.tokens['access_token']}"}
        return requests.request(method, self.globus.url + path, headers=head, timeout=10, **more).json()

    def transfer(self, method: str, path: str, **more: Any) -> Any:
        access = self.tokens["other_tokens"][0]["access_token"]
        head = {"Authorization": f"Bearer {access}"}
        return requests.request(method, f"{self.globus.url}/v0.10{path}", headers=head, timeout=10, **more).json()

    def submit(self, kind: str = "transfer", **fields: Any) -> Any:
        archive = self.globus.collections["archive"]
        (self.globus.directory("archive") / "a").write_text("a")
        body = {"DATA_TYPE": kind, "submission_id": self.transfer("GET", "/submission_id")["value"]}
        if kind == "transfer":
            body |= {"source_endpoint": archive, "destination_endpoint": archive}
            body |= {"DATA": [{"source_path": "/a", "destination_path": "/b"}]}
        else:
            body |= {"endpoint": archive, "DATA": [{"path": "/a"}]}
        return self.transfer("POST", f"/{kind}", json={**body, **fields})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    config = default_config()
    own = OwnScope(suffix="all", dependents=(GROUPS,))
    service = Client(name="service", id=SERVICE, scopes=(own,))
    config = dataclasses.replace(config, clients=(*config.clients, service))
    data: Path = tmp_path_factory.mktemp("shapes")
    with GlobusEmulator(data, config, pace=Pace.at_once()) as globus, Browser() as browser:
        yield World(globus, browser)


def test_tokens_for_a_code(world: World) -> None:
    assert differences(recorded("auth.oauth2_exchange_code_for_tokens", "openid"), world.tokens) == []
    plain = world.login(TRANSFER)
    assert differences(recorded("auth.oauth2_exchange_code_for_tokens"), plain) == []


def test_a_refused_grant(world: World) -> None:
    reply = world.token(grant_type="authorization_code", code="none", redirect_uri=CALLBACK)
    case = get_response_set("auth.oauth2_exchange_code_for_tokens").lookup("invalid_grant")
    assert (reply.status_code, reply.json()) == (case.status, case.json)


def test_client_credentials(world: World) -> None:
    plain = world.token(grant_type="client_credentials", scope=TRANSFER).json()
    assert differences(recorded("auth.oauth2_client_credentials_tokens"), plain) == []
    openid = world.token(grant_type="client_credentials", scope="openid").json()
    assert differences(recorded("auth.oauth2_client_credentials_tokens", "openid"), openid) == []


def test_dependent_tokens(world: World) -> None:
    service = world.globus.client("service")
    held = world.login(f"https://auth.globus.org/scopes/{SERVICE}/all")["access_token"]
    for case, access_type in (("groups", "online"), ("groups_with_refresh_token", "offline")):
        form = {
            "grant_type": "urn:globus:auth:grant_type:dependent_token",
            "token": held,
            "access_type": access_type,
        }
        credentials = (service.id, service.secret or "")
        ours = requests.post(f"{world.globus.url}/v2/oauth2/token", data=form, auth=credentials, timeout=10).json()
        assert differences(recorded("auth.oauth2_get_dependent_tokens", case), ours) == []
        assert ours[0]["scope"] == GROUPS
        assert ("refresh_token" in ours[0]) == (access_type == "offline")


def test_introspection_and_revocation(world: World) -> None:
    tokens = world.login("openid profile email")
    credentials = (world.app.id, world.app.secret or "")
    url, form = f"{world.globus.url}/v2/oauth2/token", {"token": tokens["access_token"]}
    ours = requests.post(f"{url}/introspect", data=form, auth=credentials, timeout=10).json()
    assert differences(recorded("auth.oauth2_token_introspect"), ours) == []
    gone = requests.post(f"{url}/revoke", data=form, auth=credentials, timeout=10).json()
    assert gone == recorded("auth.oauth2_revoke_token")
    assert requests.post(f"{url}/introspect", data=form, auth=credentials, timeout=10).json() == {"active": False}


@pytest.mark.parametrize(("case", "status"), [("unauthorized", 401), ("forbidden", 403)])
def test_userinfo_refusals(world: World, case: str, status: int) -> None:
    token = "none" if case == "unauthorized" else world.tokens["other_tokens"][0]["access_token"]
    head = {"Authorization": f"Bearer {token}"}
    reply = requests.get(f"{world.globus.url}/v2/oauth2/userinfo", headers=head, timeout=10)
    assert reply.status_code == status
    theirs = recorded("auth.userinfo", case)
    assert differences(theirs, reply.json()) == []
    assert reply.json()["errors"][0]["code"] == theirs["errors"][0]["code"]


@pytest.mark.parametrize("case", ["default", "empty", "multiple", "globusid", "sirosen"])
def test_identities(world: World, case: str) -> None:
    names = {"empty": "no@body.example", "multiple": "ada@uni.example,bob@google.com"}.get(case, "ada@uni.example")
    ours = world.auth("GET", "/v2/api/identities", params={"usernames": names, "provision": "false"})
    theirs = recorded("auth.get_identities", case)
    assert differences(theirs, ours) == []
    assert len(ours["identities"]) == len(theirs["identities"])


def test_consents(world: World) -> None:
    lab = world.globus.collections["lab"]
    world.login(f"{TRANSFER}[*https://auth.globus.org/scopes/{lab}/data_access]")
    sub = world.auth("GET", "/v2/oauth2/userinfo")["sub"]
    ours = world.auth("GET", f"/v2/api/identities/{sub}/consents", params={"all": "False"})["consents"]
    theirs = recorded("auth.get_consents")["consents"]
    assert {*ours[0]} == {*theirs[0]}
    dependent = next(each for each in ours if each["scope_name"].endswith("/data_access"))
    assert differences(theirs[1], dependent) == []
    assert dependent["client"] == theirs[1]["client"]
    assert dependent["atomically_revocable"] is True


def test_identity_providers(world: World) -> None:
    ours = world.auth("GET", "/v2/api/identity_providers", params={"domains": "google.com"})
    assert differences(recorded("auth.get_identity_providers", "globusid"), ours) == []


def test_submission_ids_and_submissions(world: World) -> None:
    assert differences(recorded("transfer.get_submission_id"), world.transfer("GET", "/submission_id")) == []
    ours = world.submit()
    theirs = recorded("transfer.submit_transfer")
    assert {*ours} == {*theirs}
    assert differences(theirs, ours) == []
    assert ours["message"] == theirs["message"]
    deleted = world.submit("delete")
    assert differences(recorded("transfer.submit_delete"), deleted) == []
    assert deleted["message"] == recorded("transfer.submit_delete")["message"]


def test_a_transfer_of_nothing(world: World) -> None:
    ours, theirs = world.submit(DATA=[]), recorded("transfer.submit_transfer", "failure")
    assert {*ours} == {*theirs}
    assert [ours[key] for key in ("code", "message", "resource")] == [
        theirs[key] for key in ("code", "message", "resource")
    ]


def test_task_lists(world: World) -> None:
    task_id = world.submit()["task_id"]
    ours, theirs = world.transfer("GET", "/task_list", params={"limit": "1000"}), recorded("transfer.task_list")
    assert {*ours} == {*theirs}
    assert {*ours["DATA"][0]} == {*theirs["DATA"][0]}
    done = next(each for each in ours["DATA"] if each["task_id"] == task_id)
    assert differences(theirs, {**ours, "DATA": [done]}) == []
    assert [done[key] for key in ("is_ok", "nice_status", "fatal_error")] == [None, None, None]
    assert done["subtasks_total"] == theirs["DATA"][0]["subtasks_total"]


def test_administrators_task_lists(world: World) -> None:
    task_id = world.submit()["task_id"]
    ours = world.transfer("GET", "/endpoint_manager/task_list", params={"filter_task_id": task_id})
    theirs = recorded("transfer.endpoint_manager_task_list")
    assert {*ours} == {*theirs}
    assert differences(theirs, ours) == []
    moved = world.transfer("GET", f"/endpoint_manager/task/{task_id}/successful_transfers")
    assert differences(recorded("transfer.endpoint_manager_task_successful_transfers"), moved) == []


def test_cancelling(world: World) -> None:
    (world.globus.directory("archive") / "gone").unlink(missing_ok=True)
    item = {"source_path": "/gone", "destination_path": "/b"}
    task_id = world.submit(DATA=[item])["task_id"]
    ours, theirs = world.transfer("POST", f"/task/{task_id}/cancel"), recorded("transfer.cancel_task")
    assert {*ours} == {*theirs}
    assert (ours["code"], ours["message"]) == (theirs["code"], theirs["message"])


def test_operations(world: World) -> None:
    path = f"/operation/endpoint/{world.globus.collections['archive']}"
    made = world.transfer("POST", f"{path}/mkdir", json={"DATA_TYPE": "mkdir", "path": "/m"})
    renamed = world.transfer("POST", f"{path}/rename", json={"DATA_TYPE": "rename", "old_path": "/m", "new_path": "/n"})
    for ours, name in ((made, "transfer.operation_mkdir"), (renamed, "transfer.operation_rename")):
        theirs = recorded(name)
        assert {*ours} == {*theirs}
        assert [ours[key] for key in ("code", "message")] == [theirs[key] for key in ("code", "message")]


def test_stat(world: World) -> None:
    path = f"/operation/endpoint/{world.globus.collections['archive']}/stat"
    (world.globus.directory("archive") / "file1.txt").write_text("four")
    ours, theirs = world.transfer("GET", path, params={"path": "/file1.txt"}), recorded("transfer.operation_stat")
    assert {*ours} == {*theirs}
    assert [ours[key] for key in ("name", "size", "type", "link_target")] == ["file1.txt", 4, "file", None]
    assert differences(theirs, ours) == []
    missing = world.transfer("GET", path, params={"path": "/foo"})
    assert differences(recorded("transfer.operation_stat", "not_found"), missing) == []
    assert missing["code"] == recorded("transfer.operation_stat", "not_found")["code"]
    denied = world.transfer("GET", path, params={"path": "/../foo"})
    assert denied["code"] == recorded("transfer.operation_stat", "permission_denied")["code"]


def test_endpoint_documents(world: World) -> None:
    ours = world.transfer("GET", f"/endpoint/{world.globus.collections['lab']}")
    assert differences(recorded("transfer.get_endpoint"), ours) == []


def test_discovery_has_the_keys_of_the_real_one(world: World) -> None:
    ours = requests.get(f"{world.globus.url}/.well-known/openid-configuration", timeout=10).json()
    real = {
        "issuer",
        "authorization_endpoint",
        "userinfo_endpoint",
        "token_endpoint",
        "revocation_endpoint",
        "jwks_uri",
        "response_types_supported",
        "id_token_signing_alg_values_supported",
        "scopes_supported",
        "token_endpoint_auth_methods_supported",
        "claims_supported",
        "subject_types_supported",
    }
    assert {*ours} == real
    key = requests.get(ours["jwks_uri"], timeout=10).json()["keys"][0]
    assert {*key} == {"alg", "e", "kty", "n", "use"}
