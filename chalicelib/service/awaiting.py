"""For whom the jobs of a POST wait: checked before anything is written, and written before they are committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chalicelib.core.document import Document
from chalicelib.core.errors import Fault
from chalicelib.core.ids import JobNumber, JobRef, UserId
from chalicelib.core.job import Job
from chalicelib.core.ports.clock import Clock
from chalicelib.core.ports.jobs import Dependants, Jobs, Postings
from chalicelib.service.commitment import committed


def parents_of(
    jobs: Jobs,
    postings: Postings,
    user: UserId,
    documents: Sequence[Document],
    pointers: Sequence[str],
    faults: list[Fault],
) -> Mapping[JobNumber, Job]:
    """The jobs that these documents wait for. One that its user does not have is a fault."""
    wanted = {parent.number for document in documents for parent in document.depends_on}
    read = jobs.get_many([JobRef(user=user, number=number) for number in sorted(wanted)])
    found = {job.ref.number: job for job in committed(postings, user, read.values())}
    for document, pointer in zip(documents, pointers, strict=True):
        for index, parent in enumerate(document.depends_on):
            if parent.number not in found:
                faults.append(Fault(f"{pointer}/depends_on/{index}", f"you have no job {parent.number}"))
    return found


def note_dependants(
    dependants: Dependants,
    jobs: Jobs,
    clock: Clock,
    parents: Mapping[JobNumber, Job],
    edges: Iterable[tuple[JobNumber, JobNumber]],
) -> None:
    """Write the (parent, child) edges, and then on each parent that somebody waits for it. Safe to repeat."""
    edges = tuple(edges)
    if not edges:
        return
    # Here and not above: most POSTs need none of a job's life, which is a sixth of what they import.
    from chalicelib.core.events import Awaited
    from chalicelib.service.changing import Step, change

    user = next(iter(parents.values())).ref.user
    dependants.note(user, edges)
    for number in sorted({parent for parent, _ in edges}):
        change(jobs, parents[number], lambda _: (Step(event=Awaited()),), clock.now(), settle=False)
