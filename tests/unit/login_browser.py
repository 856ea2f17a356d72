"""A browser and a program in front of the routes of logins, keys and terminals, without a socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from chalice.app import Chalice
from chalice.test import Client
from login_house import BASE, House

from chalicelib.api import device, keys, login, me


@dataclass
class Page:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def location(self) -> str:
        return self.headers["Location"]

    @property
    def fields(self) -> dict[str, str]:
        reader = _Hidden()
        reader.feed(self.text)
        return reader.found


class _Hidden(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "input" and said.get("type") == "hidden":
            self.found[said["name"]] = said["value"]


@dataclass
class Visitor:
    """Keeps cookies as a browser does, follows nothing by itself."""

    client: Client
    cookies: dict[str, str] = field(default_factory=dict)
    set_cookies: list[str] = field(default_factory=list)

    def get(self, path: str, **headers: str) -> Page:
        return self._ask("GET", path.removeprefix(BASE), b"", headers)

    def form(self, path: str, fields: dict[str, str]) -> Page:
        return self._ask(
            "POST", path, urlencode(fields).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
        )

    def post(self, path: str, body: object, **headers: str) -> Page:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._ask("POST", path, raw, {"Content-Type": "application/json", **headers})

    def delete(self, path: str, **headers: str) -> Page:
        return self._ask("DELETE", path, b"", headers)

    def sign_in(self, path: str = "/login", who: str = "ada") -> Page:
        """Go to Globus and come back as ``who``."""
        state = parse_qs(urlsplit(self.get(path).location).query)["state"][0]
        return self.get(f"/callback?{urlencode({'code': who, 'state': state})}")

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Page:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.client.http.request(method, path, headers=sent, body=body)
        kept: dict[str, str] = {}
        for name, value in answer.headers.items():
            if name.lower() == "set-cookie":
                for cookie in value if isinstance(value, list) else [value]:
                    self._keep(cookie)
            else:
                kept[name] = value
        return Page(answer.status_code, kept, answer.body.decode())

    def _keep(self, cookie: str) -> None:
        self.set_cookies.append(cookie)
        name, _, value = cookie.partition(";")[0].partition("=")
        if "Max-Age=0" in cookie:
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value


@cache
def _app() -> Chalice:
    """One a process: registering a blueprint uses it up."""
    app = Chalice(app_name="rooms", configure_logs=False)
    for room in (login, device, keys, me):
        app.register_blueprint(room.routes)
    return app


@contextmanager
def visitor_of(house: House, monkeypatch: Any) -> Iterator[Visitor]:
    """A visitor of the routes over this house."""
    monkeypatch.setattr("chalicelib.wiring.services", lambda: house)
    with Client(_app()) as client:
        yield Visitor(client)
