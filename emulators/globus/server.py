"""HTTP/1.1 over threads: connections are kept alive, answers leave in one piece, nothing is logged.

The standard library's server carries it, because werkzeug's development server closes every connection.
"""

from __future__ import annotations

import io
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from werkzeug.wrappers import Request

from emulators.globus.app import Application, Outcome

_IDLE = 120.0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "GlobusEmulator/1"
    sys_version = ""
    disable_nagle_algorithm = True
    timeout = _IDLE
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        self.server.closed(self.connection)
        super().finish()

    def handle(self) -> None:
        """Serve until the other side (or a fault) ends the connection."""
        try:
            super().handle()
        except (ConnectionError, TimeoutError, ValueError):
            self.close_connection = True

    def _serve(self) -> None:
        body = self._body()
        if body is None:
            return
        outcome = self.server.application.answer(Request(self._environ(body)))
        if outcome.delay:
            time.sleep(outcome.delay)
        if outcome.response is None:
            self._reset()
        else:
            self._send(outcome)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = _serve  # noqa: N815

    def _body(self) -> bytes | None:
        """The whole body; None (and an answer) where its length is unknown or too much."""
        if self.headers.get("Transfer-Encoding"):
            self._refuse(411)
            return None
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > self.server.body_limit:
            self._refuse(413)
            return None
        return self.rfile.read(int(length))

    def _refuse(self, status: int) -> None:
        self.close_connection = True
        self.send_response_only(status)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def _environ(self, body: bytes) -> dict[str, Any]:
        split = urlsplit("//host" + self.path if self.path.startswith("/") else self.path)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(split.path).decode("latin-1"),
            "QUERY_STRING": split.query,
            "SERVER_NAME": self.server.server_address[0],
            "SERVER_PORT": str(self.server.server_address[1]),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": self.client_address[0],
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            key = "HTTP_" + name.upper().replace("-", "_")
            if key not in ("HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE"):
                environ[key] = value
        return environ

    def _send(self, outcome: Outcome) -> None:
        assert outcome.response is not None
        response = outcome.response
        body = response.get_data()
        lines = [f"HTTP/1.1 {response.status}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items() if name != "Content-Length"]
        lines.append(f"Content-Length: {len(body)}")
        if outcome.truncate:
            self.close_connection = True
            body = body[: len(body) // 2]
        if self.close_connection:
            lines.append("Connection: close")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self.wfile.write(head if self.command == "HEAD" else head + body)

    def _reset(self) -> None:
        """Close so that the other side sees a reset, not an end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a request line can hold a code."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], application: Application, body_limit: int) -> None:
        self.application, self.body_limit = application, body_limit
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(address, _Handler)

    def opened(self, connection: socket.socket) -> None:
        with self._guard:
            self._connections.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._guard:
            self._connections.discard(connection)

    def end_connections(self) -> None:
        """Wake every handler that waits on an idle connection, so that its thread ends."""
        with self._guard:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of ours."""
