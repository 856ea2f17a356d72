"""How sign-ins, terminals, keys, profiles and browser sessions look as items of the table ``logins``.

    id (S, key)          | what                        | beside the value's own fields
    L#<hash of state>    | a sign-in under way         |
    D#<hash of code>     | a terminal that waits       |
    C#<user code>        | which D# has this user code | device_hash
    K#<key id>           | an API key, an agent token  | owner, kind_created: the keys of the index ``owner``
    U#<identity id>      | a user's profile            |
    W#<hash of cookie>   | a browser that is signed in | owner, kind_created: in the index ``owner`` as well
    X#<identity id>      | when a user last signed out everywhere | at
    R#<kind>#<address>#<end> | requests without a credential | hits

``expires_ttl`` (N, seconds) is for DynamoDB's tidying alone; ``schema`` says how to read the item.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from chalicelib.adapters.attributes import Item, from_item, maybe_moment, maybe_stamp, moment, stamp, to_item
from chalicelib.core.consent import SessionDemand
from chalicelib.core.devices import DeviceGrant, DeviceState
from chalicelib.core.ids import CollectionId, UserId
from chalicelib.core.keys import KeyKind, KeyRecord
from chalicelib.core.logins import LoginAttempt, LoginRequest, Profile, WebSession
from chalicelib.core.sessions import read_session as read_login_session
from chalicelib.core.sessions import session_values

SCHEMA = 1
SESSION = "session"
"""What sessions are called in the index, where keys are called by their kind; it sorts after those."""
_SHOWN_AFTER_EXPIRY = timedelta(days=7)


def ttl(ends: datetime) -> int:
    """When DynamoDB may tidy an item away."""
    return int(ends.timestamp()) + 1


def key(prefix: str, rest: str) -> Item:
    """The key of an item."""
    return {"id": {"S": f"{prefix}#{rest}"}}


def _item(prefix: str, rest: str, ends: datetime | None, values: dict[str, Any]) -> Item:
    over = None if ends is None else ttl(ends)
    return {**key(prefix, rest), **to_item({**values, "expires_ttl": over, "schema": SCHEMA})}


def attempt_item(attempt: LoginAttempt) -> Item:
    request, session = attempt.request, attempt.request.session
    return _item(
        "L",
        attempt.state_hash,
        attempt.expires_at,
        {
            "browser_hash": attempt.browser_hash,
            "scopes": attempt.scopes,
            "expires_at": stamp(attempt.expires_at),
            "round": attempt.round,
            "collections": request.collections,
            "next": request.next,
            "device": request.device,
            "for_user": request.for_user,
            "session": {
                "message": session.message,
                "identities": session.identities,
                "single_domain": session.single_domain,
                "policies": session.policies,
                "mfa": session.mfa,
                "fresh": session.fresh,
            },
        },
    )


def read_attempt(item: Item) -> LoginAttempt:
    read = from_item(item)
    session = read["session"]
    return LoginAttempt(
        state_hash=_rest(read),
        browser_hash=read["browser_hash"],
        scopes=tuple(read["scopes"]),
        expires_at=moment(read["expires_at"]),
        round=read["round"],
        request=LoginRequest(
            collections=tuple(CollectionId(c) for c in read["collections"]),
            next=read["next"],
            device=read["device"],
            for_user=UserId(read["for_user"]) if "for_user" in read else None,
            session=SessionDemand(
                message=session["message"],
                identities=tuple(session["identities"]),
                single_domain=tuple(session["single_domain"]),
                policies=tuple(session["policies"]),
                mfa=session["mfa"],
                fresh=session["fresh"],
            ),
        ),
    )


def grant_item(grant: DeviceGrant) -> Item:
    return _item(
        "D",
        grant.device_hash,
        grant.expires_at,
        {
            "user_code": grant.user_code,
            "client": grant.client,
            "host": grant.host,
            "address": grant.address,
            "scopes": tuple(sorted(grant.scopes)),
            "collections": grant.collections,
            "domain": grant.domain,
            "days": grant.days,
            "created_at": stamp(grant.created_at),
            "expires_at": stamp(grant.expires_at),
            "interval": grant.interval,
            "polls": grant.polls,
            "last_poll": maybe_stamp(grant.last_poll),
            "state": grant.state,
            "user": grant.user,
            "username": grant.username,
        },
    )


def code_item(grant: DeviceGrant) -> Item:
    values = {"device_hash": grant.device_hash, "expires_at": stamp(grant.expires_at)}
    return _item("C", grant.user_code, grant.expires_at, values)


def read_grant(item: Item) -> DeviceGrant:
    read = from_item(item)
    return DeviceGrant(
        device_hash=_rest(read),
        user_code=read["user_code"],
        client=read["client"],
        host=read["host"],
        address=read["address"],
        scopes=frozenset(read["scopes"]),
        collections=tuple(CollectionId(c) for c in read["collections"]),
        domain=read["domain"],
        days=read["days"],
        created_at=moment(read["created_at"]),
        expires_at=moment(read["expires_at"]),
        interval=read["interval"],
        polls=read["polls"],
        last_poll=maybe_moment(read.get("last_poll")),
        state=DeviceState(read["state"]),
        user=UserId(read["user"]) if "user" in read else None,
        username=read["username"],
    )


def key_item(record: KeyRecord) -> Item:
    return _item(
        "K",
        record.id,
        record.expires_at + _SHOWN_AFTER_EXPIRY,
        {
            "owner": record.user,
            "kind_created": f"{record.kind}#{stamp(record.created_at)}",
            "digest": record.digest,
            "username": record.username,
            "kind": record.kind,
            "name": record.name,
            "scopes": tuple(sorted(record.scopes)),
            "created_at": stamp(record.created_at),
            "expires_at": stamp(record.expires_at),
            "last_used_at": maybe_stamp(record.last_used_at),
        },
    )


def read_key(item: Item) -> KeyRecord:
    read = from_item(item)
    return KeyRecord(
        id=_rest(read),
        digest=read["digest"],
        user=UserId(read["owner"]),
        username=read["username"],
        kind=KeyKind(read["kind"]),
        name=read["name"],
        scopes=frozenset(read["scopes"]),
        created_at=moment(read["created_at"]),
        expires_at=moment(read["expires_at"]),
        last_used_at=maybe_moment(read.get("last_used_at")),
    )


def profile_item(profile: Profile) -> Item:
    return _item(
        "U",
        profile.user,
        None,
        {
            "username": profile.username,
            "name": profile.name,
            "email": profile.email,
            "auth_time": maybe_stamp(profile.auth_time),
            "scopes": profile.scopes,
            "identities": profile.identities,
            "signed_in_at": stamp(profile.signed_in_at),
            "session": session_values(profile.session),
        },
    )


def read_profile(item: Item) -> Profile:
    read = from_item(item)
    return Profile(
        user=UserId(_rest(read)),
        username=read["username"],
        name=read["name"],
        email=read["email"],
        auth_time=maybe_moment(read.get("auth_time")),
        scopes=tuple(read["scopes"]),
        identities=tuple(UserId(i) for i in read["identities"]),
        signed_in_at=moment(read["signed_in_at"]),
        session=read_login_session(read.get("session", ())),
    )


def session_item(session: WebSession) -> Item:
    return _item(
        "W",
        session.cookie_hash,
        session.expires_at,
        {
            "owner": session.user,
            "kind_created": f"{SESSION}#{stamp(session.signed_in_at)}",
            "username": session.username,
            "signed_in_at": stamp(session.signed_in_at),
            "expires_at": stamp(session.expires_at),
            "misses": session.misses,
        },
    )


def read_session(item: Item) -> WebSession:
    read = from_item(item)
    return WebSession(
        cookie_hash=_rest(read),
        user=UserId(read["owner"]),
        username=read["username"],
        signed_in_at=moment(read["signed_in_at"]),
        expires_at=moment(read["expires_at"]),
        misses=read["misses"],
    )


def _rest(read: dict[str, Any]) -> str:
    return str(read["id"]).partition("#")[2]
