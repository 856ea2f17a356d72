"""Attacks with a credential, or with one that is not what it says, against the whole stack from outside.

another user's job, key, story (404)      a foreign site (404)          an agent token on anything but its sync
a key with the wrong scope                a key that was tampered with  tokens moved from one user to another
header injection                          log injection                 a spoofed host
"""

from __future__ import annotations

import base64
import json
import secrets
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from whole_stack import document, finished, terminal_key, until

from emulators.stack import SITE, Stack

BOB = "bob@google.com"
SYNC = {"agent": {"instance": "intruder1", "version": "1", "host": "h"}, "take": 10}
PAST_THE_CLAIM = 200


class Caller:
    """Somebody with a credential."""

    def __init__(self, stack: Stack, credential: str) -> None:
        self.url, self.credential = stack.url, credential

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        sent = {"Authorization": f"Bearer {self.credential}", **headers}
        return requests.request(method, self.url + path, json=body, headers=sent, timeout=9, allow_redirects=False)


@pytest.fixture(scope="module")
def ada(stack: Stack) -> Caller:
    assert stack.login is not None
    return Caller(stack, stack.login.key)


@pytest.fixture(scope="module")
def bob(stack: Stack) -> Caller:
    return Caller(stack, terminal_key(stack, BOB, "admin"))


@pytest.fixture(scope="module")
def agent(stack: Stack) -> Caller:
    return Caller(stack, (stack.state / "agent" / "theta.token").read_text().strip())


@pytest.fixture(scope="module")
def number(stack: Stack) -> int:
    """A job of Ada's that has run."""
    assert stack.login is not None
    made = stack.login.client.submit(document(stack)).jobs[0].id
    assert finished(stack, made).state == "completed"
    return made


JOB_CALLS = [
    ("GET", "/v1/jobs/{n}"),
    ("GET", "/v1/jobs/{n}/story"),
    ("DELETE", "/v1/jobs/{n}"),
    ("PATCH", "/v1/jobs/{n}"),
    ("POST", "/v1/jobs/{n}/retry"),
    ("POST", "/v1/jobs/{n}/hold"),
    ("POST", "/v1/jobs/{n}/release"),
]


@pytest.mark.parametrize(("method", "path"), JOB_CALLS)
def test_another_users_job_is_not_there(bob: Caller, ada: Caller, number: int, method: str, path: str) -> None:
    before = ada.ask("GET", f"/v1/jobs/{number}").json()
    body = {"name": "mine"} if method == "PATCH" else None
    assert bob.ask(method, path.format(n=number), body).status_code == 404
    assert ada.ask("GET", f"/v1/jobs/{number}").json() == before


def test_another_users_jobs_are_in_no_list(bob: Caller, number: int) -> None:
    for query in ("", "?limit=200", f"?site={SITE}", "?name=whole", "?state=completed"):
        assert bob.ask("GET", f"/v1/jobs{query}").json()["jobs"] == []


@pytest.mark.parametrize("shape", ["plain", "json", "number"])
def test_a_marker_that_was_made_for_another_user_lists_nothing_of_theirs(
    bob: Caller, ada: Caller, number: int, shape: str
) -> None:
    user = ada.ask("GET", "/v1/me").json()["id"]
    marker = {
        "plain": f"{user}/{number + 1}",
        "json": base64.urlsafe_b64encode(json.dumps({"pk": user, "sk": f"J#{number + 1}"}).encode()).decode(),
        "number": str(number + 1),
    }[shape]
    answer = bob.ask("GET", f"/v1/jobs?marker={marker}")
    assert answer.status_code == 400 or answer.json()["jobs"] == []


def test_another_users_key_is_not_there(bob: Caller, ada: Caller) -> None:
    key = ada.ask("GET", "/v1/me").json()["key"]["id"]
    assert bob.ask("DELETE", f"/v1/keys/{key}").status_code == 404
    assert key not in [each["id"] for each in bob.ask("GET", "/v1/keys").json()["keys"]]
    assert ada.ask("GET", "/v1/me").status_code == 200


