"""One signed-in user of a running emulator, and how its answers compare with those that the SDK's authors recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from globus_sdk.testing import get_response_set

from emulators.globus import Browser, Client, GlobusEmulator, Pace
from emulators.globus.config import OwnScope, Policy, Provider, default_config

CALLBACK = "http://127.0.0.1:4321/api/callback"
TRANSFER = "urn:globus:auth:scope:transfer.api.globus.org:all"
MANAGE_PROJECTS = "urn:globus:auth:scope:auth.globus.org:manage_projects"
GROUPS = "urn:globus:auth:scope:groups.api.globus.org:view_my_groups_and_memberships"
SERVICE = "7a1d0f1c-0a52-4f39-94d1-3f2c8f7b9a01"


def recorded(name: str, case: str = "default") -> Any:
    """The body that Globus gave, as the SDK's authors recorded it."""
    return get_response_set(name).lookup(case).json


def kind_of(value: Any) -> str:
    """What a value is, coarsely: a whole number may be given where a number was recorded."""
    if isinstance(value, bool):
        return "bool"
    return {int: "number", float: "number", str: "text", list: "list", dict: "object", type(None): "null"}[type(value)]


def differences(theirs: Any, ours: Any, where: str = "") -> list[str]:
    """Where ours lacks a key of theirs or has another kind. A null on either side fits anything."""
    if theirs is None or ours is None:
        return []
    if kind_of(theirs) != kind_of(ours):
        return [f"{where}: {kind_of(theirs)} is recorded, {kind_of(ours)} given"]
    if isinstance(theirs, dict):
        missing = [f"{where}.{key}: missing" for key in theirs if key not in ours]
        return missing + [
            each for key in theirs if key in ours for each in differences(theirs[key], ours[key], f"{where}.{key}")
        ]
    if isinstance(theirs, list) and theirs and ours:
        return differences(theirs[0], ours[0], f"{where}[0]")
    return []


class World:
    """One signed-in user of a running emulator, speaking plain HTTP."""

    def __init__(self, globus: GlobusEmulator, browser: Browser) -> None:
        self.globus, self.app, self.browser = globus, globus.client("qstage"), browser
        self.tokens = self.login(f"openid profile email urn:globus:auth:scope:auth.globus.org:view_consents {TRANSFER}")

    def code(self, scope: str) -> str:
        """Sign in; what the browser brings back."""
        query = {
            "client_id": self.app.id,
            "redirect_uri": CALLBACK,
            "scope": scope,
            "state": "_default",
            "response_type": "code",
            "access_type": "offline",
        }
        url = requests.Request("GET", f"{self.globus.url}/v2/oauth2/authorize", params=query).prepare().url
        back = self.browser.sign_in(url or "", "ada@uni.example")
        return parse_qs(urlsplit(back).query)["code"][0]

    def login(self, scope: str) -> dict[str, Any]:
        return self.token(grant_type="authorization_code", code=self.code(scope), redirect_uri=CALLBACK).json()

    def token(self, **form: str) -> requests.Response:
        return self.as_client("qstage", "token", **form)

    def ask(self, method: str, path: str, token: str | None = None, **more: Any) -> requests.Response:
        """Any call to either service, with the token that is for it unless another is given."""
        transfer = path.startswith(("/v0.10/", "/v2/bookmarks", "/v2/tunnels", "/v2/stream_access_points"))
        tokens = self.tokens["other_tokens"][0] if transfer else self.tokens
        head = {"Authorization": f"Bearer {token or tokens['access_token']}"}
        return requests.request(method, self.globus.url + path, headers=head, timeout=10, **more)

    def auth(self, method: str, path: str, **more: Any) -> Any:
        return self.ask(method, path, **more).json()

    def transfer(self, method: str, path: str, **more: Any) -> Any:
        return self.ask(method, f"/v0.10{path}", **more).json()

    def as_client(self, name: str, path: str, **form: str) -> requests.Response:
        """A form posted to Auth with the credentials of a client."""
        client = self.globus.client(name)
        credentials = (client.id, client.secret or "")
        return requests.post(f"{self.globus.url}/v2/oauth2/{path}", data=form, auth=credentials, timeout=10)

    def submit(self, kind: str = "transfer", **fields: Any) -> Any:
        return self.post(kind, **fields).json()

    def post(self, kind: str, **fields: Any) -> requests.Response:
        """Submit a task that copies or deletes one small file."""
        archive = self.globus.collections["archive"]
        (self.globus.directory("archive") / "a").write_text("a")
        body = {"DATA_TYPE": kind, "submission_id": self.transfer("GET", "/submission_id")["value"]}
        if kind == "transfer":
            body |= {"source_endpoint": archive, "destination_endpoint": archive}
            body |= {"DATA": [{"source_path": "/a", "destination_path": "/b"}]}
        else:
            body |= {"endpoint": archive, "DATA": [{"path": "/a"}]}
        return self.ask("POST", f"/v0.10/{kind}", json={**body, **fields})


@contextmanager
def world_in(data: Path) -> Iterator[World]:
    """An emulator with a resource server beside the default world, and a user who has signed in."""
    config = default_config()
    own = OwnScope(suffix="all", dependents=(GROUPS,))
    service = Client(name="service", id=SERVICE, scopes=(own,))
    providers = (*config.providers, Provider(name="Globus ID", domains=("globusid.org",)))
    providers = (*providers, Provider(name="Globus Staff", domains=("globus.org",)))
    policy = Policy(name="alcf", domains=("alcf.anl.gov",), timeout_minutes=35, readers=("qstage",))
    clients = (*config.clients, service)
    config = dataclasses.replace(config, clients=clients, providers=providers, policies=(policy,))
    with GlobusEmulator(data, config, pace=Pace.at_once()) as globus, Browser() as browser:
        yield World(globus, browser)
