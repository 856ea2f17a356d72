"""Every answer that the SDK's authors recorded for Auth and Transfer: the emulator gives its like, or says 501.

``ANSWERS`` makes the emulator give its own; ``REFUSED`` are the calls that it does not cover. A release of the SDK with
one more set fails here until somebody decides where it belongs.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
import requests
from globus_sdk.testing import get_response_set
from globus_sdk.testing.data import auth, transfer
from recorded_answers import CALLBACK, GROUPS, MANAGE_PROJECTS, SERVICE, TRANSFER, World, differences, world_in

Answer = Callable[[World, str], requests.Response]

ADMINISTRATION = {
    f"auth.{verb}_{thing}"
    for verb, things in {
        "create": ("child_client", "client", "client_credential", "policy", "project", "scope"),
        "delete": ("client", "client_credential", "policy", "project", "scope"),
        "get": ("client", "client_credentials", "clients", "policies", "project", "projects", "scope", "scopes"),
        "update": ("client", "policy", "project", "scope"),
    }.items()
    for thing in things
}
NEWER = {
    f"transfer.v2.{name}"
    for name in (
        *(f"{verb}_{thing}" for verb in ("create", "delete", "get", "update") for thing in ("bookmark", "tunnel")),
        *("get_stream_access_point", "get_tunnel_events"),
        *("list_bookmarks", "list_stream_access_points", "list_tunnels"),
    )
}
REFUSED = {
    *ADMINISTRATION,
    *NEWER,
    "transfer.create_tunnel",
    "transfer.delete_tunnel",
    "transfer.get_stream_access_point",
    "transfer.get_tunnel",
    "transfer.get_tunnel_events",
    "transfer.list_tunnels",
    "transfer.set_subscription_admin_verified",
    "transfer.set_subscription_id",
    "transfer.update_endpoint",
    "transfer.update_tunnel",
}


def sets(package: ModuleType, prefix: str) -> Iterator[str]:
    """The names of all that is recorded below a package."""
    for each in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        name = each.name.rpartition(".")[2]
        if each.ispkg:
            yield from sets(importlib.import_module(each.name), f"{prefix}.{name}")
        elif not name.startswith("_"):
            yield f"{prefix}.{name}"


def cases(names: set[str]) -> list[tuple[str, str]]:
    return [(name, case) for name in sorted(names) for case in get_response_set(name).cases()]


# -- what the emulator covers ------------------------------------------------------------------------------


def exchanged(world: World, case: str) -> requests.Response:
    code = {"invalid_grant": "none"}.get(case) or world.code("openid profile email" if case == "openid" else TRANSFER)
    return world.token(grant_type="authorization_code", code=code, redirect_uri=CALLBACK)


def credentials(world: World, case: str) -> requests.Response:
    return world.token(grant_type="client_credentials", scope="openid" if case == "openid" else TRANSFER)


def dependents(world: World, case: str) -> requests.Response:
    form = {
        "grant_type": "urn:globus:auth:grant_type:dependent_token",
        "token": world.login(f"https://auth.globus.org/scopes/{SERVICE}/all")["access_token"],
        "scope": GROUPS,
        "access_type": "offline" if case == "groups_with_refresh_token" else "online",
    }
    return world.as_client("service", "token", **form)


def introspected(world: World, case: str) -> requests.Response:
    return world.as_client("qstage", "token/introspect", token=world.tokens["access_token"])


def revoked(world: World, case: str) -> requests.Response:
    return world.as_client("qstage", "token/revoke", token=world.login(TRANSFER)["access_token"])


def who(world: World, case: str) -> requests.Response:
    held = {"unauthorized": "none", "forbidden": world.tokens["other_tokens"][0]["access_token"]}[case]
    return world.ask("GET", "/v2/oauth2/userinfo", token=held)


def identities(world: World, case: str) -> requests.Response:
    names = {"empty": "no@body.example", "multiple": "ada@uni.example,bob@google.com"}.get(case, "ada@uni.example")
    token = "none" if case == "unauthorized" else None
    return world.ask("GET", "/v2/api/identities", token=token, params={"usernames": names, "provision": "false"})


def consents(world: World, case: str) -> requests.Response:
    lab = world.globus.collections["lab"]
    world.login(f"{TRANSFER}[*https://auth.globus.org/scopes/{lab}/data_access]")
    sub = world.ask("GET", "/v2/oauth2/userinfo").json()["sub"]
    return world.ask("GET", f"/v2/api/identities/{sub}/consents", params={"all": "False"})


def providers(world: World, case: str) -> requests.Response:
    domains = {"default": "globusid.org,globus.org", "globusid": "globusid.org", "globus_staff": "globus.org"}[case]
    return world.ask("GET", "/v2/api/identity_providers", params={"domains": domains})


def policy(world: World, case: str) -> requests.Response:
    token = world.token(grant_type="client_credentials", scope=MANAGE_PROJECTS).json()["access_token"]
    policy_id = world.globus.config.policies[0].id
    return world.ask("GET", f"/v2/api/policies/{policy_id}", token=token)


def registered(world: World, case: str) -> requests.Response:
    asked = get_response_set("auth.create_native_app_instance").lookup(case).metadata["args"]
    document = {"client": {"template_id": str(asked["template_id"]), "name": asked["name"]}}
    return requests.post(f"{world.globus.url}/v2/api/clients", json=document, timeout=10)


def operation(verb: str, **document: str) -> Answer:
    def answer(world: World, case: str) -> requests.Response:
        (world.globus.directory("archive") / "old").mkdir(exist_ok=True)
        archive = world.globus.collections["archive"]
        return world.ask("POST", f"/v0.10/operation/endpoint/{archive}/{verb}", json=document)

    return answer


def looked_at(world: World, case: str) -> requests.Response:
    (world.globus.directory("archive") / "file1.txt").write_text("four")
    path = {"default": "/file1.txt", "not_found": "/foo", "permission_denied": "/../foo"}[case]
    archive = world.globus.collections["archive"]
    return world.ask("GET", f"/v0.10/operation/endpoint/{archive}/stat", params={"path": path})


def submitted(world: World, case: str) -> requests.Response:
    return world.post("transfer", **({"DATA": []} if case == "failure" else {}))


def cancelled(world: World, case: str) -> requests.Response:
    item = {"source_path": "/never/there", "destination_path": "/b"}
    task = world.post("transfer", DATA=[item]).json()["task_id"]
    return world.ask("POST", f"/v0.10/task/{task}/cancel")


def listed(world: World, case: str) -> requests.Response:
    world.post("transfer")
    return world.ask("GET", "/v0.10/task_list", params={"limit": "1000"})


def administered(world: World, case: str) -> requests.Response:
    task = world.post("transfer").json()["task_id"]
    return world.ask("GET", "/v0.10/endpoint_manager/task_list", params={"filter_task_id": task})


def arrived(world: World, case: str) -> requests.Response:
    task = world.post("transfer").json()["task_id"]
    return world.ask("GET", f"/v0.10/endpoint_manager/task/{task}/successful_transfers")


ANSWERS: dict[str, Answer] = {
    "auth.create_native_app_instance": registered,
    "auth.get_consents": consents,
    "auth.get_identities": identities,
    "auth.get_identity_providers": providers,
    "auth.get_policy": policy,
    "auth.oauth2_client_credentials_tokens": credentials,
    "auth.oauth2_exchange_code_for_tokens": exchanged,
    "auth.oauth2_get_dependent_tokens": dependents,
    "auth.oauth2_revoke_token": revoked,
    "auth.oauth2_token_introspect": introspected,
    "auth.userinfo": who,
    "transfer.cancel_task": cancelled,
    "transfer.endpoint_manager_task_list": administered,
    "transfer.endpoint_manager_task_successful_transfers": arrived,
    "transfer.get_endpoint": lambda world, case: world.ask("GET", f"/v0.10/endpoint/{world.globus.collections['lab']}"),
    "transfer.get_submission_id": lambda world, case: world.ask("GET", "/v0.10/submission_id"),
    "transfer.operation_mkdir": operation("mkdir", DATA_TYPE="mkdir", path="/made"),
    "transfer.operation_rename": operation("rename", DATA_TYPE="rename", old_path="/old", new_path="/new"),
    "transfer.operation_stat": looked_at,
    "transfer.submit_delete": lambda world, case: world.post("delete"),
    "transfer.submit_transfer": submitted,
    "transfer.task_list": listed,
}


def hollow(document: object) -> list[str]:
    """The lists in an answer that are empty: nothing in them could differ from what was recorded."""
    if not isinstance(document, dict):
        return [] if document else ["itself"]
    return [name for name in ("DATA", "consents", "identities", "identity_providers") if document.get(name) == []]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("sets")) as one:
        yield one


def test_every_set_is_answered_or_refused() -> None:
    assert {*sets(auth, "auth"), *sets(transfer, "transfer")} == {*ANSWERS} | REFUSED
    assert not {*ANSWERS} & REFUSED


@pytest.mark.parametrize(("name", "case"), cases({*ANSWERS}))
def test_the_emulator_answers_as_it_was_recorded(world: World, name: str, case: str) -> None:
    theirs = get_response_set(name).lookup(case)
    ours = ANSWERS[name](world, case)
    assert ours.ok == (theirs.status < 400)
    assert ours.ok or ours.status_code == theirs.status
    # The recording of a new client is wrapped once more than the service's answer, and than the tool can read.
    expected = theirs.json["client"] if name == "auth.create_native_app_instance" else theirs.json
    assert differences(expected, ours.json()) == []
    assert hollow(ours.json()) == hollow(expected)
    assert ours.ok or ours.json().get("code") == expected.get("code")


@pytest.mark.parametrize(("name", "case"), cases(REFUSED))
def test_what_is_not_covered_answers_501_and_names_the_call(world: World, name: str, case: str) -> None:
    theirs = get_response_set(name).lookup(case)
    body = {"json": {"client": {"name": "one"}}} if theirs.method in ("POST", "PUT", "PATCH") else {}
    ours = world.ask(theirs.method, theirs.path, **body)
    assert ours.status_code == 501
    said = ours.json().get("message") or ours.json()["errors"][0]["detail"]
    assert theirs.path in said or "from a template only" in said


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v0.10/endpoint"),
        ("DELETE", "/v0.10/endpoint/{lab}"),
        ("GET", "/v0.10/endpoint/{lab}/access_list"),
        ("GET", "/v0.10/endpoint/{lab}/role_list"),
        ("GET", "/v0.10/endpoint_manager/hosted_endpoint_list"),
        ("POST", "/v0.10/operation/endpoint/{lab}/symlink"),
        ("POST", "/v0.10/task/{lab}/remove"),
        ("DELETE", "/v0.10/submission_id"),
        ("GET", "/v2/groups/my_groups"),
        ("GET", "/v2/oauth2/authorize?client_id={app}&redirect_uri=http://127.0.0.1:1/callback"
         "&response_type=code&scope=openid&prompt=none"),
    ],
)  # fmt: skip
def test_what_the_manual_leaves_out_answers_501(world: World, method: str, path: str) -> None:
    there = path.format(lab=world.globus.collections["lab"], app=world.app.id)
    body = {"json": {}} if method == "POST" else {}
    ours = world.ask(method, there, **body)
    assert ours.status_code == 501
    assert there.partition("?")[0] in ours.text or "prompt=none" in ours.text


@pytest.mark.parametrize(
    "fields",
    [
        {"recursive_symlinks": "keep"},
        {"recursive_symlinks": "copy"},
        {"DATA": [{"DATA_TYPE": "transfer_symlink_item", "source_path": "/a", "destination_path": "/b"}]},
    ],
)
def test_links_that_would_be_made_are_refused_and_make_no_task(world: World, fields: dict[str, object]) -> None:
    before = world.transfer("GET", "/task_list")["total"]
    ours = world.post("transfer", **fields)
    assert (ours.status_code, ours.json()["code"]) == (501, "NotImplemented")
    assert "is not emulated" in ours.json()["message"]
    assert world.transfer("GET", "/task_list")["total"] == before
