"""What moves out at an exit, and the words for what went wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_examples import a_document, a_job, an_output

from chalicelib.core.error_words import words_of
from chalicelib.core.globus_codes import Verdict, verdict
from chalicelib.core.job import Leg, LegStatus, Outcome
from chalicelib.core.outputs import OUTPUT_WORDS, Found, legs_at_exit, succeeded

EVERY_END = [
    (Outcome.OK, 0, "on_success"),
    (Outcome.OK, 3, "on_error"),
    (Outcome.OK, None, "on_error"),
    (Outcome.ERROR, 3, "on_error"),
    (Outcome.ERROR, 0, "on_error"),
    (Outcome.WALLTIME, 0, "on_error"),
    (Outcome.WALLTIME, None, "on_error"),
    (Outcome.LOST, None, "on_error"),
    (Outcome.CANCELED, 0, "on_cancel"),
    (Outcome.CANCELED, None, "on_cancel"),
]


@pytest.mark.parametrize(("outcome", "code", "wish"), EVERY_END)
@pytest.mark.parametrize("when", ["on_success", "on_error", "on_cancel", "always"])
def test_an_output_moves_when_its_user_said(outcome: Outcome, code: int | None, wish: str, when: str) -> None:
    document = a_document(stage_out=[an_output("a/", when=[when])])
    legs = legs_at_exit(document, outcome, code, [Found(item=0, kind="directory", files=2, bytes=9)])
    assert legs == ((Leg(item=0, files=2, bytes=9),) if when in (wish, "always") else ())


@pytest.mark.parametrize(("outcome", "code", "wish"), EVERY_END)
def test_only_exit_0_of_a_run_that_ended_by_itself_is_a_success(outcome: Outcome, code: int | None, wish: str) -> None:
    assert succeeded(outcome, code) == (wish == "on_success")


def test_when_takes_several_words() -> None:
    document = a_document(stage_out=[an_output("a/", when=["on_error", "on_cancel"])])
    ends = [(outcome, code) for outcome, code, _ in EVERY_END if legs_at_exit(document, outcome, code, [])]
    assert ends == [(outcome, code) for outcome, code, wish in EVERY_END if wish != "on_success"]


@pytest.mark.parametrize(
    ("source", "found", "leg"),
    [
        ("a/", Found(item=0, kind="directory", files=3, bytes=5), Leg(item=0, files=3, bytes=5)),
        ("./", Found(item=0, kind="directory", files=1, bytes=1), Leg(item=0, files=1, bytes=1)),
        ("a", Found(item=0, kind="file", files=1, bytes=7), Leg(item=0, files=1, bytes=7)),
        ("a", Found(item=0, kind="directory"), Leg(item=0, status=LegStatus.FAILED, error="output_is_directory")),
        ("a/", Found(item=0, kind="file"), Leg(item=0, status=LegStatus.FAILED, error="output_is_file")),
        ("a/", Found(item=0, kind="missing"), Leg(item=0, status=LegStatus.FAILED, error="output_missing")),
        ("a/", None, Leg(item=0, status=LegStatus.FAILED, error="output_missing")),
        ("a/", Found(item=1, kind="directory"), Leg(item=0, status=LegStatus.FAILED, error="output_missing")),
        (
            "a/",
            Found(item=0, kind="directory", files=1, links=("a/x",)),
            Leg(item=0, status=LegStatus.FAILED, error="output_has_links"),
        ),
    ],
)
def test_what_was_found_decides_whether_an_output_can_move(source: str, found: Found | None, leg: Leg) -> None:
    document = a_document(stage_out=[an_output(source)])
    assert legs_at_exit(document, Outcome.OK, 0, [] if found is None else [found]) == (leg,)


@pytest.mark.parametrize("found", [[], [Found(item=0, kind="missing")]])
def test_an_optional_output_may_be_missing(found: list[Found]) -> None:
    document = a_document(stage_out=[an_output("a/", optional=True)])
    assert legs_at_exit(document, Outcome.OK, 0, found) == (Leg(item=0, status=LegStatus.ABSENT),)


def test_an_optional_output_that_is_there_must_be_what_was_said() -> None:
    document = a_document(stage_out=[an_output("a/", optional=True)])
    (leg,) = legs_at_exit(document, Outcome.OK, 0, [Found(item=0, kind="file")])
    assert leg.error == "output_is_file"


def test_links_may_be_left_behind_if_the_user_says_so() -> None:
    document = a_document(stage_out=[an_output("a/", symlinks="ignore")])
    (leg,) = legs_at_exit(document, Outcome.OK, 0, [Found(item=0, kind="directory", files=2, links=("a/x",))])
    assert (leg.status, leg.files) == (LegStatus.PENDING, 2)


def test_legs_keep_the_document_s_own_indexes_and_what_nobody_asked_for_is_passed_over() -> None:
    document = a_document(stage_out=[an_output("a/", when=["on_error"]), an_output("b/"), an_output("c")])
    found = [Found(item=index, kind="directory") for index in (2, 1, 0, 9)]
    legs = legs_at_exit(document, Outcome.OK, 0, found)
    assert [(leg.item, leg.error) for leg in legs] == [(1, None), (2, "output_is_directory")]


@pytest.mark.parametrize("error", [*OUTPUT_WORDS, "walltime", "lost", "rejected", "refused", "source_missing"])
def test_an_error_of_ours_has_a_sentence(error: str) -> None:
    words = words_of(replace(a_job(), error=error))
    assert len(words.split()) > 3
    assert "Globus reported" not in words


def test_an_exit_code_is_told_in_figures_and_a_code_of_globus_s_by_its_name() -> None:
    assert words_of(replace(a_job(), error="exit_code", exit_code=3)) == "exit code 3"
    assert "without" in words_of(replace(a_job(), error="exit_code", exit_code=None))
    assert words_of(replace(a_job(), error="permission_denied")) == "Globus reported PERMISSION_DENIED"


def test_a_mismatch_is_told_with_its_cure() -> None:
    assert "slash" in words_of(replace(a_job(), error="output_is_directory"))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("FILE_NOT_FOUND", Verdict.PERMANENT),
        ("permission_denied", Verdict.PERMANENT),
        ("ENDPOINT_DELETED", Verdict.PERMANENT),
        ("CREDENTIAL_EXPIRED", Verdict.USER),
        ("CONNECTION_RESET", Verdict.PASSES),
        ("GC_NOT_CONNECTED", Verdict.PASSES),
        ("QUOTA_EXCEEDED", Verdict.SPACE),
        ("PAUSED", Verdict.PASSES),
        ("WHAT_NOBODY_HAS_SEEN", Verdict.PASSES),
        ("", Verdict.PASSES),
    ],
)
def test_a_code_of_globus_s_has_its_verdict_and_an_unknown_one_passes(code: str, expected: Verdict) -> None:
    assert verdict(code) is expected
