"""The documents of jobs, read for those who answer a site: all that one answer needs in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chalicelib.core.document import Document, read_document
from chalicelib.core.ids import JobRef
from chalicelib.core.job import Job
from chalicelib.core.ports.jobs import Jobs
from chalicelib.service.readings import Papers


def documents(jobs: Jobs, some: Sequence[Job]) -> Mapping[JobRef, Document]:
    """The documents of these jobs, each by its revision."""
    found = jobs.documents([(job.ref, job.revision) for job in some]) if some else {}
    return {ref: read_document(dict(raw)) for ref, raw in found.items()}


def papers(jobs: Jobs, some: Sequence[Job]) -> Papers:
    """A reader of documents, which has read those of these jobs."""
    found = documents(jobs, some)
    read = {(job.ref, job.revision): found[job.ref] for job in some}

    def document(job: Job) -> Document:
        # That of another revision is called for where the job was altered since.
        return read.get((job.ref, job.revision)) or documents(jobs, [job])[job.ref]

    return document
