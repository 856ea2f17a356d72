"""How much processor time a POST takes: of the whole process behind a stubbed transport, and of our own code.

One POST runs through the app against Amazon's own DynamoDB Local, and the answers of AWS are kept as bytes; then the
same POST runs again and again, each call answered by the kept bytes before it leaves the process. Parsing, signing
and reading of boto3 are paid; *own* is what is left without the time inside its clients.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.cold_start import post_event
from bench.house import ROOT, SCRATCH, THETA, USERNAME, a_document, a_user, reference_ms
from chalicelib.core.sites import Mount, Site
from emulators.aws.dynamodb_local import DynamoDBLocal
from emulators.aws.resources import create_tables

BULK = 1000
TABLES = {
    "QSTAGE_JOBS_TABLE": "JobsTable",
    "QSTAGE_PLACES_TABLE": "PlacesTable",
    "QSTAGE_LOGINS_TABLE": "LoginsTable",
    "QSTAGE_TOKENS_TABLE": "TokensTable",
}


@dataclass
class _Bytes:
    body: bytes

    def stream(self, amount: int = 1024, **_: Any) -> Iterator[bytes]:
        yield self.body


@dataclass
class Tape:
    """The answers of one request, in the order of its calls; ``spent`` is the time inside the clients.

    Calls that are made at once are all of a kind, so that it does not matter which of them gets whose answer.
    """

    playing: bool = False
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    at: int = 0
    spent: float = 0.0
    _entered: threading.local = field(default_factory=threading.local)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def attach(self, client: Any) -> Any:
        events = client.meta.events
        events.register("provide-client-params", self._enter)
        events.register("before-send", self._send)
        events.register("response-received", self._keep)
        events.register_last("after-call", self._leave)
        return client

    def rewind(self) -> None:
        self.at, self.spent = 0, 0.0

    def _enter(self, **_: Any) -> None:
        self._entered.at = time.thread_time()

    def _leave(self, **_: Any) -> None:
        with self._lock:
            self.spent += time.thread_time() - self._entered.at

    def _send(self, request: Any, **_: Any) -> Any:
        if "/sqs" in request.url or "sqs." in request.url:
            return self._answer(request, 200, {}, _sent(request))
        if not self.playing:
            return None
        with self._lock:
            status, headers, body = self.answers[self.at % len(self.answers)]
            self.at += 1
        return self._answer(request, status, headers, body)

    def _answer(self, request: Any, status: int, headers: dict[str, str], body: bytes) -> Any:
        from botocore.awsrequest import AWSResponse

        return AWSResponse(request.url, status, headers, _Bytes(body))

    def _keep(self, response_dict: dict[str, Any], **_: Any) -> None:
        if not self.playing and response_dict is not None and "sqs" not in str(response_dict.get("context", "")):
            headers = {str(name).lower(): str(value) for name, value in response_dict["headers"].items()}
            if "x-amz-crc32" in headers or headers.get("server", "").startswith("Jetty"):
                self.answers.append((response_dict["status_code"], headers, response_dict["body"]))


def _sent(request: Any) -> bytes:
    body = json.loads(request.body)["MessageBody"].encode()
    return json.dumps({"MessageId": "1", "MD5OfMessageBody": hashlib.md5(body).hexdigest()}).encode()


@dataclass(frozen=True)
class Cost:
    """Milliseconds of processor time: the process's, and our own."""

    whole: float
    own: float


def measure(runs: int = 200) -> dict[str, float]:
    with DynamoDBLocal() as server, _deployed(server) as (post, tape):
        before = reference_ms()
        lone = _cost(post, tape, [a_document()], runs)
        bulk = _cost(post, tape, [a_document() for _ in range(BULK)], 5)
    print(f"one POST: {lone.whole:.2f} ms of the process, {lone.own:.2f} ms our own")
    print(f"a bulk:   {bulk.whole / BULK:.3f} ms a job of the process, {bulk.own / BULK:.3f} ms our own")
    return {
        "cpu_reference_ms": round((before + reference_ms()) / 2, 1),
        "post_own_cpu_ms": round(lone.own, 2),
        "post_cpu_ms": round(lone.whole, 2),
        "bulk_own_cpu_ms_per_job": round(bulk.own / BULK, 3),
        "bulk_cpu_ms_per_job": round(bulk.whole / BULK, 3),
    }


def _cost(post: Callable[[Any], None], tape: Tape, documents: list[dict[str, Any]], runs: int) -> Cost:
    body = documents[0] if len(documents) == 1 else {"jobs": documents}
    tape.playing, tape.answers = False, []
    post(body)
    tape.answers = []
    post(body)  # warm by now: these are the calls of every further one
    tape.playing = True
    wholes, owns = [], []
    for _ in range(runs):
        tape.rewind()
        began = time.process_time()
        post(body)
        whole = time.process_time() - began
        wholes.append(whole)
        owns.append(whole - tape.spent)
    middle = runs // 2
    return Cost(whole=sorted(wholes)[middle] * 1000, own=sorted(owns)[middle] * 1000)


@contextmanager
def _deployed(server: DynamoDBLocal) -> Iterator[tuple[Callable[[Any], None], Tape]]:
    """The app in this process, with a key and a site in its tables."""
    client = server.client()
    template = json.loads((ROOT / "infra" / "template.json").read_text())
    tables = create_tables(template, client)
    os.environ.update({name: tables[table] for name, table in TABLES.items()})
    os.environ.update(
        AWS_ENDPOINT_URL_DYNAMODB=server.url,
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ACCESS_KEY_ID="local",
        AWS_SECRET_ACCESS_KEY="local",
        QSTAGE_BASE_URL="http://127.0.0.1:1/api",
        QSTAGE_WAKE_QUEUE_URL="http://127.0.0.1:1/sqs/wake",
        AWS_ENDPOINT_URL_SQS="http://127.0.0.1:1/sqs",
        QSTAGE_MOST_LIVE_JOBS="1000000",
    )
    from app import app
    from chalicelib import wiring

    tape, services = Tape(), wiring.services()
    for name in ("dynamodb", "sqs"):
        tape.attach(wiring._client(name)())
    now = datetime.now(UTC)
    minted = services.keys.mint(
        user=a_user(0),
        username=USERNAME,
        name="bench",
        scopes=frozenset({"jobs", "read"}),
        life=timedelta(days=1),
        now=now,
    )
    assert minted.key is not None
    mount = Mount(collection=SCRATCH, path="/scratch/", directory="/lus/scratch/")
    site = Site(id=THETA, owner=a_user(0), scheduler="cobalt", mappings=(mount,), created_at=now)
    services._sites.put(site)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {minted.key.reveal()}"}

    def post(body: Any) -> None:
        answer = app(post_event("/v1/jobs", json.dumps(body).encode(), headers), None)
        assert answer["statusCode"] == 201, answer

    yield post, tape
