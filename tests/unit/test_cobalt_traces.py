"""What is read of workload traces, and with which words a trace that is none is refused."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from emulators.cobalt.__main__ import main
from emulators.cobalt.replay.jobs import TraceError, TraceJob
from emulators.cobalt.replay.trace import Trace, read_trace

SWF = """\
; Computer: a small one
; UnixStartTime: 1000
; MaxProcs: 8
    1   0  -1  600  4 -1 -1  -1  1200 -1 1  7 1 -1  3 -1 -1 -1

    2  60  -1   30  2 -1 -1   5    -1 -1 1 -1 1 -1 -1 -1 -1 -1
    3  70  -1   -1  2 -1 -1  -1    -1 -1 0 -1 1 -1 -1 -1 -1 -1
"""
LOG = """\
10/01/2026 00:00:03;Q;17;queue=prod Resource_List.nodect=4 Resource_List.walltime=0:30:00 user=ada account=chem
10/01/2026 00:00:09;NU;node4;
10/01/2026 00:05:00;S;17;jobname="a b" Resource_List.nodect=4 Resource_List.walltime=0:30:00 start=1790813100.0
10/01/2026 00:15:00;E;17;Resource_List.nodect=4 Resource_List.walltime=0:30:00 start=1790813100.0 end=1790813700.0
10/01/2026 00:16:00;Q;18;queue=prod Resource_List.nodect=1 Resource_List.walltime=0:30:00
jobid=19;qtime=2026-10-01 01:00:00;Resource_List.walltime=900;Resource_List.nodect=2;start=2026-10-01 01:10:00;end=\
2026-10-01 01:20:00
"""
OCTOBER = datetime(2026, 10, 1, tzinfo=UTC).timestamp()


def read(tmp_path: Path, text: str, *, procs_per_node: int = 1) -> Trace:
    path = tmp_path / "trace"
    path.write_text(text)
    return read_trace(path, procs_per_node=procs_per_node)


def test_the_standard_workload_format_is_read(tmp_path: Path) -> None:
    trace = read(tmp_path, SWF)
    assert trace.nodes == 8
    assert trace.left_out == {"no run time": 1}
    assert trace.jobs == (
        TraceJob(jobid=1, submitted=1000, runtime=600, walltime=1200, nodes=4, user="user7", queue="queue3"),
        TraceJob(jobid=2, submitted=1060, runtime=30, walltime=None, nodes=5),  # what was requested goes first
    )


def test_processors_become_whole_nodes(tmp_path: Path) -> None:
    trace = read(tmp_path, SWF, procs_per_node=4)
    assert (trace.nodes, [job.nodes for job in trace.jobs]) == (2, [1, 2])


def test_both_kinds_of_accounting_lines_are_read(tmp_path: Path) -> None:
    trace = read(tmp_path, LOG)
    assert trace.nodes is None
    assert trace.left_out == {"no end": 1}
    assert trace.jobs == (
        TraceJob(
            jobid=17,
            submitted=OCTOBER + 3,
            runtime=600,
            walltime=1800,
            nodes=4,
            user="ada",
            queue="prod",
            project="chem",
        ),
        TraceJob(jobid=19, submitted=OCTOBER + 3600, runtime=600, walltime=900, nodes=2),
    )


def test_a_compressed_trace_is_read(tmp_path: Path) -> None:
    path = tmp_path / "trace.swf.gz"
    path.write_bytes(gzip.compress(SWF.encode()))
    assert read_trace(path).jobs == read(tmp_path, SWF).jobs


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("hello\n", 1, "neither the Standard Workload Format nor Cobalt's accounting log"),
        (SWF + "4 80 -1\n", 8, "3 fields where the Standard Workload Format has 18"),
        (SWF + "4 80 x" + " -1" * 15 + "\n", 8, "field 3 is no number: 'x'"),
        (SWF + "4 80 nan" + " -1" * 15 + "\n", 8, "field 3 is no number: 'nan'"),
        (SWF + "2 80" + " -1" * 16 + "\n", 8, "job 2 was there before"),
        (SWF + "4 -5" + " -1" * 16 + "\n", 8, "submitted before the trace begins: -5"),
        (LOG + "10/01/2026 00:00:03;Q\n", 7, "a record is <time>;<type>;<job>;<key=value ...>"),
        (LOG + "31/01/2026 00:00:03;Q;20;a=b\n", 7, "no time: '31/01/2026 00:00:03'"),
        (LOG + "10/01/2026 00:00:03;Q;x;a=b\n", 7, "no job id: 'x'"),
        (LOG + "10/01/2026 00:00:03;Q;20;a=b c\n", 7, "no key=value: 'c'"),
        (LOG + "10/01/2026 00:00:03;Q;20;Resource_List.nodect=few\n", 7, "Resource_List.nodect is no number: 'few'"),
        (LOG + "10/01/2026 00:00:03;Q;20;Resource_List.nodect=-4\n", 7, "Resource_List.nodect is out of range: -4"),
        (LOG + "jobid=20;qtime\n", 7, "no key=value: 'qtime'"),
        (LOG + "jobid=20;qtime=yesterday\n", 7, "no time: 'yesterday'"),
    ],
)
def test_a_line_that_is_not_what_its_format_says_is_refused(tmp_path: Path, text: str, line: int, reason: str) -> None:
    with pytest.raises(TraceError) as refused:
        read(tmp_path, text)
    assert (refused.value.line, refused.value.reason) == (line, reason)
    assert str(refused.value) == f"line {line}: {reason}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "the trace has no job that can be run again"), ("; only a header\n", "the trace has no job")],
)
def test_a_trace_without_jobs_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(TraceError, match=reason):
        read(tmp_path, text)


def test_what_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "trace.gz").write_text("plain")
    with pytest.raises(TraceError, match="not text"):
        read_trace(tmp_path / "trace.gz")


def replayed(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["cobalt", "replay", *words])
    main()


def test_the_command_prints_a_row_for_each_combination_and_writes_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "small.swf"
    trace.write_text(SWF)
    replayed(monkeypatch, str(trace), "--policy", "default", "--policy", "wfp", "--compress", "2")
    said = capsys.readouterr().out.splitlines()
    assert said[:4] == [
        "small.swf: 2 jobs in 0.0 days on 8 nodes, load 10.62",
        "arrivals compressed 2 times",
        "walltime where the trace has none: run time x 2, at least 5 minutes",
        "left out, no run time: 1 jobs",
    ]
    # Job 2 needs 5 of 8 nodes, comes at 30 s and waits for the end of 1 at 600 s: 570 s are 9.5 minutes.
    assert [line.split()[:8] for line in said[-2:]] == [
        ["default", "backfill", "ff", "2", "0", "4.8", "0.0", "9.5"],
        ["wfp", "backfill", "ff", "2", "0", "4.8", "0.0", "9.5"],
    ]
    log = tmp_path / "out.log"
    replayed(monkeypatch, str(trace), "--log", str(log))
    assert [line.split(";")[1] for line in log.read_text().splitlines()] == ["Q", "S", "Q", "E", "S", "E"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["TRACE", "--log", "x", "--policy", "wfp", "--policy", "default"], "--log takes one policy"),
        (["TRACE", "--nodes", "1"], "has no job that fits 1 nodes"),
        (["/no/such/trace"], "No such file"),
    ],
)
def test_what_the_command_cannot_do_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    (tmp_path / "small.swf").write_text(SWF)
    with pytest.raises(SystemExit, match=said):
        replayed(monkeypatch, *(str(tmp_path / "small.swf") if word == "TRACE" else word for word in words))


def test_an_accounting_log_needs_to_be_told_the_size_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "accounting.log"
    log.write_text(LOG)
    with pytest.raises(SystemExit, match="give --nodes"):
        replayed(monkeypatch, str(log))
    replayed(monkeypatch, str(log), "--nodes", "4")
    assert "accounting.log: 2 jobs" in capsys.readouterr().out
