"""HTTP to API Gateway's REST proxy event, and the proxy answer back to HTTP. Pure.

Owns the shape that a REST API with Lambda proxy integration gives and takes: path parameters decoded once,
both the last and all values of headers and query parameters, base64 by media type, and the headers that API
Gateway keeps for itself.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from emulators.aws.project import Route
from emulators.aws.web import Request, Response

# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
_REMAPPED = frozenset({"connection", "content-length", "date", "max-forwards", "server", "www-authenticate"})
_DROPPED = frozenset({"te", "trailer", "transfer-encoding", "upgrade"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    route: Route
    parameters: Mapping[str, str] | None


class Routes:
    """Matches raw paths. A literal segment wins over a parameter, as in API Gateway."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = sorted(routes, key=lambda route: [part.startswith("{") for part in route.path.split("/")])

    def match(self, method: str, path: str) -> Match | None:
        """``path`` is raw, without the stage: an encoded slash does not part segments."""
        for route in self._routes:
            if route.method == method and (found := _parameters(route.path, path)) is not None:
                return Match(route=route, parameters=found or None)
        return None

    def cors(self, path: str) -> Mapping[str, str] | None:
        """The answer to a preflight: of the routes at ``path`` those with CORS, or None."""
        at = [route for route in self._routes if route.cors and _parameters(route.path, path) is not None]
        if not at:
            return None
        methods = ",".join(sorted({route.method for route in at} | {"OPTIONS"}))
        return {**(at[0].cors or {}), "Access-Control-Allow-Methods": methods}


def _parameters(pattern: str, path: str) -> dict[str, str] | None:
    wanted, given = pattern.strip("/").split("/"), path.strip("/").split("/")
    if len(wanted) != len(given):
        return None
    found: dict[str, str] = {}
    for want, have in zip(wanted, given, strict=True):
        if want.startswith("{"):
            if not have:
                return None
            found[want[1:-1]] = unquote(have)
        elif want != have:
            return None
    return found


def _multi(pairs: Sequence[tuple[str, str]]) -> tuple[dict[str, str] | None, dict[str, list[str]] | None]:
    every: dict[str, list[str]] = {}
    for name, value in pairs:
        every.setdefault(name, []).append(value)
    return ({name: values[-1] for name, values in every.items()} or None), (every or None)


def _multi_headers(request: Request, port: int) -> tuple[Any, Any]:
    spelled: dict[str, str] = {}
    pairs = [
        (spelled.setdefault(name.lower(), name), value)
        for name, value in request.headers
        if name.lower() not in _DROPPED | {"connection", "content-length", "expect", "keep-alive"}
    ]
    pairs += [("X-Forwarded-For", request.client), ("X-Forwarded-Port", str(port)), ("X-Forwarded-Proto", "http")]
    return _multi(pairs)


def binary(content_type: str, binary_types: Iterable[str]) -> bool:
    """Whether a media type is among the API's binary types, which may have wildcards."""
    kind = content_type.split(";")[0].strip().lower()
    return any(re.fullmatch(re.escape(one).replace(r"\*", ".*"), kind) for one in binary_types)


def proxy_event(
    request: Request, match: Match, *, path: str, stage: str, port: int, now: float, binary_types: Sequence[str]
) -> dict[str, Any]:
    """The event for one request. ``path`` is raw and without the stage."""
    headers, multi_headers = _multi_headers(request, port)
    query = request.target.partition("?")[2]
    last, every = _multi(parse_qsl(query, keep_blank_values=True))
    encoded = bool(request.body) and binary(request.header("Content-Type") or "", binary_types)
    text = base64.b64encode(request.body) if encoded else request.body
    when = datetime.fromtimestamp(now, UTC)
    return {
        "resource": match.route.path,
        "path": path,
        "httpMethod": request.method,
        "headers": headers,
        "multiValueHeaders": multi_headers,
        "queryStringParameters": last,
        "multiValueQueryStringParameters": every,
        "pathParameters": match.parameters,
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "local",
            "domainName": request.header("Host") or "127.0.0.1",
            "extendedRequestId": uuid.uuid4().hex,
            "httpMethod": request.method,
            "identity": {"sourceIp": request.client, "userAgent": request.header("User-Agent")},
            "path": f"/{stage}{path}",
            "protocol": "HTTP/1.1",
            "requestId": str(uuid.uuid4()),
            "requestTime": when.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": int(now * 1000),
            "resourceId": "local",
            "resourcePath": match.route.path,
            "stage": stage,
        },
        # API Gateway reads a text body as UTF-8; bytes that are none arrive as replacement characters.
        "body": text.decode("utf-8", "replace") if request.body else None,
        "isBase64Encoded": encoded,
    }


class MalformedError(ValueError):
    """The function's answer is not a proxy answer: API Gateway says 502."""


def http_response(answer: Any) -> Response:
    """:raises MalformedError: where API Gateway would log "Malformed Lambda proxy response"."""
    if not isinstance(answer, dict) or set(answer) - {
        "statusCode",
        "headers",
        "multiValueHeaders",
        "body",
        "isBase64Encoded",
    }:
        raise MalformedError("not a proxy answer")
    try:
        status = int(answer["statusCode"])
    except (KeyError, TypeError, ValueError):
        raise MalformedError("no statusCode") from None
    body = answer.get("body")
    if body is not None and not isinstance(body, str):
        raise MalformedError("the body is not a string")
    try:
        content = base64.b64decode(body or "", validate=True) if answer.get("isBase64Encoded") else None
    except binascii.Error:
        raise MalformedError("the body is not base64") from None
    return Response(
        status=status,
        headers=tuple(_answer_headers(answer)),
        body=(body or "").encode() if content is None else content,
    )


def _answer_headers(answer: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    multi: Mapping[str, Sequence[Any]] = answer.get("multiValueHeaders") or {}
    single: Mapping[str, Any] = answer.get("headers") or {}
    repeated = {name.lower() for name in multi}
    pairs = [(name, value) for name, values in multi.items() for value in values]
    pairs += [(name, value) for name, value in single.items() if name.lower() not in repeated]
    if not any(name.lower() == "content-type" for name, _ in pairs):
        pairs.append(("Content-Type", "application/json"))
    for name, value in pairs:
        if name.lower() in _DROPPED:
            continue
        yield (f"x-amzn-Remapped-{name}" if name.lower() in _REMAPPED else name), str(value)
    yield "x-amzn-RequestId", str(uuid.uuid4())
