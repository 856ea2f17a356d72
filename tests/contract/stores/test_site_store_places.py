"""Sites and collection facts: one suite over every store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from store_samples import ARCHIVE, LAB, NOON, a_site, at_once

from chalicelib.core.consent import MAPPED, CollectionFacts
from chalicelib.core.ids import CollectionId, SiteId, UserId
from chalicelib.core.site_demands import Demands
from chalicelib.core.sites import Mount

if TYPE_CHECKING:
    from conftest import Stores

LATER = NOON + timedelta(minutes=5)
THETA = SiteId("theta")


def test_a_site_comes_back_exactly_as_it_was_put(stores: Stores) -> None:
    full = a_site(
        "theta",
        mappings=(
            Mount(collection=LAB, path="/scratch/", directory="/lus/scratch/"),
            Mount(collection=ARCHIVE, path="/ünï/", directory="/lus/ünï/"),
        ),
        title="Theta",
        roots=("/lus/shared/",),
        queue_name="default",
        account="chem",
        users=frozenset({UserId("a"), "b@uni.example"}),
        agent="i-1",
        agent_host="login1",
        agent_until=LATER,
    )
    assert stores.sites.put(full) == full
    assert stores.sites.get(THETA) == full
    assert stores.sites.put(a_site("plain")) == stores.sites.get(SiteId("plain"))
    assert stores.sites.get(SiteId("polaris")) is None


def test_of_two_sites_of_one_name_the_first_stays(stores: Stores) -> None:
    first = a_site("theta")
    stores.sites.put(first)
    assert stores.sites.put(replace(first, owner=UserId("somebody else"))) == first
    assert stores.sites.get(THETA) == first


def test_all_sites_are_listed_by_name(stores: Stores) -> None:
    assert list(stores.sites.list()) == []
    sites = [a_site(name) for name in ("aurora", "polaris", "theta")]
    for site in reversed(sites):
        stores.sites.put(site)
    stores.collections.put([CollectionFacts(id=LAB, entity_type=MAPPED)], NOON)
    assert list(stores.sites.list()) == sites


def test_a_site_is_given_to_the_first_agent_and_to_it_again(stores: Stores) -> None:
    stores.sites.put(a_site("theta"))
    given = stores.sites.occupy(THETA, "i-1", "login1", LATER, NOON)
    assert given == replace(a_site("theta"), agent="i-1", agent_host="login1", agent_until=LATER)
    later = stores.sites.occupy(THETA, "i-1", "login1", LATER + timedelta(minutes=1), NOON)
    assert later is not None
    assert later.agent_until == LATER + timedelta(minutes=1)
    assert stores.sites.get(THETA) == later


def test_another_agent_is_told_who_has_the_site_until_that_one_falls_silent(stores: Stores) -> None:
    stores.sites.put(a_site("theta"))
    mine = stores.sites.occupy(THETA, "i-1", "login1", LATER, NOON)
    soon = LATER - timedelta(microseconds=1)
    assert stores.sites.occupy(THETA, "i-2", "login2", LATER + timedelta(hours=1), soon) == mine
    taken = stores.sites.occupy(THETA, "i-2", "login2", LATER + timedelta(hours=1), LATER)
    assert taken is not None
    assert (taken.agent, taken.agent_host) == ("i-2", "login2")


def test_a_site_that_does_not_exist_is_given_to_nobody(stores: Stores) -> None:
    assert stores.sites.occupy(THETA, "i-1", "login1", LATER, NOON) is None
    assert stores.sites.get(THETA) is None


def test_of_many_agents_at_once_one_gets_the_site_and_all_are_told_which(stores: Stores) -> None:
    stores.sites.put(a_site("theta"))
    told = at_once([lambda n=n: stores.sites.occupy(THETA, f"i-{n}", "login1", LATER, NOON) for n in range(6)])  # type: ignore[misc]
    assert len({site.agent for site in told if site is not None}) == 1
    assert None not in told


def test_collection_facts_are_replaced_by_newer_ones_and_unknown_ones_are_absent(stores: Stores) -> None:
    lab, archive = CollectionFacts(id=LAB, entity_type=MAPPED), CollectionFacts(id=ARCHIVE, entity_type="guest")
    stores.collections.put([lab, archive], NOON)
    better = replace(lab, high_assurance=True)
    stores.collections.put([better], LATER)
    stores.collections.put([], LATER)
    unknown = CollectionId("6f7c1c1e-0000-4000-8000-000000000003")
    assert stores.collections.get([LAB, ARCHIVE, unknown, LAB]) == {LAB: better, ARCHIVE: archive}
    assert stores.collections.get([]) == {}


def test_facts_of_any_number_of_collections_are_kept(stores: Stores) -> None:
    ids = [CollectionId(f"6f7c1c1e-0000-4000-8000-{n:012d}") for n in range(130)]
    facts = {each: CollectionFacts(id=each, entity_type=MAPPED) for each in ids}
    stores.collections.put(facts.values(), NOON)
    assert stores.collections.get(ids) == facts


def test_a_site_is_changed_only_as_it_was_read_and_its_agent_goes_on(stores: Stores) -> None:
    site = a_site("changing", users=frozenset({"bob", "ada", "eve"}))
    stores.sites.put(site)
    assert stores.sites.occupy(site.id, "agent-1", "login1", NOON + timedelta(minutes=1), NOON) is not None
    demanding = replace(site, demands=Demands(domains=("anl.gov", "uni.example"), mfa=True, signed_in_within=60))
    assert stores.sites.change(demanding, was=site)
    stored = stores.sites.get(site.id)
    assert stored is not None
    assert (stored.demands, stored.users, stored.agent) == (demanding.demands, site.users, "agent-1")
    assert not stores.sites.change(replace(site, title="late"), was=site)
    assert stores.sites.change(replace(stored, demands=Demands(key_life=7), agent=None), was=stored)
    last = stores.sites.get(site.id)
    assert last is not None
    assert (last.demands, last.agent) == (Demands(key_life=7), "agent-1")
    assert not stores.sites.change(a_site("nowhere"), was=a_site("nowhere"))
