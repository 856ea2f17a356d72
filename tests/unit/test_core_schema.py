"""The document's JSON Schema and its reader are two words for one thing.

They differ in what a schema cannot say and the reader's own docstrings do: the rules of paths and templates,
base64, counts that must agree, two things on one place, and text that cannot be stored (NUL, half of a
surrogate pair). So: what the reader takes is valid by the schema; and what is valid by the schema has no
fault but those.
"""

from __future__ import annotations

import copy
import json
import posixpath
import re
from collections.abc import Iterator
from typing import Any

import pytest
from core_examples import ARCHIVE, LAB, a_document, an_input, an_output, faults, raw_document
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]
from jsonschema.validators import extend  # type: ignore[import-untyped]

from chalicelib.core.document import SHAPE, read_document, schema
from chalicelib.core.errors import Fault
from chalicelib.core.ids import JobNumber
from chalicelib.core.shape import ABSENT


def _pattern(validator: Any, pattern: str, instance: Any, _: Any) -> Iterator[ValidationError]:
    """``$`` as JSON Schema means it (ECMA 262): the end, where Python's also stands before a last newline."""
    if isinstance(instance, str) and re.search(re.sub(r"\$$", r"\\Z", pattern), instance) is None:
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


VALIDATOR = extend(Draft202012Validator, {"pattern": _pattern})(schema())

FULL: dict[str, Any] = raw_document(
    name="md-run",
    arguments=["run.sh", ""],
    environment={"OMP_NUM_THREADS": "4"},
    inherit_environment=True,
    files=[{"path": "run.sh", "content": "IyE=", "encoding": "base64", "mode": "0755"}],
    stdin_path="in.txt",
    stdout_path="out.txt",
    stderr_path="err.txt",
    resources={"node_count": 2, "exclusive_node_use": False, "memory": 1, "process_count": 4, "processes_per_node": 2},
    attributes={"duration": 60, "queue_name": "q", "custom_attributes": {"cobalt.attrs": "x=1"}},
    stage_in=[an_input(target="inputs/"), an_input("/eagle/x", mode="link", optional=True, symlinks="ignore")],
    stage_out=[an_output(when=["on_error", "always"], merge=True), an_output("a", executable=False)],
    cleanup=["scratch/"],
    hold=True,
    staging="eager",
    tags={"run": "7"},
)
del FULL["stage_out"][1]["executable"]
LEAST = raw_document()

