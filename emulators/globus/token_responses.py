"""The token endpoint: one function for each grant type."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from werkzeug.wrappers import Request, Response

from emulators.globus import auth_documents as documents
from emulators.globus.auth_models import Grant
from emulators.globus.auth_responses import client_of, public_client
from emulators.globus.config import Client
from emulators.globus.errors import AuthRefusal, OAuthRefusal
from emulators.globus.ids import random_id
from emulators.globus.replies import json_reply
from emulators.globus.scopes import Scope, ScopeError, UnknownScopeError, parse
from emulators.globus.signing import challenge_of
from emulators.globus.world import World


def token(world: World, request: Request) -> Response:
    with world.lock:
        grant_type = request.form.get("grant_type", "")
        if grant_type not in _GRANTS:
            raise OAuthRefusal(400, "unsupported_grant_type")
        client = client_of(world, request) or public_client(world, request)
        if client is None:
            raise OAuthRefusal(401, "invalid_client")
        reply = _GRANTS[grant_type](world, request, client)
    reply.headers["Cache-Control"] = "no-store"
    return reply


def _invalid_grant(world: World) -> OAuthRefusal:
    return OAuthRefusal(world.settings.invalid_grant_status, "invalid_grant")


def _authorization_code(world: World, request: Request, client: Client) -> Response:
    form = request.form
    grant = world.auth.spend_code(form.get("code", ""), world.now())
    if grant is None or grant.client != client.id or grant.redirect_uri != form.get("redirect_uri"):
        raise _invalid_grant(world)
    verifier = form.get("code_verifier")
    if (grant.challenge is None) != (verifier is None):
        raise _invalid_grant(world)
    if verifier is not None and not hmac.compare_digest(challenge_of(verifier), grant.challenge or ""):
        raise _invalid_grant(world)
    return json_reply(documents.joined(documents.issue_tokens(world, grant)))


def _refresh_token(world: World, request: Request, client: Client) -> Response:
    """A new access token. The refresh token itself is repeated: Globus does not rotate it."""
    now = world.now()
    refresh = world.auth.live(request.form.get("refresh_token", ""), now, "refresh")
    if refresh is None or refresh.grant.client != client.id:
        raise _invalid_grant(world)
    world.auth.use_refresh(refresh, now)
    access = world.auth.issue("access", refresh.grant, refresh.server, refresh.scopes, now)
    answer = documents.token_document(access, now)
    return json_reply({**answer, "refresh_token": refresh.value, "other_tokens": []})


def _client_credentials(world: World, request: Request, client: Client) -> Response:
    """Tokens for the client's own identity, which consents to whatever its client asks for."""
    if client.kind != "confidential":
        raise OAuthRefusal(400, "unauthorized_client")
    scopes = requested_scopes(world, request.form.get("scope", ""))
    now = world.now()
    world.auth.consent(client.id, client.id, scopes, refresh=False, now=now, automatic=True)
    grant = Grant(
        id=random_id(),
        client=client.id,
        identity=client.id,
        scopes=tuple(scope.name for scope in scopes),
        offline=False,
        session=None,
    )
    return json_reply(documents.joined(documents.issue_tokens(world, grant)))


def requested_scopes(world: World, text: str) -> tuple[Scope, ...]:
    """Parse and expand, or answer as the token endpoint does: 400 and the scopes that are unknown."""
    try:
        scopes = world.catalog.expand(parse(text))
    except UnknownScopeError as error:
        raise AuthRefusal(
            400, "UNKNOWN_SCOPE_ERROR", "Unknown scope", str(error), {"error": "unknown_scope"}
        ) from error
    except ScopeError as error:
        raise OAuthRefusal(400, "invalid_scope") from error
    if not scopes:
        raise OAuthRefusal(400, "invalid_scope")
    return scopes


def _dependent(world: World, request: Request, client: Client) -> Response:
    """A resource server trades the token it was called with for tokens of the services below it."""
    now = world.now()
    held = world.auth.live(request.form.get("token", ""), now, "access")
    if held is None or held.server != client.id:
        raise _invalid_grant(world)
    offline = request.form.get("access_type") == "offline"
    wanted = _dependents(world, request, held.scopes)
    missing = [path for path in wanted if not world.auth.has_consent(held.grant.client, held.grant.identity, path)]
    if missing:
        names = sorted({path[-1] for path in missing})
        raise AuthRefusal(
            403,
            "DEPENDENT_CONSENT_REQUIRED",
            "Dependent consent required",
            "The user has not consented to a dependent scope",
            {"error": "dependent_consent_required", "unapproved_scopes": names},
        )
    names_down = tuple(dict.fromkeys(path[-1] for path in wanted))
    _carry_down(world, client, held.grant, wanted, offline)
    grant = Grant(
        id=random_id(),
        client=client.id,
        identity=held.grant.identity,
        scopes=names_down,
        offline=offline,
        session=held.grant.session,
    )
    return json_reply(documents.issue_tokens(world, grant) if names_down else [])


def _dependents(world: World, request: Request, scopes: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The paths (root, dependent) that the grant is about: those asked for, or all that were registered."""
    asked = {scope.name for scope in parse(request.form.get("scope", ""))}
    return [
        (root, dependent.name)
        for root in scopes
        for dependent in world.catalog.implied.get(root, ())
        if not asked or dependent.name in asked
    ]


def _carry_down(world: World, client: Client, held: Grant, wanted: list[tuple[str, ...]], offline: bool) -> None:
    """What the user consented to below the caller's scope holds for the tokens traded for it."""
    now = world.now()
    for consent in world.auth.consents(held.client, held.identity):
        for path in wanted:
            if consent.path[: len(path)] == path and len(consent.path) - len(path) <= 1:
                below = consent.path[len(path) :]
                dependents = tuple(Scope(name=name, optional=consent.optional) for name in below)
                scope = Scope(name=path[-1], dependents=dependents)
                world.auth.consent(client.id, held.identity, [scope], refresh=offline, now=now, automatic=False)


_GRANTS: dict[str, Callable[[World, Request, Client], Response]] = {
    "authorization_code": _authorization_code,
    "refresh_token": _refresh_token,
    "client_credentials": _client_credentials,
    "urn:globus:auth:grant_type:dependent_token": _dependent,
}
