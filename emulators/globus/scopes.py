"""The scope language, ``root[dependent *optional]``, and which resource server each scope belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from emulators.globus.config import Client, Collection
from emulators.globus.ids import derived

TRANSFER = "urn:globus:auth:scope:transfer.api.globus.org:all"
MANAGE_PROJECTS = "urn:globus:auth:scope:auth.globus.org:manage_projects"
VIEW_IDENTITY_SET = "urn:globus:auth:scope:auth.globus.org:view_identity_set"

AUTH_SERVER = "auth.globus.org"
TRANSFER_SERVER = "transfer.api.globus.org"
TIMERS_SERVER = "524230d7-ea86-4a52-8312-86065a9e0417"
_FLOWS = "https://auth.globus.org/scopes/eec9b274-0c81-4334-bdc2-54e90e689b9a/"

_FIXED: dict[str, tuple[str, ...]] = {
    AUTH_SERVER: (
        "openid",
        "email",
        "profile",
        *(
            f"urn:globus:auth:scope:auth.globus.org:{name}"
            for name in (
                "manage_projects",
                "view_authentications",
                "view_clients",
                "view_clients_and_scopes",
                "view_consents",
                "manage_consents",
                "view_identities",
                "view_identity_set",
                "view_identity_providers",
            )
        ),
    ),
    TRANSFER_SERVER: (TRANSFER, "urn:globus:auth:scope:transfer.api.globus.org:gcp_install"),
    "groups.api.globus.org": tuple(
        f"urn:globus:auth:scope:groups.api.globus.org:{name}" for name in ("all", "view_my_groups_and_memberships")
    ),
    "search.api.globus.org": tuple(
        f"urn:globus:auth:scope:search.api.globus.org:{name}"
        for name in ("all", "globus_connect_server", "ingest", "search")
    ),
    TIMERS_SERVER: (f"https://auth.globus.org/scopes/{TIMERS_SERVER}/timer",),
    "flows.globus.org": tuple(
        _FLOWS + name for name in ("all", "manage_flows", "view_flows", "run", "run_status", "run_manage")
    ),
    "funcx_service": ("https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all",),
}

_LEXEME = re.compile(r"\s*([\[\]]|\*?[^\s\[\]*]+)")

# The client ids under which resource servers appear in consents, by resource server.
_SERVER_CLIENTS = {TRANSFER_SERVER: "2fbdda78-a599-4cb5-ac3d-1fbcfbc6a754", TIMERS_SERVER: TIMERS_SERVER}


class ScopeError(ValueError):
    """The text is not in the scope language."""


class UnknownScopeError(ValueError):
    """No resource server offers the scope."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__(f"Unknown scope(s): {', '.join(self.names)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    name: str
    optional: bool = False
    dependents: tuple[Scope, ...] = ()

    def paths(self, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
        """Each (names from the root down, whether it is optional), roots first."""
        here = (*above, self.name)
        yield here, self.optional
        for dependent in self.dependents:
            yield from dependent.paths(here)


def parse(text: str) -> tuple[Scope, ...]:
    """Parse what a client asked for; the same scope named twice is merged. Raises ``ScopeError``."""
    lexemes: list[str] = []
    position = 0
    while position < len(text.rstrip()):
        match = _LEXEME.match(text, position)
        if match is None:
            raise ScopeError(f"cannot read the scope at {position}")
        lexemes.append(match[1])
        position = match.end()
    scopes, rest = _sequence(lexemes, 0, depth=0)
    if rest != len(lexemes):
        raise ScopeError("a bracket closes nothing")
    return scopes


def _sequence(lexemes: list[str], index: int, depth: int) -> tuple[tuple[Scope, ...], int]:
    if depth > 8:
        raise ScopeError("scopes are nested too deep")
    found: list[Scope] = []
    while index < len(lexemes) and lexemes[index] != "]":
        word = lexemes[index]
        if word == "[":
            raise ScopeError("a bracket follows nothing")
        optional, name = word.startswith("*"), word.lstrip("*")
        index += 1
        dependents: tuple[Scope, ...] = ()
        if index < len(lexemes) and lexemes[index] == "[":
            dependents, index = _sequence(lexemes, index + 1, depth + 1)
            if index >= len(lexemes):
                raise ScopeError("a bracket is not closed")
            index += 1
        found.append(Scope(name=name, optional=optional, dependents=dependents))
    return merge(found), index


def merge(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """One scope per name, in order of appearance, with the dependents of all."""
    merged: dict[str, Scope] = {}
    for scope in scopes:
        before = merged.get(scope.name)
        if before is None:
            merged[scope.name] = scope
        else:
            merged[scope.name] = Scope(
                name=scope.name,
                optional=before.optional and scope.optional,
                dependents=merge((*before.dependents, *scope.dependents)),
            )
    return tuple(merged.values())


class ScopeCatalog:
    """Every scope that exists in this world."""

    def __init__(self, collections: Iterable[Collection], clients: Iterable[Client]) -> None:
        self._servers = {name: server for server, names in _FIXED.items() for name in names}
        self.implied: dict[str, tuple[Scope, ...]] = {}
        for collection in collections:
            self._add_collection(collection)
        for client in clients:
            for own in client.scopes:
                name = f"https://auth.globus.org/scopes/{client.id}/{own.suffix}"
                self._servers[name] = client.id
                self.implied[name] = merge(scope for text in own.dependents for scope in parse(text))

    def _add_collection(self, collection: Collection) -> None:
        base = f"https://auth.globus.org/scopes/{collection.id}"
        if collection.needs_data_access:
            self._servers[f"{base}/data_access"] = collection.id
        if collection.kind != "personal":
            self._servers[f"{base}/https"] = collection.id
            manage = f"urn:globus:auth:scope:{collection.host_id}:manage_collections"
            self._servers[manage] = collection.host_id

    def server(self, name: str) -> str:
        """The resource server of a scope. Raises ``UnknownScopeError``."""
        try:
            return self._servers[name]
        except KeyError:
            raise UnknownScopeError([name]) from None

    def expand(self, scopes: Iterable[Scope]) -> tuple[Scope, ...]:
        """The scopes with the dependents that their owners registered. Raises ``UnknownScopeError``."""
        expanded = merge(self._with_implied(scope) for scope in scopes)
        unknown = {name for root in expanded for path, _ in root.paths() for name in path} - set(self._servers)
        if unknown:
            raise UnknownScopeError(sorted(unknown))
        return expanded

    def _with_implied(self, scope: Scope) -> Scope:
        dependents = merge((*scope.dependents, *self.implied.get(scope.name, ())))
        return Scope(name=scope.name, optional=scope.optional, dependents=dependents)

    def scope_id(self, name: str) -> str:
        return derived("scope", name)

    def server_client(self, name: str) -> str:
        """The client id of the scope's resource server, as consents name it."""
        server = self.server(name)
        return _SERVER_CLIENTS.get(server) or (server if "." not in server else derived("server", server))


def data_access(collection_id: str) -> str:
    return f"https://auth.globus.org/scopes/{collection_id}/data_access"


def missing_data_access(collection_id: str) -> str:
    """The scope to ask for when consent for a collection's data is missing."""
    return f"{TRANSFER}[*{data_access(collection_id)}]"
