"""One Lambda execution environment: a process that imports a Chalice project and runs one function's events.

    python -m emulators.aws.function NAME --project DIR --once EVENT.json    run one event, print the answer
    python -m emulators.aws.function NAME --project DIR --channel FD         serve a parent over a socket

Owns what Lambda's runtime owns: the working directory and import path of the task, the import, the context
object, log lines on stderr, one event at a time in the main thread. Standard library only: what it imports
counts into the cold start that the benchmark measures. It dies with its parent: the parent's end of the
channel closes, and so does this. Frames on the channel are a four-byte big-endian length and that many
bytes of JSON.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import queue
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

Handler = Callable[[Any, Any], Any]


class Context:
    """The second argument of a handler: the part of Lambda's context that a function may rely on."""

    def __init__(self, name: str, request_id: str, seconds: float) -> None:
        self.function_name = name
        self.function_version = "$LATEST"
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        region, account = os.environ.get("AWS_REGION", "local"), os.environ.get("EMULATED_ACCOUNT", "0")
        self.invoked_function_arn = f"arn:aws:lambda:{region}:{account}:function:{name}"
        self.aws_request_id = request_id
        self.log_group_name = f"/aws/lambda/{name}"
        self.log_stream_name = str(os.getpid())
        self.client_context = None
        self.identity = None
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the time-out, by the machine's time, as Lambda counts."""
        return max(0, int((self._end - time.monotonic()) * 1000))


def read_frame(channel: socket.socket) -> bytes:
    """:raises EOFError: when the other end is gone."""
    return _read_exactly(channel, int.from_bytes(_read_exactly(channel, 4), "big"))


def write_frame(channel: socket.socket, payload: bytes) -> None:
    channel.sendall(len(payload).to_bytes(4, "big") + payload)


def _read_exactly(channel: socket.socket, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = channel.recv(min(count, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def load_handler(project: Path, handler: str) -> Handler:
    """Import ``app.something`` from the project, as Lambda imports a task's handler."""
    os.chdir(project)
    if str(project) not in sys.path:
        sys.path.insert(0, str(project))
    module, _, attribute = handler.partition(".")
    found: Any = importlib.import_module(module)
    for name in attribute.split("."):
        found = getattr(found, name)
    return found  # type: ignore[no-any-return]


def described(error: BaseException) -> dict[str, Any]:
    """An error as Lambda answers it."""
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


def run(handler: Handler, name: str, event: Any, request_id: str, seconds: float) -> dict[str, Any]:
    """Run one event to ``{"result": ...}`` or ``{"error": ...}``; log lines as Lambda writes them."""
    started = time.monotonic()
    print(f"START RequestId: {request_id}", file=sys.stderr, flush=True)
    try:
        answer = handler(event, Context(name, request_id, seconds))
        outcome: dict[str, Any] = {"result": json.loads(json.dumps(answer))}
    except Exception as error:  # any error of the handler is the event's outcome, as in Lambda
        logging.getLogger("lambda").exception("event failed")
        outcome = {"error": described(error)}
    took = (time.monotonic() - started) * 1000
    print(f"END RequestId: {request_id} Duration: {took:.2f} ms", file=sys.stderr, flush=True)
    return outcome


def _log_to_stderr() -> None:
    sys.stdout = sys.stderr  # what a function prints is its log
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        logging.Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(message)s", "%Y-%m-%dT%H:%M:%S")
    )
    handler.formatter.converter = time.gmtime  # type: ignore[union-attr]
    logging.getLogger().addHandler(handler)


def serve(name: str, project: Path, handler_name: str, channel: socket.socket) -> int:
    """Import, say so, then run what comes. Returns only for an import that failed."""
    try:
        handler = load_handler(project, handler_name)
    except BaseException as error:  # SystemExit in an import is a failed import too
        traceback.print_exc()
        write_frame(channel, json.dumps({"error": described(error)}).encode())
        return 1
    write_frame(channel, b'{"ready": true}')
    events: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:
        try:
            while True:
                events.put(read_frame(channel))
        except (EOFError, OSError):
            os._exit(0)  # the parent is gone: an event under way is lost, as when Lambda takes a sandbox away

    threading.Thread(target=listen, daemon=True).start()
    while True:
        asked = json.loads(events.get())
        outcome = run(handler, name, asked["event"], asked["id"], asked["seconds"])
        write_frame(channel, json.dumps(outcome).encode())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="emulators.aws.function", description=__doc__.split("\n")[0])
    parser.add_argument("name", help="the function's name")
    parser.add_argument("--project", type=Path, required=True, help="the directory of app.py")
    parser.add_argument("--handler", help="the entry point (default: app.NAME; app.app for api_handler)")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds an event may take, with --once")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--once", type=Path, metavar="EVENT", help="a JSON file with one event")
    way.add_argument("--channel", type=int, metavar="FD", help="the socket to serve")
    options = parser.parse_args(arguments)
    handler = options.handler or ("app.app" if options.name == "api_handler" else f"app.{options.name}")
    answer_to = sys.stdout
    _log_to_stderr()
    if options.channel is not None:
        return serve(options.name, options.project.resolve(), handler, socket.socket(fileno=options.channel))
    event = json.loads(options.once.read_text())
    loaded = load_handler(options.project.resolve(), handler)
    outcome = run(loaded, options.name, event, "once", options.timeout)
    print(json.dumps(outcome.get("result", outcome)), file=answer_to, flush=True)
    return 1 if "error" in outcome else 0


if __name__ == "__main__":
    sys.exit(main())
