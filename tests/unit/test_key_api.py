"""Keys and ``/v1/me`` over HTTP, and errors as problem documents."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from login_browser import Visitor, visitor_of
from login_house import ADA, BASE, MAPPED, House

from chalicelib.api import problems
from chalicelib.api.problems import problem
from chalicelib.core import errors
from chalicelib.core.consent import LoginDemand, LoginReason, SessionDemand, data_access


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def program(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visitor]:
    with visitor_of(house, monkeypatch) as one:
        yield one


def bearer(house: House, *scopes: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {house.key_of(ADA, *scopes)}"}


def test_a_key_is_made_shown_once_listed_and_ended(program: Visitor, house: House) -> None:
    admin = bearer(house, "admin")
    made = program.post("/v1/keys", {"name": "ci", "scopes": ["read"], "days": 7}, **admin)
    assert (made.status, made.json["scopes"], made.json["expires_at"]) == (201, ["read"], "2026-11-29T17:00:00Z")
    key = {"Authorization": f"Bearer {made.json['key']}"}
    listed = program.get("/v1/keys", **key)
    assert {each["name"] for each in listed.json["keys"]} == {"ci", "test"}
    assert made.json["key"] not in listed.text
    assert program.delete(f"/v1/keys/{made.json['id']}", **admin).status == 204
    assert program.get("/v1/keys", **key).status == 401
    assert program.delete(f"/v1/keys/{made.json['id']}", **admin).status == 404


def test_a_repeat_says_so_and_shows_no_secret(program: Visitor, house: House) -> None:
    headers = {**bearer(house, "admin"), "Idempotency-Key": "once"}
    first = program.post("/v1/keys", {"name": "ci"}, **headers)
    again = program.post("/v1/keys", {"name": "ci"}, **headers)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (again.status, again.json["id"], "key" in again.json) == (201, first.json["id"], False)
    other = program.post("/v1/keys", {"name": "other"}, **headers)
    assert (other.status, other.json["type"]) == (422, "urn:qstage:idempotency-mismatch")
    bad = program.post("/v1/keys", {"name": "ci"}, **{**headers, "Idempotency-Key": "x" * 129})
    assert bad.status == 400


def test_a_key_without_the_scope_is_forbidden(program: Visitor, house: House) -> None:
    page = program.post("/v1/keys", {"name": "ci"}, **bearer(house, "jobs"))
    assert (page.status, page.json["type"]) == (403, "urn:qstage:missing-scope")


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"}])
def test_nobody_is_told_to_sign_in(program: Visitor, header: dict[str, str]) -> None:
    page = program.get("/v1/me", **header)
    assert (page.status, page.json["type"]) == (401, "urn:qstage:unauthenticated")
    assert page.headers["WWW-Authenticate"].startswith("Bearer")


def test_me_tells_of_a_login_that_is_needed_with_its_link(program: Visitor, house: House) -> None:
    key = bearer(house, "read")
    never = program.get("/v1/me", **key).json["login"]
    assert (never["state"], never["reason"]) == ("needed", "never_signed_in")
    program.sign_in()
    login = program.get("/v1/me", **key).json["login"]
    assert login["state"] == "ok"
    (signed_in,) = login["session"]
    assert (signed_in["username"], signed_in["mfa"]) == ("ada@uni.example", False)
    assert signed_in["auth_time"].startswith("2026-11-22T17:00")
    house.bell.demands[ADA] = LoginDemand(
        reason=LoginReason.SESSION,
        detail="The lab wants a fresh sign-in.",
        scopes=(data_access(MAPPED),),
        session=SessionDemand(single_domain=("uni.example",), fresh=True),
    )
    needed = program.get("/v1/me", **key).json["login"]
    assert needed["detail"] == "The lab wants a fresh sign-in."
    assert needed["login_url"] == f"{BASE}/login?for={ADA}&collections={MAPPED}&domain=uni.example&fresh=1"
    assert program.sign_in(needed["login_url"].removeprefix(BASE)).status == 200
    assert program.get("/v1/me", **key).json["login"]["state"] == "ok"


def test_a_crash_is_a_problem_with_a_number_and_no_more(
    program: Visitor, house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def crash(_: object) -> None:
        raise RuntimeError("inner secret")

    monkeypatch.setattr(house.bell, "current", crash)
    page = program.get("/v1/me", **bearer(house, "read"))
    assert (page.status, page.json["type"]) == (500, "urn:qstage:internal")
    assert "inner secret" not in page.text
    (record,) = caplog.records
    assert page.json["instance"].endswith(record.__dict__["incident"])


@pytest.mark.parametrize(
    ("error", "status", "wait"),
    [
        (errors.Invalid((errors.Fault("/a", "is wrong"),)), 400, None),
        (errors.Unauthenticated("who"), 401, None),
        (errors.Forbidden("no"), 403, None),
        (errors.NotFound("none"), 404, None),
        (errors.Conflict("taken", "is taken"), 409, None),
        (errors.InFlight(), 409, "2"),
        (errors.TooMany("too many", 30), 429, "30"),
        (errors.NoKeyYet(errors.DeviceWord.PENDING, "wait"), 400, None),
        (errors.FarSide("auth", "x", "down", transient=True), 503, "5"),
        (errors.FarSide("auth", "x", "down", transient=True, retry_after=9), 503, "9"),
        (errors.FarSide("auth", "x", "no", transient=False), 502, None),
        (errors.GrantRefused(), 502, None),
        (errors.SignInRefused(errors.Refusal.DENIED, "no"), 403, None),
    ],
)
def test_each_error_has_its_status_and_says_when_to_come_back(
    error: errors.QstageError, status: int, wait: str | None
) -> None:
    answer = problem(error)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, wait)


def test_every_error_of_the_tree_has_a_status() -> None:
    def below(kind: type[errors.QstageError]) -> set[type[errors.QstageError]]:
        return {kind}.union(*(below(each) for each in kind.__subclasses__())) - {errors.QstageError}

    covered = tuple(kind for kind, _, _ in problems._TABLE)
    assert [kind for kind in below(errors.QstageError) if not issubclass(kind, covered)] == []


def test_a_needed_login_is_a_problem_with_its_link(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with visitor_of(house, monkeypatch):
        answer = problem(errors.LoginNeeded(LoginReason.REFUSED, "Sign in again.", user=ADA))
    assert f'"login_url":"{BASE}/login?for={ADA}"' in answer.body
