"""Cobalt's qalter, qmove and qselect: their command lines and what they print."""

from __future__ import annotations

import pytest

from qstage.cobalt.choosing import moved_report, parse_qmove, parse_qselect, selected_report
from qstage.cobalt.errors import UsageError
from qstage.cobalt.job import Checks
from qstage.cobalt.qalter import change_of, parse_qalter, refuse_running, told
from qstage.cobalt.rows import JobRow
from qstage.cobalt.states import StateWord

JOB = {"walltime": 30, "nodes": 4, "procs": 4, "project": None, "notify": None, "mode": "script", "queue": "default"}


def altered(*argv: str) -> tuple[str, str]:
    """What is said on stdout and stderr of altering JOB, numbered 7."""
    change = change_of(parse_qalter([*argv, "7"], user="ada"), JOB)
    return told(JOB, change.fields), change.stderr


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["-t", "45"], "walltime changed from 30 to 45\n"),
        (["-t", "30"], "walltime changed from 30 to 30\n"),
        (["-t", "+15"], "walltime changed from 30 to 45.0\n"),
        (["-t-10"], "walltime changed from 30 to 20.0\n"),
        (["-t", "+01:00:00"], "walltime changed from 30 to 90.0\n"),
        (["-n", "2"], "nodes changed from 4 to 2\nprocs changed from 4 to 2\n"),
        (["-n", "2", "--proccount", "8"], "nodes changed from 4 to 2\nprocs changed from 4 to 8\n"),
        (["-n", "4"], ""),
        (["-A", "chem"], "project changed from None to chem\n"),
        (["-M", "ada"], "notify changed from None to ada\n"),
        (["-o", "rel.out"], "outputpath set to rel.out\n"),
        (["--attrs", "mcdram=flat"], "attrs set to {'mcdram': 'flat'}\n"),
        (["--run_project"], "run_project set to True\nuser_list set to ['ada']\n"),
        (["--run_users", "bob"], "user_list set to ['ada', 'bob']\n"),
        (["-h"], "user_hold set to True\n"),
        (["--disable_preboot"], "script_preboot set to False\n"),
        (["--dependencies", "3:4"], "dependencies set to 3:4\n"),
        (["--mode", "co"], "mode changed from script to co\n"),
    ],
)
def test_qalter_says_what_it_changed(argv: list[str], said: str) -> None:
    if argv[0] == "--mode":
        assert said in altered(*argv)[0]
    else:
        assert altered(*argv) == (said, "")


def test_a_walltime_below_zero_is_complained_of_and_then_taken_as_it_stands() -> None:
    assert altered("-t", "-100") == ("walltime changed from 30 to 100\n", "invalid wall time: -70.0\n")


@pytest.mark.parametrize(
    ("argv", "code", "stderr"),
    [
        ([], 1, "No required options provided\n\n"),
        (["7"], 1, "No required options provided\n\n"),
        (["-d", "7"], 1, "No required options provided\n\n"),
        (["-n", "2"], 1, "No Jobid(s) given\n\n"),
        (["-n", "2", "seven"], 1, "jobid must be an integer: seven\n"),
        (["-n", "0", "7"], 1, "node count out of realistic range\n"),
        (["--proccount", "0", "7"], 1, "--proccount is 0 which is greater <= to zero\n"),
        (["-t", "abc", "7"], 1, "invalid time specification: illegal value 'abc' for minutes\n"),
        (["-t", "+abc", "7"], 1, "invalid time specification: illegal value 'abc' for minutes\n"),
        (["--mode", "smp", "7"], 1, "Specifed mode 'smp' not valid, valid modes are\nco\nvn\nscript\ninteractive\n"),
        (["--attrs", "a=1", "--attrs", "b=2", "7"], 1, None),
        (["-k", "7"], 2, None),
    ],
)
def test_qalter_refuses_in_cobalts_words(argv: list[str], code: int, stderr: str | None) -> None:
    with pytest.raises(UsageError) as end:
        parse_qalter(argv, user="ada")
    assert end.value.exit_code == code
    if stderr is not None:
        assert end.value.stderr == stderr


def test_unknown_dependencies_are_only_warned_of() -> None:
    request = parse_qalter(["--dependencies", "9", "7"], user="ada", checks=Checks(known_jobs=lambda _: set()))
    assert request.stderr == "WARNING: dependencies 9 do not match jobs currently in the queue\n"
    freed = parse_qalter(["--dependencies", "none", "7"], user="ada")
    assert (freed.stdout, freed.changes["dependencies"]) == ("Removing job dependencies\n", [])