def test_a_foreign_site_is_not_there(bob: Caller, stack: Stack) -> None:
    assert bob.ask("GET", f"/v1/sites/{SITE}").status_code == 404
    assert bob.ask("PATCH", f"/v1/sites/{SITE}", {"title": "mine"}).status_code == 404
    assert bob.ask("GET", "/v1/sites").json()["sites"] == []
    assert bob.ask("POST", f"/v1/sites/{SITE}/sync", SYNC).status_code in (403, 404)
    refused = bob.ask("POST", "/v1/jobs", document(stack))
    assert refused.status_code in (400, 404)
    unknown = bob.ask("POST", "/v1/jobs", document(stack) | {"site": "nowhere"})
    assert (refused.status_code, refused.json()["title"]) == (unknown.status_code, unknown.json()["title"])


def test_a_foreign_sites_name_is_taken_and_nothing_more_is_said_of_it(bob: Caller, stack: Stack) -> None:
    mapping = {"collection": stack.collections["theta"], "path": "/", "directory": "/tmp"}
    answer = bob.ask("POST", "/v1/sites", {"id": SITE, "scheduler": "cobalt", "mappings": [mapping]})
    assert answer.status_code == 409
    assert "agent_token" not in answer.json()
    assert str(stack.site_directory) not in answer.text


OPEN_TO_ALL = {"/v1/device", "/v1/device/token", "/v1/health", "/v1/openapi.json"}
ITS_OWN = {("POST", "/v1/sites/{name}/sync"), ("DELETE", "/v1/keys/{key_id}")}
"""Its site's sync; and like every key it may end itself."""


def test_an_agents_token_opens_nothing_but_its_sync(agent: Caller, stack: Stack) -> None:
    """Whatever routes there are: each that wants a credential is tried."""
    assert stack.aws.project is not None
    routes = {(each.method, each.path) for each in stack.aws.project.routes if each.path.startswith("/v1/")}
    assert routes >= ITS_OWN
    tried = sorted((method, path) for method, path in routes - ITS_OWN if path not in OPEN_TO_ALL)
    assert len(tried) >= 13
    for method, path in tried:
        asked = "/".join(_named(part) for part in path.split("/"))
        body = (
            document(stack) if (method, path) == ("POST", "/v1/jobs") else {} if method in ("POST", "PATCH") else None
        )
        answer = agent.ask(method, asked, body)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:qstage:missing-scope"), (method, path)


def _named(part: str) -> str:
    """A part of a path, with a name of something that is there."""
    if not part.startswith("{"):
        return part
    return "1001" if part == "{number}" else SITE


def test_an_agents_token_syncs_no_other_site_and_ends_no_key_but_itself(
    agent: Caller, ada: Caller, bob: Caller, stack: Stack
) -> None:
    mapping = {"collection": stack.collections["theta"], "path": "/", "directory": "/tmp"}
    bob.ask("POST", "/v1/sites", {"id": "bobs", "scheduler": "local", "mappings": [mapping]})
    assert agent.ask("POST", "/v1/sites/bobs/sync", SYNC).status_code == 404
    assert agent.ask("POST", "/v1/sites/nowhere/sync", SYNC).status_code == 404
    key = ada.ask("GET", "/v1/me").json()["key"]["id"]
    assert agent.ask("DELETE", f"/v1/keys/{key}").status_code in (403, 404)
    assert ada.ask("GET", "/v1/me").status_code == 200


