"""qstat's columns, order, layout and refusals, against what Cobalt was seen to print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstage.cobalt.errors import UsageError
from qstage.cobalt.layout import date_text, elapsed, human, merge_nodes
from qstage.cobalt.qstat import FULL_HEADER, LONG_HEADER, Qstat, parse_qstat, render, render_queues, select
from qstage.cobalt.rows import JobRow, QueueRow
from qstage.cobalt.states import StateWord

NOW = 1795363320.0  # Sun Nov 22 16:02:00 2026 UTC
RUNNING = JobRow(
    jobid=1005,
    user="root",
    walltime=10,
    nodes=1,
    state=StateWord.RUNNING,
    queue="default",
    submittime=NOW - 90,
    starttime=NOW - 60,
    location=("node1",),
    score=12.5,
)
HELD = JobRow(jobid=7, user="ada", walltime=61, nodes=4, state=StateWord.USER_HOLD, queue="debug", submittime=NOW)


def qstat(*argv: str, rows: tuple[JobRow, ...] = (RUNNING, HELD), environ: dict[str, str] | None = None) -> str:
    request = parse_qstat(argv, environ=environ or {})
    return render(select(rows, request, {"default", "debug"}), request, NOW)


def test_the_table_is_laid_out_as_cobalts() -> None:
    assert qstat(rows=(RUNNING,)) == (
        "JobID  User  WallTime  Nodes  State    Location  \n"
        "=================================================\n"
        "1005   root  00:10:00  1      running  node1     \n"
    )


def test_job_ids_are_right_justified_and_come_in_order() -> None:
    assert [line[:6] for line in qstat().splitlines()[2:]] == ["   7  ", "1005  "]


def test_no_jobs_still_print_header_and_rule() -> None:
    assert qstat(rows=()) == "JobID  User  WallTime  Nodes  State  Location  \n" + "=" * 47 + "\n"


def test_the_long_form_is_what_psij_reads() -> None:
    assert qstat("-l", "--header=Jobid:State", "7", "1005") == (
        "Jobid:    7\n    State : user_hold\n\nJobid: 1005\n    State : running\n\n"
    )


def test_full_shows_times_relative_to_now() -> None:
    header, _, line = qstat("-f", "1005").splitlines()
    assert tuple(header.split()) == FULL_HEADER
    assert len(FULL_HEADER) == 16
    assert "00:00:30    00:01:00  00:09:00" in line
    assert "Sun Nov 22 16:01:00 2026 +0000 (UTC)" in line


def test_full_and_long_show_every_field_with_short_state_as_s() -> None:
    lines = qstat("-f", "-l", "7").splitlines()
    names = [line.partition(":")[0].strip() for line in lines if line]
    assert names == ["S" if name == "short_state" else name for name in LONG_HEADER]
    assert lines[0] == "JobID: 7"
    assert "    S                 : H" in lines
    assert "    Location          : None" in lines


def test_an_unknown_column_is_a_dash_and_names_are_printed_as_typed() -> None:
    assert qstat("--header", "jobID:nope", "7") == "jobID  nope  \n=============\n7      -     \n"


def test_a_column_that_cobalt_has_not_is_printed_when_named() -> None:
    row = JobRow(
        jobid=1, user="a", walltime=1, nodes=1, state="stage_in", queue="q", submittime=NOW, more={"Why": "login"}
    )
    assert "stage_in  login" in qstat("--header", "State:Why", rows=(row,))


@pytest.mark.parametrize(
    ("argv", "environ", "first"),
    [
        (["--header", "State"], {"QSTAT_HEADER": "User"}, "State"),
        ([], {"QSTAT_HEADER": "User"}, "User"),
        ([], {"QSTAT_HEADER": "User", "CQSTAT_HEADER": "Nodes"}, "Nodes"),
        (["-f", "--header", "State"], {}, "JobID"),
        (["-f"], {"QSTAT_HEADER_FULL": "Queue"}, "Queue"),
        (["-f", "-l"], {"QSTAT_HEADER_FULL": "Queue"}, "JobID"),
    ],
)
def test_the_header_is_chosen_in_cobalts_order(argv: list[str], environ: dict[str, str], first: str) -> None:
    assert parse_qstat(argv, environ=environ).header[0] == first


def test_rows_sort_by_score_where_shown_then_as_asked() -> None:
    assert [line.split()[0] for line in qstat("--header", "JobID:Score").splitlines()[2:]] == ["7", "1005"]
    assert [line.split()[0] for line in qstat("--sort", "Nodes", "--reverse").splitlines()[2:]] == ["7", "1005"]
    assert [line.split()[0] for line in qstat("--sort", "user:jobid").splitlines()[2:]] == ["7", "1005"]


def test_jobs_are_chosen_by_id_queue_and_user() -> None:
    assert "1005" not in qstat("debug")
    assert "1005" in qstat("1005", "99999")
    assert "ada" not in qstat("-u", "root")
    assert "ada" in qstat("*")


@pytest.mark.parametrize("argv", [["99"], ["-u", "nobody", "7"]])
def test_ids_that_match_nothing_end_in_silence_with_status_1(argv: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        qstat(*argv)
    assert (caught.value.exit_code, caught.value.stdout, caught.value.stderr) == (1, "", "")


def test_a_name_that_is_neither_id_nor_queue_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        qstat("nope")
    assert (caught.value.exit_code, caught.value.stderr) == (1, "nope is not a valid jobid or queue name\n")


def test_queues_show_their_limits() -> None:
    text = render_queues([QueueRow(name="debug", maxtime=90)], parse_qstat(["-Q"], environ={}))
    assert text.splitlines()[0].split()[0] == "Name"
    assert text.splitlines()[2].split() == ["debug", *["None"] * 3, "01:30:00", *["None"] * 5, "running"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "  0.1  "), (12.34, " 12.3  "), (1000.0, "  1.0 K"), (2.5e6, "  2.5 M"), (9e18, "9000.0 P")],
)
def test_scores_are_abbreviated(value: float, text: str) -> None:
    assert human(value) == text


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["node1"], "node1"),
        (["node1", "node2", "node3", "node4"], "node[1-4]"),
        (["node3", "node1", "node2", "node7"], "node[1-3],node7"),
        (["n08", "n09", "n10"], "n[08-10]"),
        (["node9", "node10"], "[node9-10]"),
        (["b", "a"], "a,b"),
        (["node2", "node2"], "node2"),
    ],
)
def test_nodes_are_merged_as_cobalt_merges_them(names: list[str], text: str) -> None:
    assert merge_nodes(names) == text


@given(st.sets(st.integers(100, 999), min_size=1, max_size=30))
def test_merged_nodes_name_each_node_once(numbers: set[int]) -> None:
    named: list[int] = []
    for part in merge_nodes([f"node{one}" for one in numbers]).split(","):
        low, _, high = part.removeprefix("node").strip("[]").partition("-")
        named += range(int(low), int(high or low) + 1)
    assert named == sorted(numbers)


def test_times_are_written_whatever_the_locale() -> None:
    assert date_text(NOW) == "Sun Nov 22 16:02:00 2026 +0000 (UTC)"
    assert elapsed(100 * 3600 + 61.9) == "100:01:01"


def test_every_state_has_a_letter() -> None:
    assert {word.short for word in StateWord} == set("QHRKPE")


def test_a_request_says_only_what_was_typed() -> None:
    assert parse_qstat(["-l", "5"], environ={}) == Qstat(
        header=("JobID", "User", "WallTime", "Nodes", "State", "Location"), names=("5",), long=True
    )
