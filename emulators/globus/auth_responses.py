"""The machine-facing calls of Auth: token, introspect, revoke, validate, userinfo, identities, consents, discovery."""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from emulators.globus import auth_documents as documents
from emulators.globus.auth_models import Token
from emulators.globus.config import Client, Identity
from emulators.globus.errors import AuthRefusal, forbidden, unauthorized
from emulators.globus.ids import is_uuid
from emulators.globus.people import secret_matches
from emulators.globus.replies import json_reply
from emulators.globus.scopes import AUTH_SERVER, MANAGE_PROJECTS
from emulators.globus.world import World


def bearer(request: Request) -> str | None:
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if kind.casefold() == "bearer" else None


def client_of(world: World, request: Request) -> Client | None:
    """The application that a request proves to be, by Basic credentials or by the same two in the form."""
    basic = request.authorization
    if basic is not None and basic.type == "basic":
        client_id, secret = basic.username or "", basic.password or ""
    else:
        client_id, secret = request.form.get("client_id", ""), request.form.get("client_secret", "")
    client = world.people.clients.get(client_id)
    if client is None or not secret_matches(client, secret):
        return None
    return client


def public_client(world: World, request: Request) -> Client | None:
    """A native application that names itself in the form; it has no secret to prove."""
    client = world.people.clients.get(request.form.get("client_id", ""))
    return client if client is not None and client.kind == "native" else None


def auth_token(world: World, request: Request) -> Token:
    """The bearer token of a call to Auth. Raises ``AuthRefusal`` 401 or 403."""
    token = world.auth.live(bearer(request) or "", world.now(), "access")
    if token is None:
        raise unauthorized()
    if token.server != AUTH_SERVER:
        raise forbidden("Token not valid for 'openid' scope")
    return token


def introspect(world: World, request: Request) -> Response:
    """Tell about a token to the client that holds it or that it is for; to others it is not active."""
    with world.lock:
        client = client_of(world, request)
        if client is None:
            raise unauthorized()
        token = world.auth.live(request.form.get("token", ""), world.now())
        if token is None or client.id not in (token.grant.client, token.server):
            return json_reply({"active": False})
        include = {*request.form.get("include", "").split(",")}
        return json_reply(documents.introspection(world, token, include))


def validate(world: World, request: Request) -> Response:
    with world.lock:
        token = world.auth.live(request.form.get("token", ""), world.now())
        return json_reply({"active": token is not None})


def revoke(world: World, request: Request) -> Response:
    """Kill a token. Without one there is nothing to do, and the command line tool relies on hearing so.

    That tool also revokes under the id of its template, a client that exists nowhere: whoever holds a token may end
    it, so only wrong Basic credentials are refused.
    """
    with world.lock:
        basic = request.authorization
        if basic is not None and basic.type == "basic" and client_of(world, request) is None:
            raise unauthorized()
        world.auth.revoke(request.form.get("token", ""))
        return json_reply({"active": False})


def userinfo(world: World, request: Request) -> Response:
    with world.lock:
        token = auth_token(world, request)
        if "openid" not in token.scopes:
            raise forbidden("Token not valid for 'openid' scope")
        account = world.account(token.grant.identity)
        return json_reply(documents.person_claims(world, account, token.scopes, token.grant.session))


def identities(world: World, request: Request) -> Response:
    """Look identities up by ``ids`` or ``usernames`` (comma lists); unknown ones are left out."""
    with world.lock:
        if client_of(world, request) is None:
            auth_token(world, request)
        found = [identity for identity in _wanted(world, request) if identity is not None]
        answer = {"identities": [documents.identity_document(world, identity) for identity in found]}
        if "identity_provider" in request.args.get("include", "").split(","):
            providers = dict.fromkeys(world.people.provider(identity) for identity in found)
            answer["included"] = {"identity_providers": [_provider(each) for each in providers]}  # type: ignore[assignment]
        return json_reply(answer)


