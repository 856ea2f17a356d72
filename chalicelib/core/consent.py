"""What a login must bring: which scopes to ask for, and what the sign-in itself has to satisfy.

Pure rules, no I/O. ``data_access`` exists only for mapped GCSv5 collections that are not high assurance
(Globus SDK user guide, "data_access scopes"). Asking for any other makes Globus Auth refuse the whole login
as an unknown scope, so a collection whose facts are not known yet is left out, and a second consent follows.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chalicelib.core.ids import CollectionId

TRANSFER = "urn:globus:auth:scope:transfer.api.globus.org:all"
IDENTITY = ("openid", "profile", "email")
MAPPED = "GCSv5_mapped_collection"

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
    """What Globus Transfer says about a collection, as far as a consent depends on it."""

    id: CollectionId
    entity_type: str
    high_assurance: bool = False

    @property
    def needs_data_access(self) -> bool:
        return self.entity_type == MAPPED and not self.high_assurance


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
