"""The REST API's front door: HTTP under a stage prefix, as API Gateway serves a REST API.

Owns API Gateway's own answers (unknown routes, too much, too late, a broken function) and its limits. What
a request or an answer looks like on the function's side is `proxy_event`'s; where the function runs is the
pool's.
"""

from __future__ import annotations

import json
import queue
import threading

from emulators.aws.hosts import Outcome, Pool
from emulators.aws.project import Project
from emulators.aws.proxy_event import MalformedError, Routes, http_response, proxy_event
from emulators.aws.web import Request, Response, Server
from emulators.clock import Clock

# https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html and Lambda's payload limit
BODY_LIMIT = 10 * 1024 * 1024
LAMBDA_LIMIT = 6 * 1024 * 1024
TIMEOUT = 29.0


def _own(status: int, message: str, kind: str) -> Response:
    headers = (("Content-Type", "application/json"), ("x-amzn-ErrorType", kind))
    return Response(status=status, headers=headers, body=json.dumps({"message": message}).encode())


_UNKNOWN = _own(403, "Missing Authentication Token", "MissingAuthenticationTokenException")
_FORBIDDEN = _own(403, "Forbidden", "ForbiddenException")
_TOO_LARGE = _own(413, "Request Too Long", "RequestTooLargeException")
_BROKEN = _own(502, "Internal server error", "InternalServerErrorException")
_TOO_LATE = _own(504, "Endpoint request timed out", "GatewayTimeoutException")


def open_door(port: int) -> Server:
    """The gateway's server, listening from now on, so that its address can be a setting of the functions."""
    return Server(lambda request: _BROKEN, port=port, body_limit=BODY_LIMIT, too_large=_TOO_LARGE)


class Gateway:
    """Answers for ``/STAGE/...`` at ``door``, which it does not start or stop."""

    def __init__(
        self, door: Server, project: Project, pool: Pool, clock: Clock, *, stage: str, timeout: float = TIMEOUT
    ) -> None:
        self._project, self._pool, self._clock = project, pool, clock
        self._routes = Routes(project.routes)
        self._stage, self._timeout = stage, timeout
        self._port = door.port
        door.answer = self.answer

    def answer(self, request: Request) -> Response:
        path = request.target.partition("?")[0]
        prefix = f"/{self._stage}"
        if path != prefix and not path.startswith(f"{prefix}/"):
            return _FORBIDDEN
        path = path[len(prefix) :] or "/"
        match = self._routes.match(request.method, path)
        if match is None:
            return self._preflight(request, path) or _UNKNOWN
        event = proxy_event(
            request,
            match,
            path=path,
            stage=self._stage,
            port=self._port,
            now=self._clock.now(),
            binary_types=self._project.binary_types,
        )
        if len(event["body"] or "") > LAMBDA_LIMIT:
            return _TOO_LARGE
        return self._invoke(event)

    def _preflight(self, request: Request, path: str) -> Response | None:
        headers = self._routes.cors(path) if request.method == "OPTIONS" else None
        return None if headers is None else Response(status=200, headers=tuple(headers.items()))

    def _invoke(self, event: dict[str, object]) -> Response:
        outcome = self._run_in_time(event)
        if outcome is None:
            return _TOO_LATE
        if outcome.failed:
            return _BROKEN
        try:
            response = http_response(outcome.payload)
        except MalformedError:
            return _BROKEN
        return response if len(response.body) <= LAMBDA_LIMIT else _BROKEN

    def _run_in_time(self, event: dict[str, object]) -> Outcome | None:
        """The outcome, or None when it takes too long: the function then runs on, as behind API Gateway."""
        outcomes: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()

        def run() -> None:
            outcomes.put(self._pool.run(event, patience=self._timeout))

        threading.Thread(target=run, daemon=True).start()
        try:
            return outcomes.get(timeout=self._timeout)
        except queue.Empty:
            return None
