"""Sites: where jobs run, who may use them, and where a job's directory lies.

A mapping ties a path on a collection to the same directory as the site's login node sees it. The first
mapping is where jobs live: ``<path>/<user tag>/<name>-<number>/``. Mappings do not change while a site lives,
because each job's directory follows from them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core import paths
from chalicelib.core.document import Document
from chalicelib.core.errors import Fault, Invalid
from chalicelib.core.ids import CollectionId, SiteId, UserId, user_tag
from chalicelib.core.paths import Location
from chalicelib.core.shape import ABSENT, Choice, Field, Integer, Json, ListOf, Record, Text
from chalicelib.core.site_demands import NOTHING_DEMANDED, Demands, demands_document, read_demands
from chalicelib.core.site_demands import SHAPE as DEMANDS

SCHEDULERS = ("cobalt", "flux", "local", "lsf", "pbs", "slurm")
LEASE = timedelta(minutes=10)
"""How long a site has to submit what it was given before another may be given it."""

SILENCE = timedelta(minutes=15)
"""A site that has not called for this long is what its jobs wait for."""

_TEXT = Text(longest=256, shortest=1)
_PATH = Text(longest=paths.LONGEST, shortest=1)
_MAPPING = Record(
    fields={
        "collection": Field(shape=Text(longest=36, shortest=36), required=True),
        "path": Field(shape=_PATH, required=True),
        "directory": Field(shape=_PATH, required=True),
    }
)
SHAPE = Record(
    describe="A site document",
    fields={
        "id": Field(
            shape=Text(
                longest=63,
                pattern="[a-z0-9][a-z0-9-]*",
                says="must be lower-case letters, digits and hyphens",
            ),
            required=True,
        ),
        "title": Field(shape=_TEXT, default=None),
        "scheduler": Field(shape=Choice(words=SCHEDULERS), required=True),
        "mappings": Field(shape=ListOf(item=_MAPPING, longest=20, shortest=1), required=True),
        "roots": Field(shape=ListOf(item=_PATH, longest=50), default=()),
        "defaults": Field(
            shape=Record(
                fields={
                    "queue_name": Field(shape=_TEXT, default=None),
                    "account": Field(shape=_TEXT, default=None),
                }
            ),
            default=None,
        ),
        "users": Field(shape=ListOf(item=_TEXT, longest=1000), default=()),
        "queue_wait": Field(
            shape=Integer(most=366 * 86_400, describe="seconds that a job is expected to wait in the queue"),
            default=None,
        ),
        "demands": Field(shape=DEMANDS, default=None),
    },
)
CHANGEABLE = ("title", "roots", "defaults", "users", "queue_wait", "demands")
"""What of a site can be changed while it lives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One directory, as a collection and as the login node see it. Both end in ``/``."""

    collection: CollectionId
    path: str
    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A compute site. ``users`` are identity ids or usernames; the owner is always one of them."""

    id: SiteId
    owner: UserId
    scheduler: str
    mappings: tuple[Mount, ...]
    created_at: datetime
    title: str | None = None
    roots: tuple[str, ...] = ()
    queue_name: str | None = None
    account: str | None = None
    users: frozenset[str] = frozenset()
    queue_wait: int | None = None
    """Seconds that a job is expected to wait in its queue; None: what the deployment expects."""
    demands: Demands = NOTHING_DEMANDED
    """What it demands of who submits to it."""
    agent: str | None = None
    """The instance id of the agent that serves the site, while ``agent_until`` lies ahead."""
    agent_host: str | None = None
    agent_until: datetime | None = None

    @property
    def home(self) -> CollectionId:
        """The collection on which its jobs' directories are."""
        return self.mappings[0].collection

    def admits(self, user: UserId, username: str) -> bool:
        return user == self.owner or user in self.users or username in self.users

    def job_place(self, user: UserId, name: str) -> Location:
        """A job's directory, as Globus sees it."""
        home = self.mappings[0]
        return Location(home.collection, f"{home.path}{user_tag(user)}/{name}/")

    def job_directory(self, user: UserId, name: str) -> str:
        """The same directory, as the login node sees it."""
        return f"{self.mappings[0].directory}{user_tag(user)}/{name}"

    def silent(self, now: datetime) -> bool:
        return self.agent_until is None or self.agent_until + SILENCE < now


