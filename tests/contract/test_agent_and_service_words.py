"""What the agent and the command line write is what the service's core reads, and the other way round."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from core_examples import a_job, a_site

from chalicelib.api import render
from chalicelib.core.document import read_document
from chalicelib.core.holds import Hold
from chalicelib.core.job import State
from chalicelib.core.orders import Order, Verb
from chalicelib.core.sites import LEASE, SCHEDULERS, SILENCE, read_site
from chalicelib.core.sync import read_sync
from chalicelib.service.commanding import Command
from chalicelib.service.leasing import Lease as GivenLease
from chalicelib.service.sync import Synced
from qstage.agent.loop import HALF_A_LEASE, SUBMIT_WINDOW
from qstage.agent.rules import Held, Phase, altered, not_released, ordered
from qstage.agent.runscript import NATIVE_ID
from qstage.agent.wire import Change, FoundOutput, Lease, Outcome, Report, read_command, read_lease
from qstage.cli.app import run
from qstage.cli.commands.site import SCHEDULERS as OFFERED

AGENT = {"instance": "0a1b2c3d-0000-4000-8000-000000000001", "version": "0.1.0", "host": "thetalogin1"}


def body(*reports: Report) -> dict[str, Any]:
    return {
        "agent": AGENT,
        "take": 16,
        "holding": [{"job": "u/1001", "epoch": 1}],
        "reports": json.loads(json.dumps([report.to_wire() for report in reports])),
    }


def report(event: Any, **more: Any) -> Report:
    return Report(job="u/1001", epoch=1, event=event, at="2026-11-22T17:00:00Z", **more)


def _lease() -> Lease:
    return read_lease(
        {
            "job": "u/1001", "id": 1001, "epoch": 1, "leased_until": "x", "owner": {"id": "u", "username": "ada"},
            "tag": "k3j2", "name": "md", "directory": "/jobs/k3j2/md-1001", "executable": "run.sh",
        }
    )  # fmt: skip


def test_every_report_the_agent_makes_is_one_the_service_reads() -> None:
    links = tuple(f"a/{number}" for number in range(20))
    found = tuple(FoundOutput(item=n, kind="directory", files=2, bytes=2**40, links=links) for n in range(100))
    reports = [
        report("queued", native_id="7"),
        report("active", native_id="7"),
        report("rejected", detail="no\n" * 5000),
        report("refused", detail="policy"),
        not_released(Held(lease=_lease(), native_id="7"), "permission denied", 0.0).reports[0],
        report("cleaned"),
        *(report("exited", native_id="7", exit_code=143, outcome=outcome, tail="é" * 4096, outputs=found)
          for outcome in get_args(Outcome)),
        report("exited", exit_code=None, outcome="lost"),
    ]  # fmt: skip
    read = read_sync(body(*reports))
    assert [each.event for each in read.reports] == [each.event for each in reports]
    assert read.reports[-1].outcome == "lost"


CHANGES: dict[str, Any] = {
    "duration": 2700, "queue_name": "long", "account": "chem", "node_count": 4, "process_count": 8,
}  # fmt: skip


@pytest.mark.parametrize("verb", list(Verb))
def test_an_order_that_the_service_gives_is_one_that_the_agent_reads_and_so_is_the_answer(verb: Verb) -> None:
    terms = CHANGES if verb is Verb.ALTER else {}
    job = replace(a_job(), state=State.QUEUED, epoch=1, native_id="7")
    given = Command(job=job, word=verb, directory="/jobs/t/md-1001", order=Order(number=5, verb=verb, terms=terms))
    answer = Synced(site=a_site(), answers=[], leases=[], commands=[given], next_seconds=2)
    (raw,) = json.loads(json.dumps(render.synced(answer)))["commands"]
    command = read_command(raw)
    assert (command.command, command.order) == (verb, 5)
    assert command.change == (Change(**CHANGES) if verb is Verb.ALTER else Change())
    held = Held(lease=_lease(), phase=Phase.QUEUED, native_id="7")
    done = altered(held, command, command.change, 0.0) if verb is Verb.ALTER else ordered(held, command, 0.0)
    (said,) = read_sync(body(*done.reports)).reports
    assert (said.order, said.command, dict(said.terms)) == (5, verb, terms)


def test_a_job_that_the_scheduler_has_is_given_again_as_such() -> None:
    assert [str(ref) for ref in read_sync({**body(), "strays": ["u/1001"]}).strays] == ["u/1001"]
    job = replace(a_job(), state=State.ACTIVE, epoch=1, native_id="7")
    lease = GivenLease(job=job, document=read_document({"site": "theta", "executable": "run.sh"}))
    answer = Synced(site=a_site(), answers=[], leases=[lease], commands=[], next_seconds=2)
    (raw,) = json.loads(json.dumps(render.synced(answer)))["leases"]
    read = read_lease(raw)
    assert (read.submitted, read.staged, read.native_id) == (True, True, "7")


@pytest.mark.parametrize("cleanup", [(), ("--cleanup",)])
def test_what_qsub_makes_of_a_line_is_a_document_the_service_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cleanup: tuple[str, ...]
) -> None:
    monkeypatch.setenv("QSTAGE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.sh").write_text("#!/bin/bash\n")
    (tmp_path / "run.sh").chmod(0o755)
    lab = AGENT["instance"]
    line = (
        f"-A chem -n 2 -t 30 -q debug --proccount 8 --env A=1 -h -o o.txt -e sub/e.txt -i in.txt --attrs a=b "
        f"--site theta --stage-in {lab}:/in/=inputs/ --stage-out results/={lab}:/out/{{name}}-{{id}}/?on_success "
        f"--tag run=7"
    )
    assert run(["qsub", "--dry-run", *line.split(), *cleanup, "run.sh", "x y"]) == 0
    document = read_document(json.loads(capsys.readouterr().out))
    assert (document.name, document.site, document.hold) == ("o.txt", "theta", Hold.RUN)
    assert document.cleanup is bool(cleanup)


def test_every_scheduler_a_site_may_name_is_one_that_the_agent_serves() -> None:
    assert set(SCHEDULERS) == set(OFFERED)
    assert set(SCHEDULERS) <= set(NATIVE_ID)


def test_a_site_made_by_options_is_one_that_the_service_takes() -> None:
    mapping = {"collection": AGENT["instance"], "path": "/scratch/", "directory": "/lus/scratch"}
    document = {"id": "theta", "scheduler": "cobalt", "mappings": [mapping], "defaults": {"queue_name": "debug"}}
    assert read_site(document, "u", datetime.now(UTC)).queue_name == "debug"  # type: ignore[arg-type]


def test_the_agent_stops_submitting_long_before_its_lease_or_its_site_could_pass_to_another() -> None:
    assert timedelta(seconds=SUBMIT_WINDOW) < min(LEASE / 2, SILENCE)
    assert timedelta(seconds=HALF_A_LEASE) <= LEASE / 2
