"""The rules of paths, against the design's words."""

from __future__ import annotations

import posixpath

import pytest
from core_examples import LAB
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core import paths
from chalicelib.core.paths import Location

STEPS = st.sampled_from(["a", "b", "..", ".", "", "~", ".qstage", "a b", "é", "%2e%2e", "%2F", "{", "}", "...", "a\\b"])
WRITTEN = st.builds(
    lambda root, steps, tail: root + "/".join(steps) + tail,
    st.sampled_from(["", "/"]),
    st.lists(STEPS, max_size=6),
    st.sampled_from(["", "/"]),
)


def test_a_location_is_taken_as_it_is_written() -> None:
    place = paths.parse_location(f"globus://{LAB}/data/50%25 off/%2e%2e/a?b#c d/ü'\"")
    assert place == Location(LAB, "/data/50%25 off/%2e%2e/a?b#c d/ü'\"")
    assert not place.is_directory


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("/", "/"),
        ("/a", "/a"),
        ("/a/", "/a/"),
        ("//a///b", "/a/b"),
        ("/./a/.", "/a/"),
        ("/a/./b/./", "/a/b/"),
        ("/~/a", "/~/a"),
        ("/~/", "/~/"),
        ("/a/...", "/a/..."),
        ("/a/..b", "/a/..b"),
    ],
)
def test_a_location_s_path_has_one_form(written: str, path: str) -> None:
    assert paths.parse_location(f"globus://{LAB}{written}").path == path


@pytest.mark.parametrize(
    "written",
    [
        "",
        "globus://",
        f"globus://{LAB}",
        f"Globus://{LAB}/a",
        f"https://{LAB}/a",
        f"globus://{LAB.upper()}/a",
        f"globus://{LAB}x/a",
        f"globus:///{LAB}/a",
        "globus://lab/a",
        f"globus://{LAB}/a/../b",
        f"globus://{LAB}/..",
        f"globus://{LAB}/a\nb",
        f"globus://{LAB}/a\tb",
        f"globus://{LAB}/\x7f",
        f"globus://{LAB}/" + "a" * 4096,
    ],
)
def test_what_is_no_location_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        paths.parse_location(written)


@pytest.mark.parametrize(
    "escape",
    [
        "..",
        "../a",
        "a/..",
        "a/../..",
        "./../a",
        "a/../../b",
        "/a",
        "/",
        "~",
        "~/a",
        ".qstage",
        ".qstage/run",
        "./.qstage/run",
        ".//.qstage/",
        "a\x00b",
        "a\nb",
        "\x1b[2J",
    ],
)
def test_a_relative_path_stays_inside_the_job_s_directory(escape: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        paths.relative(escape)


@given(WRITTEN)
def test_whatever_relative_passes_lies_inside_and_not_in_what_is_qstage_s(written: str) -> None:
    try:
        plain = paths.relative(written)
    except ValueError:
        return
    inside = posixpath.normpath(posixpath.join("/jobs/1", plain))
    assert inside == "/jobs/1" or inside.startswith("/jobs/1/")
    assert not (inside + "/").startswith("/jobs/1/.qstage/")
    assert posixpath.normpath(posixpath.join("/jobs/1", written)) == inside, "the plain form is the same place"
    assert (plain == "" or plain.endswith("/")) == (written.split("/")[-1] in ("", ".")), "and of the same kind"


@given(WRITTEN)
def test_the_plain_form_of_an_absolute_path_is_its_own_plain_form(written: str) -> None:
    try:
        plain = paths.absolute(written)
    except ValueError:
        return
    assert plain.startswith("/")
    assert paths.absolute(plain) == plain
    assert not {"", ".", ".."} & set(plain.strip("/").split("/")) or plain == "/"


@pytest.mark.parametrize(
    ("source", "target", "lands"),
    [
        ("/data/in/", "", ""),
        ("/data/in/", "inputs/", "inputs/"),
        ("/data/in/", "inputs", "inputs/"),
        ("", "out", "out/"),
        ("/data/a.h5", "", "a.h5"),
        ("/data/a.h5", "inputs/", "inputs/a.h5"),
        ("/data/a.h5", "inputs/b.h5", "inputs/b.h5"),
    ],
)
def test_a_directory_s_contents_go_into_the_target_and_a_file_goes_under_its_name(
    source: str, target: str, lands: str
) -> None:
    assert paths.landing(source, target) == lands


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("/a/", "/a/", True),
        ("/a/", "/a", True),
        ("/a/", "/a/b", True),
        ("/a/b/", "/a/", True),
        ("/", "/a", True),
        ("/a", "/ab", False),
        ("/a/", "/ab/", False),
        ("/a/b", "/a/c", False),
    ],
)
def test_destinations_overlap_where_one_is_or_holds_the_other(one: str, other: str, meet: bool) -> None:
    assert paths.overlap(one, other) is meet
    assert paths.overlap(other, one) is meet


def test_a_template_s_placeholders_are_filled_and_doubled_braces_are_braces() -> None:
    template = "/r/{{x}}/{name}-{id}/{index}/{tags.run}/{{{id}}}"
    assert paths.placeholders(template) == ("name", "id", "index", "tags.run", "id")
    filled = paths.fill(template, number=1001, name="md", index=7, tags={"run": "R%2F{id}"})
    assert filled == "/r/{x}/md-1001/7/R%2F{id}/{1001}", "what a tag holds is not filled again"


@pytest.mark.parametrize("template", ["{", "}", "a{b", "{}", "{job}", "{id }", "{tags}", "{id:>8}", "{name.x}", "{{}"])
def test_a_template_with_a_lone_brace_or_an_unknown_name_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"brace|known"):
        paths.placeholders(template)


@pytest.mark.parametrize("value", ["", ".", "..", "a/b", "/", "../x", "a\nb", "\x00"])
def test_a_tag_is_one_step_of_a_path_at_most(value: str) -> None:
    with pytest.raises(ValueError, match="step"):
        paths.fill("/{tags.t}", number=1, name="n", index=0, tags={"t": value})


def test_a_missing_tag_is_named() -> None:
    with pytest.raises(ValueError, match=r"tags\.run"):
        paths.fill("/{tags.run}", number=1, name="n", index=0, tags={"ran": "1"})
