"""Site documents: what is read, what is refused, whom a site admits and what it lets be linked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from core_examples import ADA, LAB, NOON, THETA, a_document, a_site, an_input

from chalicelib.core.errors import Fault, Invalid
from chalicelib.core.ids import UserId
from chalicelib.core.sites import SILENCE, Mount, check_for_site, read_site, with_agent

RAW: dict[str, Any] = {
    "id": "theta",
    "scheduler": "cobalt",
    "mappings": [{"collection": THETA, "path": "/projects//./", "directory": "/lus/projects"}],
}


def faults(**fields: Any) -> list[str]:
    with pytest.raises(Invalid) as refused:
        read_site({**RAW, **fields}, ADA, NOON)
    return sorted(fault.pointer for fault in refused.value.faults)


def test_a_site_is_read_with_its_paths_in_one_form() -> None:
    raw = {**RAW, "roots": ["/eagle/data"], "defaults": {"queue_name": "default"}, "users": ["bob@example.org"]}
    site = read_site(raw, ADA, NOON)
    assert site.mappings == (Mount(collection=THETA, path="/projects/", directory="/lus/projects/"),)
    assert (site.roots, site.queue_name, site.account) == (("/eagle/data/",), "default", None)
    assert (site.owner, site.created_at) == (ADA, NOON)
    assert site.users == {"bob@example.org"}


@pytest.mark.parametrize(
    ("fields", "pointers"),
    [
        ({"id": "Theta"}, ["/id"]),
        ({"id": "-"}, ["/id"]),
        ({"scheduler": "oar"}, ["/scheduler"]),
        ({"mappings": []}, ["/mappings"]),
        ({"roots": ["data"]}, ["/roots/0"]),
        ({"roots": ["/a", "/a/../.."]}, ["/roots/1"]),
        ({"mappings": [{"collection": LAB, "path": "/p", "directory": "lus"}]}, ["/mappings/0/directory"]),
        ({"defaults": {"queue": "q"}}, ["/defaults/queue"]),
        ({"nodes": 5}, ["/nodes"]),
    ],
)
def test_a_fault_is_named_where_it_is(fields: dict[str, Any], pointers: list[str]) -> None:
    assert faults(**fields) == pointers


def test_every_fault_of_a_site_is_named_at_once() -> None:
    mappings = [
        {"collection": LAB, "path": "/a/../b", "directory": "/lus"},
        {"collection": LAB, "path": 5, "directory": "lus"},
        {"collection": "short", "path": "/ok", "directory": "/ok"},
    ]
    assert faults(id="-", mappings=mappings, roots=["data", 5, "/ok"], users="bob") == [
        "/id",
        "/mappings/0/path",
        "/mappings/1/directory",
        "/mappings/1/path",
        "/mappings/2/collection",
        "/roots/0",
        "/roots/1",
        "/users",
    ]


def test_a_collection_is_named_by_its_id() -> None:
    assert faults(mappings=[{"collection": LAB.upper(), "path": "/p", "directory": "/lus"}]) == [
        "/mappings/0/collection"
    ]


def test_a_site_admits_its_owner_and_those_it_names_by_id_or_by_name() -> None:
    site = a_site(users=frozenset({"bob@example.org", "22222222-2222-4222-8222-222222222222"}))
    assert site.admits(ADA, "ada@example.org")
    assert site.admits(UserId("x"), "bob@example.org")
    assert site.admits(UserId("22222222-2222-4222-8222-222222222222"), "eve@example.org")
    assert not site.admits(UserId("x"), "eve@example.org")
    assert not site.admits(UserId("x"), "BOB@example.org.evil")


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("/eagle/data/x", True),
        ("/eagle/data/", True),
        ("/eagle/data/deep/er/", True),
        ("/eagle/data2/x", False),
        ("/eagle/", False),
        ("/", False),
        ("/etc/passwd", False),
    ],
)
def test_only_what_lies_under_a_root_of_the_site_can_be_linked(source: str, allowed: bool) -> None:
    document = a_document(stage_in=[an_input(target="moved/"), an_input(source, target="linked", mode="link")])
    found: list[Fault] = []
    check_for_site(document, a_site(roots=("/eagle/data/",)), "/jobs/4", found)
    assert [fault.pointer for fault in found] == ([] if allowed else ["/jobs/4/stage_in/1/source"])


def test_a_site_without_roots_links_nothing() -> None:
    found: list[Fault] = []
    check_for_site(a_document(stage_in=[an_input("/x", mode="link")]), a_site(), "", found)
    assert len(found) == 1


def test_a_job_s_directory_is_one_place_under_two_names() -> None:
    site = a_site()
    globus, login = site.job_place(ADA, "md-1001"), site.job_directory(ADA, "md-1001")
    assert globus.collection == THETA
    assert globus.is_directory
    assert globus.path.removeprefix("/projects/") == f"{login}/".removeprefix("/lus/projects/")
    assert ADA not in login, "the directory's name tells nothing of its user"
    assert site.job_place(UserId("other"), "md-1001") != globus


def test_a_site_is_silent_when_its_agent_has_not_called_for_a_while() -> None:
    assert a_site().silent(NOON), "one that never called is silent"
    site = with_agent(a_site(), "instance", "login1", NOON)
    assert (site.agent, site.agent_host, site.agent_until) == ("instance", "login1", NOON)
    assert not site.silent(NOON + SILENCE)
    assert site.silent(NOON + SILENCE + timedelta(seconds=1))
    assert replace(site, agent=None, agent_host=None, agent_until=None) == a_site()
