"""Registering and finding sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from chalicelib.core.errors import Conflict, Forbidden, NotFound, TooMany
from chalicelib.core.ids import SiteId
from chalicelib.core.keys import AGENT_LIFE, Caller, KeyKind, site_scope
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.places import Sites
from chalicelib.core.posting import key_digest
from chalicelib.core.sites import Site, changed_site, read_site
from chalicelib.service.keys import Keys

MOST_SITES = 20
"""Sites of one owner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A site as made. ``token`` is None on a repeat: it is shown once."""

    site: Site
    token: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManageSites:
    """The verbs on sites. To who may not use a site, it does not exist."""

    sites: Sites
    keys: Keys
    clock: Clock

    def register(self, caller: Caller, raw: Any, key: str | None) -> Registered:
        """Make a site, and a token for its agent.

        The token's id follows from the idempotency key, so that a repeat finds the one that was made.
        """
        now = self.clock.now()
        wanted = read_site(raw, caller.user, now)
        self._check_room(caller, wanted.id)
        stored = self.sites.put(wanted)
        repeat = stored != wanted
        if repeat and not (key is not None and _same(stored, wanted)):
            raise Conflict("site-exists", f"the name {wanted.id!r} is taken; choose another id")
        minted = self.keys.mint(
            user=caller.user,
            username=caller.username,
            name=f"agent of {wanted.id}",
            scopes=frozenset({site_scope(wanted.id)}),
            life=AGENT_LIFE,
            now=now,
            kind=KeyKind.AGENT,
            id=None if key is None else _token_id(caller, key),
        )
        return Registered(site=stored, token=None if minted.key is None else minted.key.reveal())

    def _check_room(self, caller: Caller, name: SiteId) -> None:
        """Everybody's listing reads every site, so nobody may make them without end."""
        sites = self.sites.list()
        owned = sum(site.owner == caller.user for site in sites)
        if owned >= MOST_SITES and all(site.id != name for site in sites):
            raise TooMany(f"You own {owned} sites; {MOST_SITES} are the most.", code="too-many-sites")

    def show(self, caller: Caller, name: SiteId) -> Site:
        """One site that the caller may use."""
        site = self.sites.get(name)
        if site is None or not site.admits(caller.user, caller.username):
            raise NotFound(f"There is no site {name!r} that you may use.")
        return site

    def change(self, caller: Caller, name: SiteId, raw: Any) -> Site:
        """Change what can be changed of a site. Its owner alone may.

        :raises Conflict: somebody else changed it at the same moment.
        """
        site = self.show(caller, name)
        if site.owner != caller.user:
            raise Forbidden(f"Only the owner of site {name} can change it.")
        wanted = changed_site(site, raw)
        if wanted != site and not self.sites.change(wanted, was=site):
            raise Conflict("site-changed", "the site was changed at the same moment; look at it and try again")
        return wanted

    def page(self, caller: Caller) -> Sequence[Site]:
        """Every site that the caller may use, by id."""
        return [site for site in self.sites.list() if site.admits(caller.user, caller.username)]


def _same(stored: Site, wanted: Site) -> bool:
    """Whether a stored site is what this request asked for at another moment."""
    made = replace(stored, created_at=wanted.created_at, agent=None, agent_host=None, agent_until=None)
    return made == wanted


def _token_id(caller: Caller, key: str) -> str:
    """Twelve characters of the alphabet of key ids, the same for each repeat."""
    digits = int(key_digest(caller.user, "agent-token", key), 16)
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    return "".join(alphabet[(digits >> (5 * place)) % 32] for place in range(12))
