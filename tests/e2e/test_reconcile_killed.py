"""The reconcile process dies at the worst moment: Globus has the batch, and nobody has read its answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from whole_stack import document, finished, opened, until

from emulators.stack import Stack

PAST_THE_CLAIM = 200
"""Seconds: a claim lasts as long as the function can run, and half a minute."""


def posts(stack: Stack) -> int:
    seen = stack.globus.controls.requests()
    return sum(1 for one in seen if (one.method, one.path) == ("POST", "/v0.10/transfer") and one.status in (200, 202))


@pytest.mark.parametrize("which", [0, 1], ids=["stage-in", "stage-out"])
def test_a_batch_whose_answer_nobody_read_stays_one_task_and_its_job_completes(tmp_path: Path, which: int) -> None:
    with opened(tmp_path) as stack:
        assert stack.login is not None
        stack.globus.controls.fail("slow", method="POST", path="/v0.10/transfer", skip=which, seconds=20)
        number = stack.login.client.submit(document(stack)).jobs[0].id
        until(lambda: posts(stack) > which or None, "the batch is at Globus")
        assert stack.aws.kill("reconcile", within=5) >= 1
        stack.globus.controls.clear_faults()
        stack.clock.turn(PAST_THE_CLAIM)
        job = finished(stack, number)
        assert job.state == "completed", job
        assert posts(stack) == 3, "one POST each for stage-in and stage-out, and the repeat"
        tasks = stack.login.client.story(number).entries
        assert [entry.event for entry in tasks].count("settled") == 2
        assert len(stack.globus.world.tasks.all()) == 2, "a repeat under one submission id is one task"
        delivered = (tmp_path / "archive" / f"whole-{number}" / "all of it.txt").read_text()
        assert delivered == "alpha\nbeta\n"


def test_a_lost_ring_costs_a_minute_and_not_the_job(tmp_path: Path) -> None:
    with opened(tmp_path) as stack:
        assert stack.login is not None
        queue = stack.aws.created.look_up("WakeQueue", None)
        stack.aws.kill("reconcile")
        number = stack.login.client.submit(document(stack)).jobs[0].id
        stack.aws.client("sqs").purge_queue(QueueUrl=queue)
        stack.clock.turn(61)
        assert finished(stack, number).state == "completed"
