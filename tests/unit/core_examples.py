"""A site, documents and jobs for the tests of the core."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.core.document import Document, read_document
from chalicelib.core.errors import Fault, Invalid
from chalicelib.core.ids import CollectionId, JobNumber, JobRef, SiteId, UserId
from chalicelib.core.job import Job
from chalicelib.core.posting import first_status
from chalicelib.core.sites import Mount, Site

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ADA = UserId("11111111-1111-4111-8111-111111111111")
LAB = CollectionId("aaaaaaaa-0000-4000-8000-000000000001")
THETA = CollectionId("aaaaaaaa-0000-4000-8000-000000000002")
ARCHIVE = CollectionId("aaaaaaaa-0000-4000-8000-000000000003")


def a_site(**fields: Any) -> Site:
    """Theta, whose jobs lie in ``/projects/`` on its collection."""
    given: dict[str, Any] = {
        "id": SiteId("theta"),
        "owner": ADA,
        "scheduler": "cobalt",
        "mappings": (Mount(collection=THETA, path="/projects/", directory="/lus/projects/"),),
        "created_at": NOON,
    }
    return Site(**{**given, **fields})


def raw_document(**fields: Any) -> dict[str, Any]:
    """The least that can be submitted, and what is given besides."""
    return {"site": "theta", "executable": "/bin/true", **fields}


def an_input(source: str = f"globus://{LAB}/data/in", **fields: Any) -> dict[str, Any]:
    return {"source": source, **fields}


def an_output(
    source: str = "results/", target: str = f"globus://{ARCHIVE}/runs/{{id}}/", **fields: Any
) -> dict[str, Any]:
    return {"source": source, "target": target, **fields}


def a_document(**fields: Any) -> Document:
    return read_document(raw_document(**fields))


def a_job(document: Document | None = None, *, number: int = 1001) -> Job:
    """A job as it is when it has just been submitted."""
    ref = JobRef(user=ADA, number=JobNumber(number))
    return first_status(document or a_document(), ref, "ada@example.org", 0, "posting", NOON)


def faults(raw: Any) -> tuple[Fault, ...]:
    """What is wrong with a document; nothing if it is read."""
    try:
        read_document(raw)
    except Invalid as refused:
        return refused.faults
    return ()


def pointers(raw: Any) -> list[str]:
    return [fault.pointer for fault in faults(raw)]
