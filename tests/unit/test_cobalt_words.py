"""Cobalt's word rules are optparse's, so optparse itself is the judge."""

from __future__ import annotations

import optparse
from collections.abc import Sequence
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstage.cobalt.options import QSUB
from qstage.cobalt.words import Given, Option, Table, WordError, option_int, plain_int, scan

TABLE = Table(QSUB)


class RefusedError(Exception):
    pass


class Oracle(optparse.OptionParser):
    def error(self, msg: str) -> NoReturn:
        raise RefusedError(msg)


def oracle() -> Oracle:
    parser = Oracle(add_help_option=False)
    parser.disable_interspersed_args()
    for option in QSUB:
        if option.takes == "nothing":
            parser.add_option(*option.names, dest=option.dest, action="append_const", const="yes")
        else:
            kind = "int" if option.takes == "int" else "string"
            parser.add_option(*option.names, dest=option.dest, action="append", type=kind)
    return parser


def by_optparse(argv: Sequence[str]) -> tuple[dict[str, list[object]], list[str]] | None:
    try:
        values, rest = oracle().parse_args(list(argv))
    except RefusedError:
        return None
    return {dest: found for dest, found in vars(values).items() if found is not None}, rest


def by_scan(argv: Sequence[str]) -> tuple[dict[str, list[object]], list[str]] | None:
    found: dict[str, list[object]] = {}

    def meet(given: Given) -> None:
        found.setdefault(given.option.dest, []).append("yes" if given.value is None else given.value)

    try:
        rest = scan(argv, TABLE, meet)
    except WordError:
        return None
    return found, list(rest)


NAMES = sorted(name for option in QSUB for name in option.names)
PIECES = st.one_of(
    st.sampled_from(NAMES),
    st.sampled_from(NAMES).flatmap(lambda n: st.integers(1, len(n)).map(lambda k: n[:k])),
    st.sampled_from(NAMES).flatmap(lambda n: st.sampled_from(["=", "=5", "=a=b", "7", ""]).map(n.__add__)),
    st.sampled_from(["5", "0x10", "010", "08", "five", "", "-", "--", "./run.sh", "-dv", "-hn5", "-n5", "A=1"]),
    st.text(alphabet="-nthA=d05x ", max_size=5),
)


@given(st.lists(PIECES, max_size=8))
def test_words_are_read_or_refused_as_optparse_does(argv: list[str]) -> None:
    assert by_scan(argv) == by_optparse(argv)


@given(st.text(alphabet="0123456789xXbB+- _.e", max_size=6))
def test_an_integer_option_is_read_as_optparse_does(text: str) -> None:
    try:
        expected: int | None = optparse._parse_int(text)  # type: ignore[attr-defined]
    except ValueError:
        expected = None
    if "_" in text:
        expected = None  # Python 2, where these rules come from, has no underscores in numbers
    try:
        actual: int | None = option_int(text)
    except ValueError:
        actual = None
    assert actual == expected


@pytest.mark.parametrize("text", ["1_0", "\uff11", "0_7", "0x\uff11", "", "1.0", "1e3"])
def test_what_only_python_3_calls_a_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        option_int(text)
    with pytest.raises(ValueError):
        plain_int(text)


def refusal(argv: list[str], table: Table = TABLE) -> str:
    with pytest.raises(WordError) as caught:
        scan(argv, table, lambda _: None)
    return str(caught.value)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--no", "5"], "ambiguous option: --no (--nodecount, --notify?)"),
        (["-n", "five"], "option -n: invalid integer value: 'five'"),
        (["--nodecoun", "1.0"], "option --nodecount: invalid integer value: '1.0'"),
        (["-n"], "-n option requires an argument"),
        (["--tim"], "--time option requires an argument"),
        (["--held=yes"], "--held option does not take a value"),
        (["--nope=1"], "no such option: --nope"),
        (["-Z"], "no such option: -Z"),
    ],
)
def test_a_refusal_is_worded_as_python_2_words_it(argv: list[str], message: str) -> None:
    assert refusal(argv) == message


STAGE_IN = Option(dest="stage_in", names=("--stage-in",))
DRY_RUN = Option(dest="dry_run", names=("--dry-run",), takes="nothing")
WIDER = Table(QSUB, (STAGE_IN, DRY_RUN))


def met(argv: list[str]) -> list[tuple[str, object, bool]]:
    seen: list[tuple[str, object, bool]] = []
    scan(argv, WIDER, lambda g: seen.append((g.name, g.value, g.added)))
    return seen


def test_an_added_option_is_found_whole_abbreviated_and_repeated() -> None:
    assert met(["--stage-in", "a", "--stage-in=b", "--st", "c", "--dry"]) == [
        ("--stage-in", "a", True),
        ("--stage-in", "b", True),
        ("--stage-in", "c", True),
        ("--dry-run", None, True),
    ]


def test_a_prefix_that_fits_cobalts_options_never_means_an_added_one() -> None:
    assert refusal(["--d", "x"], WIDER) == (
        "ambiguous option: --d (--debug, --debuglog, --dependencies, --disable_preboot?)"
    )
    wider = Table(QSUB, (Option(dest="timeout", names=("--timeout",)),))
    seen: list[str] = []
    scan(["--tim", "5"], wider, lambda g: seen.append(g.name))
    assert seen == ["--time"]


def test_an_added_option_that_could_not_be_typed_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"--no could never be typed"):
        Table(QSUB, (Option(dest="no", names=("--no",)),))
    with pytest.raises(ValueError, match=r"-q is Cobalt's"):
        Table(QSUB, (Option(dest="x", names=("-q", "--extra")),))
    seen: list[tuple[str, object, bool]] = []
    scan(["-xlong"], Table(QSUB, (Option(dest="x", names=("-x",)),)), lambda g: seen.append((g.name, g.value, g.added)))
    assert seen == [("-x", "long", True)]
