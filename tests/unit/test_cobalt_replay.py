"""Replays of small traces, worked out by hand: who starts when under which policy, who is killed, what is written."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulators.cobalt.policy import Backfill, Drain
from emulators.cobalt.replay import accounting
from emulators.cobalt.replay.figures import figures, slowdown
from emulators.cobalt.replay.jobs import TraceJob
from emulators.cobalt.replay.machine import Rules, Run
from emulators.cobalt.replay.outcome_log import log_lines
from emulators.cobalt.replay.run import replay
from emulators.cobalt.replay.shaping import Shape, offered_load, requested, shaped
from emulators.cobalt.scores import Policy

START = 1_000_000_000.0


def job(jobid: int, at: float, run: float, wall: float, nodes: int, queue: str = "default") -> TraceJob:
    """A job by minutes."""
    return TraceJob(
        jobid=jobid, submitted=START + at * 60, runtime=run * 60, walltime=wall * 60, nodes=nodes, queue=queue
    )


def starts(runs: Sequence[Run]) -> dict[int, float]:
    """When each job started, in minutes, in the order of the starts."""
    return {run.job.jobid: (run.start - START) / 60 for run in runs}


# On four nodes. While 1 runs, two nodes are idle; 2 needs all four, and is promised them at minute 30, when the
# walltime of 1 is over.
#   job         at  run  wall  nodes
FOUR = [
    job(1, 0, 20, 30, 2),
    job(2, 1, 10, 20, 4),
    job(3, 2, 15, 27, 2),
    job(4, 3, 5, 28, 2),
]


def test_a_short_job_backfills_and_a_longer_one_waits_for_the_wide_one() -> None:
    # 3 would be over at 2 + 27 = 29 < 30: it runs at once, until 17. Then 4 would be over at 17 + 28 = 45: it waits.
    # 1 is over at 20, before its walltime, and 2 has its four nodes until 30. Then 4.
    runs = replay(FOUR, Rules(nodes=4))
    assert starts(runs) == {1: 0, 3: 2, 2: 20, 4: 30}
    assert [(run.end - START) / 60 for run in runs] == [20, 17, 30, 35]


def test_draining_alone_keeps_the_idle_nodes_for_the_wide_job() -> None:
    # 2 runs when 1 is over, from 20 to 30; then 3 and 4 fit side by side.
    assert starts(replay(FOUR, Rules(nodes=4, drain=Drain.DRAIN_ONLY))) == {1: 0, 2: 20, 3: 30, 4: 30}


def test_first_fit_lets_everybody_pass_the_wide_job() -> None:
    # 3 runs from 2 to 17, 4 from 17 to 22 on the same nodes; only then are all four idle.
    assert starts(replay(FOUR, Rules(nodes=4, drain=Drain.FIRST_FIT))) == {1: 0, 3: 2, 4: 17, 2: 22}


def test_waits_slowdowns_and_use_are_those_of_the_arithmetic() -> None:
    found = figures(replay(FOUR, Rules(nodes=4)), 4)
    # Waits 0, 19, 0, 27 minutes; slowdowns 1, (19 + 10) / 10 = 2.9, 1, (27 + 5) / 5 = 6.4.
    assert found.wait.mean == pytest.approx(46 / 4 * 60)
    assert found.wait.median == 0  # the second of four, by the nearest rank
    assert found.wait.p90 == found.wait.most == 27 * 60
    assert found.slowdown.mean == pytest.approx((1 + 2.9 + 1 + 6.4) / 4)
    # 2 x 20 + 4 x 10 + 2 x 15 + 2 x 5 = 120 node minutes of 4 x 35.
    assert found.utilisation == pytest.approx(120 / 140)


def test_a_run_of_a_second_counts_as_ten_in_its_slowdown() -> None:
    # The second waits for 60 s and runs for 1: (60 + 1) / 10.
    runs = replay([job(1, 0, 1, 5, 1), job(2, 0, 1 / 60, 5, 1)], Rules(nodes=1))
    assert slowdown(runs[1]) == pytest.approx(6.1)
    assert slowdown(runs[0]) == 1


# On two nodes, which the first job has until 60. At 60, 2 has waited for 50 minutes of the 100 it asks for, 3 for 30
# of its 10.
RIVALS = [job(1, 0, 60, 60, 2), job(2, 10, 100, 100, 2), job(3, 30, 10, 10, 2)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        # Who came first: 2, until 160.
        (Policy.DEFAULT, {1: 0, 2: 60, 3: 160}),
        (Policy.FCFS, {1: 0, 2: 60, 3: 160}),
        # (50 / 100)^3 x 2 = 0.25 against (30 / 10)^3 x 2 = 54.
        (Policy.WFP, {1: 0, 3: 60, 2: 70}),
        # 50 x 50/50 + 50 x 0/90 = 50 against 50 x 30/50 + 50 x 90/90 = 80.
        (Policy.BALANCED, {1: 0, 3: 60, 2: 70}),
    ],
)
def test_the_policy_decides_who_is_next(policy: Policy, expected: dict[int, float]) -> None:
    assert starts(replay(RIVALS, Rules(nodes=2, policy=policy))) == expected


def test_wfp_lets_age_win_in_the_end() -> None:
    # 3 came at 59: at 60 its score is (1 / 10)^3 x 2 = 0.002, against 0.25.
    rivals = [*RIVALS[:2], job(3, 59, 10, 10, 2)]
    assert list(starts(replay(rivals, Rules(nodes=2, policy=Policy.WFP)))) == [1, 2, 3]


def test_a_queue_of_more_priority_overtakes_one_that_waited_longer() -> None:
    # At 60 the one of 0 has (60 min = 360 periods) x 0.1 = 36; that of 50 has 60 periods x 1.1 = 66.
    jobs = [job(1, 0, 60, 60, 1), job(2, 0, 10, 10, 1), job(3, 50, 10, 10, 1, queue="big")]
    assert list(starts(replay(jobs, Rules(nodes=1, priorities={"big": 1.0})))) == [1, 3, 2]
    assert list(starts(replay(jobs, Rules(nodes=1)))) == [1, 2, 3]


def test_while_a_high_prio_queue_has_a_job_only_it_may_start() -> None:
    # 3 of the urgent queue needs both nodes, so the idle one is not given to 2, though 2 would be over in time.
    jobs = [job(1, 0, 60, 60, 1), job(3, 1, 10, 10, 2, queue="urgent"), job(2, 2, 5, 5, 1)]
    rules = Rules(nodes=2, policies={"urgent": Policy.HIGH_PRIO})
    assert starts(replay(jobs, rules)) == {1: 0, 3: 60, 2: 70}
    assert starts(replay(jobs, Rules(nodes=2))) == {1: 0, 2: 2, 3: 60}


# On ten nodes. 1 and 2 have six until 35, and 3 is promised eight of the ten then. At 6 there are four idle nodes for
# 4, 5 and 6, each of which would be over before 35: of two, three and one nodes, for 25, 20 and 10 minutes.
SIX = [
    job(1, 0, 35, 35, 4),
    job(2, 0, 35, 35, 2),
    job(3, 5, 30, 30, 8),
    job(4, 6, 25, 25, 2),
    job(5, 6, 20, 20, 3),
    job(6, 6, 10, 10, 1),
]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        # 4 leaves two nodes: 5 does not fit, 6 does. 5 waits for 3 to end at 65.
        (Backfill.FIRST, {1: 0, 2: 0, 4: 6, 6: 6, 3: 35, 5: 65}),
        # Node minutes 50, 60, 10: 5 leaves one node, for 6. Beside 3 there are two nodes for 4.
        (Backfill.LARGEST, {1: 0, 2: 0, 5: 6, 6: 6, 3: 35, 4: 35}),
        # 6 leaves three nodes, for 5.
        (Backfill.SHORTEST, {1: 0, 2: 0, 6: 6, 5: 6, 3: 35, 4: 35}),
    ],
)
def test_the_order_of_backfill_decides_who_slips_in(order: Backfill, expected: dict[int, float]) -> None:
    runs = replay(SIX, Rules(nodes=10, backfill=order))
    assert starts(runs) == expected
    assert [run.job.jobid for run in runs] == list(expected)


def test_a_job_over_its_walltime_is_killed_and_the_next_has_its_nodes() -> None:
    runs = replay([job(1, 0, 40, 30, 1), job(2, 5, 10, 10, 1)], Rules(nodes=1))
    assert starts(runs) == {1: 0, 2: 30}
    assert [run.killed for run in runs] == [True, False]
    ends = [line for line in log_lines(runs) if ";E;" in line]
    assert "Exit_status=143 " in ends[0]
    assert "runtime=1800.0" in ends[0]
    assert "Exit_status=unknown " in ends[1]


def test_nodes_that_are_free_at_an_instant_serve_whoever_comes_at_it() -> None:
    assert starts(replay([job(1, 0, 30, 30, 1), job(2, 30, 10, 10, 1)], Rules(nodes=1))) == {1: 0, 2: 30}


def test_the_log_is_a_trace_that_replays_to_the_same_log() -> None:
    lines = list(log_lines(replay(FOUR, Rules(nodes=4))))
    kinds = [line.split(";")[1] + line.split(";")[2] for line in lines]
    assert kinds == ["Q1", "S1", "Q2", "Q3", "S3", "Q4", "E3", "E1", "S2", "E2", "S4", "E4"]
    again = accounting.read(enumerate(lines, start=1)).jobs
    assert list(log_lines(replay(again, Rules(nodes=4)))) == lines


def test_compressed_arrivals_come_so_many_times_faster() -> None:
    made, _ = shaped(FOUR, Shape(compress=2), 4)
    assert [(each.submitted - START) / 60 for each in made] == [0, 0.5, 1, 1.5]
    assert offered_load(made, 4) == pytest.approx(120 / (4 * 1.5))


def test_a_walltime_that_nobody_asked_for_is_made_of_the_run_time() -> None:
    # 400 s x 2 = 800 s, in whole minutes 840; 10 s x 2 is less than Cobalt takes.
    assert requested(400, 2) == 840
    assert requested(10, 2) == 300


def test_a_job_wider_than_the_machine_is_left_out_and_counted() -> None:
    made, left_out = shaped(FOUR, Shape(), 3)
    assert [each.jobid for each in made] == [1, 3, 4]
    assert left_out == {"wider than 3 nodes": 1}


JOBS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 40), st.sampled_from([5, 15, 60]), st.integers(1, 4)),
    min_size=1,
    max_size=12,
).map(lambda rows: [job(number, *row) for number, row in enumerate(sorted(rows), start=1)])


@given(JOBS, st.sampled_from(list(Policy)), st.sampled_from(list(Drain)), st.sampled_from(list(Backfill)))
def test_every_job_runs_once_and_no_node_has_two(
    jobs: list[TraceJob], policy: Policy, drain: Drain, order: Backfill
) -> None:
    runs = replay(jobs, Rules(nodes=4, policy=policy, drain=drain, backfill=order))
    assert sorted(run.job.jobid for run in runs) == [each.jobid for each in jobs]
    for run in runs:
        assert run.start >= run.job.submitted
        assert len(set(run.nodes)) == run.job.nodes
        beside = [one for one in runs if one is not run and one.start < run.end and run.start < one.end]
        assert not set(run.nodes) & {node for one in beside for node in one.nodes}


@given(JOBS)
def test_whoever_only_drains_starts_in_the_order_of_submission(jobs: list[TraceJob]) -> None:
    runs = replay(jobs, Rules(nodes=4, drain=Drain.DRAIN_ONLY))
    assert [run.job.jobid for run in runs] == [each.jobid for each in jobs]
