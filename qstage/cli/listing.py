"""Jobs of the service as rows of Cobalt's table: our states, why a job waits, and the link that ends a wait."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from qstage.client.results import Job
from qstage.cobalt.rows import JobRow

WAITS = {
    "login": "your login",
    "hold": "release",
    "dependency": "another job",
    "slot": "a transfer slot",
    "space": "space",
    "paused_collection": "a paused collection",
    "site": "the site's agent",
}
"""What a job waits for, in words that finish the sentence "waits for …"."""

_DOCUMENT_COLUMNS = frozenset(
    {"walltime", "nodes", "procs", "queue", "command", "args", "envs", "project", "attrs"}
    | {"timeremaining", "outputpath", "errorpath"}
)


def needs_document(header: Iterable[str]) -> bool:
    """Whether these columns can only be filled from a job's document."""
    return any(name.lower() in _DOCUMENT_COLUMNS for name in header)


def state_word(job: Job) -> str:
    """The state as it is shown: with a star where the job waits for something."""
    word = "canceling" if job.cancel_requested and not job.is_final else job.state
    return f"{word}*" if job.waiting_for and not job.is_final else word


def reasons(job: Job) -> str:
    """Why a job waits; empty when it does not."""
    return ", ".join(WAITS.get(reason, reason) for reason in job.waiting_for)


def row(job: Job, user: str) -> JobRow:
    """The row of a job. What its document does not say is Cobalt's own default."""
    document: Mapping[str, Any] = job.document or {}
    attributes = document.get("attributes") or {}
    resources = document.get("resources") or {}
    return JobRow(
        jobid=job.id,
        user=user,
        walltime=math.ceil(int(attributes.get("duration") or 600) / 60),
        nodes=int(resources.get("node_count") or 1),
        procs=resources.get("process_count"),
        state=state_word(job),
        queue=str(attributes.get("queue_name") or "default"),
        submittime=_seconds(job.created_at),
        jobname=job.name,
        location=(job.site,),
        user_hold=job.hold,
        outputdir=job.directory,
        outputpath=document.get("stdout_path"),
        errorpath=document.get("stderr_path"),
        envs=document.get("environment") or {},
        command=document.get("executable"),
        args=tuple(document.get("arguments") or ()),
        project=attributes.get("account"),
        attrs=attributes.get("custom_attributes") or {},
        user_list=(user,),
        more={
            "site": job.site,
            "waiting": reasons(job) or "-",
            "native_id": job.native_id or "-",
            "exit_code": "-" if job.exit_code is None else str(job.exit_code),
            "failed_stage": job.failed_stage or "-",
        },
    )


def notes(jobs: Iterable[Job]) -> list[str]:
    """The lines under the table: why jobs wait, and each login link once, on a line of its own."""
    said: list[str] = []
    links: dict[str, None] = {}
    for job in jobs:
        if job.is_final:
            continue
        if job.waiting_for:
            said.append(f"{job.id} waits for {reasons(job)}")
        if job.staging and job.staging.trouble:
            said.append(f"{job.id} {job.staging.stage}: {job.staging.trouble.detail}")
        if job.login_url and "login" in job.waiting_for:
            links[job.login_url] = None
    if links:
        said.append("sign in here, and the jobs go on by themselves:")
        said += links
    return said


def _seconds(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0
