"""The emulator's answers have every key of Globus's recorded ones, with values of the same kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from globus_sdk.testing import get_response_set
from recorded_answers import CALLBACK, GROUPS, SERVICE, TRANSFER, World, differences, recorded, world_in


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("shapes")) as one:
        yield one


def test_a_refused_grant(world: World) -> None:
    reply = world.token(grant_type="authorization_code", code="none", redirect_uri=CALLBACK)
    case = get_response_set("auth.oauth2_exchange_code_for_tokens").lookup("invalid_grant")
    assert (reply.status_code, reply.json()) == (case.status, case.json)


def test_dependent_tokens(world: World) -> None:
    held = world.login(f"https://auth.globus.org/scopes/{SERVICE}/all")["access_token"]
    for case, access_type in (("groups", "online"), ("groups_with_refresh_token", "offline")):
        form = {
            "grant_type": "urn:globus:auth:grant_type:dependent_token",
            "token": held,
            "access_type": access_type,
        }
        ours = world.as_client("service", "token", **form).json()
        assert differences(recorded("auth.oauth2_get_dependent_tokens", case), ours) == []
        assert ours[0]["scope"] == GROUPS
        assert ("refresh_token" in ours[0]) == (access_type == "offline")


def test_introspection_and_revocation(world: World) -> None:
    form = {"token": world.login("openid profile email")["access_token"]}
    ours = world.as_client("qstage", "token/introspect", **form).json()
    assert differences(recorded("auth.oauth2_token_introspect"), ours) == []
    assert world.as_client("qstage", "token/revoke", **form).json() == recorded("auth.oauth2_revoke_token")
    assert world.as_client("qstage", "token/introspect", **form).json() == {"active": False}


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


# -- what the SDK's authors did not record -----------------------------------------------------------------

# The keys of real answers, as the tests of globus-cli 3.43 have them (its ``tests/files/api_fixtures``).
FILE_LIST = "DATA DATA_TYPE absolute_path endpoint length path rename_supported symlink_supported total"
FILE = (
    "DATA_TYPE group last_modified link_group link_last_modified link_size link_target link_user name permissions "
    "size type user"
)
EVENT = "DATA_TYPE code description details is_error time"
SKIPPED = (
    "DATA_TYPE checksum_algorithm destination_path error_code error_details error_time external_checksum "
    "is_delete_destination_extra is_directory is_symlink source_path"
)
BOOKMARK = "DATA_TYPE endpoint_id id name path"
RESULT = "DATA_TYPE code message request_id resource"
DELETE_TASK = (
    "bytes_checksummed bytes_transferred canceled_by_admin canceled_by_admin_message command completion_time "
    "deadline delete_destination_extra destination_endpoint destination_endpoint_display_name "
    "destination_endpoint_id directories effective_bytes_per_second encrypt_data fatal_error faults files "
    "files_skipped files_transferred history_deleted is_ok is_paused label nice_status nice_status_details "
    "nice_status_expires_in nice_status_short_description owner_id preserve_timestamp recursive_symlinks "
    "request_time source_endpoint source_endpoint_display_name source_endpoint_id status subtasks_canceled "
    "subtasks_expired subtasks_failed subtasks_pending subtasks_retrying subtasks_succeeded subtasks_total symlinks "
    "sync_level task_id type username verify_checksum"
)
COLLECTION = (
    "DATA DATA_TYPE acl_available acl_editable activated authentication_assurance_timeout authentication_policy_id "
    "authentication_timeout_mins canonical_name contact_email contact_info default_directory department description "
    "disable_anonymous_writes disable_verify display_name entity_type expire_time expires_in force_encryption "
    "force_verify french_english_bilingual gcp_connected gcp_paused gcs_manager_url gcs_version "
    "globus_connect_setup_key high_assurance host_endpoint host_endpoint_display_name host_endpoint_id host_path "
    "https_server id in_use info_link is_globus_connect keywords last_accessed_time local_user_info_available "
    "location mapped_collection_display_name mapped_collection_id max_concurrency max_parallelism mfa_required "
    "my_effective_roles myproxy_dn myproxy_server name network_use non_functional "
    "non_functional_endpoint_display_name non_functional_endpoint_id oauth_server organization owner_id "
    "owner_string preferred_concurrency preferred_parallelism public requester_pays s3_owner_activated s3_url "
    "shareable sharing_target_endpoint sharing_target_root_path storage_type subscription_id tlsftp_server "
    "user_message user_message_link username"
)
SERVER = (
    "DATA_TYPE hostname id incoming_data_port_end incoming_data_port_start is_connected is_paused "
    "outgoing_data_port_end outgoing_data_port_start port scheme subject uri"
)


def lacking(ours: dict[str, object], keys: str) -> set[str]:
    return {*keys.split()} - {*ours}


def test_listings(world: World) -> None:
    (world.globus.directory("archive") / "listed").write_text("four")
    ours = world.transfer("GET", f"/operation/endpoint/{world.globus.collections['archive']}/ls", params={"path": "/"})
    assert lacking(ours, FILE_LIST) == set()
    assert {*ours["DATA"][0]} == {*FILE.split()}
    assert (ours["path"], ours["total"]) == ("/", len(ours["DATA"]))


def test_events_and_skipped_errors(world: World) -> None:
    task_id = world.submit(skip_source_errors=True, DATA=[{"source_path": "/no", "destination_path": "/b"}])["task_id"]
    events = world.transfer("GET", f"/task/{task_id}/event_list")
    assert [(each["code"], {*each}) for each in events["DATA"]] == [
        (code, {*EVENT.split()}) for code in ("SUCCEEDED", "STARTED")
    ]
    assert {*events} == {"DATA", "DATA_TYPE", "length", "limit", "offset", "total"}
    skipped = world.transfer("GET", f"/task/{task_id}/skipped_errors")["DATA"]
    assert [(each["error_code"], {*each}) for each in skipped] == [("FILE_NOT_FOUND", {*SKIPPED.split()})]


def test_delete_tasks_name_one_collection(world: World) -> None:
    ours = world.transfer("GET", f"/task/{world.submit('delete')['task_id']}")
    assert lacking(ours, DELETE_TASK) == set()
    nothing = ("destination_endpoint", "destination_endpoint_id", "recursive_symlinks", "sync_level")
    assert [ours[key] for key in nothing] == [None] * 4


def test_bookmarks(world: World) -> None:
    document = {"name": "here", "endpoint_id": world.globus.collections["archive"], "path": "/x/"}
    made = world.transfer("POST", "/bookmark", json=document)
    assert lacking(made, BOOKMARK) == set()
    for ours in (
        world.transfer("GET", f"/bookmark/{made['id']}"),
        world.transfer("PUT", f"/bookmark/{made['id']}", json={"name": "there"}),
        world.transfer("GET", "/bookmark_list")["DATA"][0],
    ):
        assert {*ours} == {*made}
    assert ours["name"] == "there"
    gone = world.transfer("DELETE", f"/bookmark/{made['id']}")
    assert ({*gone}, gone["code"]) == ({*RESULT.split()}, "Deleted")
    assert world.transfer("GET", f"/bookmark/{made['id']}")["code"] == "BookmarkNotFound"


@pytest.mark.parametrize("name", ["lab", "archive", "secure"])
def test_collections_of_connect_server_5(world: World, name: str) -> None:
    collection = world.globus.collections[name]
    ours = world.transfer("GET", f"/endpoint/{collection}")
    assert lacking(ours, COLLECTION) == set()
    assert {*ours["DATA"][0]} == {*SERVER.split()}
    found = world.transfer("GET", "/endpoint_search", params={"filter_fulltext": collection})
    assert lacking(found, "DATA DATA_TYPE has_next_page limit offset") == set()
    assert [each["id"] for each in found["DATA"]] == [collection]
    assert lacking(found["DATA"][0], COLLECTION) == set()
    servers = world.transfer("GET", f"/endpoint/{collection}/server_list")
    assert [{*each} for each in servers["DATA"]] == [{*SERVER.split()}]
