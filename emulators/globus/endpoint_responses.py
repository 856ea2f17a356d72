"""Looking collections up: one by id, and search."""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from emulators.globus import query
from emulators.globus.access import Caller, caller
from emulators.globus.config import Collection
from emulators.globus.errors import Document, TransferRefusal
from emulators.globus.ids import derived
from emulators.globus.people import glob_matches
from emulators.globus.places import Place
from emulators.globus.replies import json_reply
from emulators.globus.world import World

_SCOPES = (
    "all",
    "my-endpoints",
    "administered-by-me",
    "managed-by-me",
    "recently-used",
    "in-use",
    "shared-by-me",
    "shared-with-me",
    "my-gcp-endpoints",
)


def get_endpoint(world: World, request: Request, collection_id: str) -> Response:
    with world.lock:
        who = caller(world, request)
        place = _visible(world, who, collection_id)
        return json_reply(query.trimmed(endpoint_document(world, place), request.args.get("fields")))


def _visible(world: World, who: Caller, collection_id: str) -> Place:
    known = world.places.known(collection_id)
    if known is None:
        for place in world.places.all():
            if place.collection.host_id == collection_id:
                return place
    return world.places.get(collection_id)


def server_list(world: World, request: Request, collection_id: str) -> Response:
    with world.lock:
        caller(world, request)
        collection = world.place(collection_id).collection
        return json_reply({"DATA_TYPE": "endpoint_server_list", "DATA": [_server(collection)]})


def endpoint_search(world: World, request: Request) -> Response:
    """Collections by words of their name, by owner and by type."""
    with world.lock:
        who = caller(world, request)
        args = request.args
        scope = args.get("filter_scope") or "all"
        if scope not in _SCOPES:
            raise TransferRefusal(400, "ClientError.BadRequest", f"Invalid filter_scope '{scope}'")
        if scope == "all" and not args.get("filter_fulltext") and not args.get("filter_owner_id"):
            raise TransferRefusal(400, "ClientError.BadRequest", "filter_fulltext is required with filter_scope=all")
        found = [
            endpoint_document(world, place)
            for place in world.places.all()
            if _matches(world, who, place, scope, request)
        ]
        page = query.page(found, args, "endpoint_list", 100)
        page["has_next_page"] = page["offset"] + page["length"] < page.pop("total")
        return json_reply(page)


def _matches(world: World, who: Caller, place: Place, scope: str, request: Request) -> bool:
    collection, args = place.collection, request.args
    mine = owner_of(world, collection) in who.account.ids
    if not (mine or collection.public) or (scope != "all" and not mine):
        return False
    if (kind := args.get("filter_entity_type")) and kind != collection.entity_type:
        return False
    if (owner := args.get("filter_owner_id")) and owner != owner_of(world, collection):
        return False
    text = f"{collection.display_name} {collection.description or ''} {collection.id} {collection.organization}"
    words = (args.get("filter_fulltext") or "").split()
    return all(glob_matches(f"*{word}*", text) for word in words)


def owner_of(world: World, collection: Collection) -> str:
    """The identity that owns a collection: as configured, or the first identity there is."""
    if collection.owner is not None:
        identity = world.people.named(collection.owner)
        return identity.id if identity is not None else collection.owner
    return world.config.identities[0].id


def endpoint_document(world: World, place: Place) -> Document:
    collection = place.collection
    owner = owner_of(world, collection)
    personal, mapped = collection.kind == "personal", collection.kind == "mapped"
    policy = next((p for p in world.config.policies if collection.policy in (p.name, p.id)), None)
    account = world.people.account(owner)
    return {
        "DATA_TYPE": "endpoint",
        "DATA": [_server(collection)],
        "id": collection.id,
        "display_name": collection.display_name,
        "canonical_name": f"{collection.host_id}#{collection.id}",
        "name": collection.id,
        "username": "u_" + derived("user", owner).replace("-", "")[:26],
        "owner_id": owner,
        "owner_string": account.primary.username if account else owner,
        "organization": collection.organization,
        "department": None,
        "description": collection.description,
        "keywords": None,
        "info_link": None,
        "contact_email": None,
        "contact_info": None,
        "entity_type": collection.entity_type,
        "public": collection.public,
        "is_globus_connect": personal,
        "gcp_connected": (not place.offline) if personal else None,
        "gcp_paused": False if personal else None,
        "gcs_manager_url": None if personal else f"https://{collection.host_id[:6]}.emulated.data.globus.org",
        "gcs_version": None if personal else "5.4.71",
        "globus_connect_setup_key": None,
        "high_assurance": collection.high_assurance,
        "authentication_timeout_mins": collection.session_timeout_minutes,
        "authentication_assurance_timeout": None,
        "authentication_policy_id": policy.id if policy else None,
        "mfa_required": collection.mfa,
        "host_endpoint": None,
        "host_endpoint_display_name": None,
        "host_endpoint_id": None if mapped or personal else collection.host_id,
        "host_path": None,
        "mapped_collection_display_name": None,
        "mapped_collection_id": None,
        "sharing_target_endpoint": None,
        "sharing_target_root_path": None,
        "shareable": mapped,
        "default_directory": collection.default_directory,
        "non_functional": False,
        "non_functional_endpoint_display_name": None,
        "non_functional_endpoint_id": None,
        "acl_available": collection.kind == "guest",
        "acl_editable": False,
        "acl_max_expiration_period_mins": None,
        "activated": True,
        "expires_in": -1,
        "expire_time": None,
        "disable_anonymous_writes": False,
        "disable_verify": False,
        "force_encryption": False,
        "force_verify": False,
        "french_english_bilingual": False,
        "https_server": None,
        "in_use": world.tasks.in_use(collection.id),
        "last_accessed_time": None,
        "local_user_info_available": False,
        "location": "Automatic",
        "max_concurrency": 4,
        "max_parallelism": 8,
        "preferred_concurrency": 2,
        "preferred_parallelism": 4,
        "my_effective_roles": [],
        "myproxy_dn": None,
        "myproxy_server": None,
        "network_use": "normal",
        "oauth_server": None,
        "requester_pays": False,
        "s3_owner_activated": False,
        "s3_url": None,
        "storage_type": None,
        "subscription_id": None,
        "tlsftp_server": None,
        "user_message": None,
        "user_message_link": None,
    }


def _server(collection: Collection) -> Document:
    host = None if collection.kind == "personal" else f"{collection.host_id[:6]}.emulated.data.globus.org"
    return {
        "DATA_TYPE": "server",
        "hostname": host,
        "id": int(collection.host_id[:6], 16),
        "incoming_data_port_end": None,
        "incoming_data_port_start": None,
        "is_connected": True,
        "is_paused": False,
        "outgoing_data_port_end": None,
        "outgoing_data_port_start": None,
        "port": 2811,
        "scheme": "gsiftp",
        "subject": None,
        "uri": None if host is None else f"gsiftp://{host}:2811",
    }
