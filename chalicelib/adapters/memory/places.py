"""Sites and collection facts, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from chalicelib.adapters.memory.rows import MemoryRows
from chalicelib.core.consent import CollectionFacts
from chalicelib.core.ids import CollectionId, SiteId
from chalicelib.core.sites import Site, with_agent


class MemorySites:
    """``core.ports.places.Sites`` in memory."""

    def __init__(self, rows: MemoryRows) -> None:
        self._rows = rows

    def put(self, site: Site) -> Site:
        with self._rows.writing():
            return self._rows.sites.setdefault(site.id, site)

    def change(self, site: Site, *, was: Site) -> bool:
        with self._rows.lock:
            stored = self._rows.sites.get(site.id)
            if stored is None or _lasting(stored) != _lasting(was):
                return False
            with self._rows.writing():
                agent = {"agent": stored.agent, "agent_host": stored.agent_host, "agent_until": stored.agent_until}
                self._rows.sites[site.id] = replace(site, **agent)  # type: ignore[arg-type]
            return True

    def get(self, site: SiteId) -> Site | None:
        with self._rows.lock:
            return self._rows.sites.get(site)

    def list(self) -> Sequence[Site]:
        with self._rows.lock:
            return sorted(self._rows.sites.values(), key=lambda site: site.id)

    def occupy(self, site: SiteId, instance: str, host: str, until: datetime, now: datetime) -> Site | None:
        with self._rows.lock:
            stored = self._rows.sites.get(site)
            if stored is None:
                return None
            free = stored.agent in (None, instance) or stored.agent_until is None or stored.agent_until <= now
            if not free:
                return stored
            with self._rows.writing():
                self._rows.sites[site] = with_agent(stored, instance, host, until)
            return self._rows.sites[site]


def _lasting(site: Site) -> Site:
    return replace(site, agent=None, agent_host=None, agent_until=None)


class MemoryCollections:
    """``core.ports.places.Collections`` in memory."""

    def __init__(self, rows: MemoryRows) -> None:
        self._rows = rows

    def get(self, ids: Iterable[CollectionId]) -> Mapping[CollectionId, CollectionFacts]:
        with self._rows.lock:
            return {each: self._rows.collections[each] for each in ids if each in self._rows.collections}

    def put(self, facts: Iterable[CollectionFacts], now: datetime) -> None:
        with self._rows.writing():
            self._rows.collections.update({each.id: replace(each, learnt_at=now) for each in facts})
