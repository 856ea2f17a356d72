"""Answers: JSON with the right content type, and HTML pages that no other site may frame."""

from __future__ import annotations

import json

from werkzeug.wrappers import Response


def json_reply(document: object, status: int = 200) -> Response:
    return Response(json.dumps(document), status=status, content_type="application/json")


def page_reply(text: str, status: int = 200) -> Response:
    reply = Response(text, status=status, content_type="text/html; charset=utf-8")
    reply.headers["Cache-Control"] = "no-store"
    reply.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    reply.headers["Referrer-Policy"] = "no-referrer"
    return reply
