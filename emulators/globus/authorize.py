"""The authorization flow: from a login link to a code, as a state machine of pages.

    request ──► provider ──► identity ──► consents ──► back to the client with a code
                    └ skipped when the session is good enough, the last when all is consented already

An ``Attempt`` is one pass through it, bound to the browser by a cookie and a form token. Nothing here renders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit, urlunsplit

from werkzeug.datastructures import MultiDict

from emulators.globus.auth_models import Authentication, Grant, Session
from emulators.globus.config import Client, Identity, Provider
from emulators.globus.errors import PageRefusal, RedirectRefusal
from emulators.globus.ids import opaque, random_id
from emulators.globus.login_rules import Demand, met, of_policy
from emulators.globus.people import Account, redirect_allowed
from emulators.globus.scopes import Scope, ScopeError, UnknownScopeError, parse
from emulators.globus.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequest:
    """A login link that passed every check."""

    client: Client
    redirect_uri: str
    scopes: tuple[Scope, ...]
    state: str | None
    offline: bool
    challenge: str | None
    nonce: str | None
    fresh: bool
    demands: tuple[Demand, ...]
    message: str | None


@dataclass(slots=True, kw_only=True)
class Attempt:
    id: str = field(default_factory=lambda: opaque(32))
    csrf: str = field(default_factory=lambda: opaque(32))
    request: LoginRequest
    session: Session
    identity: Identity | None = None
    provider: Provider | None = None
    done: bool = False


def read_request(world: World, query: MultiDict[str, str]) -> LoginRequest:
    """Check a login link. Raises ``PageRefusal`` while the client is in doubt, ``RedirectRefusal`` after that."""
    client, redirect_uri = _client(world, query)
    state = query.get("state")

    def refuse(error: str, message: str) -> RedirectRefusal:
        return RedirectRefusal(redirect_uri, state, error, message)

    if query.get("response_type") != "code":
        raise refuse("unsupported_response_type", "Only the authorization code flow is offered")
    challenge = query.get("code_challenge")
    if challenge is not None and query.get("code_challenge_method") != "S256":
        raise refuse("invalid_request", "PKCE needs code_challenge_method=S256; plain is refused")
    if challenge is None and client.kind == "native":
        raise refuse("invalid_request", "A native application needs PKCE")
    if "none" in query.get("prompt", "").split():
        raise PageRefusal(501, "Not covered", "This emulator does not cover prompt=none.")
    if query.get("access_type", "online") not in ("online", "offline"):
        raise refuse("invalid_request", "access_type is online or offline")
    return LoginRequest(
        client=client,
        redirect_uri=redirect_uri,
        scopes=_scopes(world, query.get("scope", ""), refuse_to=(redirect_uri, state)),
        state=state,
        offline=query.get("access_type") == "offline",
        challenge=challenge,
        nonce=query.get("nonce"),
        fresh="login" in query.get("prompt", "").split(),
        demands=_demands(world, query),
        message=query.get("session_message"),
    )


def _client(world: World, query: MultiDict[str, str]) -> tuple[Client, str]:
    client = world.people.clients.get(query.get("client_id", ""))
    if client is None:
        raise PageRefusal(400, "Unknown client", "No application is registered under this client_id.")
    redirect_uri = query.get("redirect_uri", "")
    if not redirect_allowed(client, redirect_uri):
        raise PageRefusal(400, "Mismatching redirect URI", f"{client.name} has not registered this redirect_uri.")
    return client, redirect_uri


def _scopes(world: World, text: str, refuse_to: tuple[str, str | None]) -> tuple[Scope, ...]:
    try:
        scopes = world.catalog.expand(parse(text))
    except UnknownScopeError as error:
        if world.settings.unknown_scope == "page":
            raise PageRefusal(400, "Unknown scope", str(error)) from error
        raise RedirectRefusal(*refuse_to, "unknown_scope", str(error)) from error
    except ScopeError as error:
        raise RedirectRefusal(*refuse_to, "invalid_scope", str(error)) from error
    if not scopes:
        raise RedirectRefusal(*refuse_to, "invalid_scope", "No scope is asked for")
    return scopes


def _demands(world: World, query: MultiDict[str, str]) -> tuple[Demand, ...]:
    demands = []
    if identities := _list(query.get("session_required_identities")):
        demands.append(Demand(identities=identities))
    if domains := _list(query.get("session_required_single_domain")):
        demands.append(Demand(domains=domains))
    if query.get("session_required_mfa", "").casefold() == "true":
        demands.append(Demand(mfa=True))
    for policy_id in _list(query.get("session_required_policies")):
        policy = world.policies.get(policy_id)
        if policy is None:
            raise PageRefusal(400, "Unknown policy", f"No authentication policy {policy_id}.")
        demands.append(of_policy(policy))
    return tuple(demands)


def _list(text: str | None) -> tuple[str, ...]:
    return tuple(each.strip() for each in (text or "").split(",") if each.strip())


# -- where an attempt stands -------------------------------------------------------------------------------


def signed_in(world: World, attempt: Attempt) -> Account | None:
    """The person the attempt is for, once the session meets every demand of the request."""
    if attempt.identity is None:
        if attempt.request.fresh:
            return None
        attempt.identity = _remembered(world, attempt.session)
        if attempt.identity is None:
            return None
    account = world.account(attempt.identity.id)
    now = world.now()
    if all(met(demand, account, attempt.session, now) for demand in attempt.request.demands):
        return account
    return None


def _remembered(world: World, session: Session) -> Identity | None:
    """Who signed in last in this session."""
    if not session.authentications:
        return None
    last = max(session.authentications, key=lambda each: session.authentications[each].auth_time)
    return world.people.identities.get(last)


def choices(world: World, attempt: Attempt) -> list[Identity]:
    """The identities that may sign in: those that can meet the demands not met yet."""
    now = world.now()
    open_demands = [
        demand
        for demand in attempt.request.demands
        if attempt.identity is None or not met(demand, world.account(attempt.identity.id), attempt.session, now)
    ]
    return [
        identity
        for identity in world.people.identities.values()
        if all(demand.fits(identity) for demand in open_demands)
    ]


def providers(world: World, attempt: Attempt) -> list[Provider]:
    """The organisations to choose from, in the order they were declared."""
    offered = {world.people.provider(identity).id for identity in choices(world, attempt)}
    return [provider for provider in world.people.providers if provider.id in offered]


def sign_in(world: World, attempt: Attempt, identity: Identity) -> None:
    """Record a sign-in: the session is as fresh as now, for every token that it carries."""
    if identity not in choices(world, attempt):
        raise PageRefusal(403, "Not the right identity", f"{identity.username} does not meet what is required.")
    methods = ("pwd", "mfa") if identity.mfa else ("pwd",)
    attempt.session.authentications[identity.id] = Authentication(
        auth_time=world.now(), provider_id=world.people.provider(identity).id, methods=methods
    )
    attempt.identity = identity


def missing_consents(world: World, attempt: Attempt, account: Account) -> list[tuple[tuple[str, ...], bool]]:
    """The paths (and whether each is optional) that the person has not consented to yet."""
    client, who = attempt.request.client.id, account.primary.id
    return [
        (path, optional)
        for scope in attempt.request.scopes
        for path, optional in scope.paths()
        if not world.auth.has_consent(client, who, path)
    ]


def allow(world: World, attempt: Attempt, account: Account, denied: set[tuple[str, ...]]) -> None:
    """Record the consents, without the optional ones that were denied."""
    kept = tuple(scope for scope in (_without(each, (), denied) for each in attempt.request.scopes) if scope)
    world.auth.consent(
        attempt.request.client.id,
        account.primary.id,
        kept,
        refresh=attempt.request.offline,
        now=world.now(),
        automatic=False,
    )


def _without(scope: Scope, above: tuple[str, ...], denied: set[tuple[str, ...]]) -> Scope | None:
    here = (*above, scope.name)
    if here in denied and scope.optional:
        return None
    dependents = tuple(each for each in (_without(d, here, denied) for d in scope.dependents) if each)
    return Scope(name=scope.name, optional=scope.optional, dependents=dependents)


def finish(world: World, attempt: Attempt, account: Account) -> str:
    """The address that brings the browser back to the client with a code."""
    request = attempt.request
    attempt.done = True
    grant = Grant(
        id=random_id(),
        client=request.client.id,
        identity=account.primary.id,
        scopes=tuple(scope.name for scope in request.scopes),
        offline=request.offline,
        session=attempt.session,
        nonce=request.nonce,
        redirect_uri=request.redirect_uri,
        challenge=request.challenge,
        state=request.state,
    )
    code = world.auth.issue_code(grant, world.now())
    return with_query(request.redirect_uri, {"code": code, "state": request.state})


def with_query(uri: str, extra: dict[str, str | None]) -> str:
    """``uri`` with parameters added after those it has; the ones that are None are left out."""
    parts = urlsplit(uri)
    added = urlencode({key: value for key, value in extra.items() if value is not None})
    query = f"{parts.query}&{added}" if parts.query else added
    return urlunsplit(parts._replace(query=query))