ODD = st.one_of(
    st.sampled_from(
        [
            *[None, True, False, 0, 1, -1, 2.0, 1.5, 2**53, 2**53 + 1, 1e30, float("inf"), float("nan")],
            *[
                "",
                "x",
                "a/b",
                "a" * 65,
                "a" * 4097,
                "0644",
                "0644\n",
                "job\n",
                "always",
                "é",
                "1",
                "copy",
                "../x",
                "{id}",
            ],
            *["globus://x/y", f"globus://{LAB}/a", f"globus://{ARCHIVE}/{{id}}/", "a b", "~", ".qstage", "{", "%"],
            *[[], {}, [[]], {"a": "b"}, ["always", "never"], ["a"] * 101, {"1": ""}, {"a": 1}, {"a b": ""}],
        ]
    ),
    st.text(max_size=8),
    st.integers(-3, 2_000_000),
).map(copy.deepcopy)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A good document with a few things changed, taken away or put in, wherever they stand."""
    document = copy.deepcopy(draw(st.sampled_from([FULL, LEAST, FULL])))
    for _ in range(draw(st.integers(0, 3))):
        holder, key = draw(st.sampled_from(list(_slots({"": document}))))
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "remove" if key != "":
                del holder[key]
            case "add" if isinstance(holder[key], dict):
                holder[key][draw(st.sampled_from(["content", "optional", "mode", "x", "1a", "a/b", "tags"]))] = draw(
                    ODD
                )
            case "add" if isinstance(holder[key], list):
                holder[key].append(copy.deepcopy(draw(st.sampled_from([*holder[key], 5, "a"]))))
            case _:
                holder[key] = draw(ODD)
        if key == "":
            document = holder[""]
    return document


def _slots(holder: Any) -> Iterator[tuple[Any, Any]]:
    entries = holder.items() if isinstance(holder, dict) else enumerate(holder)
    for key, value in list(entries):
        yield holder, key
        if isinstance(value, dict | list):
            yield from _slots(value)


def unstorable(value: Any) -> bool:
    text = json.dumps(value, ensure_ascii=False)
    return "\\u0000" in text or any("\ud800" <= c <= "\udfff" for c in text)


def fits_the_shape(raw: Any) -> bool:
    found: list[Fault] = []
    return SHAPE.read(raw, "", found) is not ABSENT and not found


def resolve(raw: Any, pointer: str) -> tuple[bool, Any]:
    """Follow a JSON pointer (RFC 6901); whether it leads somewhere, and the last object that it passed."""
    at, last = raw, None
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        last = at
        if isinstance(at, list) and key.isdigit() and int(key) < len(at):
            at = at[int(key)]
        elif isinstance(at, dict) and key in at:
            at = at[key]
        else:
            return False, (last, key)
    return True, at


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema())
    json.dumps(schema())
    assert VALIDATOR.is_valid(FULL)
    assert not faults(FULL)


@pytest.mark.parametrize(
    ("field", "most", "beyond"),
    [
        ("name", "n" * 64, "n" * 65),
        ("tags", {f"t{n}": "" for n in range(20)}, {f"t{n}": "" for n in range(21)}),
        ("arguments", ["a"] * 10_000, ["a"] * 10_001),
        ("stage_in", [an_input(target=f"{n}/") for n in range(100)], [an_input(target=f"{n}/") for n in range(101)]),
        ("attributes", {"duration": 366 * 86400}, {"duration": 366 * 86400 + 1}),
        ("resources", {"node_count": 1}, {"node_count": 0}),
        ("stage_out", [an_output(when=["always"])], [an_output(when=[])]),
    ],
)
def test_the_schema_has_the_reader_s_limits(field: str, most: Any, beyond: Any) -> None:
    assert VALIDATOR.is_valid({**LEAST, field: most})
    assert fits_the_shape({**LEAST, field: most})
    assert not VALIDATOR.is_valid({**LEAST, field: beyond})
    assert not fits_the_shape({**LEAST, field: beyond})


@settings(max_examples=300)
@given(mutated())
@example({**LEAST, "resources": {"node_count": 2.0}})
@example({**LEAST, "name": "job\n"})
def test_the_schema_and_the_shape_agree_on_every_document(raw: Any) -> None:
    if not unstorable(raw):
        assert VALIDATOR.is_valid(raw) == fits_the_shape(raw), list(VALIDATOR.iter_errors(raw))


@settings(max_examples=300)
@given(mutated())
def test_the_reader_never_breaks_and_each_fault_stands_at_something_or_at_what_is_missing(raw: Any) -> None:
    found = faults(raw)
    if not found:
        assert VALIDATOR.is_valid(raw), "what the reader takes is valid by the schema"
    for fault in found:
        assert fault.detail
        leads, where = resolve(raw, fault.pointer)
        if not leads:
            holder, key = where
            assert isinstance(holder, dict), f"{fault.pointer} leads nowhere"
            # Where a target was not given, to give one is the cure.
            assert fault.detail == "is required" or key == "target", f"{fault.pointer} names what was not given"


PATHS = st.lists(
    st.sampled_from(
        ["a", "b", "..", ".", "", "~", ".qstage", "{id}", "{name}", "{tags.t}", "{{", "}}", "%2e", "é", "{"]
    ),
    min_size=1,
    max_size=4,
).map("/".join)
PLACES = PATHS.map(lambda path: f"globus://{ARCHIVE}/{path}")


@settings(max_examples=300)
@given(
    st.lists(st.builds(an_input, PLACES, target=PATHS), max_size=2),
    st.lists(st.builds(an_output, PATHS, PLACES), max_size=2),
    st.dictionaries(st.just("t"), st.sampled_from(["x", "{id}", "~", "...", ".", ""])),
    st.integers(1001, 10**10),
    st.integers(0, 999),
)
def test_what_a_document_that_was_taken_names_stays_where_it_belongs(
    stage_in: list[Any], stage_out: list[Any], tags: dict[str, str], number: int, index: int
) -> None:
    raw = raw_document(stage_in=stage_in, stage_out=stage_out, tags=tags)
    if faults(raw):
        return
    document = read_document(raw)
    inside = [item.target for item in document.stage_in] + [item.source for item in document.stage_out]
    for path in inside:
        place = posixpath.normpath(posixpath.join("/jobs/1", path))
        assert place == "/jobs/1" or (place.startswith("/jobs/1/") and not f"{place}/".startswith("/jobs/1/.qstage/"))
    for item, target in zip(document.stage_out, document.targets(JobNumber(number), index), strict=True):
        assert target.collection == ARCHIVE
        assert ".." not in target.path.split("/")
        assert target.is_directory == (item.source == "" or item.source.endswith("/"))
    for wanted in document.stage_in:
        assert wanted.source is not None
        assert wanted.source.is_directory == (wanted.target == "" or wanted.target.endswith("/"))


@pytest.mark.parametrize("field", sorted(SHAPE.fields))
def test_a_default_that_the_schema_shows_is_the_reader_s(field: str) -> None:
    shown = schema()["properties"][field].get("default", None)
    if shown is not None:
        assert a_document(**{field: shown}).values == a_document().values
