"""Where sites and what is known of collections are kept: what all users share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from chalicelib.core.consent import CollectionFacts
from chalicelib.core.ids import CollectionId, SiteId
from chalicelib.core.sites import Site


class Sites(Protocol):
    """Compute sites. Reads are strongly consistent."""

    def put(self, site: Site) -> Site:
        """Put the site if there is none under its id; return the one that is stored."""
        ...

    def change(self, site: Site, *, was: Site) -> bool:
        """Replace all but the agent, if it is still as in ``was``; False, and nothing written, if not."""
        ...

    def get(self, site: SiteId) -> Site | None:
        """Return the site."""
        ...

    def list(self) -> Sequence[Site]:
        """Return every site of the deployment, by id. There are few: one query."""
        ...

    def occupy(self, site: SiteId, instance: str, host: str, until: datetime, now: datetime) -> Site | None:
        """Give the site to this agent until then, unless another holds it beyond ``now``.

        Returns the site as it is after that: whose ``agent`` is another's if that one holds it. None if there is
        no such site.
        """
        ...


class Collections(Protocol):
    """The shared cache of collection facts."""

    def get(self, ids: Iterable[CollectionId]) -> Mapping[CollectionId, CollectionFacts]:
        """Return what is known, for those of which anything is; each says when it was learnt."""
        ...

    def put(self, facts: Iterable[CollectionFacts], now: datetime) -> None:
        """Store what was learnt at ``now``."""
        ...
