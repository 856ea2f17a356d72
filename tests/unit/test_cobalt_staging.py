"""Replays with data, worked out by hand: what is charged to whom when inputs and outputs have to be moved."""

from __future__ import annotations

import pytest

from bench.replaying import Service, a_busy_day, differences
from emulators.cobalt.replay.jobs import TraceJob
from emulators.cobalt.replay.machine import Rules
from emulators.cobalt.replay.run import replay
from emulators.cobalt.staging.by_hand import ByHand
from emulators.cobalt.staging.course import run
from emulators.cobalt.staging.inside import run_inside
from emulators.cobalt.staging.ledger import account
from emulators.cobalt.staging.planner import ROUND, Planner
from emulators.cobalt.staging.sizes import MOST, QUANTILES, Sizes, size_at
from emulators.cobalt.staging.transfers import Transfers
from emulators.cobalt.staging.trips import Trip, trips_of
from emulators.globus.pace import Link

START = 1_000_000_005.0  # on the grid of the agent's rounds
LINK = Link(overhead=10, bandwidth=1e6)
MB = 10**6


def job(jobid: int, at: float, run: float, *, nodes: int = 1, user: str = "ada") -> TraceJob:
    """A job by seconds."""
    return TraceJob(jobid=jobid, submitted=START + at, runtime=run, walltime=600, nodes=nodes, user=user)


def trip(one: TraceJob, inputs: int, outputs: int) -> Trip:
    return Trip(job=one, inputs=inputs * MB, outputs=outputs * MB)


def times(one: Trip) -> list[float]:
    """When it was staged, eligible, began, ended, was delivered; seconds from the start."""
    found = (one.staged, one.eligible, one.begins, one.ends, one.delivered)
    return [at - START for at in found if at is not None]


def test_a_task_takes_its_overhead_and_its_bytes_and_three_of_a_user_go_at_a_time() -> None:
    transfers = Transfers(LINK)
    ends = [transfers.accept("ada", size * MB, 0).ends for size in (90, 20, 30, 5)]
    assert ends == [100, 30, 40, 45]  # the fourth waits for the second: 30 + 10 + 5
    assert transfers.accept("bob", 5 * MB, 0).ends == 15


def test_by_hand_the_user_sees_late_that_data_has_arrived() -> None:
    one = trip(job(1, 0, 100), 50, 20)
    run([one], Rules(nodes=1), ByHand(Transfers(LINK), reaction=600))
    # 10 + 50 s on their way, 600 unseen; 100 of running, 600 unseen, 10 + 20 on their way.
    assert times(one) == [60, 660, 660, 760, 1390]


def test_inside_the_allocation_the_nodes_wait_for_the_data() -> None:
    trips = [trip(job(1, 0, 100, nodes=2), 50, 20), trip(job(2, 0, 100), 0, 0)]
    run_inside(trips, Rules(nodes=2), LINK, factor=2)
    assert times(trips[0]) == [60, 0, 60, 160, 190]
    # The other has its node when the first has moved everything: and moves for 10 s before and after.
    assert times(trips[1]) == [200, 0, 200, 300, 310]
    found = account(trips, {1: START, 2: START + 100})
    assert found.node_hours_waiting == pytest.approx((2 * (60 + 30) + 1 * (10 + 10)) / 3600)
    assert found.delayed == 0  # by 60 and 100 seconds
    assert found.delay == pytest.approx(80)


def test_qstage_stages_at_once_and_the_agent_submits_in_its_next_round() -> None:
    one = trip(job(1, 1, 100), 50, 20)
    run([one], Rules(nodes=1), Planner(Transfers(LINK)))
    # The task goes at 1 and is over at 61. A way that nothing has gone yet is looked at after 2 s, then each time
    # after a tenth of the task's age, in whole seconds: ..., 56, and 62 (56 + 5.5). Rounds are at 60, 75, ...
    # The job runs from 75 to 175 and is reported at 180; its output sets out at once and is there at 210.
    assert times(one) == [61, 75, 75, 175, 210]


def test_what_lies_on_scratch_is_charged_from_its_arrival_to_the_end_of_the_outputs() -> None:
    one = trip(job(1, 1, 100), 50, 20)
    run([one], Rules(nodes=1), Planner(Transfers(LINK)))
    found = account([one], {1: START + 1})
    assert found.scratch == pytest.approx((50e6 * (210 - 61) + 20e6 * (210 - 175)) / 1e12 / 3600)
    assert found.scratch_before_start == pytest.approx(50e6 * (75 - 61) / 1e12 / 3600)
    assert (found.turnaround.mean, found.delay, found.node_hours_waiting) == (209, 74, 0)


def test_jobs_that_come_while_a_task_runs_share_the_next() -> None:
    # Three tasks go; the two jobs that come meanwhile go together when the first is over: one task for both.
    trips = [trip(job(number, number, 10), 100, 1) for number in range(1, 6)]
    transfers = Transfers(LINK)
    run(trips, Rules(nodes=5), Planner(transfers))
    assert trips[3].staged == trips[4].staged
    assert [one.staged for one in trips[:3]] == [START + 111, START + 112, START + 113]


def test_published_sizes_are_met_and_the_unpublished_tail_is_cut() -> None:
    assert [size_at(share) for share, _ in QUANTILES] == [pytest.approx(size, rel=1e-6) for _, size in QUANTILES]
    assert size_at(1) == MOST
    assert size_at(0) == 1
    stream = Sizes(7)
    drawn = [stream.draw() for _ in range(20_000)]
    for share, size in QUANTILES:
        assert sum(each <= size for each in drawn) / len(drawn) == pytest.approx(share, abs=0.01)


def test_the_same_seed_gives_the_same_data_and_another_does_not() -> None:
    jobs = [job(number, number, 10) for number in range(20)]
    assert trips_of(jobs, 1) == trips_of(jobs, 1)
    assert trips_of(jobs, 1) != trips_of(jobs, 2)


def test_two_hundred_jobs_go_through_the_service_as_through_the_rules_alone() -> None:
    jobs = a_busy_day(200)
    assert differences(jobs, Rules(nodes=8), seed=3, link=Link(overhead=5, bandwidth=4e9)) == []
    # It was no idle machine: jobs waited for nodes, and some were killed.
    runs = replay(jobs, Rules(nodes=8))
    assert sum(each.start > each.job.submitted for each in runs) > 50
    assert any(each.killed for each in runs)


def test_a_service_that_is_one_round_late_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    late = Service.ended

    def ended(self: Service, one: Trip, now: float) -> None:
        late(self, one, now)
        self._round_at += ROUND

    monkeypatch.setattr(Service, "ended", ended)
    assert differences(a_busy_day(5), Rules(nodes=8), seed=3) != []
