"""Who runs next: hand-computed cases of the flat-node policy, and what must hold whatever waits."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulators.cobalt.policy import (
    Busy,
    Drain,
    Start,
    Waiting,
    expected_end,
    next_start,
)
from emulators.cobalt.scores import Policy, gain

NODES = ("n1", "n2", "n3", "n4")
NOW = 1000.0


def job(jobid: int, nodes: int, minutes: float = 10, *, score: float = 0.0, queue: str = "q") -> Waiting:
    return Waiting(jobid=jobid, queue=queue, nodes=nodes, walltime=minutes * 60, score=score)


def start(
    waiting: Sequence[Waiting], busy: Sequence[Busy] = (), drain: Drain = Drain.BACKFILL
) -> tuple[int, tuple[str, ...]] | None:
    found = next_start(waiting, NODES, busy, NOW, drain)
    return None if found is None else (found.jobid, found.nodes)


def test_the_best_score_runs_first_and_the_lower_id_breaks_a_tie() -> None:
    assert start([job(1, 1), job(2, 1, score=5)]) == (2, ("n1",))
    assert start([job(2, 1), job(1, 1)]) == (1, ("n1",))


HALF_BUSY = [Busy(nodes=("n1", "n2"), until=NOW + 1200)]


def test_a_short_job_backfills_the_nodes_that_a_wide_one_waits_for() -> None:
    assert start([job(1, 4), job(2, 2, minutes=19)], HALF_BUSY) == (2, ("n3", "n4"))


def test_a_job_that_would_outlast_the_drain_does_not_backfill() -> None:
    assert start([job(1, 4), job(2, 2, minutes=20)], HALF_BUSY) is None


def test_draining_alone_keeps_idle_nodes_idle() -> None:
    assert start([job(1, 4), job(2, 2, minutes=1)], HALF_BUSY, Drain.DRAIN_ONLY) is None


def test_first_fit_lets_anybody_pass() -> None:
    assert start([job(1, 4), job(2, 2, minutes=999)], HALF_BUSY, Drain.FIRST_FIT) == (2, ("n3", "n4"))


def test_a_job_of_another_queue_may_run_on_nodes_that_do_not_drain() -> None:
    busy = [Busy(nodes=("n1",), until=NOW + 1200), Busy(nodes=("n2",), until=NOW + 2400)]
    waiting = [job(1, 3, queue="a"), job(2, 1, minutes=999, queue="b")]
    assert start(waiting, busy) is None  # n3, n4 and n1 drain for job 1, and n2 is busy
    assert start([job(1, 3, queue="a"), job(2, 1, minutes=19, queue="b")], busy) == (2, ("n3",))


def test_a_job_accepts_only_the_nodes_it_names() -> None:
    picky = Waiting(jobid=1, queue="q", nodes=1, walltime=60, score=0, wanted=frozenset({"n3"}))
    assert start([picky]) == (1, ("n3",))


def test_a_job_wider_than_the_machine_blocks_nobody() -> None:
    assert start([job(1, 5, score=9), job(2, 4)]) == (2, NODES)


def test_a_busy_node_is_never_expected_within_five_minutes() -> None:
    assert expected_end(start=0, walltime=60, now=NOW) == NOW + 300
    assert expected_end(start=NOW, walltime=900, now=NOW) == NOW + 900


def test_a_score_grows_by_the_queues_priority() -> None:
    assert gain(Policy.DEFAULT, 0) == pytest.approx(0.1)
    assert gain(Policy.DEFAULT, 3) == pytest.approx(3.1)


JOBS = st.lists(
    st.builds(
        Waiting,
        jobid=st.integers(1, 99),
        queue=st.sampled_from("ab"),
        nodes=st.integers(1, 5),
        walltime=st.sampled_from([60.0, 600.0, 6000.0]),
        score=st.floats(0, 10),
    ),
    max_size=6,
    unique_by=lambda one: one.jobid,
)
USES = st.lists(st.sampled_from(NODES), max_size=4, unique=True).map(
    lambda nodes: [Busy(nodes=(node,), until=NOW + 300 * (place + 1)) for place, node in enumerate(nodes)]
)


@given(JOBS, USES, st.sampled_from(list(Drain)))
def test_a_start_is_always_of_a_waiting_job_on_distinct_idle_nodes(
    waiting: list[Waiting], busy: list[Busy], drain: Drain
) -> None:
    found: Start | None = next_start(waiting, NODES, busy, NOW, drain)
    if found is None:
        return
    chosen = next(one for one in waiting if one.jobid == found.jobid)
    assert len(set(found.nodes)) == len(found.nodes) == chosen.nodes
    assert not set(found.nodes) & {node for use in busy for node in use.nodes}


@given(JOBS, st.sampled_from(list(Drain)))
def test_an_idle_machine_starts_the_best_job_that_fits(waiting: list[Waiting], drain: Drain) -> None:
    fitting = [one for one in waiting if one.nodes <= len(NODES)]
    found = next_start(waiting, NODES, [], NOW, drain)
    best = min(fitting, key=lambda one: (-one.score, one.jobid), default=None)
    assert (found and found.jobid) == (best and best.jobid)


@given(JOBS, USES)
def test_backfill_never_delays_the_best_job_past_its_drain(waiting: list[Waiting], busy: list[Busy]) -> None:
    fitting = sorted((one for one in waiting if one.nodes <= 4), key=lambda one: (-one.score, one.jobid))
    found = next_start(waiting, NODES, busy, NOW, Drain.BACKFILL)
    if found is None or found.jobid == fitting[0].jobid:
        return
    best = fitting[0]
    ends = sorted([0.0] * (4 - len(busy)) + [use.until for use in busy])
    passed = next(one for one in waiting if one.jobid == found.jobid)
    taken = NOW + passed.walltime
    after = sorted([0.0] * (4 - len(busy) - passed.nodes) + [taken] * passed.nodes + [use.until for use in busy])
    if passed.queue == best.queue:
        assert max(after[best.nodes - 1], NOW) <= max(ends[best.nodes - 1], NOW)
