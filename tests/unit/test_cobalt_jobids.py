"""qdel, qhold and qrls: their command lines and what they say."""

from __future__ import annotations

import pytest

from qstage.cobalt.errors import UsageError
from qstage.cobalt.jobids import (
    HoldOutcome,
    deleted_report,
    dependencies_report,
    hold_report,
    parse_ids,
    release_report,
)


def ends(command: str, *argv: str) -> tuple[int, str, str]:
    with pytest.raises(UsageError) as caught:
        parse_ids(command, argv)
    return caught.value.exit_code, caught.value.stdout, caught.value.stderr


def test_ids_are_integers_each_once() -> None:
    assert parse_ids("qdel", ["7", "5", "07", "*"]).ids == (5, 7)
    assert parse_ids("qrls", ["--dep", "7"]).dependencies


def test_a_word_that_is_no_integer_stops_the_command() -> None:
    assert ends("qdel", "5", "abc") == (1, "", "jobid must be an integer: abc\n")


def test_no_ids_print_the_usage() -> None:
    usage = "Usage: qdel [options] <jobid1> [ ... <jobidN>]\n\n"
    assert ends("qdel") == (1, usage, "No Jobid(s) given\n\n")


def test_help_is_dash_h_here() -> None:
    assert ends("qhold", "-h")[0] == 0


def test_deleted_jobs_are_listed_and_none_is_silence() -> None:
    assert deleted_report([(5, "ada")]).stdout == ("      Deleted Jobs\nJobID  User  \n=============\n5      ada   \n")
    assert deleted_report([]).stdout == ""


def held(before: bool, after: bool, active: bool = False) -> HoldOutcome:
    return HoldOutcome(before=before, after=after, active=active)


def test_qhold_tells_what_it_held_and_why_it_did_not() -> None:
    report = hold_report([1, 2, 3, 4], {1: held(False, True), 2: held(True, True), 3: held(False, False, True)})
    assert report.stdout == (
        "   Failed to place user hold on jobs: \n"
        "      job 2 already in state 'user hold'\n"
        "      job 3 is already active\n"
        "      job 4 not found\n"
        "Placed user hold on jobs: \n"
        "      1\n"
    )
    assert report.stderr == ""


def test_qhold_of_nothing_known_says_so_twice() -> None:
    report = hold_report([9], {})
    assert report.stdout == "   Failed to place user hold on jobs: \n      job 9 not found\n"
    assert report.stderr == "   No jobs found.\nFailed to match any jobs\n"


def test_qrls_tells_what_it_released_and_why_it_did_not() -> None:
    report = release_report([1, 2, 3], {1: held(True, False), 2: held(False, False), 3: held(False, False, True)})
    assert report.stdout == (
        "   Failed to remove user hold on jobs: \n"
        "      job 2 does not have a 'user hold'\n"
        "      job 3 is already active and does not have a pending 'user hold'\n"
        "   Removed user hold on jobs: \n"
        "      1\n"
    )


def test_qrls_of_dependencies_lists_the_freed() -> None:
    assert dependencies_report([3]).stdout == "   Removed dependencies from jobs: \n      3\n"
