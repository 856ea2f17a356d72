"""A small threaded HTTP/1.1 server: whole request in, whole answer out.

Owns keep-alive, both ways of framing a request body, and one write per answer, so that no client waits for
Nagle's algorithm and a delayed ACK (measured: 44 ms a request). Knows nothing of AWS. Werkzeug's own server
is not used because it closes each connection after one answer.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it came: ``target`` is the raw request target, header names keep their spelling."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
    client: str = "127.0.0.1"

    def header(self, name: str) -> str | None:
        """The last value of a header, or None."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return found[-1] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer; Content-Length is the server's to add."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)


class BodyTooLargeError(Exception):
    """The client sends more than this server takes."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 120
    server: Server

    def _answer(self) -> None:
        try:
            body = self._read_body()
        except BodyTooLargeError:
            self.close_connection = True
            self._write(self.server.too_large)
            return
        except (ValueError, EOFError):
            self.close_connection = True
            self._write(Response(status=400))
            return
        request = Request(
            method=self.command,
            target=self.path,
            headers=tuple(self.headers.items()),
            body=body,
            client=self.client_address[0],
        )
        self._write(self.server.answer(request))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815

    def _read_body(self) -> bytes:
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            return self._read_chunks()
        length = int(self.headers.get("Content-Length") or 0)
        if length > self.server.body_limit:
            raise BodyTooLargeError
        body = self.rfile.read(length)
        if len(body) < length:
            raise EOFError
        return body

    def _read_chunks(self) -> bytes:
        chunks: list[bytes] = []
        total = 0
        while size := int(self.rfile.readline(1024).split(b";")[0], 16):
            total += size
            if total > self.server.body_limit:
                raise BodyTooLargeError
            chunks.append(self.rfile.read(size))
            self.rfile.readline(3)
        while self.rfile.readline(65536).strip():
            pass  # trailers
        return b"".join(chunks)

    def _write(self, response: Response) -> None:
        self.send_response_only(response.status)
        for name, value in response.headers:
            if name.lower() not in {"content-length", "connection"}:
                self.send_header(name, value.replace("\r", "").replace("\n", ""))
        if response.status not in {204, 304}:
            self.send_header("Content-Length", str(len(response.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        silent = self.command == "HEAD" or response.status in {204, 304}
        buffer: list[bytes] = self._headers_buffer  # type: ignore[attr-defined]
        buffer.append(b"\r\n")
        if not silent:
            buffer.append(response.body)
        self.wfile.write(b"".join(buffer))
        buffer.clear()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Serves ``answer`` on 127.0.0.1 from its own threads between start() and stop()."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(
        self,
        answer: Callable[[Request], Response],
        *,
        port: int = 0,
        body_limit: int = 64 * 1024 * 1024,
        too_large: Response | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", port), _Connection)
        self.answer = answer
        self.body_limit = body_limit
        self.too_large = too_large or Response(status=413)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._open: set[socket.socket] = set()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and drop every open connection, so that no idle client keeps a thread alive."""
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        self.server_close()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def process_request(self, request: object, client_address: object) -> None:
        if isinstance(request, socket.socket):
            self._open.add(request)
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def shutdown_request(self, request: object) -> None:
        if isinstance(request, socket.socket):
            self._open.discard(request)
        super().shutdown_request(request)  # type: ignore[arg-type]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is its own affair; anything else is ours and is shown."""
        import sys

        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]
