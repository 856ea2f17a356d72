"""Carries out ``qstage site test``: sends its jobs, follows them, and says of each part whether it is well."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

import click

from qstage.cli.commands.wait import follow
from qstage.cli.site_proof import Trial
from qstage.client import Client, Job

_AGENT_PATIENCE = 30.0
"""Seconds."""


def run_trial(client: Client, site_id: str, attributes: Mapping[str, Any], timeout: float) -> int:
    """Test a site; print a line for each part; return the exit status."""
    end = time.monotonic() + timeout
    site = client.site(site_id)
    _tell("site", f"{site.id}, {site.scheduler}, {len(site.raw['mappings'])} mapping(s)")
    agent = _agent(client, site_id, min(end, time.monotonic() + _AGENT_PATIENCE))
    if agent.get("state") != "serving":
        return _fail("agent", "no agent has called lately: start it on the login node, with --once to see what it says")
    _tell("agent", f"serves from {agent.get('host')}")
    trial = Trial(site=site.id, mappings=site.raw["mappings"], word=secrets.token_hex(8), attributes=attributes)
    written = _follow(client, trial.writing(), end)
    if written.state != "completed":
        return _explain(written)
    _tell("policy", f"the agent took job {written.id}")
    _tell("scheduler", f"ran it as {written.native_id}")
    _tell("collection", "Globus found at each mapping's path what the job had written")
    read = _follow(client, trial.reading(), end)
    if read.state != "completed":
        status = _explain(read)
        click.echo(f"      a directory qstage-site-test-{trial.word} may be left at each mapping", err=True)
        return status
    _tell("mapping", f"job {read.id} read it in each mapping's directory, and deleted it there")
    return 0


def _agent(client: Client, site_id: str, end: float) -> Mapping[str, Any]:
    """What is known of the site's agent; one that was only just started is waited for."""
    while True:
        agent: Mapping[str, Any] = client.site(site_id).raw.get("agent") or {}
        if agent.get("state") == "serving" or time.monotonic() >= end:
            return agent
        time.sleep(1.0)


def _follow(client: Client, document: Mapping[str, Any], end: float) -> Job:
    number = client.submit(document).jobs[0].id
    click.echo(f"      job {number} {document['name']}", err=True)

    def say(line: str) -> None:
        click.echo(f"      {line}", err=True)

    left = max(1.0, end - time.monotonic())
    return follow(client, number, timeout=left, sleep=time.sleep, now=time.monotonic, say=say)


_PARTS = {"stage_in": "collection", "stage_out": "collection", "submit": "scheduler", "run": "mapping"}


def _explain(job: Job) -> int:
    """Say which part a job failed in. Nothing is canceled: a job that still waits can be watched, or deleted."""
    if not job.is_final:
        return _fail(_PARTS.get(job.state, "scheduler"), f"job {job.id} is still {job.state}: qstage watch {job.id}")
    words = job.error.detail if job.error else job.state
    tail = f"\n{job.output_tail.rstrip()}" if job.output_tail else ""
    code = job.error.code if job.error else ""
    part = "policy" if code == "refused" else _PARTS.get(job.failed_stage or "", "scheduler")
    return _fail(part, f"job {job.id}: {words}{tail}")


def _tell(part: str, words: str) -> None:
    click.echo(f"ok    {part:10}  {words}")


def _fail(part: str, words: str) -> int:
    click.echo(f"FAIL  {part:10}  {words}")
    return 1
