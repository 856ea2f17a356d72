"""The AWS endpoint: what real boto3 clients reach by AWS_ENDPOINT_URL.

Every request passes the gate; DynamoDB, KMS, SQS and Secrets Manager are then answered by moto in this
process (or DynamoDB by Amazon's own DynamoDB Local), Lambda Invoke by the function's host. Owns the wiring
of these and the observers that tests and the pump hang on it. Holds no rule of its own.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from emulators.aws.access import Call, invoked_function
from emulators.aws.forward import Forwarder
from emulators.aws.gate import Gate, Passed
from emulators.aws.web import Request, Response, Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request of a function that passed the gate. ``status`` is None before it is answered."""

    caller: str
    call: Call
    status: int | None


Observer = Callable[[Seen], None]


class Invoker(Protocol):
    """Runs a function for a Lambda Invoke."""

    def invoke_by_name(self, name: str, payload: bytes, *, wait: bool) -> tuple[bytes, bool] | None:
        """(payload, whether it failed); b"" at once when not ``wait``; None for an unknown function."""
        ...


class Front:
    """Serves the endpoint between server.start() and stop(). Use inside ``locked.tamed``."""

    def __init__(self, gate: Gate, *, account: str, port: int = 0, dynamodb: str | None = None) -> None:
        self.account = account
        self.gate = gate
        self.invoker: Invoker | None = None
        self.observers: list[Observer] = []
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._dynamodb = None if dynamodb is None else Forwarder(dynamodb)
        self.server = Server(self.answer, port=port)

    def stop(self) -> None:
        self.server.stop()
        if self._dynamodb is not None:
            self._dynamodb.close()

    def answer(self, request: Request) -> Response:
        passed = self.gate.judge(request)
        if isinstance(passed, Response):
            return passed
        self._tell(passed, None)
        response = self._dispatch(request, passed)
        self._tell(passed, response.status)
        return response

    def _tell(self, passed: Passed, status: int | None) -> None:
        if passed.call is not None:
            for observer in list(self.observers):
                observer(Seen(caller=passed.caller, call=passed.call, status=status))

    def _dispatch(self, request: Request, passed: Passed) -> Response:
        if passed.service == "lambda":
            return self._invoke(request)
        if passed.service == "dynamodb" and self._dynamodb is not None:
            return self._dynamodb.pass_on(request)
        return self._ask_moto(request)

    def _invoke(self, request: Request) -> Response:
        name = invoked_function(request)
        kind = request.header("X-Amz-Invocation-Type") or "RequestResponse"
        if name is None or kind not in {"RequestResponse", "Event"}:
            return Response(status=400, headers=(("x-amzn-ErrorType", "InvalidRequestContentException"),), body=b"{}")
        wait = kind == "RequestResponse"
        found = None if self.invoker is None else self.invoker.invoke_by_name(name, request.body or b"{}", wait=wait)
        if found is None:
            message = f"Function not found: arn:aws:lambda:{self.account}:function:{name}"
            headers = (
                ("x-amzn-ErrorType", "ResourceNotFoundException"),
                ("Content-Type", "application/json"),
            )
            return Response(status=404, headers=headers, body=json.dumps({"Message": message}).encode())
        payload, failed = found
        answered = [("Content-Type", "application/json"), ("X-Amz-Executed-Version", "$LATEST")]
        if failed:
            answered.append(("X-Amz-Function-Error", "Unhandled"))
        return Response(status=200 if wait else 202, headers=tuple(answered), body=payload)

    def _ask_moto(self, request: Request) -> Response:
        answer: dict[str, Any] = {}

        def start(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            answer.update(status=int(status.split(" ", 1)[0]), headers=tuple(headers))

        chunks = self._moto(self._environ(request), start)
        try:
            body = b"".join(chunks)
        finally:
            getattr(chunks, "close", lambda: None)()
        return Response(status=answer["status"], headers=answer["headers"], body=body)

    def _environ(self, request: Request) -> dict[str, Any]:
        path, _, query = request.target.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(self.server.port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": request.client,
            "CONTENT_LENGTH": str(len(request.body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(request.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in request.headers:
            key = name.upper().replace("-", "_")
            if key not in {"CONTENT_LENGTH", "TRANSFER_ENCODING"}:
                environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = self.account
        return environ
