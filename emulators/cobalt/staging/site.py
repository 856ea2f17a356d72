"""What each job of a replay is to qstage: its document, its site, and what the agent says of its end.

All jobs have one document: one directory in, one out, to a place of the job's own.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from chalicelib.core.document import read_document
from chalicelib.core.events import Exited
from chalicelib.core.ids import CollectionId, SiteId, UserId
from chalicelib.core.job import Job, Outcome
from chalicelib.core.outputs import Found, legs_at_exit
from chalicelib.core.sites import Mount, Site
from emulators.cobalt.staging.trips import Trip

LAB, ARCHIVE, SCRATCH = (CollectionId(f"aaaaaaaa-0000-4000-8000-00000000000{each}") for each in (1, 2, 3))
SITE = Site(
    id=SiteId("machine"),
    owner=UserId("operator"),
    scheduler="cobalt",
    mappings=(Mount(collection=SCRATCH, path="/scratch/", directory="/scratch/"),),
    created_at=datetime.fromtimestamp(0, UTC),
)
RAW: dict[str, Any] = {
    "name": "job",
    "site": str(SITE.id),
    "executable": "/bin/true",
    "stage_in": [{"source": f"globus://{LAB}/data/", "target": "inputs/"}],
    "stage_out": [{"source": "results/", "target": f"globus://{ARCHIVE}/runs/{{id}}/"}],
}
DOCUMENT = read_document(RAW)
AHEAD = read_document(RAW | {"staging": "just_in_time"})

KILLED = 143
"""The exit code of a job that its walltime ended."""


def exit_of(trip: Trip, job: Job) -> Exited:
    """What the agent reports of a job that has left its nodes."""
    killed = trip.job.walltime is not None and trip.job.runtime > trip.job.walltime
    outcome, code = (Outcome.WALLTIME, KILLED) if killed else (Outcome.OK, 0)
    found = Found(item=0, kind="directory", files=1, bytes=trip.outputs)
    legs = legs_at_exit(DOCUMENT, outcome, code, [found])
    return Exited(epoch=job.epoch, native_id=str(trip.job.jobid), exit_code=code, outcome=outcome, legs=legs)
