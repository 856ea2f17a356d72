"""How Auth writes things down: token answers, id tokens, userinfo, identities, introspection, consents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulators.globus.auth_models import Consent, Grant, Session, Token
from emulators.globus.config import Identity, Policy
from emulators.globus.errors import Document
from emulators.globus.ids import derived
from emulators.globus.people import Account
from emulators.globus.scopes import AUTH_SERVER
from emulators.globus.signing import at_hash
from emulators.globus.times import fine_stamp

if TYPE_CHECKING:
    from emulators.globus.world import World


def issue_tokens(world: World, grant: Grant) -> list[Document]:
    """One token document for each resource server of a grant, Auth's own first (it carries the id token)."""
    by_server: dict[str, list[str]] = {}
    for scope in grant.scopes:
        by_server.setdefault(world.catalog.server(scope), []).append(scope)
    servers = sorted(by_server, key=lambda server: server != AUTH_SERVER)
    return [_issue(world, grant, server, tuple(by_server[server])) for server in servers]


def _issue(world: World, grant: Grant, server: str, scopes: tuple[str, ...]) -> Document:
    now = world.now()
    access = world.auth.issue("access", grant, server, scopes, now)
    document = token_document(access, now)
    if grant.offline:
        document["refresh_token"] = world.auth.issue("refresh", grant, server, scopes, now).value
    if grant.state is not None:
        document["state"] = grant.state
    if "openid" in scopes:
        document["id_token"] = id_token(world, access)
    return document


def token_document(token: Token, now: float) -> Document:
    return {
        "access_token": token.value,
        "scope": " ".join(token.scopes),
        "expires_in": int(token.expires - now),
        "token_type": "Bearer",
        "resource_server": token.server,
    }


def joined(documents: list[Document]) -> Document:
    """The token endpoint's answer: the first at the top, the others inside it."""
    first, *others = documents
    return {**first, "other_tokens": others}


def id_token(world: World, access: Token) -> str:
    grant, now = access.grant, world.now()
    account = world.account(grant.identity)
    claims = {
        "iss": world.settings.issuer,
        "aud": grant.client,
        "iat": int(now),
        "exp": int(access.expires),
        "at_hash": at_hash(access.value),
        **person_claims(world, account, access.scopes, grant.session),
    }
    if grant.nonce is not None:
        claims["nonce"] = grant.nonce
    if claims.get("last_authentication") is not None:
        claims["auth_time"] = claims["last_authentication"]
    return world.signer.sign(claims)


def person_claims(world: World, account: Account, scopes: tuple[str, ...], session: Session | None) -> Document:
    """The claims about a person that the scopes let a client see."""
    primary = account.primary
    provider = world.people.provider(primary)
    claims: Document = {"sub": primary.id}
    if "profile" in scopes:
        claims.update(
            preferred_username=primary.username,
            name=primary.name,
            organization=primary.organization,
            identity_provider=provider.id,
            identity_provider_display_name=provider.name,
        )
    else:
        claims["preferred_username"] = primary.username
    if "email" in scopes:
        claims["email"] = primary.email
    claims["last_authentication"] = last_authentication(session, primary.id)
    claims["identity_set"] = [_linked(world, identity, session) for identity in account.identities]
    return claims


def last_authentication(session: Session | None, identity_id: str) -> int | None:
    found = session.authentications.get(identity_id) if session else None
    return int(found.auth_time) if found else None


def _linked(world: World, identity: Identity, session: Session | None) -> Document:
    provider = world.people.provider(identity)
    return {
        "sub": identity.id,
        "username": identity.username,
        "name": identity.name,
        "email": identity.email,
        "organization": identity.organization,
        "identity_provider": provider.id,
        "identity_provider_display_name": provider.name,
        "last_authentication": last_authentication(session, identity.id),
        "status": "used",
    }


def identity_document(world: World, identity: Identity) -> Document:
    return {
        "email": identity.email,
        "id": identity.id,
        "identity_provider": world.people.provider(identity).id,
        "identity_type": "login",
        "name": identity.name,
        "organization": identity.organization,
        "status": "used",
        "username": identity.username,
    }


def introspection(world: World, token: Token, include: set[str]) -> Document:
    grant = token.grant
    account = world.account(grant.identity)
    primary = account.primary
    document: Document = {
        "active": True,
        "token_type": "Bearer",
        "scope": " ".join(token.scopes),
        "client_id": grant.client,
        "username": primary.username,
        "name": primary.name,
        "email": primary.email,
        "exp": int(token.expires),
        "iat": int(token.issued),
        "nbf": int(token.issued),
        "sub": primary.id,
        "aud": list(dict.fromkeys((token.server, grant.client))),
        "iss": world.settings.issuer,
    }
    if "identity_set" in include:
        document["identity_set"] = [identity.id for identity in account.identities]
    if "session_info" in include:
        document["session_info"] = session_document(grant.session)
    return document


def session_document(session: Session | None) -> Document:
    if session is None:
        return {"session_id": None, "authentications": {}}
    return {
        "session_id": session.id,
        "authentications": {
            identity_id: {
                "acr": None,
                "amr": list(each.methods),
                "idp": each.provider_id,
                "auth_time": int(each.auth_time),
                "custom_claims": {},
            }
            for identity_id, each in session.authentications.items()
        },
    }


def policy_document(policy: Policy) -> Document:
    """A policy as its administrators see it; the time-out is in seconds."""
    return {
        "id": policy.id,
        "display_name": policy.name,
        "description": policy.name,
        "project_id": derived("project", policy.name),
        "high_assurance": policy.timeout_minutes is not None or policy.mfa,
        "authentication_assurance_timeout": None if policy.timeout_minutes is None else policy.timeout_minutes * 60,
        "required_mfa": policy.mfa,
        "domain_constraints_include": list(policy.domains) or None,
        "domain_constraints_exclude": None,
    }


def consent_document(world: World, consent: Consent) -> Document:
    name, above = consent.path[-1], consent.path[:-1]
    return {
        "id": consent.id,
        "client": world.catalog.server_client(above[-1]) if above else consent.client,
        "scope": world.catalog.scope_id(name),
        "scope_name": name,
        "dependency_path": list(consent.ids),
        "effective_identity": consent.identity,
        "status": "approved",
        "allows_refresh": consent.allows_refresh,
        "auto_approved": consent.automatic,
        "atomically_revocable": consent.optional,
        "created": fine_stamp(consent.created),
        "updated": fine_stamp(consent.updated),
        "last_used": fine_stamp(consent.last_used),
    }
