"""The login pages over HTTP: reads the link and the posted forms, asks ``authorize``, answers with a page."""

from __future__ import annotations

from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from emulators.globus import authorize, pages
from emulators.globus.authorize import Attempt
from emulators.globus.errors import AuthRefusal, PageRefusal
from emulators.globus.replies import json_reply, page_reply
from emulators.globus.world import World

COOKIE = "globus_session"
_MOST_ATTEMPTS = 10_000


def start(world: World, request: Request) -> Response:
    """``GET /v2/oauth2/authorize``: check the link and show the first page that is needed."""
    with world.lock:
        login = authorize.read_request(world, request.args)
        session = world.auth.sessions.get(request.cookies.get(COOKIE, "")) or world.auth.new_session()
        attempt = Attempt(request=login, session=session)
        _remember(world, attempt)
        reply = _next_page(world, attempt)
    reply.set_cookie(COOKIE, session.cookie, httponly=True, samesite="Lax")
    return reply


def choose_provider(world: World, request: Request) -> Response:
    with world.lock:
        attempt = _attempt(world, request)
        wanted = request.form.get("provider")
        offered = authorize.providers(world, attempt)
        attempt.provider = next((each for each in offered if each.id == wanted), None)
        if attempt.provider is None:
            raise PageRefusal(400, "Unknown provider", "Choose one of the organisations that are shown.")
        return _next_page(world, attempt)


def choose_identity(world: World, request: Request) -> Response:
    with world.lock:
        attempt = _attempt(world, request)
        identity = world.people.identities.get(request.form.get("identity", ""))
        if identity is None:
            raise PageRefusal(400, "Unknown identity", "Choose one of the identities that are shown.")
        authorize.sign_in(world, attempt, identity)
        return _next_page(world, attempt)


def decide(world: World, request: Request) -> Response:
    """The answer to the consent page."""
    with world.lock:
        attempt = _attempt(world, request)
        account = authorize.signed_in(world, attempt)
        if account is None:
            raise PageRefusal(403, "Not signed in", "Sign in before consenting.")
        login = attempt.request
        if request.form.get("decision") != "allow":
            attempt.done = True
            refused = {"error": "access_denied", "error_description": "The user denied consent", "state": login.state}
            return redirect(authorize.with_query(login.redirect_uri, refused))
        granted = {tuple(each.split(" ")) for each in request.form.getlist("grant")}
        asked = {path for path, optional in authorize.missing_consents(world, attempt, account) if optional}
        authorize.allow(world, attempt, account, denied=asked - granted)
        return redirect(authorize.finish(world, attempt, account))


def show_code(world: World, request: Request) -> Response:
    """Where the paste-a-code flow ends."""
    if error := request.args.get("error"):
        return page_reply(pages.error_page("The login failed", error), 400)
    return page_reply(pages.code_page(request.args.get("code", "")))


def register_client(world: World, request: Request) -> Response:
    """``POST /v2/api/clients`` from a template: how the command line tool makes its own client at login."""
    wanted = (request.get_json(silent=True) or {}).get("client", {})
    if not wanted.get("template_id"):
        raise AuthRefusal(501, "NOT_IMPLEMENTED", "Not implemented", "Clients are registered from a template only")
    name = str(wanted.get("name") or "Native application")
    with world.lock:
        client = world.people.new_client(name, (request.host_url.rstrip("/") + "/v2/web/auth-code",))
    credential = {"id": client.id, "name": "Auto-created at client creation", "client": client.id}
    return json_reply(
        {
            "client": {
                "id": client.id,
                "name": client.name,
                "client_type": "confidential_client",
                "fqdns": [],
                "grant_types": ["authorization_code", "client_credentials", "refresh_token"],
                "links": {"privacy_policy": None, "terms_and_conditions": None},
                "parent_client": wanted["template_id"],
                "preselect_idp": None,
                "project": None,
                "prompt_for_named_grant": False,
                "public_client": False,
                "redirect_uris": list(client.redirect_uris),
                "required_idp": None,
                "scopes": [],
                "userinfo_from_effective_identity": True,
                "visibility": "private",
            },
            "included": {"client_credential": {**credential, "secret": client.secret}},
        },
        201,
    )


def _remember(world: World, attempt: Attempt) -> None:
    """Keep an attempt; of those that nobody finishes, the oldest go."""
    world.attempts[attempt.id] = attempt
    while len(world.attempts) > _MOST_ATTEMPTS:
        del world.attempts[next(iter(world.attempts))]


def _attempt(world: World, request: Request) -> Attempt:
    """The attempt a form belongs to. Its token and the browser's cookie must both be the attempt's own."""
    attempt = world.attempts.get(request.form.get("attempt", ""))
    if attempt is None or attempt.done:
        raise PageRefusal(400, "This login is over", "Start again from the application.")
    if request.form.get("csrf") != attempt.csrf or request.cookies.get(COOKIE) != attempt.session.cookie:
        raise PageRefusal(403, "Not your login", "The form does not belong to this browser.")
    return attempt


def _next_page(world: World, attempt: Attempt) -> Response:
    account = authorize.signed_in(world, attempt)
    if account is None:
        return _sign_in_page(world, attempt)
    missing = authorize.missing_consents(world, attempt, account)
    if missing:
        name, username = attempt.request.client.name, account.primary.username
        return page_reply(pages.consent_page(attempt.id, attempt.csrf, name, username, missing))
    return redirect(authorize.finish(world, attempt, account))


def _sign_in_page(world: World, attempt: Attempt) -> Response:
    login = attempt.request
    offered = authorize.providers(world, attempt)
    if not offered:
        raise PageRefusal(403, "No identity can do this", "No identity meets what the application requires.")
    if attempt.provider is None and len(offered) == 1:
        attempt.provider = offered[0]
    provider, attempt.provider = attempt.provider, None
    if provider is None:
        return page_reply(pages.provider_page(attempt.id, attempt.csrf, offered, login.client.name, login.message))
    identities = [each for each in authorize.choices(world, attempt) if world.people.provider(each) == provider]
    return page_reply(pages.identity_page(attempt.id, attempt.csrf, provider.name, identities, login.message))