@pytest.mark.parametrize(
    ("held", "method", "path"),
    [
        ("read", "POST", "/v1/jobs"),
        ("read", "DELETE", "/v1/jobs/1001"),
        ("read", "POST", "/v1/jobs/1001/hold"),
        ("read", "POST", "/v1/jobs/1001/release"),
        ("read", "POST", "/v1/jobs/1001/retry"),
        ("read", "PATCH", "/v1/jobs/1001"),
        ("read", "POST", "/v1/sites"),
        ("read", "PATCH", f"/v1/sites/{SITE}"),
        ("read", "POST", "/v1/keys"),
        ("jobs", "POST", "/v1/keys"),
    ],
)
def test_a_key_with_the_wrong_scope_is_forbidden(
    stack: Stack, narrow: dict[str, Caller], held: str, method: str, path: str
) -> None:
    body = document(stack) if path == "/v1/jobs" else {"name": "x", "scopes": ["read"]} if "keys" in path else {}
    answer = narrow[held].ask(method, path, body if method in ("POST", "PATCH") else None)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:qstage:missing-scope")


@pytest.fixture(scope="module")
def narrow(stack: Stack, bob: Caller) -> dict[str, Caller]:
    made = {}
    for scope in ("read", "jobs"):
        answer = bob.ask("POST", "/v1/keys", {"name": scope, "scopes": [scope]})
        made[scope] = Caller(stack, answer.json()["key"])
    return made


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
        lambda key: key.replace("qsk_", "qsa_"),
        lambda key: key[:17] + secrets.token_urlsafe(32),
        lambda key: key + "A",
        lambda key: key[:-1],
        lambda key: key.upper(),
        lambda key: f"{key} {key}",
        lambda key: f"{key}\u00a0",
        lambda key: "qsk_" + "a" * 12 + "_" + "A" * 43,
    ],
)
def test_a_key_that_differs_in_anything_is_no_key(stack: Stack, ada: Caller, spoil: Any) -> None:
    spoilt = spoil(ada.credential).encode().decode("latin-1")
    answer = Caller(stack, spoilt).ask("GET", "/v1/me")
    assert answer.status_code == 401
    invented = Caller(stack, f"qsk_{'b' * 12}_{'B' * 43}").ask("GET", "/v1/me")
    assert answer.json() == invented.json(), "nothing says which part was wrong"
    assert ada.credential not in answer.text


def test_one_users_tokens_in_anothers_place_move_nothing(stack: Stack, ada: Caller, bob: Caller) -> None:
    """Who can write to the table cannot make the planner act with another's tokens: KMS binds them to their user."""
    assert stack.login is not None
    table = stack.aws.created.look_up("TokensTable", None)
    dynamodb = stack.aws.client("dynamodb")
    items = {item["user"]["S"]: item for item in dynamodb.scan(TableName=table)["Items"]}
    adas, bobs = (items[caller.ask("GET", "/v1/me").json()["id"]] for caller in (ada, bob))
    newer = {"N": str(int(adas["version"]["N"]) + 1)}
    dynamodb.put_item(TableName=table, Item={**bobs, "user": adas["user"], "version": newer})
    before = len(stack.globus.world.tasks.all())
    try:
        number = stack.login.client.submit(document(stack)).jobs[0].id
        until(lambda: "InvalidCiphertext" in stack.aws.logs("reconcile") or None, "the planner meets the wrong tokens")
        assert len(stack.globus.world.tasks.all()) == before, "nothing was moved for anybody"
        assert stack.login.client.job(number).state in ("new", "stage_in")
    finally:
        dynamodb.put_item(TableName=table, Item=adas)
    stack.clock.turn(PAST_THE_CLAIM)
    assert finished(stack, number).state == "completed", "with their own tokens it goes on by itself"


