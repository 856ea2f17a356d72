"""Jobs of the service as rows of Cobalt's table: its states and ours, why a job waits, the link that ends a wait."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from qstage.client.results import Job, JobWarning
from qstage.cobalt.rows import JobRow
from qstage.cobalt.states import StateWord

WAITS = {
    "login": "your login",
    "hold": "release",
    "dependency": "another job",
    "slot": "a transfer slot",
    "space": "space",
    "paused_collection": "a paused collection",
    "site": "the site's agent",
    "start": "its turn in the queue",
}
"""What a job waits for, in words that finish the sentence "waits for …"."""

_COBALTS = {
    "queued": StateWord.QUEUED,
    "active": StateWord.RUNNING,
}
"""Our states that are Cobalt's. The others are staging's, which Cobalt does not know, and keep their names."""

_DOCUMENT_COLUMNS = frozenset({"command", "args", "envs", "attrs", "outputpath", "errorpath"})
_BEFORE_THE_QUEUE = frozenset({"new", "stage_in", "staged", "queued"})


def needs_document(header: Iterable[str]) -> bool:
    """Whether these columns can only be filled from a job's document."""
    return any(name.lower() in _DOCUMENT_COLUMNS for name in header)


def state_word(job: Job) -> StateWord | str:
    """The state as it is shown: Cobalt's word where it has one, with a star where the job waits for something."""
    if job.is_final:
        return job.state
    if job.cancel_requested:
        return StateWord.KILLING
    if job.state in _BEFORE_THE_QUEUE and "dependency" in job.waiting_for:
        return StateWord.DEP_HOLD
    if job.state == "queued" and job.hold:
        return StateWord.USER_HOLD
    word = _COBALTS.get(job.state, job.state)
    return f"{word}*" if job.waiting_for else word


def reasons(job: Job) -> str:
    """Why a job waits; empty when it does not."""
    return ", ".join(WAITS.get(reason, reason) for reason in job.waiting_for)


def row(job: Job, user: str) -> JobRow:
    """The row of a job. What its document does not say is Cobalt's own default."""
    document: Mapping[str, Any] = job.document or {}
    attributes = job.attributes
    nodes = int(job.resources.get("node_count") or 1)
    return JobRow(
        jobid=job.id,
        user=user,
        walltime=math.ceil(int(attributes.get("duration") or 600) / 60),
        nodes=nodes,
        procs=job.resources.get("process_count") or nodes,
        state=state_word(job),
        queue=str(attributes.get("queue_name") or "default"),
        submittime=_seconds(job.created_at) or 0.0,
        starttime=_seconds(job.started_at),
        endtime=_seconds(job.exited_at),
        jobname=job.name,
        location=(job.site,),
        user_hold=job.hold,
        outputdir=job.directory,
        outputpath=document.get("stdout_path") or f"{job.name}.out",
        errorpath=document.get("stderr_path") or f"{job.name}.err",
        envs=document.get("environment") or {},
        command=document.get("executable"),
        args=tuple(document.get("arguments") or ()),
        project=attributes.get("account"),
        attrs=(document.get("attributes") or {}).get("custom_attributes") or {},
        user_list=(user,),
        more={
            "site": job.site,
            "stage": job.state,
            "expected_start": f"{job.starts_at:%Y-%m-%d %H:%M:%S}" if job.starts_at else "-",
            "waiting": reasons(job) or "-",
            "native_id": job.native_id or "-",
            "exit_code": "-" if job.exit_code is None else str(job.exit_code),
            "failed_stage": job.failed_stage or "-",
            "session": job.session or "-",
        },
    )


def notes(jobs: Iterable[Job]) -> list[str]:
    """The lines under the table: why jobs wait or soon will, or failed, and each login link once, on its own line."""
    said: list[str] = []
    links: dict[str, None] = {}
    ahead: dict[str, None] = {}
    for job in jobs:
        if job.is_final:
            said += _why_failed(job)
            continue
        if job.waiting_for:
            said.append(f"{job.id} waits for {reasons(job)}")
        if "start" in job.waiting_for:
            said.append(f"{job.id} {_start_words(job)}")
        said += [f"{job.id} {order.command}: asked of {job.site}'s agent, not answered yet" for order in job.pending]
        if job.error:
            said.append(f"{job.id} {job.error.code}: {' '.join(job.error.detail.split())}")
        if job.staging and job.staging.trouble:
            said.append(f"{job.id} {job.staging.stage}: {job.staging.trouble.detail}")
        if job.login_url and "login" in job.waiting_for:
            links[job.login_url] = None
        for warning in job.warnings:
            said.append(f"{job.id} {_session_words(warning)}")
            if warning.login_url and "login" not in job.waiting_for:
                ahead[warning.login_url] = None
    if ahead:
        said.append("sign in here in time, and nothing has to wait:")
        said += ahead
    if links:
        said.append("sign in here, and the jobs go on by themselves:")
        said += links
    return said


def _why_failed(job: Job) -> list[str]:
    """Why a job failed. A listing knows no more than the code: the words come with a job that was asked for by id."""
    if job.error is None or job.document is None:
        return []
    where = f" in {job.failed_stage}" if job.failed_stage else ""
    return [f"{job.id} {job.state}{where}: {' '.join(job.error.detail.split())}"]


def _start_words(job: Job) -> str:
    """Why the inputs of a job that is in the queue already are not on their way yet."""
    start = f"{job.starts_at:%Y-%m-%d %H:%M} UTC" if job.starts_at else "an unknown time"
    sets_out = f"{job.stage_in_at:%Y-%m-%d %H:%M} UTC" if job.stage_in_at else "then"
    return f"is held in the queue as {job.native_id}; its start is expected at {start}, its inputs move from {sets_out}"


def _session_words(warning: JobWarning) -> str:
    """Until when the login session serves a job, and until when it should."""
    if warning.at is None or warning.code == "session-ended":
        return "will wait for your login: the sign-in does not meet what a collection demands"
    return f"needs your login beyond {warning.at:%Y-%m-%d %H:%M} UTC, when it ends ({warning.code})"


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None
