"""The routes of sites, and the one call of their agents."""

from __future__ import annotations

from chalice.app import Blueprint, Response

from chalicelib.api import render
from chalicelib.api.bodies import idempotency_key, raw_json
from chalicelib.api.guard import anyone_of, caller_of
from chalicelib.api.problems import answers
from chalicelib.api.rooms import rooms
from chalicelib.core.ids import SiteId

routes = Blueprint(__name__)


@routes.route("/v1/sites", methods=["POST"])
@answers
def register_site() -> Response:
    """Register a site; the answer holds its agent's token, once."""
    request = routes.current_request
    caller = caller_of(request, "jobs")
    made = rooms().sites.register(caller, raw_json(request), idempotency_key(request))
    body = {"site": render.site(made.site, rooms().clock.now()), "agent_token": made.token}
    return Response(body, headers={"Cache-Control": "no-store"}, status_code=201)


@routes.route("/v1/sites", methods=["GET"])
@answers
def list_sites() -> Response:
    """The sites that the caller may use."""
    caller = caller_of(routes.current_request, "read")
    now = rooms().clock.now()
    return Response({"sites": [render.site(site, now) for site in rooms().sites.page(caller)]})


@routes.route("/v1/sites/{name}", methods=["GET"])
@answers
def get_site(name: str) -> Response:
    """One site."""
    caller = caller_of(routes.current_request, "read")
    return Response(render.site(rooms().sites.show(caller, SiteId(name)), rooms().clock.now()))


@routes.route("/v1/sites/{name}", methods=["PATCH"])
@answers
def change_site(name: str) -> Response:
    """Change a site: the fields that are given, and no others."""
    request = routes.current_request
    site = rooms().sites.change(caller_of(request, "jobs"), SiteId(name), raw_json(request))
    return Response(render.site(site, rooms().clock.now()))


@routes.route("/v1/sites/{name}/sync", methods=["POST"])
@answers
def sync_site(name: str) -> Response:
    """An agent's call: reports in; answers, leases and commands out."""
    from chalicelib.core.sync import read_sync

    request = routes.current_request
    caller = anyone_of(request)
    return Response(render.synced(rooms().syncing.sync(caller, SiteId(name), read_sync(raw_json(request)))))