def read_site(raw: Json, owner: UserId, now: datetime) -> Site:
    """Check a site document; ``Invalid`` names every fault at once."""
    faults: list[Fault] = []
    values = SHAPE.read(raw, "", faults)
    if values is ABSENT:
        raise Invalid(tuple(faults))
    mappings = [_read_mapping(entry, f"/mappings/{index}", faults) for index, entry in _good(values["mappings"])]
    roots = [_read(faults, f"/roots/{index}", _directory, root) for index, root in _good(values["roots"])]
    if faults:
        raise Invalid(tuple(faults))
    defaults = values["defaults"] or {}
    return Site(
        id=SiteId(values["id"]),
        owner=owner,
        scheduler=values["scheduler"],
        mappings=tuple(mappings),
        created_at=now,
        title=values["title"],
        roots=tuple(roots),
        queue_name=defaults.get("queue_name"),
        account=defaults.get("account"),
        users=frozenset(values["users"]),
        queue_wait=values["queue_wait"],
        demands=read_demands(values["demands"]),
    )


def changed_site(site: Site, raw: Json) -> Site:
    """The site with the fields of a change (null: as if never given); ``Invalid`` names every fault at once."""
    given = raw if isinstance(raw, dict) else {}
    faults = [
        Fault(f"/{name}", f"cannot be changed; what can is {', '.join(CHANGEABLE)}")
        for name in given
        if name not in CHANGEABLE
    ]
    if not isinstance(raw, dict) or not given:
        faults.append(Fault("", f"must be an object with at least one of {', '.join(CHANGEABLE)}"))
    if faults:
        raise Invalid(tuple(faults))
    merged = {name: value for name, value in {**_document(site), **given}.items() if value is not None}
    wanted = read_site(merged, site.owner, site.created_at)
    return replace(wanted, agent=site.agent, agent_host=site.agent_host, agent_until=site.agent_until)


def _document(site: Site) -> dict[str, Any]:
    """The document that makes this site."""
    return {
        "id": site.id,
        "title": site.title,
        "scheduler": site.scheduler,
        "mappings": [
            {"collection": mount.collection, "path": mount.path, "directory": mount.directory}
            for mount in site.mappings
        ],
        "roots": list(site.roots),
        "defaults": {"queue_name": site.queue_name, "account": site.account},
        "users": sorted(site.users),
        "queue_wait": site.queue_wait,
        "demands": demands_document(site.demands),
    }


def _good(entries: Any) -> list[tuple[int, Any]]:
    """The entries of a list that have no fault yet, each with its own index."""
    return [
        (index, entry) for index, entry in enumerate(entries if entries is not ABSENT else ()) if entry is not ABSENT
    ]


def _read_mapping(entry: Mapping[str, Any], pointer: str, faults: list[Fault]) -> Mount:
    return Mount(
        collection=CollectionId(_read(faults, f"{pointer}/collection", _collection, entry["collection"])),
        path=_read(faults, f"{pointer}/path", lambda text: _directory(f"/{text}"), entry["path"]),
        directory=_read(faults, f"{pointer}/directory", _directory, entry["directory"]),
    )


def _read(faults: list[Fault], pointer: str, rule: Callable[[str], str], text: Any) -> str:
    """Apply a rule to a text that may have a fault already; with a fault the answer is never used."""
    try:
        return "" if text is ABSENT else rule(text)
    except ValueError as refused:
        faults.append(Fault(pointer=pointer, detail=str(refused)))
        return ""


def _collection(text: str) -> str:
    return paths.parse_location(f"{paths.SCHEME}{text}/").collection


def _directory(text: str) -> str:
    return f"{paths.absolute(text).rstrip('/')}/"


def check_for_site(document: Document, site: Site, pointer: str, faults: list[Fault]) -> None:
    """Add the faults that only the site can tell: links must lie under its roots."""
    for index, item in enumerate(document.stage_in):
        if item.site_path is not None and not any(paths.covers(root, item.site_path) for root in site.roots):
            allowed = ", ".join(site.roots) or "none"
            faults.append(
                Fault(
                    pointer=f"{pointer}/stage_in/{index}/source",
                    detail=f"is not under a root that site {site.id} allows to be linked ({allowed})",
                )
            )


def with_agent(site: Site, instance: str, host: str, until: datetime) -> Site:
    return replace(site, agent=instance, agent_host=host, agent_until=until)
