"""Whether a caller may use a collection: consent, login session, permission on a path. Keeps nothing."""

from __future__ import annotations

from dataclasses import dataclass

from werkzeug.wrappers import Request

from emulators.globus.auth_models import Session
from emulators.globus.auth_responses import bearer
from emulators.globus.config import Collection
from emulators.globus.errors import Document, TransferRefusal, not_authenticated
from emulators.globus.login_rules import Demand, met, of_policy
from emulators.globus.people import Account
from emulators.globus.places import Place
from emulators.globus.roots import BadPathError, OutsideError, parts_of
from emulators.globus.scopes import TRANSFER, data_access, missing_data_access
from emulators.globus.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls Transfer: the person, the application, the login session of the token."""

    account: Account
    client: str
    session: Session | None

    @property
    def owner(self) -> str:
        return self.account.primary.id


def caller(world: World, request: Request) -> Caller:
    """The caller of a Transfer request. Raises ``TransferRefusal`` 401, or 429 for one request too many."""
    now = world.now()
    token = world.auth.live(bearer(request) or "", now, "access")
    if token is None or TRANSFER not in token.scopes:
        raise not_authenticated()
    world.meter.count(token.grant.identity, now)
    request.environ["emulator.user"] = token.grant.identity
    return Caller(account=world.account(token.grant.identity), client=token.grant.client, session=token.grant.session)


def check(world: World, who: Caller, *places: Place) -> None:
    """Refuse what the caller has not consented to or is not signed in well enough for, for all places together."""
    missing = [
        missing_data_access(place.collection.id)
        for place in places
        if not has_data_access(world, who.client, who.owner, place.collection)
    ]
    if missing:
        raise _consent_required(list(dict.fromkeys(missing)))
    for place in places:
        check_session(world, who, place.collection)


def has_data_access(world: World, client: str, owner: str, collection: Collection) -> bool:
    if not collection.needs_data_access:
        return True
    return world.auth.has_consent(client, owner, (TRANSFER, data_access(collection.id)))


def _consent_required(scopes: list[str]) -> TransferRefusal:
    return TransferRefusal(
        403,
        "ConsentRequired",
        "Missing required data_access consent",
        {
            "required_scopes": scopes,
            "authorization_parameters": {
                "required_scopes": scopes,
                "session_message": "Missing required data_access consent",
            },
        },
    )


def demand_of(world: World, collection: Collection) -> Demand | None:
    """What the collection asks of a login session, in one."""
    policy = next((p for p in world.policies.values() if collection.policy in (p.name, p.id)), None)
    base = of_policy(policy) if policy else Demand()
    minutes = collection.session_timeout_minutes
    ages = [age for age in (base.max_age, None if minutes is None else minutes * 60.0) if age is not None]
    demand = Demand(
        domains=collection.required_domains or base.domains,
        max_age=min(ages) if ages else None,
        mfa=collection.mfa or base.mfa,
    )
    return None if demand == Demand() else demand


def check_session(world: World, who: Caller, collection: Collection) -> None:
    """Refuse a login session that does not meet the collection. Time-outs never hold for service accounts."""
    demand = demand_of(world, collection)
    if demand is None:
        return
    if world.people.is_service(who.owner):
        if demand.domains:
            raise _login_required(world, who, collection, demand)
        return
    if not met(demand, who.account, who.session, world.now()):
        raise _login_required(world, who, collection, demand)


def _login_required(world: World, who: Caller, collection: Collection, demand: Demand) -> TransferRefusal:
    usable = [identity for identity in who.account.identities if demand.fits(identity)]
    message = "Failing collection authentication policy: sign in again"
    parameters: Document = {"session_message": message}
    if demand.domains:
        parameters["session_required_single_domain"] = list(demand.domains)
    elif usable:
        parameters["session_required_identities"] = [identity.id for identity in usable]
    if demand.mfa:
        parameters["session_required_mfa"] = True
    policy = next((p for p in world.policies.values() if collection.policy in (p.name, p.id)), None)
    if policy is not None:
        parameters["session_required_policies"] = [policy.id]
    if demand.max_age is not None:
        parameters["prompt"] = "login"
    code = "AuthPolicyFailed" if collection.session_error == 403 else "ExternalError.DirListingFailed.LoginFailed"
    return TransferRefusal(collection.session_error, code, message, {"authorization_parameters": parameters})


# -- permissions on paths ----------------------------------------------------------------------------------


def allows(world: World, account: Account, collection: Collection, parts: tuple[str, ...], *, write: bool) -> bool:
    """Whether the longest matching permission lets a person read (or write) a path."""
    names = {"*", *account.ids, *(identity.username for identity in account.identities)}
    names |= {world.people.clients[each].name for each in account.ids if each in world.people.clients}
    matching = [
        (len(below), permission)
        for permission in collection.permissions
        if parts[: len(below := parts_of(permission.path))] == below and names & {*permission.principals}
    ]
    if not matching:
        return False
    access = max(matching, key=lambda each: each[0])[1].access
    return access == "rw" or (access == "r" and not write)


def parts_for(world: World, who: Caller, place: Place, path: str, *, write: bool) -> tuple[str, ...]:
    """The names of a path that a synchronous operation may touch. Raises ``TransferRefusal`` as the service does."""
    collection = place.collection
    if place.offline:
        raise offline_refusal(place)
    try:
        parts = place.parts(path)
    except OutsideError as error:
        raise path_denied(collection, path) from error
    except BadPathError as error:
        raise TransferRefusal(400, "ClientError.BadRequest", str(error)) from error
    except FileNotFoundError as error:
        raise TransferRefusal(404, "ClientError.NotFound", "No such file or directory") from error
    if not allows(world, who.account, collection, parts, write=write):
        raise path_denied(collection, path)
    return parts


def offline_refusal(place: Place) -> TransferRefusal:
    kind = "GCDisconnected" if place.collection.kind == "personal" else "ConnectFailed"
    return TransferRefusal(
        502,
        f"ExternalError.DirListingFailed.{kind}",
        f"The collection '{place.collection.display_name}' is not connected",
    )


def path_denied(collection: Collection, path: str) -> TransferRefusal:
    return TransferRefusal(
        403,
        "EndpointPermissionDenied",
        f"Denied by endpoint, Error (list)\nEndpoint: {collection.display_name} ({collection.id})\n"
        f"Command: MLST {path}\nMessage: Fatal FTP Response\n---\n"
        "Details: 500 Command failed : Path not allowed.\\r\\n\n",
    )
