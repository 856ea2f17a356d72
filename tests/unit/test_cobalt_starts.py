"""Est_Start_Time, by hand: what runs must end, and then the node time of all better jobs is over the whole machine."""

from __future__ import annotations

from emulators.cobalt.policy import Busy, Waiting
from emulators.cobalt.starts import expected_starts

NOW = 1000.0


def job(jobid: int, nodes: int, score: float) -> Waiting:
    return Waiting(jobid=jobid, queue="q", nodes=nodes, walltime=600.0, score=score)


def test_on_an_idle_machine_the_first_starts_now_and_the_next_after_its_share() -> None:
    assert expected_starts([job(1, 2, 1.0), job(2, 4, 5.0)], [], 4, NOW) == {2: NOW, 1: NOW + 600}


def test_all_wait_for_the_longest_that_runs() -> None:
    busy = [Busy(nodes=("n1",), until=NOW + 300), Busy(nodes=("n2",), until=NOW + 900)]
    assert expected_starts([job(1, 1, 0.0), job(2, 1, 0.0)], busy, 4, NOW) == {1: NOW + 900, 2: NOW + 900 + 150}