def raw(stack: Stack, head: str, body: bytes = b"") -> bytes:
    """A request as no honest library would send it; the whole answer."""
    address = urlsplit(stack.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=9) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_host_that_is_claimed_is_in_no_link(stack: Stack) -> None:
    body = b'{"client": "x"}'
    head = "POST /api/v1/device HTTP/1.1\nHost: evil.example\nX-Forwarded-Host: evil.example\nConnection: close\n"
    head += f"Content-Type: application/json\nContent-Length: {len(body)}"
    answer = raw(stack, head, body)
    assert answer.startswith(b"HTTP/1.1 200")
    assert stack.url.encode() in answer
    assert b"evil.example" not in answer
    answer = raw(stack, "GET /api/login HTTP/1.1\nHost: evil.example\nConnection: close")
    assert b" 302" in answer[:20]
    assert b"evil.example" not in answer


INJECTED = 'x\r\nSet-Cookie: qstage_session=evil\r\n\r\n{"level": "ERROR", "message": "forged"}\u2028\u0085\x1b[31m'


def injections(stack: Stack) -> list[tuple[str, str, Any, dict[str, str]]]:
    """(method, path, body, headers): line breaks wherever a caller can put text."""
    text = INJECTED
    quoted = requests.utils.quote(text, safe="")
    job = document(stack)
    return [
        ("POST", "/v1/jobs", job | {"name": text}, {}),
        ("POST", "/v1/jobs", job | {"tags": {text: text}}, {}),
        ("POST", "/v1/jobs", job | {"environment": {"A": text}, "site": text}, {}),
        ("POST", "/v1/jobs", job, {"Idempotency-Key": "a\tb\x0b"}),
        ("POST", "/v1/keys", {"name": text, "scopes": ["read"]}, {}),
        ("POST", "/v1/sites", {"id": text, "title": text, "scheduler": text, "mappings": []}, {}),
        ("POST", "/v1/device", {"client": text, "host": text}, {}),
        ("POST", "/v1/device/token", {"device_code": text}, {}),
        ("POST", f"/v1/sites/{quoted}/sync", SYNC, {}),
        ("POST", f"/v1/sites/{SITE}/sync", {**SYNC, "reports": [{"job": text, "epoch": 1, "event": "queued"}]}, {}),
        ("GET", f"/v1/jobs/{quoted}", None, {}),
        ("GET", f"/v1/jobs?name={quoted}&marker={quoted}&state={quoted}&tag={quoted}", None, {}),
        ("GET", f"/v1/sites/{quoted}", None, {}),
        ("DELETE", f"/v1/keys/{quoted}", None, {}),
        ("GET", f"/login?next={quoted}&domain={quoted}&collections={quoted}&for={quoted}&device={quoted}", None, {}),
        ("GET", f"/callback?state={quoted}&code={quoted}&error={quoted}", None, {}),
        ("GET", f"/device?code={quoted}", None, {}),
        ("GET", f"/{quoted}", None, {}),
    ]


def test_line_breaks_in_what_callers_send_inject_no_header_and_no_line_of_a_log(
    stack: Stack, ada: Caller, agent: Caller
) -> None:
    for method, path, body, headers in injections(stack):
        for caller in (ada, agent):
            answer = caller.ask(method, path, body, **headers)
            assert answer.status_code < 500, (method, path, answer.text)
            assert "evil" not in answer.headers.get("Set-Cookie", ""), path
            assert not any("evil" in value for name, value in answer.headers.items() if name != "Location"), path
    for name in ("api_handler", "exchange", "reconcile", "refresh_tokens", "sweep"):
        for line in stack.aws.logs(name).splitlines():
            if line.startswith(("START RequestId: ", "END RequestId: ")):
                continue
            read = json.loads(line)
            assert {"level", "logger", "message"} <= read.keys()
            assert read["message"] != "forged"
    assert "forged" not in [line.strip() for line in stack.agent_log.read_text().splitlines()]


@pytest.fixture(autouse=True)
def nothing_breaks(stack: Stack) -> Iterator[None]:
    """No attack makes the service crash: a crash is logged under an incident number."""
    before = stack.aws.logs("api_handler").count("unhandled exception")
    yield
    assert stack.aws.logs("api_handler").count("unhandled exception") == before
