"""Sites and collection facts in the table ``places``.

kind "site"         id · v · site (JSON, all that does not change) · agent · agent_host · agent_until
kind "collection"   id · v · entity_type · high_assurance · max_age (seconds) · mfa · domains · policies · learnt_at
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.adapters.dynamodb.encoding import SCHEMA, json_text, maybe_micros, maybe_moment, micros
from chalicelib.adapters.dynamodb.expressions import Piece
from chalicelib.adapters.dynamodb.plain import to_plain, to_record
from chalicelib.adapters.dynamodb.table import Refused, Table
from chalicelib.core.consent import CollectionFacts
from chalicelib.core.ids import CollectionId, SiteId
from chalicelib.core.sites import Site


class SiteTable:
    """``core.ports.places.Sites`` in DynamoDB."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def put(self, site: Site) -> Site:
        # A site's mappings say where its jobs' directories are: it is never replaced by another of its name.
        first = Piece("attribute_not_exists(#id)")
        answer = self._table.write(self._table.put(write_site(site), first))
        if not isinstance(answer, Refused):
            return site
        assert answer.stored is not None, "only an item that is there can be in the way"
        return read_site(answer.stored)

    def change(self, site: Site, *, was: Site) -> bool:
        # Two owners' changes at once: the later one was made of what the earlier one has replaced.
        same = Piece("#site = :was", {"was": _lasting(was)})
        change = Piece("SET #site = :site", {"site": _lasting(site)})
        return not isinstance(self._table.write(self._table.update(_site_key(site.id), change, same)), Refused)

    def get(self, site: SiteId) -> Site | None:
        found = self._table.get(_site_key(site))
        return None if found is None else read_site(found)

    def list(self) -> Sequence[Site]:
        return [read_site(item) for item in self._table.query(Piece("#kind = :site", {"site": "site"}))]

    def occupy(self, site: SiteId, instance: str, host: str, until: datetime, now: datetime) -> Site | None:
        change = Piece(
            "SET #agent = :agent, #agent_host = :host, #agent_until = :until",
            {"agent": instance, "host": host, "until": micros(until)},
        )
        there = Piece("attribute_exists(#id)")
        # One agent at a time: two that submit for one site would each count on all of its room. The same agent goes
        # on, and one that has not called in time has lost the site.
        free = Piece(
            "attribute_not_exists(#agent) OR #agent = :agent OR #agent_until <= :now",
            {"agent": instance, "now": micros(now)},
        )
        answer = self._table.write(self._table.update(_site_key(site), change, there, free), returning=True)
        if not isinstance(answer, Refused):
            return read_site(answer)
        return None if answer.stored is None else read_site(answer.stored)


class CollectionTable:
    """``core.ports.places.Collections`` in DynamoDB."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, ids: Iterable[CollectionId]) -> Mapping[CollectionId, CollectionFacts]:
        items = self._table.get_many([{"kind": "collection", "id": each} for each in ids])
        found = (
            CollectionFacts(
                id=CollectionId(item["id"]),
                entity_type=item["entity_type"],
                high_assurance=item.get("high_assurance", False),
                max_age=timedelta(seconds=item["max_age"]) if "max_age" in item else None,
                mfa=item.get("mfa", False),
                domains=tuple(item.get("domains", ())),
                policies=tuple(item.get("policies", ())),
                learnt_at=maybe_moment(item.get("learnt_at")),
            )
            for item in items
        )
        return {facts.id: facts for facts in found}

    def put(self, facts: Iterable[CollectionFacts], now: datetime) -> None:
        newest = {each.id: each for each in facts}
        self._table.fill([_write_facts(each, now) for each in newest.values()])


def write_site(site: Site) -> dict[str, Any]:
    return {
        **_site_key(site.id),
        "v": SCHEMA,
        "site": _lasting(site),
        "agent": site.agent,
        "agent_host": site.agent_host,
        "agent_until": maybe_micros(site.agent_until),
    }


def _lasting(site: Site) -> str:
    """All but the agent, as text; the same text for the same site."""
    return json_text(to_plain(replace(site, agent=None, agent_host=None, agent_until=None)))


def read_site(item: Mapping[str, Any]) -> Site:
    return replace(
        to_record(Site, json.loads(item["site"])),
        agent=item.get("agent"),
        agent_host=item.get("agent_host"),
        agent_until=maybe_moment(item.get("agent_until")),
    )


def _write_facts(facts: CollectionFacts, now: datetime) -> dict[str, Any]:
    return {
        "kind": "collection",
        "id": facts.id,
        "v": SCHEMA,
        "entity_type": facts.entity_type,
        "high_assurance": facts.high_assurance or None,
        "max_age": None if facts.max_age is None else int(facts.max_age.total_seconds()),
        "mfa": facts.mfa or None,
        "domains": list(facts.domains) or None,
        "policies": list(facts.policies) or None,
        "learnt_at": micros(now),
    }


def _site_key(site: SiteId) -> dict[str, Any]:
    return {"kind": "site", "id": site}
