"""The daemon's end of the wire: a Unix socket that answers one line of JSON with another, and the file that
names it.

The socket lies in the state directory, or, where that path is too long for a socket, in a directory of its
own.
"""

from __future__ import annotations

import json
import os
import socketserver
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]
_LONGEST_PATH = 90


class _Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        line = self.rfile.readline()
        if line:
            self.wfile.write(json.dumps(self.server.answer(json.loads(line))).encode() + b"\n")


class Server(socketserver.ThreadingUnixStreamServer):
    """Answers questions, each on a thread of its own, until it is closed."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, state: Path, answer: Answer) -> None:
        self.answer = answer
        self._pointer = state / "address"
        path = state.resolve() / "socket"
        self._own: Path | None = None
        if len(os.fsencode(path)) > _LONGEST_PATH:
            self._own = Path(tempfile.mkdtemp(prefix="cobalt-"))
            path = self._own / "socket"
        path.unlink(missing_ok=True)
        super().__init__(str(path), _Handler)
        path.chmod(0o600)
        self._path = path
        draft = state / "address.new"
        draft.write_text(str(path))
        draft.replace(self._pointer)

    def server_close(self) -> None:
        super().server_close()
        self._pointer.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)
        if self._own is not None:
            self._own.rmdir()