@pytest.mark.parametrize(
    ("argv", "stderr"),
    [
        (
            ["-t", "5", "-n", "2"],
            "cannot change node count of a running job\ncannot change wall time of a running job\n",
        ),
        (["-A", "chem"], ""),
        (["--dependencies", "1"], ""),
        (["-h"], "Modifying a job while running is currently not supported\n"),
        (["--defer"], "cannot change the score of a running job\n"),
    ],
)
def test_a_running_job_is_not_altered(argv: list[str], stderr: str) -> None:
    end = refuse_running(parse_qalter([*argv, "7"], user="ada"))
    assert (end.exit_code, end.stderr) == (1, stderr)


@pytest.mark.parametrize(
    ("argv", "stderr"), [(["--geometry", "1x1x1x1"], "Invalid Geometry\n"), (["--mode", "vn"], "Unknown bgtype bgl\n")]
)
def test_what_only_a_blue_gene_has_is_refused_at_the_job(argv: list[str], stderr: str) -> None:
    with pytest.raises(UsageError) as end:
        altered(*argv)
    assert (end.value.exit_code, end.value.stderr) == (1, stderr)


def test_help_is_long_only_where_h_means_hold() -> None:
    assert "user_hold" in parse_qalter(["-h", "7"], user="ada").given
    with pytest.raises(UsageError) as end:
        parse_qalter(["--help"], user="ada")
    assert end.value.exit_code == 0
    assert end.value.stdout.startswith("Usage: qalter --help\nUsage: qalter [options] <jobid1> ... <jobidN>\n")


def test_qmove_takes_a_queue_and_ids() -> None:
    request = parse_qmove(["debug", "9", "7", "9"])
    assert (request.queue, request.ids) == ("debug", (7, 9))
    assert moved_report("debug", [7, 9]).stdout == "moved job 7 to queue 'debug'\nmoved job 9 to queue 'debug'\n"
    assert moved_report("debug", []).stderr == "Failed to match any jobs or queues\n"


@pytest.mark.parametrize(
    ("argv", "code", "stderr"),
    [
        (["debug"], 1, "No arguments or options provided\n\n"),
        (["debug", "x"], 1, "jobid must be an integer: x\n"),
        (
            ["-k"],
            2,
            "Usage: qmove [options] <queue name> <jobid1> [... <jobidN>]\n\nqmove: error: no such option: -k\n",
        ),
    ],
)
def test_qmove_refuses_in_cobalts_words(argv: list[str], code: int, stderr: str) -> None:
    with pytest.raises(UsageError) as end:
        parse_qmove(argv)
    assert (end.value.exit_code, end.value.stderr) == (code, stderr)


ROWS = [
    JobRow(jobid=5, user="ada", walltime=30, nodes=2, state=StateWord.USER_HOLD, queue="default", submittime=0.0),
    JobRow(jobid=6, user="bob", walltime=30, nodes=2, state=StateWord.QUEUED, queue="debug", submittime=0.0,
           project="c"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "ids"),
    [
        ([], ["5", "6"]),
        (["-h", "user_hold"], ["5"]),
        (["-q", "debug"], ["6"]),
        (["-A", "c", "-q", "debug"], ["6"]),
        (["-A", "*"], ["5", "6"]),
        (["--mode", "script"], ["5", "6"]),
        (["-n", "2"], []),
        (["-t", "30"], []),
        (["-q", "nosuch"], []),
    ],
)
def test_qselect_lists_everybodys_jobs_that_match(argv: list[str], ids: list[str]) -> None:
    report = selected_report(ROWS, parse_qselect(argv))
    listed = "".join(f"      {one}\n" for one in ids)
    assert report.stdout == (f"   The following jobs matched your query:\n{listed}" if ids else "")
    assert report.stderr == ("" if ids else "Failed to match any jobs\n")


@pytest.mark.parametrize(
    ("argv", "code", "stderr"),
    [
        (["5"], 1, "qselect takes no arguments\n"),
        (["-n", "0"], 1, "node count out of realistic range\n"),
        (["-t", "abc"], 1, "invalid time specification: illegal value 'abc' for minutes\n"),
        (["-h"], 2, "Usage: qselect [options]\n\nqselect: error: -h option requires an argument\n"),
    ],
)
def test_qselect_refuses_in_cobalts_words(argv: list[str], code: int, stderr: str) -> None:
    with pytest.raises(UsageError) as end:
        parse_qselect(argv)
    assert (end.value.exit_code, end.value.stderr) == (code, stderr)
