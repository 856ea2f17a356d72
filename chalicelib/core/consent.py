"""What a login must bring: which scopes to ask for, and what the sign-in itself has to satisfy.

Pure rules, no I/O. ``data_access`` exists only for mapped GCSv5 collections that are not high assurance
(Globus SDK user guide, "data_access scopes"). Asking for any other makes Globus Auth refuse the whole login
as an unknown scope, so a collection whose facts are not known yet is left out, and a second consent follows.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chalicelib.core.ids import CollectionId
from chalicelib.core.sessions import SignInDemand

TRANSFER = "urn:globus:auth:scope:transfer.api.globus.org:all"
IDENTITY = ("openid", "profile", "email")
MAPPED = "GCSv5_mapped_collection"

FACTS_LIFE = timedelta(days=1)
"""How long what was learnt of a collection is taken for true before it is asked again."""

_DATA_ACCESS = re.compile(r"https://auth\.globus\.org/scopes/([0-9a-f-]{36})/data_access")


class LoginReason(enum.StrEnum):
    """Why a login is needed. The words are shown to users and stored; do not rename them."""

    NEVER = "never_signed_in"
    """qstage holds no token of this user."""
    REFUSED = "refused"
    """Globus no longer accepts the stored token: consent withdrawn, or unused for six months."""
    CONSENT = "consent"
    """The token is good, but does not reach a collection that is needed."""
    SESSION = "session"
    """The token is good, but the collection wants a more recent, other or stronger sign-in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDemand:
    """What a collection demands of the sign-in itself, in Globus Auth's own terms; empty means nothing."""

    message: str = ""
    identities: tuple[str, ...] = ()
    single_domain: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    mfa: bool = False
    fresh: bool = False
    """The user has to authenticate now even if the browser still holds a session (``prompt=login``)."""

    def __bool__(self) -> bool:
        return bool(self.identities or self.single_domain or self.policies or self.mfa or self.fresh)


NOTHING = SessionDemand()
"""Any sign-in will do."""


def joined(demands: Iterable[SessionDemand]) -> SessionDemand:
    """One sign-in for several demands. Of domains any one suffices Globus, so what they share is asked for; where
    they share nothing, the first one's: the other's collection says so again when that login has ended."""
    found = NOTHING
    for each in demands:
        shared = tuple(domain for domain in found.single_domain if domain in each.single_domain)
        found = SessionDemand(
            message=found.message or each.message,
            identities=tuple(dict.fromkeys((*found.identities, *each.identities))),
            single_domain=shared or found.single_domain or each.single_domain,
            policies=tuple(dict.fromkeys((*found.policies, *each.policies))),
            mfa=found.mfa or each.mfa,
            fresh=found.fresh or each.fresh,
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginDemand:
    """Why a user has to sign in (again), and what that login has to bring. A stored fact, not an error.

    ``scopes`` are scope strings that Globus asked for by name; ``session`` is what the sign-in itself has to
    satisfy. Both may be empty: then any login with the usual scopes ends the need.
    """

    reason: LoginReason
    detail: str
    scopes: tuple[str, ...] = ()
    session: SessionDemand = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionFacts:
    """What Globus says about a collection, as far as a consent or a login session depends on it.

    ``policies`` are ids of authentication policies, as a login link names them. ``domains`` are known only where
    qstage's own client may read the policy: Transfer does not tell them.
    """

    id: CollectionId
    entity_type: str
    high_assurance: bool = False
    max_age: timedelta | None = None
    """How long ago the sign-in may be; None does not matter."""
    mfa: bool = False
    domains: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    learnt_at: datetime | None = field(default=None, compare=False)
    """When Globus said so; the cache notes it."""

    @property
    def needs_data_access(self) -> bool:
        return self.entity_type == MAPPED and not self.high_assurance

    @property
    def demand(self) -> SignInDemand:
        """What the collection demands of a sign-in, as far as qstage can judge it."""
        return SignInDemand(domains=self.domains, mfa=self.mfa, max_age=self.max_age)

    @property
    def login(self) -> SessionDemand:
        """The sign-in that meets the collection's demands, from now on."""
        return SessionDemand(
            single_domain=self.domains,
            policies=self.policies,
            mfa=self.mfa,
            fresh=bool(self.demand) or bool(self.policies),
        )

    def after(self, before: CollectionFacts | None) -> CollectionFacts:
        """These facts, learnt without reading the policy, with what an earlier look knew of that same policy."""
        if before is None or not self.policies or self.policies != before.policies:
            return self
        ages = [age for age in (self.max_age, before.max_age) if age is not None]
        return replace(self, domains=before.domains, mfa=self.mfa or before.mfa, max_age=min(ages, default=None))

    def fresh_at(self, now: datetime) -> bool:
        """Whether this was learnt lately enough to be relied on."""
        return self.learnt_at is not None and now - self.learnt_at < FACTS_LIFE


def data_access(collection: CollectionId) -> str:
    """The scope with which Transfer may read and write on a mapped collection for the user."""
    return f"https://auth.globus.org/scopes/{collection}/data_access"


def consented_collections(scopes: Iterable[str]) -> frozenset[CollectionId]:
    """The collections whose ``data_access`` occurs anywhere in these scope strings."""
    return frozenset(CollectionId(found) for text in scopes for found in _DATA_ACCESS.findall(text))


def needed_collections(
    wanted: Iterable[CollectionId], facts: Mapping[CollectionId, CollectionFacts]
) -> frozenset[CollectionId]:
    """Those of the wanted collections that are known to need ``data_access``."""
    return frozenset(c for c in wanted if c in facts and facts[c].needs_data_access)


def missing_collections(
    wanted: Iterable[CollectionId],
    facts: Mapping[CollectionId, CollectionFacts],
    consented: Iterable[str],
) -> frozenset[CollectionId]:
    """Collections that a transfer needs and that the user's consents do not cover yet."""
    return needed_collections(wanted, facts) - consented_collections(consented)


def scopes_to_ask(collections: Iterable[CollectionId], already: Iterable[str] = ()) -> tuple[str, ...]:
    """The scopes of one login: who the user is, and Transfer with these collections and all earlier ones.

    The union matters: a login that asks for less may leave the newest token with less. Each dependent bears
    a ``*``: the user may withdraw one collection later without losing the others.
    """
    needed = sorted(frozenset(collections) | consented_collections(already))
    dependents = " ".join(f"*{data_access(c)}" for c in needed)
    return (*IDENTITY, f"{TRANSFER}[{dependents}]" if dependents else TRANSFER)
