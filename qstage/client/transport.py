"""One HTTP exchange with the service: the key, the time-outs, and which failures are tried again.

A request is repeated only when a repeat is safe: reading, deleting, and creating under an Idempotency-Key,
which is the same in every repeat. Redirects are not followed (an API that moves is a wrong address, and the
key should not travel), and plain http is refused to anything but this machine.
"""

from __future__ import annotations

import ipaddress
import random
import time
import urllib.parse
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import requests
from requests.auth import AuthBase

from qstage import __version__
from qstage.client.errors import QstageError, Unreachable, UnsafeAddress, error_from

_TRANSIENT = frozenset({429, 502, 503, 504})
_LONGEST_WAIT = 30.0
"""Seconds. A service that asks for more is told so to the caller instead of being waited for."""


class _Bearer(AuthBase):
    """Puts the key on a request. An auth object, because else ``.netrc`` would overrule the header."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def check_address(base_url: str) -> str:
    """Return ``base_url`` without its last slash; raise ``UnsafeAddress`` where a key must not be sent."""
    parts = urllib.parse.urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UnsafeAddress(f"{base_url!r} is not the address of a service: write https://host/path")
    if parts.username or parts.query or parts.fragment:
        raise UnsafeAddress("the service's address holds more than scheme, host and path: leave the rest out")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise UnsafeAddress(f"{base_url} is plain http to another machine: use https://")
    return base_url.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Transport:
    """Sends requests to one service under one key. Like its session, not to be shared between threads."""

    def __init__(
        self,
        base_url: str,
        key: str | None,
        *,
        session: requests.Session | None = None,
        timeout: float = 30.0,
        retries: int = 4,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = check_address(base_url)
        self._auth = _Bearer(key)
        self._session = session or requests.Session()
        self._timeout = timeout
        self._retries = retries
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"Transport({self.base_url!r})"

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """Read; repeated on a transient failure."""
        return self._send("GET", path, params=params, repeat=True)

    def delete(self, path: str) -> Any:
        """Delete; repeated on a transient failure, because a second time changes nothing."""
        return self._send("DELETE", path, repeat=True)

    def patch(self, path: str, body: object) -> Any:
        """Change fields to given values; repeated on a transient failure, because a second time changes nothing."""
        return self._send("PATCH", path, body=body, repeat=True)

    def create(self, path: str, body: object, idempotency_key: str | None = None) -> Any:
        """POST something new, under one Idempotency-Key for all its repeats."""
        key = idempotency_key or str(uuid.uuid4())
        return self._send("POST", path, body=body, headers={"Idempotency-Key": key}, repeat=True)

    def post(self, path: str, body: object | None = None, *, repeat: bool = False) -> Any:
        """POST something that creates nothing; ``repeat`` where a second time changes nothing."""
        return self._send("POST", path, body=body, repeat=repeat)

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object | None = None,
        headers: Mapping[str, str] | None = None,
        repeat: bool,
    ) -> Any:
        attempt = 0
        while True:
            try:
                response = self._once(method, path, params, body, headers)
            except Unreachable:
                if not repeat or attempt >= self._retries:
                    raise
                self._sleep(_backoff(attempt))
            else:
                wait = self._wait_before_repeat(response, attempt) if repeat else None
                if wait is None:
                    return _answer(response)
                self._sleep(wait)
            attempt += 1

    def _once(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: object | None,
        headers: Mapping[str, str] | None,
    ) -> requests.Response:
        sent = {"User-Agent": f"qstage/{__version__}", "Accept": "application/json", **(headers or {})}
        try:
            return self._session.request(
                method,
                self.base_url + path,
                params=params,
                json=body,
                headers=sent,
                auth=self._auth,
                timeout=self._timeout,
                allow_redirects=False,
            )
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            host = urllib.parse.urlsplit(self.base_url).netloc
            raise Unreachable(f"no answer from {host}: {_cause(error)}") from error

    def _wait_before_repeat(self, response: requests.Response, attempt: int) -> float | None:
        """Seconds to wait before asking again; None when this answer stands."""
        asked = retry_after(response)
        # A 409 with Retry-After is our own first request, still being carried out.
        transient = response.status_code in _TRANSIENT or (response.status_code == 409 and asked is not None)
        if not transient or attempt >= self._retries:
            return None
        wait = _backoff(attempt) if asked is None else max(asked, 0.05)
        return wait if wait <= _LONGEST_WAIT else None


def retry_after(response: requests.Response) -> float | None:
    """Seconds from a Retry-After header; dates are not what this service sends, and count as none."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _backoff(attempt: int) -> float:
    # Spread, so that a thousand clients of a service that comes back do not return in one second.
    return float(min(0.25 * 2**attempt, 8.0)) * random.uniform(0.5, 1.0)  # noqa: S311


def _answer(response: requests.Response) -> Any:
    if 200 <= response.status_code < 300:
        if response.status_code == 204 or not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise QstageError(
                "the answer is not JSON: is this the address of a qstage service?",
                status=response.status_code,
            ) from None
    raise _problem(response)


def _problem(response: requests.Response) -> QstageError:
    problem: Any = {}
    if "json" in response.headers.get("Content-Type", ""):
        try:
            problem = response.json()
        except ValueError:
            problem = {}
    error = error_from(response.status_code, problem if isinstance(problem, dict) else {}, retry_after(response))
    if isinstance(problem, dict) and isinstance(problem.get("error"), str):
        error.code = problem["error"]  # the words of RFC 8628, which the device flow answers in
    return error


def _cause(error: Exception) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate could not be verified (REQUESTS_CA_BUNDLE names a private authority's file)"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refused"
    if isinstance(error, requests.Timeout):
        return "it took too long"
    return "it cannot be reached"
