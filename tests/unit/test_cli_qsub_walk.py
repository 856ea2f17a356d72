"""Random qsub lines against Cobalt's own rules, restated here by hand: what is accepted, what is refused, in which
words, and which of several faults is the one that is told."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qstage.cli.app import run


@dataclass(frozen=True)
class Piece:
    """Some words of a line: what they set when they are right, or how the line ends when they are not."""

    words: tuple[str, ...]
    sets: dict[str, Any] = field(default_factory=dict)
    status: int = 0
    said: str = ""
    unmapped: str = ""


def right(words: str, **sets: Any) -> Piece:
    return Piece(tuple(words.split()), sets)


def wrong(words: str, status: int, said: str) -> Piece:
    return Piece(tuple(words.split()), status=status, said=said)


def foreign(words: str, said: str) -> Piece:
    return Piece(tuple(words.split()), unmapped=said)


TIME = "invalid time specification: "
PIECES = [
    *(right(words, nodes=2) for words in ("-n 2", "-n2", "--nodecount 2", "--nodecount=2", "--nodecoun=2", "-n 0x2")),
    right("-n 010", nodes=8),
    right("-n 0b11", nodes=3),
    *(wrong(f"-n {word}", 2, f"option -n: invalid integer value: '{word}'") for word in ("five", "1e3", "1.0", "2_0")),
    *(wrong(f"-n {word}", 1, "node count out of realistic range") for word in ("0", "-3")),
    *(right(words, minutes=30) for words in ("-t 30", "-t30", "--time=30", "--tim 30", "-t 0:30", "-t +30")),
    right("-t 01:30:59", minutes=90),
    right("-t 1:00:00:00", minutes=1440),
    right("-t 1:75:00", minutes=135),
    wrong("-t abc", 1, f"{TIME}illegal value 'abc' for minutes"),
    wrong("-t 1:x", 1, f"{TIME}illegal value 'x' for minutes"),
    wrong("-t 0:0:60", 1, f"{TIME}seconds value '60' outside range [0, 59]"),
    wrong("-t=-5", 1, f"{TIME}illegal value '=-5' for minutes"),
    wrong("--time=-5", 1, f"{TIME}minutes value must not be negative"),
    wrong("-t 1:2:3:4:5", 1, f"{TIME}time may be specified as minutes, HH:MM, HH:MM:SS, or DD:HH:MM:SS"),
    right("-A chem", account="chem"),
    right("--project=bio", account="bio"),
    right("-q debug", queue="debug"),
    right("-qdebug", queue="debug"),
    right("--proccount 8", processes=8),
    wrong("--proccount 0", 1, "--proccount is 0 which is greater <= to zero"),
    right("-h", hold=True),
    right("--held", hold=True),
    right("--jobname md-1", name="md-1"),
    right("-u 027", umask=True),
    wrong("-u 999", 1, "Invalid umask value 999"),
    wrong("--env=A", 1, "Improperly formatted argument to env : ['A']"),
    wrong("--attrs a=b=c", 1, "Improperly formatted argument to attrs : a=b=c"),
    wrong("--mode smp", 1, "Specifed mode 'smp' not valid, valid modes are"),
    right("--mode script"),
    right("-d"),
    right("-v"),
    right("-M a@b.c", notify="a@b.c"),
    wrong("--no x", 2, "ambiguous option: --no (--nodecount, --notify?)"),
    wrong("--nosuch", 2, "no such option: --nosuch"),
    wrong("-Z", 2, "no such option: -Z"),
    wrong("--held=1", 2, "--held option does not take a value"),
    wrong("--geometry 1x2x3", 1, "Invalid geometry entered: "),
    foreign("--geometry 1x2x3x4", "--geometry"),
    foreign("--kernel k", "--kernel"),
    foreign("-K k", "--kerneloptions"),
    foreign("--ion_kernel k", "--ion_kernel"),
    foreign("--preemptable", "--preemptable"),
    foreign("--disable_preboot", "--disable_preboot"),
    foreign("--run_project", "--run_project"),
]  # fmt: skip
QUIET = (("-d",), ("-v",))
"""Options that Cobalt does not count as options given."""


@pytest.fixture(autouse=True, scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    home = tmp_path_factory.mktemp("login")
    (home / "config.toml").write_text('site = "theta"\n')
    (home / "config.toml").chmod(0o600)
    (home / "run.sh").write_text("#!/bin/bash\n")
    (home / "run.sh").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("QSTAGE_")]:
            patch.delenv(name)
        patch.setenv("QSTAGE_CONFIG", str(home / "config.toml"))
        patch.chdir(home)
        yield


def typed(words: list[str]) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run(["qsub", *words])
    return status, out.getvalue(), err.getvalue()


def expected_end(pieces: list[Piece]) -> tuple[int, str] | None:
    """The exit status and the words of the fault that counts; None where the line is right."""
    for place, piece in enumerate(pieces):
        if piece.words == ("--mode", "smp") and any(one.words == ("--mode", "script") for one in pieces[:place]):
            return 1, "Mode already set to 'script' and trying to set it again to 'smp'"
        if piece.said:
            return piece.status, piece.said
    if not [piece for piece in pieces if piece.words not in QUIET]:
        return 1, "No required options provided"
    given = {name for piece in pieces for name in piece.sets}
    for name, word in (("minutes", "time"), ("nodes", "nodecount")):
        if name not in given:
            return 1, f"'{word}' not provided"
    if any(piece.unmapped for piece in pieces):
        return 1, next(piece.unmapped for piece in pieces if piece.unmapped)
    return None


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=7))
@example([])
@example([PIECES[0], right("-t 30", minutes=30)])
def test_a_line_is_taken_or_refused_as_cobalt_would_for_its_first_fault(pieces: list[Piece]) -> None:
    words = [word for piece in pieces for word in piece.words]
    status, out, err = typed(["--dry-run", *words, "run.sh", "-n", "five"])
    end = expected_end(pieces)
    if end is not None:
        assert status == end[0]
        if any(piece.unmapped == end[1] for piece in pieces):
            assert any(piece.unmapped in err for piece in pieces if piece.unmapped)
            assert err.startswith("qstage: ")
        else:
            assert end[1] in err
        return
    assert (status, err) == (0, "")
    said = {name: value for piece in pieces for name, value in piece.sets.items()}
    document = json.loads(out)
    attributes = {"duration": said["minutes"] * 60}
    attributes |= {"queue_name": said["queue"]} if "queue" in said else {}
    attributes |= {"account": said["account"]} if "account" in said else {}
    assert document["arguments"] == ["-n", "five"]
    assert document["attributes"] == attributes
    assert document["resources"]["node_count"] == said["nodes"]
    assert document["resources"].get("process_count") == said.get("processes")
    assert document.get("hold", False) is said.get("hold", False)
    assert document["name"] == said.get("name", "run")
    assert document.get("notify") == ({"email": said["notify"]} if "notify" in said else None)
    assert len(document["files"]) == 1 + ("umask" in said)


@settings(max_examples=100)
@given(st.lists(st.sampled_from(PIECES), max_size=5), st.lists(st.sampled_from(PIECES), max_size=5))
def test_directives_count_as_words_before_the_line(inside: list[Piece], outside: list[Piece]) -> None:
    lines = "".join(f"#COBALT {' '.join(piece.words)}\n#QSTAGE tag a=b\n" for piece in inside)
    Path("own.sh").write_text(f"#!/bin/bash\n{lines}\n#COBALT --nosuch\n")
    Path("own.sh").chmod(0o755)
    status, out, err = typed(["--dry-run", *(word for piece in outside for word in piece.words), "own.sh"])
    early = next((piece for piece in outside if piece.said), None)  # the line is read once before its script is
    end = (
        (early.status, early.said)
        if early
        else expected_end([*([right("--mode script")] if inside else []), *inside, *outside])
    )
    if end is None:
        assert (status, json.loads(out)["resources"]["node_count"]) == (
            0, [piece.sets["nodes"] for piece in [*inside, *outside] if "nodes" in piece.sets][-1],
        )  # fmt: skip
    else:
        assert status == end[0]
        assert end[1] in err or any(piece.unmapped and piece.unmapped in err for piece in [*inside, *outside])


@given(st.lists(st.sampled_from(["--attrs a=1", "--attrs b=2:flag:no_x"]), min_size=2, max_size=3))
def test_attrs_given_twice_is_refused_in_cobalts_words(options: list[str]) -> None:
    words = " ".join(options).split()
    status, _, err = typed(["--dry-run", "-n", "1", "-t", "5", *words, "run.sh"])
    assert status == 1
    assert err.startswith("Multiple --attrs options not supported.  Specify multiple attributes as follows: ")


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(["1", "x:y", "http://h:80/p"])), min_size=1, max_size=4)
)
def test_env_in_two_words_is_a_union_and_joined_by_an_equals_sign_the_last_wins(pairs: list[tuple[str, str]]) -> None:
    two = [word for name, value in pairs for word in ("--env", f"{name}={value}")]
    one = [f"--env={name}={value}" for name, value in pairs]
    base = ["--dry-run", "-n", "1", "-t", "5"]
    assert json.loads(typed([*base, *two, "run.sh"])[1])["environment"] == dict(pairs)
    assert json.loads(typed([*base, *one, "run.sh"])[1])["environment"] == dict(pairs[-1:])
