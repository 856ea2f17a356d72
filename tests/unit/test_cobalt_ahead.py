"""Just in time, worked out by hand: what schedulers expect, what a hold costs, when inputs set out; and the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.replaying import a_busy_day, differences
from emulators.cobalt.__main__ import main
from emulators.cobalt.estimates import Estimate, estimated
from emulators.cobalt.policy import Busy, Waiting
from emulators.cobalt.replay.jobs import TraceJob
from emulators.cobalt.replay.machine import Machine, Rules
from emulators.cobalt.scores import Policy
from emulators.cobalt.staging.ahead import Ahead
from emulators.cobalt.staging.course import run
from emulators.cobalt.staging.report import BEGIN, END
from emulators.cobalt.staging.transfers import Transfers
from emulators.cobalt.staging.trips import Trip
from emulators.globus.pace import Link

START = 1_000_000_005.0  # on the grid of the agent's rounds
MB = 10**6


def waiting(jobid: int, nodes: int, walltime: float) -> Waiting:
    return Waiting(jobid=jobid, queue="q", nodes=nodes, walltime=walltime, score=0.0)


# Four nodes at 0: one busy until 1000, one until 2000, two idle. 1 wants three, 3 wants two; 2 and 4 ask.
BUSY = [Busy(nodes=("n1",), until=1000), Busy(nodes=("n2",), until=2000)]
RANKED = [waiting(1, 3, 600), waiting(2, 1, 500), waiting(3, 2, 100), waiting(4, 4, 60)]


def test_cobalts_estimate_adds_the_longest_run_left_and_the_node_time_of_better_jobs() -> None:
    found = estimated(Estimate.COBALT, RANKED, frozenset({2, 4}), BUSY, 4, 0.0)
    # 2000 + 600 x 3/4 = 2450; and 100 x 2/4 more.
    assert found == {2: 2450, 4: 2500}


def test_a_planned_estimate_gives_each_job_the_nodes_that_are_free_soonest() -> None:
    # 1 has three nodes from 1000 to 1600. 2 would be over at 500: it slips in now. 3 runs from 1600 to 1700, and the
    # last of the four nodes is free at 2000.
    assert estimated(Estimate.PLANNED, RANKED, frozenset({2, 4}), BUSY, 4, 0.0) == {2: 0, 4: 2000}


def test_a_job_that_would_be_in_the_way_is_not_expected_to_slip_in() -> None:
    ranked = [RANKED[0], waiting(2, 1, 1000)]
    assert estimated(Estimate.PLANNED, ranked, frozenset({2}), BUSY, 4, 0.0) == {2: 1600}


def test_an_idle_machine_expects_a_job_now_by_either_estimate() -> None:
    for how in Estimate:
        assert estimated(how, [waiting(1, 4, 60)], frozenset({1}), [], 4, 7.0) == {1: 7.0}


def job(jobid: int, at: float, runtime: float, walltime: float = 600) -> TraceJob:
    return TraceJob(jobid=jobid, submitted=START + at, runtime=runtime, walltime=walltime, nodes=1, user="ada")


@pytest.mark.parametrize(
    ("policy", "first"),
    [
        (Policy.DEFAULT, 3),  # 2 gathers no score until its release at 200: 10 s against 150 s of 3
        (Policy.WFP, 2),  # the time since the submission counts, held or not: 210 s against 160 s
    ],
)
def test_a_hold_costs_a_job_its_age_where_the_score_is_gathered(policy: Policy, first: int) -> None:
    machine = Machine(Rules(nodes=1, policy=policy))
    machine.submit(job(1, 0, 210), START)
    machine.start_due(START)
    machine.submit(job(2, 0, 60), START, held=True)
    machine.submit(job(3, 50, 60), START + 50)
    machine.release(2, START + 200)
    assert [each.job.jobid for each in machine.end_due(START + 210)] == [1]
    assert [each.job.jobid for each in machine.start_due(START + 210)] == [first]


def test_inputs_set_out_when_the_start_is_near_and_the_job_is_released_when_they_are_there() -> None:
    trips = [
        Trip(job=job(1, 1, 1000, walltime=2000), inputs=50 * MB, outputs=0),
        Trip(job=job(2, 100, 100), inputs=20 * MB, outputs=0),
    ]
    run(trips, Rules(nodes=1), Ahead(Transfers(Link(overhead=10, bandwidth=1e6)), Estimate.PLANNED))
    # 1 is submitted, held, at 15, and said to be expected now at 30, for the node is idle. Its 60 s of inputs set out
    # at once, are there at 90, seen at 93 (a tenth of the task's age after the look at 87), and in the round of 105 the
    # job is released.
    # 2 is submitted at 105 and looked at at 120: by walltime 1 ends at 2105, and less 60 s and the margin of 300 that
    # is 1745. But 1 is over at 1105; the look of 1110 (every 60 s since 30) expects 2 now, which is news. Its 30 s of
    # inputs are there at 1140, seen at 1151, and it is released in the round of 1155.
    found = [[one.staged, one.eligible, one.begins] for one in trips]
    assert found == [[START + 90, START + 105, START + 105], [START + 1140, START + 1155, START + 1155]]


def test_a_hundred_held_jobs_go_through_the_service_as_through_the_rules_alone() -> None:
    jobs = [replace(each, submitted=float(round(each.submitted))) for each in a_busy_day(100)]
    link = Link(overhead=5, bandwidth=4e9)
    assert differences(jobs, Rules(nodes=8), seed=3, link=link, how=Estimate.PLANNED) == []


TRACE = "; MaxProcs: 4\n" + "".join(f"{n} {n * 60} -1 600 2{' -1' * 6} {n % 2}{' -1' * 6}\n" for n in range(1, 9))


def compared(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> None:
    (folder / "small.swf").write_text(TRACE)
    monkeypatch.setattr("sys.argv", ["cobalt", "staging", str(folder / "small.swf"), *words])
    main()


def test_the_comparison_is_printed_and_written_into_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"Before.\n\n{BEGIN}\nold\n{END}\n\nAfter.\n")
    compared(monkeypatch, tmp_path, "--policy", "default", "--policy", "wfp", "--write", str(page))
    said = capsys.readouterr().out
    ways = ["by hand, at once", "by hand, 10 min later", "inside the allocation", "qstage, eager"]
    for way in [*ways, "qstage, just in time", "the same, Cobalt's estimate"]:
        assert said.count(f"\n{way} ") == 2
    text = page.read_text()
    assert text.startswith(f"Before.\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nAfter.\n")
    assert "old" not in text
    assert text.count("\n| qstage, eager |") == 2
    assert "- a Globus task takes 10 s and its bytes at 200 MB/s; three a user at a time\n" in text
    drawn = ElementTree.fromstring(page.with_suffix(".svg").read_text())
    # Four panels of six ways under two policies, the ground, and the key.
    assert len(drawn.findall("{http://www.w3.org/2000/svg}rect")) == 4 * 6 * 2 + 1 + 2


def test_only_where_nodes_wait_for_data_is_there_a_charge_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compared(monkeypatch, tmp_path, "--bandwidth", "1e6")
    lines = {line[:29].strip(): line[29:].split() for line in capsys.readouterr().out.splitlines()}
    waiting_hours = {way: cells[3] for way, cells in lines.items() if len(cells) == 9 and cells[0][0].isdigit()}
    assert float(waiting_hours.pop("inside the allocation").replace(",", "")) > 0
    assert set(waiting_hours.values()) == {"0"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--write", "nowhere.md"], "No such file"),
        (["--bandwidth", "0"], "no less than no time"),
    ],
)
def test_what_cannot_be_compared_or_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    with pytest.raises(SystemExit, match=said):
        compared(monkeypatch, tmp_path, *words)


def test_a_page_without_a_place_for_it_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("Nothing here.\n")
    with pytest.raises(SystemExit, match="has no lines"):
        compared(monkeypatch, tmp_path, "--write", str(page))
    assert page.read_text() == "Nothing here.\n"
