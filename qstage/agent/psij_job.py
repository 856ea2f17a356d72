"""What PSI/J is told of a job (run script, needs, name, the site's custom attributes), and what it tells of one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from qstage.agent.rules import Presence
from qstage.agent.wire import Lease
from qstage.cobalt.submission import ADOPT

if TYPE_CHECKING:
    import psij
from qstage.agent.schedulers import Rejected

_NAME_ATTRIBUTE = {"slurm": "slurm.job-name", "pbs": "pbs.N", "pbs_classic": "pbs.N", "lsf": "lsf.J"}
"""PSI/J 0.9 never names a job; these directives do."""

_PLAIN_OWNER = re.compile(r"[A-Za-z0-9._@+-]{1,200}")
"""A username that can stand in a directive. Whose job it is stands in Slurm's comment, for the site's people."""


def psij_job(lease: Lease, script: str, directory: str, scheduler: str) -> psij.Job:
    """The PSI/J job that runs a run script. Environment and redirections are the run script's business."""
    import psij

    wanted, size = lease.attributes, lease.resources
    custom = _custom(wanted.custom, scheduler)
    if scheduler in _NAME_ATTRIBUTE:
        custom.setdefault(_NAME_ATTRIBUTE[scheduler], lease.scheduler_name)
    if scheduler == "slurm" and _PLAIN_OWNER.fullmatch(lease.owner):
        custom.setdefault("slurm.comment", f"qstage/{lease.owner}/{lease.id}")
    spec = psij.JobSpec(
        name=lease.scheduler_name,
        executable="/bin/bash",
        arguments=[script],
        directory=Path(directory),
        # Not None: PSI/J's local executor takes that for "all of the agent's own".
        environment={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")} if scheduler == "local" else {},
        inherit_environment=False,
        resources=psij.ResourceSpecV1(
            node_count=size.node_count,
            process_count=size.process_count,
            processes_per_node=size.processes_per_node,
            cpu_cores_per_process=size.cpu_cores_per_process,
            gpu_cores_per_process=size.gpu_cores_per_process,
            exclusive_node_use=size.exclusive_node_use,
            memory=size.memory,
        ),
        attributes=psij.JobAttributes(
            duration=timedelta(seconds=wanted.duration),
            queue_name=wanted.queue_name,
            account=wanted.account,
            reservation_id=wanted.reservation_id,
            custom_attributes=custom,
        ),
    )
    return psij.Job(spec)


def _custom(attributes: Mapping[str, str], scheduler: str) -> dict[str, object]:
    """Custom attributes as the executor takes them; none is silently left out.

    ``<scheduler>.<option>`` is an option of the scheduler's submit command. A name without a dot is one of
    Cobalt's ``--attrs``, and means nothing to others.
    """
    prefix = {"pbs_classic": "pbs"}.get(scheduler, scheduler) + "."
    attributes = {name: value for name, value in attributes.items() if name != ADOPT}  # that is for the agent alone
    custom: dict[str, object] = {name: value for name, value in attributes.items() if name.startswith(prefix)}
    plain = {name: value for name, value in attributes.items() if "." not in name}
    strange = sorted(set(attributes) - set(custom) - (set(plain) if scheduler == "cobalt" else set()))
    if strange:
        raise Rejected(f"the custom attribute {strange[0]!r} means nothing to this site's scheduler, {scheduler}")
    if plain:
        if any(":" in text or "=" in text for pair in plain.items() for text in pair):
            raise Rejected("Cobalt's --attrs cannot hold a colon or an equals sign in a name or value")
        custom["cobalt.attrs"] = ":".join(f"{name}={value}" for name, value in plain.items())
    return custom


def presence_of(status: psij.JobStatus | None) -> Presence:
    """Where a job is by PSI/J's status; None if it knows of none."""
    from psij import JobState

    if status is None or status.final:
        return Presence.GONE
    return Presence.ACTIVE if status.state is JobState.ACTIVE else Presence.QUEUED
