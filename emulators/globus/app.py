"""One request: find its handler, let ordered faults happen, render refusals in the shape of their service."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from urllib.parse import parse_qs

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import Map
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from emulators.globus import pages
from emulators.globus.authorize import with_query
from emulators.globus.errors import AuthRefusal, OAuthRefusal, PageRefusal, RedirectRefusal, Refusal, TransferRefusal
from emulators.globus.faults import CallFault, Seen
from emulators.globus.ids import random_id, request_id
from emulators.globus.replies import json_reply, page_reply
from emulators.globus.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What to send, and what an ordered fault makes of it. No response means: close the connection."""

    response: Response | None
    delay: float = 0.0
    truncate: bool = False


class Application:
    def __init__(self, world: World, routes: Map) -> None:
        self.world, self.routes = world, routes

    def answer(self, request: Request) -> Outcome:
        """Answer one request; never raises."""
        with self.world.lock:
            fault = None
            if not request.path.startswith("/_emulator"):
                fault = self.world.faults.for_call(request.method, request.path)
        response = self._injected(fault) if fault is not None else None
        if response is None and not (fault is not None and fault.kind == "reset_before"):
            response = self._handled(request)
        self._remember(request, response)
        if fault is None:
            return Outcome(response=response)
        closed = fault.kind in ("reset_before", "reset_after")
        return Outcome(
            response=None if closed else response,
            delay=fault.seconds if fault.kind == "slow" else 0.0,
            truncate=fault.kind == "truncate",
        )

    def _injected(self, fault: CallFault) -> Response | None:
        """The answer that a fault gives instead of the handler's."""
        if fault.kind != "answer":
            return None
        if isinstance(fault.body, str):
            response = Response(fault.body, status=fault.status, content_type="text/html")
        else:
            default = {"code": "ServiceUnavailable", "message": "Fault on order", "request_id": request_id()}
            response = json_reply(default if fault.body is None else fault.body, fault.status)
        response.headers.update(fault.headers)
        return response

    def _handled(self, request: Request) -> Response:
        try:
            handler, values = self.routes.bind_to_environ(request.environ).match()
            found = handler(self.world, request, **values)
            assert isinstance(found, Response)
        except (NotFound, MethodNotAllowed):
            return _not_covered(request)
        except HTTPException as error:
            return _rendered(request, TransferRefusal(error.code or 400, "BadRequest", error.description or ""))
        except Refusal as refusal:
            return _rendered(request, refusal)
        except Exception:
            traceback.print_exc()
            message = "The emulator has a defect; see its standard error"
            return _rendered(request, TransferRefusal(500, "InternalError", message))
        return found

    def _remember(self, request: Request, response: Response | None) -> None:
        if request.path.startswith("/_emulator"):
            return
        transfer = request.path.startswith("/v0.10/")
        seen = Seen(
            method=request.method,
            path=request.path,
            query=parse_qs(request.query_string.decode("latin-1")) if transfer else {},
            user=request.environ.get("emulator.user"),
            status=0 if response is None else response.status_code,
            time=self.world.now(),
        )
        with self.world.lock:
            self.world.faults.seen.append(seen)


def _not_covered(request: Request) -> Response:
    message = f"This emulator does not cover {request.method} {request.path}"
    if request.path.startswith("/v2/"):
        return _rendered(request, AuthRefusal(501, "NOT_IMPLEMENTED", "Not implemented", message))
    return _rendered(request, TransferRefusal(501, "NotImplemented", message))


def _rendered(request: Request, refusal: Refusal) -> Response:
    """A refusal in the shape of the service that it comes from."""
    match refusal:
        case PageRefusal():
            response = page_reply(pages.error_page(refusal.title, refusal.message), refusal.status)
        case RedirectRefusal():
            back = {"error": refusal.error, "error_description": refusal.message, "state": refusal.state}
            response = redirect(with_query(refusal.redirect_uri, back))
        case OAuthRefusal():
            response = json_reply({"error": refusal.message, **refusal.extra}, refusal.status)
        case AuthRefusal():
            response = json_reply(_auth_error(refusal), refusal.status)
        case TransferRefusal():
            body = {"code": refusal.code, "message": refusal.message, "request_id": request_id()}
            response = json_reply({**body, "resource": request.path, **refusal.extra}, refusal.status)
        case _:
            raise AssertionError(refusal)
    response.headers.update(refusal.headers)
    return response


def _auth_error(refusal: AuthRefusal) -> dict[str, object]:
    extra = dict(refusal.extra)
    error = extra.pop("error", refusal.code.lower())
    detail = {
        "id": random_id(),
        "status": str(refusal.status),
        "code": refusal.code,
        "title": refusal.title,
        "detail": refusal.message,
        **extra,
    }
    return {"error": error, "error_description": refusal.title, "errors": [detail]}
