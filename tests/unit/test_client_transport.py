"""How the client repeats, refuses and reports, against a session that answers from a list."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from qstage.client import (
    Client,
    Conflict,
    Forbidden,
    InvalidDocument,
    LoginNeeded,
    NotFound,
    QstageError,
    Secret,
    Unavailable,
    Unreachable,
    UnsafeAddress,
)

KEY = "qsk_abcdefghijkl_" + "s" * 43
JOB = {"id": 1001, "name": "j", "state": "new", "url": "u"}


def answer(status: int, body: object = None, **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response._content = b"" if body is None else json.dumps(body).encode()
    response.headers["Content-Type"] = "application/problem+json" if status >= 400 else "application/json"
    for name, value in headers.items():
        response.headers[name.replace("_", "-")] = value
    return response


class Scripted(requests.Session):
    """Answers each request with the next of a list, and keeps what was sent."""

    def __init__(self, *answers: requests.Response | Exception) -> None:
        super().__init__()
        self.answers = list(answers)
        self.sent: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        self.sent.append(request)
        turn = self.answers.pop(0)
        if isinstance(turn, Exception):
            raise turn
        return turn


def client(*answers: requests.Response | Exception, retries: int = 4) -> tuple[Client, Scripted, list[float]]:
    session, slept = Scripted(*answers), list[float]()
    made = Client("https://q.example/api", KEY, session=session, retries=retries, sleep=slept.append)
    return made, session, slept


def test_a_submission_is_repeated_under_the_same_idempotency_key_after_a_lost_connection() -> None:
    api, session, _ = client(requests.ConnectionError("gone"), requests.Timeout("slow"), answer(201, {"jobs": [JOB]}))
    assert api.submit({"name": "j"}).jobs[0].id == 1001
    keys = {request.headers["Idempotency-Key"] for request in session.sent}
    assert len(session.sent) == 3
    assert len(keys) == 1


def test_two_submissions_have_two_idempotency_keys() -> None:
    api, session, _ = client(answer(201, {"jobs": [JOB]}), answer(201, {"jobs": [JOB]}))
    api.submit({"name": "j"})
    api.submit({"name": "j"})
    assert session.sent[0].headers["Idempotency-Key"] != session.sent[1].headers["Idempotency-Key"]


def test_retry_after_is_waited_for() -> None:
    api, _, slept = client(answer(503, {}, Retry_After="7"), answer(200, {"status": "ok"}))
    api.health()
    assert slept == [7.0]


def test_a_retry_after_of_an_hour_is_told_to_the_caller_instead() -> None:
    api, session, slept = client(answer(429, {"detail": "too many"}, Retry_After="3600"))
    with pytest.raises(Unavailable, match="too many") as caught:
        api.health()
    assert caught.value.retry_after == 3600
    assert len(session.sent) == 1
    assert slept == []


def test_repeats_end() -> None:
    api, session, _ = client(*[requests.ConnectionError("gone") for _ in range(3)], retries=2)
    with pytest.raises(Unreachable, match=r"q\.example"):
        api.health()
    assert len(session.sent) == 3


def test_a_post_without_an_idempotency_key_is_sent_once() -> None:
    api, session, _ = client(requests.ConnectionError("gone"))
    with pytest.raises(Unreachable):
        api.sync_site("theta", {})
    assert len(session.sent) == 1


def test_a_conflict_with_retry_after_is_our_own_request_in_flight_and_is_waited_out() -> None:
    api, session, _ = client(answer(409, {}, Retry_After="1"), answer(201, {"jobs": [JOB]}))
    api.submit({"name": "j"})
    assert len(session.sent) == 2


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, InvalidDocument), (422, InvalidDocument), (401, LoginNeeded), (403, Forbidden), (404, NotFound),
     (409, Conflict), (500, Unavailable), (503, Unavailable), (302, QstageError), (418, QstageError)],
)  # fmt: skip
def test_each_status_has_its_error(status: int, error: type[QstageError]) -> None:
    api, _, _ = client(answer(status, {"type": "urn:qstage:some-code", "detail": "words"}), retries=0)
    with pytest.raises(error) as caught:
        api.health()
    assert type(caught.value) is error
    assert caught.value.status == status


def test_every_fault_of_a_document_arrives() -> None:
    faults = [{"pointer": "/site", "detail": "is missing"}, {"pointer": "/name", "detail": "is too long"}]
    api, _, _ = client(answer(422, {"type": "urn:qstage:invalid", "detail": "two faults", "faults": faults}))
    with pytest.raises(InvalidDocument) as caught:
        api.submit({})
    assert [str(fault) for fault in caught.value.faults] == ["/site: is missing", "/name: is too long"]


def test_a_problem_with_a_login_link_is_a_login_needed_whatever_its_status() -> None:
    api, _, _ = client(answer(403, {"detail": "sign in", "login_url": "https://q.example/login?x"}))
    with pytest.raises(LoginNeeded) as caught:
        api.me()
    assert caught.value.login_url == "https://q.example/login?x"


@pytest.mark.parametrize("url", ["http://q.example", "ftp://q.example", "q.example", "https://u:p@q.example"])
def test_an_address_that_would_show_the_key_is_refused(url: str) -> None:
    with pytest.raises(UnsafeAddress):
        Client(url, KEY)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/api", "http://localhost:1", "http://[::1]:9/"])
def test_plain_http_to_this_machine_is_allowed(url: str) -> None:
    assert Client(url, KEY).base_url == url.rstrip("/")


def test_the_key_travels_in_the_header_and_is_seen_nowhere_else(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine q.example login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    api, session, _ = client(answer(200, {"status": "ok"}), requests.ConnectionError("gone"), retries=0)
    api.health()
    assert session.sent[0].headers["Authorization"] == f"Bearer {KEY}"
    with pytest.raises(Unreachable) as caught:
        api.health()
    assert KEY not in f"{api!r} {api._http!r} {caught.value!r} {Secret(KEY)!r} {Secret(KEY)}"


def test_a_redirect_is_not_followed_with_the_key() -> None:
    api, session, _ = client(answer(302, None, Location="https://elsewhere.example/"))
    with pytest.raises(QstageError):
        api.health()
    assert len(session.sent) == 1


@pytest.mark.parametrize("word", ["authorization_pending", "slow_down", "expired_token", "access_denied"])
def test_the_words_of_the_device_flow_are_an_answer_not_an_error(word: str) -> None:
    api, _, _ = client(answer(400, {"type": "urn:qstage:device", "detail": "…", "error": word}))
    assert api.poll_login(Secret("d")).error == word


def test_a_listing_is_followed_from_page_to_page() -> None:
    row = {"id": 1, "name": "a", "state": "completed", "site": "s"}
    api, session, _ = client(
        answer(200, {"jobs": [row | {"id": 2}], "marker": "m/1"}),
        answer(200, {"jobs": [row], "marker": None}),
    )
    assert [job.id for job in api.all_jobs()] == [2, 1]
    assert "marker=m%2F1" in str(session.sent[1].url)
