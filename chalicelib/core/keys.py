"""API keys and agents' tokens: how they look, what they may do, how long they live.

    qsk_<12 of base32>_<43 of base64url>    a person's key       (256 random bits)
    qsa_<12 of base32>_<43 of base64url>    one site's agent     (good for that site's sync alone)

The part in the middle is the key's id: it is public and found in lists and logs. Of the secret only the
SHA-256 is stored; with 256 random bits there is nothing that a slow hash would protect.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chalicelib.core.errors import Fault, Forbidden
from chalicelib.core.ids import SiteId, UserId

ADMIN, JOBS, READ = "admin", "jobs", "read"
REACH = {ADMIN: frozenset({ADMIN, JOBS, READ}), JOBS: frozenset({JOBS, READ}), READ: frozenset({READ})}
"""What a scope of a person's key includes: ``admin`` makes keys and sites, ``jobs`` submits."""

USUAL_LIFE = timedelta(days=30)
LONGEST_DAYS = 366
AGENT_LIFE = timedelta(days=365)
"""How long an agent's token lasts. It opens one site's sync and nothing else."""
MOST_KEYS = 100
"""Keys of one user that are good at the same time, made by programs; each terminal's was approved by hand."""
TOUCH = timedelta(hours=1)
"""``last_used_at`` is coarse on purpose: a write for each request would double their cost."""

_KEY = re.compile(r"(qsk|qsa)_([a-z2-7]{12})_([A-Za-z0-9_-]{43})")


class KeyKind(enum.StrEnum):
    """Whose key it is."""

    KEY = "key"
    AGENT = "agent"
    BEARER = "bearer"
    """No key: a Globus token for the service's own scope. Never stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key in the clear: what a caller sends, and what is shown once when it is made."""

    kind: KeyKind
    id: str
    secret: str = field(repr=False)

    def reveal(self) -> str:
        """The whole key as text, for the one answer that hands it out."""
        return f"{'qsa' if self.kind is KeyKind.AGENT else 'qsk'}_{self.id}_{self.secret}"

    @property
    def digest(self) -> str:
        """What is stored of the secret."""
        return hashlib.sha256(self.secret.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """A key as stored."""

    id: str
    digest: str = field(repr=False)
    user: UserId
    username: str
    kind: KeyKind
    name: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = None

    def opened_by(self, key: ApiKey, now: datetime) -> bool:
        """Whether this is the key's record and the key still lives. Takes the same time whatever differs."""
        same = hmac.compare_digest(self.digest.encode(), key.digest.encode())
        return same and self.kind is key.kind and now < self.expires_at

    def wants_touch(self, now: datetime) -> bool:
        """Whether the last use on record is old enough to write a new one."""
        return self.last_used_at is None or now - self.last_used_at >= TOUCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who makes a request, and how far their credential reaches."""

    user: UserId
    username: str
    kind: KeyKind
    scopes: frozenset[str]
    key_id: str
    """"" where the credential is no key."""
    life: timedelta = timedelta(0)
    """For how long the credential was made, however much of it is left."""

    def may(self, scope: str) -> bool:
        """Whether the credential includes ``scope``. An agent's holds its site's scope and nothing else."""
        return any(scope in REACH.get(held, frozenset({held})) for held in self.scopes)

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the credential includes ``scope``."""
        if not self.may(scope):
            raise Forbidden(f"This key does not have the scope {scope}.", code="missing-scope")


def site_scope(site: SiteId) -> str:
    """The one scope of a site's agent."""
    return f"site:{site}"


def parse_key(text: str) -> ApiKey | None:
    """Read a key as a caller sends it; None for anything that cannot be one."""
    found = _KEY.fullmatch(text)
    if found is None:
        return None
    kind = KeyKind.AGENT if found[1] == "qsa" else KeyKind.KEY
    return ApiKey(kind=kind, id=found[2], secret=found[3])


def key_id(entropy: bytes) -> str:
    """Twelve lower-case base32 characters from at least eight bytes."""
    return base64.b32encode(entropy[:8]).decode()[:12].lower()


def new_key(kind: KeyKind, entropy: bytes, *, id: str | None = None) -> ApiKey:
    """A key from 40 random bytes: 32 for the secret, 8 for the id unless it is given."""
    if len(entropy) != 40:
        raise ValueError("a key takes 40 random bytes")
    secret = base64.urlsafe_b64encode(entropy[:32]).decode().rstrip("=")
    return ApiKey(kind=kind, id=id or key_id(entropy[32:]), secret=secret)


def scope_faults(scopes: Iterable[str], maker: Caller, pointer: str = "/scopes") -> list[Fault]:
    """What is wrong with the scopes asked for a person's key: unknown, none, or more than its maker has."""
    asked = list(scopes)
    if not asked:
        return [Fault(pointer, "name at least one of: admin, jobs, read")]
    faults = []
    for position, scope in enumerate(asked):
        if scope not in REACH:
            faults.append(Fault(f"{pointer}/{position}", "must be one of: admin, jobs, read"))
        elif not maker.may(scope):
            faults.append(Fault(f"{pointer}/{position}", f"your own key does not have {scope}"))
    return faults
