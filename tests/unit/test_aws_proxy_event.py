"""HTTP to the proxy event and back, as API Gateway does it."""

import base64
from typing import Any

import pytest

from emulators.aws.project import Route
from emulators.aws.proxy_event import MalformedError, Routes, http_response, proxy_event
from emulators.aws.web import Request

ROUTES = Routes(
    [
        Route(path="/", method="GET", cors=None),
        Route(path="/jobs/{number}", method="GET", cors={"Access-Control-Allow-Origin": "*"}),
        Route(path="/jobs/{number}", method="DELETE", cors=None),
        Route(path="/jobs/{number}/story", method="GET", cors=None),
        Route(path="/jobs/latest", method="GET", cors=None),
    ]
)


def event(method: str, target: str, *headers: tuple[str, str], body: bytes = b"") -> dict[str, Any]:
    path = target.partition("?")[0]
    match = ROUTES.match(method, path)
    assert match is not None
    request = Request(method=method, target=target, headers=headers, body=body)
    return proxy_event(
        request, match, path=path, stage="api", port=80, now=0.0, binary_types=["application/octet-stream", "image/*"]
    )


def test_path_parameters_are_decoded_once() -> None:
    match = ROUTES.match("GET", "/jobs/a%20b%2Fc%2525")
    assert match is not None
    assert match.parameters == {"number": "a b/c%25"}


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", "/", "/"),
        ("GET", "/jobs/7", "/jobs/{number}"),
        ("GET", "/jobs/7/", "/jobs/{number}"),
        ("GET", "/jobs/latest", "/jobs/latest"),
        ("GET", "/jobs/7/story", "/jobs/{number}/story"),
        ("GET", "/jobs", None),
        ("GET", "/jobs/7/other", None),
        ("POST", "/jobs/7", None),
    ],
)
def test_a_route_is_matched_by_method_and_segments(method: str, path: str, route: str | None) -> None:
    match = ROUTES.match(method, path)
    assert (match.route.path if match else None) == route


def test_repeated_headers_and_parameters_keep_all_values() -> None:
    found = event("GET", "/jobs/7?tag=a&tag=b&empty=", ("Accept", "x"), ("accept", "y"))
    assert found["queryStringParameters"] == {"tag": "b", "empty": ""}
    assert found["multiValueQueryStringParameters"] == {"tag": ["a", "b"], "empty": [""]}
    assert found["headers"]["Accept"] == "y"
    assert found["multiValueHeaders"]["Accept"] == ["x", "y"]


def test_what_is_absent_is_null() -> None:
    found = event("GET", "/")
    assert found["queryStringParameters"] is None
    assert found["multiValueQueryStringParameters"] is None
    assert found["pathParameters"] is None
    assert found["body"] is None


def test_the_context_tells_stage_path_and_resource() -> None:
    found = event("GET", "/jobs/7?x=1")
    assert found["requestContext"]["path"] == "/api/jobs/7"
    assert found["requestContext"]["resourcePath"] == "/jobs/{number}"
    assert found["requestContext"]["stage"] == "api"
    assert found["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"


def test_a_body_is_text_unless_its_media_type_is_binary() -> None:
    text = event("GET", "/jobs/7", ("Content-Type", "application/json"), body="é".encode())
    assert (text["body"], text["isBase64Encoded"]) == ("é", False)
    raw = event("GET", "/jobs/7", ("Content-Type", "image/png; x=1"), body=b"\x00\xff")
    assert raw["isBase64Encoded"]
    assert base64.b64decode(raw["body"]) == b"\x00\xff"


def test_a_preflight_names_the_methods_that_have_cors() -> None:
    headers = ROUTES.cors("/jobs/7")
    assert headers is not None
    assert headers["Access-Control-Allow-Methods"] == "GET,OPTIONS"
    assert ROUTES.cors("/") is None


def test_every_value_of_a_repeated_answer_header_is_sent() -> None:
    answer = {
        "statusCode": 200,
        "headers": {"X-One": "1", "set-cookie": "ignored"},
        "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]},
        "body": "hi",
    }
    response = http_response(answer)
    cookies = [value for name, value in response.headers if name == "Set-Cookie"]
    assert cookies == ["a=1", "b=2"]
    assert ("X-One", "1") in response.headers
    assert ("Content-Type", "application/json") in response.headers


def test_headers_that_the_gateway_keeps_are_renamed() -> None:
    names = {name for name, _ in http_response({"statusCode": 401, "headers": {"WWW-Authenticate": "Bearer"}}).headers}
    assert "x-amzn-Remapped-WWW-Authenticate" in names
    assert "WWW-Authenticate" not in names


def test_a_base64_answer_is_sent_as_its_bytes() -> None:
    answer = {"statusCode": 200, "body": base64.b64encode(b"\x00\xff").decode(), "isBase64Encoded": True}
    assert http_response(answer).body == b"\x00\xff"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "text",
        {},
        {"statusCode": "x"},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "extra": 1},
        {"statusCode": 200, "body": "!", "isBase64Encoded": True},
    ],
)
def test_what_is_no_proxy_answer_is_malformed(answer: Any) -> None:
    with pytest.raises(MalformedError):
        http_response(answer)
