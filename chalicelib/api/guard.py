"""Who may pass: the caller of a request, with the scope that the route needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalice.app import Request

from chalicelib.api.rooms import rooms

if TYPE_CHECKING:
    from chalicelib.core.keys import Caller


def caller_of(request: Request, scope: str) -> Caller:
    """The caller, who may do ``scope``. Raises Unauthenticated or Forbidden."""
    caller = anyone_of(request)
    caller.require(scope)
    return caller


def anyone_of(request: Request) -> Caller:
    """The caller, whatever their key may do; for routes that decide by more than a scope."""
    here = rooms()
    header = request.headers.get("authorization")
    return here.access.authenticate(header, here.clock.now(), address=address_of(request))


def address_of(request: Request) -> str:
    """Where a request comes from, as API Gateway saw it; no header that the caller writes is asked."""
    identity: Any = request.context.get("identity") or {}
    return str(identity.get("sourceIp") or "unknown")[:64]
