"""Passes requests on to another endpoint, over connections that are kept: DynamoDB Local behind the gate."""

from __future__ import annotations

import http.client
import threading
from urllib.parse import urlsplit

from emulators.aws.web import Request, Response

_OURS = frozenset({"host", "transfer-encoding", "content-length", "connection"})
_THEIRS = frozenset({"server", "date", "transfer-encoding"})


class Forwarder:
    """Safe for many threads: each request has a connection to itself, and gives it back."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def pass_on(self, request: Request) -> Response:
        """The far side's answer. A kept connection that turns out closed is replaced once."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            try:
                return self._ask(connection, request)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                connection.close()
        return self._ask(http.client.HTTPConnection(self._host, self._port, timeout=60), request)

    def _ask(self, connection: http.client.HTTPConnection, request: Request) -> Response:
        headers = {name: value for name, value in request.headers if name.lower() not in _OURS}
        try:
            connection.request(request.method, "/", request.body, headers)
            reply = connection.getresponse()
            body = reply.read()
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)
        kept = tuple((name, value) for name, value in reply.getheaders() if name.lower() not in _THEIRS)
        return Response(status=reply.status, headers=kept, body=body)

    def close(self) -> None:
        with self._lock:
            for connection in self._idle:
                connection.close()
            self._idle.clear()
