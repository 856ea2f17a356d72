"""Whether the service answers at all: no table is read, no key is asked for."""

from __future__ import annotations

from chalice.app import Blueprint, Response

from chalicelib.version import VERSION

routes = Blueprint(__name__)


@routes.route("/v1/health", methods=["GET"])
def health() -> Response:
    """The function runs, and which version it is."""
    return Response({"status": "ok", "version": VERSION})
