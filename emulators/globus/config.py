"""What the emulated world consists of: identities, clients, collections, policies, and the settings.

Pure data. ``config_file`` reads it from YAML; ``default_config`` is what is served without one. Where the public
documents of Globus leave a point open, it is a setting here with its default stated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from emulators.globus.ids import derived


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An organisation that vouches for its users, such as google.com."""

    name: str
    domains: tuple[str, ...]
    id: str = ""
    short_name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", self.id or derived("provider", self.name))
        object.__setattr__(self, "short_name", self.short_name or self.domains[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One login of a person. ``linked_to`` names the person's primary identity by username."""

    username: str
    name: str = ""
    email: str = ""
    organization: str | None = None
    id: str = ""
    linked_to: str | None = None
    mfa: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", self.id or derived("identity", self.username))
        object.__setattr__(self, "name", self.name or self.username.partition("@")[0])
        object.__setattr__(self, "email", self.email or self.username)

    @property
    def domain(self) -> str:
        return self.username.rpartition("@")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnScope:
    """A scope that a client offers as a resource server: ``https://auth.globus.org/scopes/<id>/<suffix>``."""

    suffix: str
    dependents: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """An application. A confidential one has a secret (random unless given) and is an identity too.

    A redirect URI may have ``*`` for its port; nothing else is a pattern.
    """

    name: str
    id: str = ""
    secret: str | None = field(default=None, repr=False)
    kind: Literal["confidential", "native"] = "confidential"
    redirect_uris: tuple[str, ...] = ()
    scopes: tuple[OwnScope, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", self.id or derived("client", self.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What principals may do below a path. The longest matching path decides; nobody matching means no access.

    A principal is a username, an identity id, a client's name or ``*``.
    """

    path: str = "/"
    principals: tuple[str, ...] = ("*",)
    access: Literal["none", "r", "rw"] = "rw"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An authentication policy, named in ``session_required_policies``.

    ``readers`` are the clients (by name or id) that administer its project: they alone may read it.
    """

    name: str
    id: str = ""
    domains: tuple[str, ...] = ()
    timeout_minutes: int | None = None
    mfa: bool = False
    readers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", self.id or derived("policy", self.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A directory that Transfer can reach.

    ``bandwidth`` is bytes a second and ``overhead`` seconds per task; ``None`` takes the setting. ``quota`` is
    bytes. ``session_error`` is the status that tells of a lapsed login session: 403, or 502 as when it comes
    from the site's own login.
    """

    name: str
    kind: Literal["mapped", "guest", "personal"] = "mapped"
    id: str = ""
    display_name: str = ""
    directory: Path | None = None
    owner: str | None = None
    organization: str = "Emulated University"
    description: str | None = None
    public: bool = True
    high_assurance: bool = False
    session_timeout_minutes: int | None = None
    required_domains: tuple[str, ...] = ()
    policy: str | None = None
    mfa: bool = False
    session_error: Literal[403, 502] = 403
    permissions: tuple[Permission, ...] = (Permission(),)
    quota: int | None = None
    bandwidth: float | None = None
    overhead: float | None = None
    default_directory: str = "/"

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", self.id or derived("collection", self.name))
        object.__setattr__(self, "display_name", self.display_name or self.name)

    @property
    def entity_type(self) -> str:
        return {
            "mapped": "GCSv5_mapped_collection",
            "guest": "GCSv5_guest_collection",
            "personal": "GCP_mapped_collection",
        }[self.kind]

    @property
    def needs_data_access(self) -> bool:
        """``data_access`` exists for mapped collections of GCS v5 without high assurance, and for no other."""
        return self.kind == "mapped" and not self.high_assurance

    @property
    def host_id(self) -> str:
        """The endpoint that the collection lives on."""
        return derived("endpoint", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Lifetimes and limits (seconds, counts), and the points on which the public documents are silent."""

    issuer: str = "https://auth.globus.org"
    access_token_lifetime: int = 172_800
    refresh_token_lifetime: int = 183 * 86_400
    code_lifetime: int = 600
    invalid_grant_status: int = 401
    unknown_scope: Literal["page", "redirect"] = "page"

    overhead: float = 0.2
    bandwidth: float = 1e9
    retry_interval: float = 5.0
    default_deadline: float = 86_400.0

    active_tasks: int = 3
    pending_tasks: int = 100
    rate_per_second: float | None = 20.0
    rate_window: int = 10
    listing_limit: int = 100_000
    list_limit: int = 1_000
    body_limit: int = 64 * 1024 * 1024

    identical: Literal["set", "any"] = "set"
    duplicate_status: int = 200
    deleted_status: int = 404
    paused_status: int = 409
    quota_code: str = "QUOTA_EXCEEDED"
    not_a_directory_code: str = "NOT_A_DIRECTORY"
    is_a_directory_code: str = "IS_A_DIRECTORY"
    expired_code: str = "EXPIRED"
    rate_code: str = "ClientError.TooManyRequests"
    revoked_consent: Literal["inactive", "failed", "ignore"] = "inactive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole world. ``cli`` names the client whose credentials the command line tool is given."""

    identities: tuple[Identity, ...]
    collections: tuple[Collection, ...]
    clients: tuple[Client, ...]
    providers: tuple[Provider, ...] = ()
    policies: tuple[Policy, ...] = ()
    cli: str = "cli"
    settings: Settings = field(default_factory=Settings)


LOOPBACK_CALLBACKS = tuple(
    f"http://{host}:*/{path}" for host in ("127.0.0.1", "localhost", "[::1]") for path in ("api/callback", "callback")
)


def default_config() -> Config:
    """Two users, four collections, one confidential client, and one service account for the command line."""
    return Config(
        providers=(
            Provider(name="Emulated University", domains=("uni.example",)),
            Provider(name="Google", domains=("google.com", "gmail.com")),
            Provider(name="Argonne LCF", domains=("alcf.anl.gov",)),
        ),
        identities=(
            Identity(username="ada@uni.example", name="Ada Lovelace", organization="Emulated University", mfa=True),
            Identity(username="ada@alcf.anl.gov", name="Ada Lovelace", linked_to="ada@uni.example"),
            Identity(username="bob@google.com", name="Bob Bobson"),
        ),
        clients=(
            Client(name="qstage", redirect_uris=LOOPBACK_CALLBACKS, scopes=(OwnScope(suffix="jobs"),)),
            Client(name="cli"),
        ),
        collections=(
            Collection(name="lab", display_name="Lab Storage"),
            Collection(name="archive", kind="guest", display_name="Group Archive"),
            Collection(name="theta", display_name="Theta Project Space"),
            Collection(
                name="secure",
                display_name="Secure Enclave",
                high_assurance=True,
                session_timeout_minutes=30,
                required_domains=("uni.example",),
            ),
        ),
    )
