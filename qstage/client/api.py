"""The service's REST calls, one method each. Paths and bodies are here and nowhere else in this package."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import requests

from qstage.client import results
from qstage.client.errors import QstageError
from qstage.client.transport import Transport

_POLL_WORDS = frozenset({"authorization_pending", "slow_down", "expired_token", "access_denied"})


class Client:
    """A caller of one service under one key.

    ``base_url`` is the address before ``/v1``; plain http is refused to anything but this machine.
    ``timeout`` is seconds for each request; ``retries`` is how often a request that may be repeated is
    repeated after no answer, 429 or 503. Every method raises a ``QstageError`` and nothing else of its own.
    """

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        *,
        session: requests.Session | None = None,
        timeout: float = 30.0,
        retries: int = 4,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = Transport(base_url, key, session=session, timeout=timeout, retries=retries, sleep=sleep)

    def __repr__(self) -> str:
        return f"Client({self._http.base_url!r})"

    @property
    def base_url(self) -> str:
        """The service's address, without a last slash."""
        return self._http.base_url

    # Jobs

    def submit(
        self,
        documents: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
    ) -> results.Submitted:
        """Submit one job document, or up to 1,000 that are accepted or refused together.

        The same ``idempotency_key`` with the same documents makes the jobs once, however often it is sent.
        Raises ``InvalidDocument`` naming every fault.
        """
        body: object = documents if isinstance(documents, Mapping) else {"jobs": list(documents)}
        return results.read_submitted(self._http.create("/v1/jobs", body, idempotency_key))

    def job(self, job_id: int) -> results.Job:
        """One job, with its document and the tail of its output. Raises ``NotFound``."""
        return results.read_job(self._http.get(f"/v1/jobs/{int(job_id)}"))

    def jobs(
        self,
        *,
        state: str | None = None,
        site: str | None = None,
        name: str | None = None,
        tag: tuple[str, str] | None = None,
        limit: int = 50,
        marker: str | None = None,
    ) -> results.JobPage:
        """One page of jobs (at most 200), newest first, without documents. ``state``: one, or several by commas."""
        asked = {
            "state": state,
            "site": site,
            "name": name,
            "tag": f"{tag[0]}:{tag[1]}" if tag else None,
            "limit": str(limit),
            "marker": marker,
        }
        raw = self._http.get("/v1/jobs", {key: value for key, value in asked.items() if value is not None})
        return results.JobPage(jobs=tuple(results.read_job(job) for job in raw["jobs"]), marker=raw.get("marker"))

    def all_jobs(self, *, state: str | None = None, site: str | None = None) -> Iterator[results.Job]:
        """Every job, newest first, page by page."""
        marker: str | None = None
        while True:
            page = self.jobs(state=state, site=site, limit=200, marker=marker)
            yield from page.jobs
            marker = page.marker
            if marker is None:
                return

    def story(self, job_id: int) -> results.Story:
        """What happened to a job, oldest first."""
        return results.read_story(self._http.get(f"/v1/jobs/{int(job_id)}/story"))

    def cancel(self, job_id: int) -> results.Job:
        """Ask for a job to be canceled; a final one stays as it is."""
        return results.read_job(self._http.delete(f"/v1/jobs/{int(job_id)}"))

    def hold(self, job_id: int, *, staging: bool = False) -> results.Job:
        """Keep a job from starting until it is released; with ``staging``, keep its inputs back as well."""
        body = {"hold": "staging"} if staging else None
        return results.read_job(self._http.post(f"/v1/jobs/{int(job_id)}/hold", body, repeat=True))

    def release(self, job_id: int) -> results.Job:
        """Let a held job go on."""
        return results.read_job(self._http.post(f"/v1/jobs/{int(job_id)}/release", repeat=True))

    def alter(self, job_id: int, patch: Mapping[str, Any]) -> results.Job:
        """Change a job's document by a JSON merge patch (RFC 7396): null removes a field.

        Raises ``Conflict`` naming each field that cannot be changed in the job's state, or ``InvalidDocument``.
        """
        return results.read_job(self._http.patch(f"/v1/jobs/{int(job_id)}", dict(patch)))

    def retry(self, job_id: int) -> results.Job:
        """Try a failed job again, from what failed of it. Raises ``Conflict`` for one that has not failed."""
        return results.read_job(self._http.post(f"/v1/jobs/{int(job_id)}/retry"))

    # Sites

    def create_site(self, document: Mapping[str, Any]) -> results.SiteCreated:
        """Register a compute site. The agent's token in the answer is shown this once."""
        raw = self._http.create("/v1/sites", dict(document))
        token = raw.get("agent_token")
        return results.SiteCreated(site=results.read_site(raw), agent_token=results.Secret(token) if token else None)

    def sites(self) -> tuple[results.Site, ...]:
        """The sites this user may use."""
        return tuple(results.read_site(site) for site in self._http.get("/v1/sites")["sites"])

    def site(self, site_id: str) -> results.Site:
        """One site. Raises ``NotFound``, also for one that this user may not use."""
        return results.read_site(self._http.get(f"/v1/sites/{_segment(site_id)}"))

    def change_site(self, site_id: str, changes: Mapping[str, Any]) -> results.Site:
        """Change the given fields of a site; None takes one back to what it is if never given. For its owner."""
        return results.read_site(self._http.patch(f"/v1/sites/{_segment(site_id)}", dict(changes)))

    def sync_site(self, site_id: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The site agent's one call, with the agent's token as key; shapes as in ``qstage.agent.wire``.

        Not repeated here: the agent repeats what was not answered. Raises ``Conflict`` with the code
        ``agent-busy`` while another agent serves the site.
        """
        answer = self._http.post(f"/v1/sites/{_segment(site_id)}/sync", dict(body))
        if not isinstance(answer, dict):
            raise QstageError("the answer to a sync is not an object")
        return answer

    # Logins and keys

    def start_login(
        self,
        *,
        client: str,
        host: str,
        scopes: Sequence[str] = ("jobs",),
        collections: Sequence[str] = (),
        domain: str | None = None,
        days: int | None = None,
    ) -> results.DeviceLogin:
        """Begin a login by the device flow (RFC 8628); needs no key. ``days`` is how long the key is to last."""
        body: dict[str, Any] = {"client": client, "host": host, "scopes": list(scopes)}
        if days is not None:
            body["days"] = days
        if collections:
            body["collections"] = list(collections)
        if domain:
            body["domain"] = domain
        raw = self._http.post("/v1/device", body)
        return results.DeviceLogin(
            device_code=results.Secret(str(raw["device_code"])),
            user_code=str(raw["user_code"]),
            verification_uri=str(raw["verification_uri"]),
            verification_uri_complete=str(raw.get("verification_uri_complete") or raw["verification_uri"]),
            expires_in=float(raw.get("expires_in", 900)),
            interval=float(raw.get("interval", 5)),
        )

    def poll_login(self, device_code: results.Secret) -> results.LoginPoll:
        """Ask once whether the user has approved the login. The approval is consumed by the answer."""
        try:
            raw = self._http.post("/v1/device/token", {"device_code": device_code.reveal()})
        except QstageError as error:
            if error.code in _POLL_WORDS:
                return results.LoginPoll(error=error.code)
            raise
        if raw.get("key") is None:
            raise QstageError("this login's key was handed out before: sign in again")
        return results.LoginPoll(grant=results.read_grant(raw))

    def me(self) -> results.Me:
        """Whose key this is, and whether their login still holds."""
        return results.read_me(self._http.get("/v1/me"))

    def logout_everywhere(self) -> results.LoggedOut:
        """End all keys of the user, this one too, sign their browsers out, and have their Globus tokens revoked."""
        return results.read_logged_out(self._http.post("/v1/me/logout", repeat=True))

    def keys(self) -> tuple[results.Key, ...]:
        """The user's API keys."""
        return tuple(results.read_key(key) for key in self._http.get("/v1/keys")["keys"])

    def create_key(self, name: str, *, scopes: Sequence[str], days: int) -> results.NewKey:
        """Make an API key that lasts ``days``."""
        body = {"name": name, "scopes": list(scopes), "days": days}
        return results.read_new_key(self._http.create("/v1/keys", body))

    def revoke_key(self, key_id: str) -> None:
        """Make a key worthless."""
        self._http.delete(f"/v1/keys/{_segment(key_id)}")

    def health(self) -> Mapping[str, Any]:
        """Whether the service answers, and its version."""
        answer: Mapping[str, Any] = self._http.get("/v1/health")
        return answer


def _segment(text: str) -> str:
    return urllib.parse.quote(text, safe="")
