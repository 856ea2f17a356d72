"""Who exists: identities, their linked sets, providers, clients. Service accounts are identities of their clients."""

from __future__ import annotations

import fnmatch
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from emulators.globus.config import Client, Config, Identity, Provider
from emulators.globus.ids import derived, opaque, random_id

_CLIENT_DOMAIN = "clients.auth.globus.org"
_CLIENT_PROVIDER = Provider(name="Globus Auth", domains=(_CLIENT_DOMAIN,), id="3a3b2f1c-0b8c-5b6a-8a55-6f9a5b4f1a11")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person: the primary identity first, then what is linked to it."""

    identities: tuple[Identity, ...]

    @property
    def primary(self) -> Identity:
        return self.identities[0]

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(identity.id for identity in self.identities)


class People:
    """The directory of identities and clients. Clients can be added while it serves; identities cannot."""

    def __init__(self, config: Config) -> None:
        self.clients: dict[str, Client] = {}
        self.identities: dict[str, Identity] = {identity.id: identity for identity in config.identities}
        self.providers = _with_missing(config.providers, config.identities)
        for client in config.clients:
            self.add_client(client)
        self._accounts = {identity.id: account for account in self._group() for identity in account.identities}

    def add_client(self, client: Client) -> Client:
        """Register an application; a confidential one without a secret is given a random one."""
        if client.kind == "confidential" and client.secret is None:
            client = replace(client, secret=opaque(44))
        self.clients[client.id] = client
        return client

    def new_client(self, name: str, redirect_uris: tuple[str, ...]) -> Client:
        return self.add_client(Client(name=name, id=random_id(), redirect_uris=redirect_uris))

    def client_named(self, name: str) -> Client:
        return next(client for client in self.clients.values() if client.name == name)

    def account(self, identity_id: str) -> Account | None:
        """The person that an identity belongs to; a service account stands alone."""
        known = self._accounts.get(identity_id)
        if known is None and identity_id in self.clients:
            return Account(identities=(self.service_identity(self.clients[identity_id]),))
        return known

    def service_identity(self, client: Client) -> Identity:
        return Identity(username=f"{client.id}@{_CLIENT_DOMAIN}", name=client.name, id=client.id)

    def named(self, username: str) -> Identity | None:
        local, _, domain = username.partition("@")
        if domain == _CLIENT_DOMAIN and local in self.clients:
            return self.service_identity(self.clients[local])
        wanted = username.casefold()
        return next((i for i in self.identities.values() if i.username.casefold() == wanted), None)

    def provider(self, identity: Identity) -> Provider:
        if identity.domain == _CLIENT_DOMAIN:
            return _CLIENT_PROVIDER
        return next(provider for provider in self.providers if identity.domain in provider.domains)

    def is_service(self, identity_id: str) -> bool:
        return identity_id in self.clients

    def _group(self) -> list[Account]:
        by_primary: dict[str, list[Identity]] = {}
        for identity in self.identities.values():
            primary = identity.username if identity.linked_to is None else identity.linked_to
            members = by_primary.setdefault(primary.casefold(), [])
            members.insert(0 if identity.linked_to is None else len(members), identity)
        return [Account(identities=tuple(members)) for members in by_primary.values()]


def _with_missing(providers: tuple[Provider, ...], identities: Iterable[Identity]) -> tuple[Provider, ...]:
    """Every identity has a provider: a domain that nobody declared gets one of its own."""
    known = {domain for provider in providers for domain in provider.domains}
    extra = dict.fromkeys(identity.domain for identity in identities if identity.domain not in known)
    made = (Provider(name=domain, domains=(domain,), id=derived("provider", domain)) for domain in extra)
    return (*providers, *made)


def secret_matches(client: Client, secret: str) -> bool:
    return client.secret is not None and hmac.compare_digest(client.secret.encode(), secret.encode())


def redirect_allowed(client: Client, uri: str) -> bool:
    """Whether ``uri`` is registered. A pattern's ``*`` stands for a port and nothing else."""
    return any(_port_pattern(pattern).fullmatch(uri) for pattern in client.redirect_uris)


def _port_pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(r"(?::\d{1,5})?".join(re.escape(part) for part in pattern.split(":*")))


def glob_matches(pattern: str, text: str) -> bool:
    """A shell pattern, ignoring case, as in Transfer's filters."""
    return fnmatch.fnmatchcase(text.casefold(), pattern.casefold())
