"""What the service answers, as values. Unknown members are ignored, so that a newer service can say more.

Times are aware UTC ``datetime``s; sizes are bytes; ``raw`` is the answer as it came, for ``--json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

FINAL_STATES = frozenset({"completed", "failed", "canceled"})


class Secret:
    """A text that must not be seen: ``repr`` and ``str`` hide it. ``reveal`` is for the one who stores it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobError:
    """Why a job failed, or what it stumbles over: a code for programs, words for people."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """How far the files of a job have come. ``items`` of which ``done``; ``tasks`` are Globus task ids.

    ``bytes`` and ``files`` have moved so far, with those of other jobs that go in the same tasks; ``bytes_total``
    is what there is to move, None where nobody has counted it.
    """

    stage: str
    items: int
    done: int
    bytes: int
    files: int
    bytes_total: int | None
    bytes_per_second: int
    tasks: tuple[str, ...]
    trouble: JobError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWarning:
    """Something to do before it is too late. ``at`` is until when the login session serves, None if it does not
    now; ``expected_end`` is when the job is expected to be done with it; ``login_url`` renews it."""

    code: str
    detail: str
    at: datetime | None
    expected_end: datetime | None
    login_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked of a job at its scheduler, and its site has not answered: ``hold``, ``release`` or ``alter``."""

    command: str
    order: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the service knows it. ``login_url`` is set while the job waits for its user's login."""

    id: int
    name: str
    state: str
    site: str
    waiting_for: tuple[str, ...]
    login_url: str | None
    created_at: datetime | None
    updated_at: datetime | None
    revision: int
    version: int
    native_id: str | None
    exit_code: int | None
    failed_stage: str | None
    error: JobError | None
    cancel_requested: bool
    hold: bool
    """Whether it is held: by the service, or by the scheduler that has it."""
    pending: tuple[Order, ...]
    """What the scheduler has been asked since, and the site has not answered."""
    session: str | None
    """How the login session compares with what the job needs: ok, unchecked, ends, ends_soon, ended."""
    warnings: tuple[JobWarning, ...]
    staging: Staging | None
    directory: str | None
    output_tail: str | None
    tags: Mapping[str, str]
    started_at: datetime | None
    """When it began to run."""
    exited_at: datetime | None
    """When its process had ended; outputs may move for longer."""
    starts_at: datetime | None
    """The start that the scheduler expects of a job that it holds until its data is there."""
    stage_in_at: datetime | None
    """When inputs that come just in time set out, by what is known now; None when they have, or there is no telling."""
    resources: Mapping[str, Any]
    """``node_count`` and ``process_count`` as its document has them."""
    attributes: Mapping[str, Any]
    """``duration`` (seconds), ``queue_name`` and ``account`` as its document has them."""
    document: Mapping[str, Any] | None
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def is_final(self) -> bool:
        """True once nothing will change any more."""
        return self.state in FINAL_STATES

    @property
    def to_be_held(self) -> bool:
        """Whether it is held, or will be, when its site has answered all that was asked of it."""
        asked = [each.command for each in self.pending if each.command in ("hold", "release")]
        return asked[-1] == "hold" if asked else self.hold


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """One page of a listing, newest first; ``marker`` asks for the next, None at the end."""

    jobs: tuple[Job, ...]
    marker: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """One accepted job."""

    id: int
    name: str
    state: str
    url: str
    session: str | None = None
    warnings: tuple[JobWarning, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """The answer to a submission: the jobs in the order of their documents, and what the user should know."""

    jobs: tuple[Created, ...]
    warnings: tuple[str, ...]
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryEntry:
    """One thing that happened to a job."""

    time: datetime | None
    version: int
    event: str
    state: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that happened to a job, oldest first."""

    id: int
    entries: tuple[StoryEntry, ...]
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A compute site."""

    id: str
    title: str
    scheduler: str
    defaults: Mapping[str, str]
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteCreated:
    """A new site, and its agent's token: shown once, None when this was the repeat of an earlier request."""

    site: Site
    agent_token: Secret | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLogin:
    """A login begun: what the user opens, and how often (seconds) to ask whether they have."""

    device_code: Secret
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: float
    interval: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A key, and whose it is."""

    key: Secret
    key_id: str
    expires_at: datetime | None
    username: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPoll:
    """Either ``grant``, or ``error`` in RFC 8628's words.

    The words: authorization_pending, slow_down, expired_token, access_denied.
    """

    grant: Grant | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """Whose key this is, and whether their login still holds."""

    id: str
    username: str
    name: str
    email: str
    login_state: str
    login_url: str | None
    login_reason: str | None
    key_id: str | None
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key or a site's agent's token (``kind`` key or agent), without the secret."""

    id: str
    kind: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime | None
    expires_at: datetime | None
    last_used_at: datetime | None
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """An API key just made; ``key`` is shown this once, None when this was the repeat of an earlier request."""

    key: Secret | None
    id: str
    expires_at: datetime | None
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedJob:
    """A live job that waits until its user signs in again."""

    id: int
    name: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedOut:
    """What a user signed out of: so many keys and browsers, and the jobs that wait from now on.

    ``more`` if there may be such jobs that are not named.
    """

    keys: int
    browsers: int
    stops: tuple[StoppedJob, ...]
    more: bool
    raw: Mapping[str, Any] = field(repr=False)


def read_time(value: object) -> datetime | None:
    """An ISO 8601 UTC time, or None where there is none."""
    if not isinstance(value, str) or not value:
        return None
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_job(raw: Mapping[str, Any]) -> Job:
    """Read the job of ``GET /v1/jobs/{id}`` or of a listing."""
    document = raw.get("document") or {}
    return Job(
        id=int(raw["id"]),
        name=str(raw.get("name", "")),
        state=str(raw["state"]),
        site=str(raw.get("site", "")),
        waiting_for=tuple(raw.get("waiting_for") or ()),
        login_url=raw.get("login_url"),
        created_at=read_time(raw.get("created_at")),
        updated_at=read_time(raw.get("updated_at")),
        revision=int(raw.get("revision", 1)),
        version=int(raw.get("version", 0)),
        native_id=raw.get("native_id"),
        exit_code=raw.get("exit_code"),
        failed_stage=raw.get("failed_stage"),
        error=_error(raw.get("error")),
        cancel_requested=bool(raw.get("cancel_requested", False)),
        hold=bool(raw.get("hold", False)),
        pending=tuple(
            Order(command=str(each.get("command", "")), order=int(each.get("order", 0)))
            for each in raw.get("pending") or ()
        ),
        session=raw.get("session"),
        warnings=_warnings(raw.get("warnings")),
        staging=_staging(raw.get("staging")),
        directory=raw.get("directory"),
        output_tail=raw.get("output_tail"),
        tags=dict(raw.get("tags") or {}),
        started_at=read_time(raw.get("started_at")),
        exited_at=read_time(raw.get("exited_at")),
        starts_at=read_time(raw.get("starts_at")),
        stage_in_at=read_time(raw.get("stage_in_at")),
        resources=raw.get("resources") or document.get("resources") or {},
        attributes=raw.get("attributes") or document.get("attributes") or {},
        document=raw.get("document"),
        raw=raw,
    )


def _error(raw: Mapping[str, Any] | None) -> JobError | None:
    if not raw:
        return None
    return JobError(code=str(raw.get("code", "")), detail=str(raw.get("detail", "")))


def _warnings(raw: Iterable[Mapping[str, Any]] | None) -> tuple[JobWarning, ...]:
    return tuple(
        JobWarning(
            code=str(each.get("code", "")),
            detail=str(each.get("detail", "")),
            at=read_time(each.get("at")),
            expected_end=read_time(each.get("expected_end")),
            login_url=each.get("login_url"),
        )
        for each in raw or ()
    )


def _staging(raw: Mapping[str, Any] | None) -> Staging | None:
    if not raw:
        return None
    return Staging(
        stage=str(raw.get("stage", "")),
        items=int(raw.get("items") or 0),
        done=int(raw.get("done") or 0),
        bytes=int(raw.get("bytes") or 0),
        files=int(raw.get("files") or 0),
        bytes_total=raw.get("bytes_total"),
        bytes_per_second=int(raw.get("bytes_per_second") or 0),
        tasks=tuple(raw.get("tasks") or ()),
        trouble=_error(raw.get("trouble")),
    )


def read_submitted(raw: Mapping[str, Any]) -> Submitted:
    """Read the answer of ``POST /v1/jobs``."""
    jobs = tuple(
        Created(
            id=int(job["id"]),
            name=str(job.get("name", "")),
            state=str(job.get("state", "")),
            url=str(job.get("url", "")),
            session=job.get("session"),
            warnings=_warnings(job.get("warnings")),
        )
        for job in raw["jobs"]
    )
    warnings = tuple(_words(warning) for warning in raw.get("warnings") or ())
    return Submitted(jobs=jobs, warnings=warnings, raw=raw)


def _words(warning: object) -> str:
    return str(warning.get("detail", warning)) if isinstance(warning, Mapping) else str(warning)


def read_story(raw: Mapping[str, Any]) -> Story:
    """Read ``GET /v1/jobs/{id}/story``."""
    entries = tuple(
        StoryEntry(
            time=read_time(entry.get("time")),
            version=int(entry.get("version", 0)),
            event=str(entry.get("event", "")),
            state=str(entry.get("state", "")),
            detail=entry.get("detail") or {},
        )
        for entry in raw["entries"]
    )
    return Story(id=int(raw["id"]), entries=entries, raw=raw)


def read_site(raw: Mapping[str, Any]) -> Site:
    """Read a site, with or without its envelope."""
    site = raw.get("site", raw)
    return Site(
        id=str(site["id"]),
        title=str(site.get("title") or ""),
        scheduler=str(site.get("scheduler", "")),
        defaults=dict(site.get("defaults") or {}),
        raw=site,
    )


def read_me(raw: Mapping[str, Any]) -> Me:
    """Read ``GET /v1/me``."""
    login = raw.get("login") or {}
    key = raw.get("key") or {}
    return Me(
        id=str(raw["id"]),
        username=str(raw.get("username") or ""),
        name=str(raw.get("name") or ""),
        email=str(raw.get("email") or ""),
        login_state=str(login.get("state", "")),
        login_url=login.get("login_url"),
        login_reason=login.get("reason"),
        key_id=key.get("id"),
        raw=raw,
    )


def read_key(raw: Mapping[str, Any]) -> Key:
    """Read one of ``GET /v1/keys``."""
    return Key(
        id=str(raw["id"]),
        kind=str(raw.get("kind") or "key"),
        name=str(raw.get("name") or ""),
        scopes=tuple(raw.get("scopes") or ()),
        created_at=read_time(raw.get("created_at")),
        expires_at=read_time(raw.get("expires_at")),
        last_used_at=read_time(raw.get("last_used_at")),
        raw=raw,
    )


def read_new_key(raw: Mapping[str, Any]) -> NewKey:
    """Read the answer of ``POST /v1/keys``."""
    key = raw.get("key")
    return NewKey(
        key=Secret(str(key)) if key else None, id=str(raw["id"]), expires_at=read_time(raw.get("expires_at")), raw=raw
    )


def read_logged_out(raw: Mapping[str, Any]) -> LoggedOut:
    """Read the answer of ``POST /v1/me/logout``."""
    stops = tuple(
        StoppedJob(id=int(job["id"]), name=str(job.get("name", "")), state=str(job.get("state", "")))
        for job in raw.get("stops") or ()
    )
    return LoggedOut(
        keys=int(raw.get("keys") or 0),
        browsers=int(raw.get("browsers") or 0),
        stops=stops,
        more=bool(raw.get("more")),
        raw=raw,
    )


def read_grant(raw: Mapping[str, Any]) -> Grant:
    """Read the device flow's last answer."""
    return Grant(
        key=Secret(str(raw["key"])),
        key_id=str(raw.get("key_id") or raw.get("id") or ""),
        expires_at=read_time(raw.get("expires_at")),
        username=str((raw.get("user") or {}).get("username") or ""),
    )