def _wanted(world: World, request: Request) -> list[Identity | None]:
    ids, usernames = request.args.get("ids"), request.args.get("usernames")
    if (ids is None) == (usernames is None):
        raise AuthRefusal(400, "INVALID_PARAMETERS", "Invalid parameters", "Give either ids or usernames")
    if ids is not None:
        return [_by_id(world, each) for each in ids.split(",")]
    return [world.people.named(each) for each in (usernames or "").split(",")]


def _by_id(world: World, identity_id: str) -> Identity | None:
    if not is_uuid(identity_id):
        raise AuthRefusal(400, "INVALID_PARAMETERS", "Invalid parameters", "An id is not a UUID")
    account = world.people.account(identity_id)
    if account is None:
        return None
    return next(identity for identity in account.identities if identity.id == identity_id)


def _provider(provider: object) -> dict[str, object]:
    from emulators.globus.config import Provider

    assert isinstance(provider, Provider)
    return {
        "short_name": provider.short_name,
        "id": provider.id,
        "alternative_names": [],
        "domains": list(provider.domains),
        "name": provider.name,
    }


def policy(world: World, request: Request, policy_id: str) -> Response:
    """One policy, for a client that administers its project; to anyone else it does not exist."""
    with world.lock:
        token = auth_token(world, request)
        if MANAGE_PROJECTS not in token.scopes:
            raise forbidden("Token not valid for 'manage_projects' scope")
        found, client = world.policies.get(policy_id), world.people.clients[token.grant.client]
        if found is None or not {client.name, client.id} & {*found.readers}:
            raise AuthRefusal(404, "RESOURCE_NOT_FOUND", "Not Found", f"No policy {policy_id}")
        return json_reply({"policy": documents.policy_document(found)})


def identity_providers(world: World, request: Request) -> Response:
    with world.lock:
        if client_of(world, request) is None:
            auth_token(world, request)
        ids = [each for each in request.args.get("ids", "").split(",") if each]
        domains = [each for each in request.args.get("domains", "").split(",") if each]
        found = [
            provider for provider in world.people.providers if provider.id in ids or {*domains} & {*provider.domains}
        ]
        return json_reply({"identity_providers": [_provider(each) for each in found]})


def consents(world: World, request: Request, identity_id: str) -> Response:
    """What an identity has consented to: for the calling client, or with ``all=True`` for every client."""
    with world.lock:
        token = auth_token(world, request)
        if identity_id not in world.account(token.grant.identity).ids:
            raise forbidden("The consents of another identity")
        everything = request.args.get("all", "False").casefold() == "true"
        client = None if everything else token.grant.client
        found = world.auth.consents(client, world.account(identity_id).primary.id)
        return json_reply({"consents": [documents.consent_document(world, each) for each in found]})


def rescind(world: World, request: Request, identity_id: str, consent_id: int) -> Response:
    """Take one consent back, with its dependents and the tokens that came from it."""
    with world.lock:
        token = auth_token(world, request)
        account = world.account(token.grant.identity)
        if identity_id not in account.ids:
            raise forbidden("The consents of another identity")
        found = next((c for c in world.auth.consents(None, account.primary.id) if c.id == consent_id), None)
        if found is None:
            raise AuthRefusal(404, "NOT_FOUND", "Not found", "No such consent")
        world.auth.rescind(found.client, found.identity, found.path)
        return json_reply({"consent": documents.consent_document(world, found)})


def openid_configuration(world: World, request: Request) -> Response:
    base = request.host_url.rstrip("/")
    return json_reply(
        {
            "issuer": world.settings.issuer,
            "authorization_endpoint": f"{base}/v2/oauth2/authorize",
            "userinfo_endpoint": f"{base}/v2/oauth2/userinfo",
            "token_endpoint": f"{base}/v2/oauth2/token",
            "revocation_endpoint": f"{base}/v2/oauth2/token/revoke",
            "jwks_uri": f"{base}/jwk.json",
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["RS512"],
            "scopes_supported": ["openid", "email", "profile"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "claims_supported": [
                "at_hash",
                "aud",
                "email",
                "exp",
                "name",
                "nonce",
                "preferred_username",
                "iat",
                "iss",
                "sub",
            ],
            "subject_types_supported": ["public"],
        }
    )


def jwks(world: World, request: Request) -> Response:
    return json_reply(world.signer.published())
