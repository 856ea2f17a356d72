"""``/v1/me``: who the caller is, whether they have to sign in, and signing out everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint, Response

from chalicelib.api.guard import caller_of
from chalicelib.api.keys import when
from chalicelib.api.problems import answers, login_url
from chalicelib.api.rooms import rooms
from chalicelib.core.keys import JOBS, READ, KeyRecord

if TYPE_CHECKING:
    from chalicelib.service.me import Whoami

routes = Blueprint(__name__)


@routes.route("/v1/me", methods=["GET"])
@answers
def me() -> Response:
    """The caller."""
    caller = caller_of(routes.current_request, READ)
    return Response(_shown(rooms().me.whoami(caller)), headers={"Cache-Control": "no-store"})


@routes.route("/v1/me/logout", methods=["POST"])
@answers
def leave() -> Response:
    """Sign the caller out everywhere."""
    left = rooms().leaving.leave(caller_of(routes.current_request, JOBS))
    body = {
        "keys": left.keys,
        "browsers": left.browsers,
        "stops": [{"id": job.ref.number, "name": job.name, "state": job.state} for job in left.stops],
        "more": left.more,
    }
    return Response(body, headers={"Cache-Control": "no-store"})


def _shown(who: Whoami) -> dict[str, Any]:
    login: dict[str, Any] = {
        "state": "ok",
        "scopes": list(who.profile.scopes) if who.profile else [],
        "session": [
            {
                "identity": each.identity,
                "username": each.username,
                "auth_time": when(each.auth_time),
                "mfa": each.mfa,
            }
            for each in (who.profile.session.authentications if who.profile else ())
        ],
    }
    if who.demand is not None and who.link is not None:
        login |= {
            "state": "needed",
            "reason": who.demand.reason,
            "detail": who.demand.detail,
            "login_url": login_url(who.link),
        }
    return {
        "id": who.caller.user,
        "username": who.caller.username,
        "name": who.profile.name if who.profile else "",
        "email": who.profile.email if who.profile else "",
        "login": login,
        "key": _key(who.key),
    }


def _key(key: KeyRecord | None) -> dict[str, Any] | None:
    """The key of the request; None where it bore a Globus token."""
    return None if key is None else {"id": key.id, "scopes": sorted(key.scopes), "expires_at": when(key.expires_at)}
