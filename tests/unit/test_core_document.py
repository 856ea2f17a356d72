"""The job document: what is read, what is refused, and that every fault is named at once and in its place."""

from __future__ import annotations

from typing import Any

import pytest
from core_examples import ARCHIVE, LAB, a_document, an_input, an_output, faults, pointers, raw_document

from chalicelib.core.document import LARGEST, MOST_ITEMS, Document, read_document
from chalicelib.core.errors import Invalid
from chalicelib.core.ids import JobNumber
from chalicelib.core.paths import Location


def test_the_design_s_own_example_is_read() -> None:
    document = a_document(
        name="md-run",
        executable="/bin/bash",
        arguments=["run.sh"],
        files=[{"path": "run.sh", "content": "#!/bin/bash\n", "mode": "0755"}],
        environment={"OMP_NUM_THREADS": "4"},
        resources={"node_count": 2},
        attributes={"duration": 1800, "queue_name": "default", "account": "chem"},
        stage_in=[an_input(f"globus://{LAB}/data/in/", target="inputs/")],
        stage_out=[an_output(target=f"globus://{ARCHIVE}/runs/{{name}}-{{id}}/", when=["always"], optional=False)],
        cleanup=True,
        hold=False,
        staging="eager",
        tags={"run": "7"},
    )
    assert document.stage_in[0].source == Location(LAB, "/data/in/")
    assert document.stage_in[0].target == "inputs/"
    assert document.targets(JobNumber(1001), 0) == (Location(ARCHIVE, "/runs/md-run-1001/"),)
    assert document.collections() == {LAB, ARCHIVE}


def test_what_is_not_said_has_the_design_s_defaults() -> None:
    document = a_document(stage_in=[an_input("globus://" + LAB + "/data/a.h5")], stage_out=[an_output()])
    assert (document.name, document.hold, document.cleanup, dict(document.tags)) == ("job", None, False, {})
    moved, out = document.stage_in[0], document.stage_out[0]
    assert (moved.target, moved.optional) == ("a.h5", False)
    assert (out.when, out.optional, out.symlinks, out.merge) == ({"always"}, False, "fail", False)


def test_what_was_sent_is_kept_word_for_word() -> None:
    raw = raw_document(stage_in=[an_input(target="./inputs//")], environment={"A": "b"})
    before = repr(raw)
    assert read_document(raw).raw == raw
    assert repr(raw) == before


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": "-x"}, "/name"),
    ({"site": "Theta!"}, "/site"),
    ({"executable": ""}, "/executable"),
    ({"arguments": ["a", 5]}, "/arguments/1"),
    ({"arguments": "a"}, "/arguments"),
    ({"environment": {"1A": "x"}}, "/environment/1A"),
    ({"environment": {"A/~B": "x"}}, "/environment/A~1~0B"),
    ({"environment": {"A": None}}, "/environment/A"),
    ({"files": [{"path": "a"}]}, "/files/0/content"),
    ({"files": [{"path": "a", "content": "x", "mode": "u+x"}]}, "/files/0/mode"),
    ({"files": [{"path": "a", "content": "#", "encoding": "base64"}]}, "/files/0/content"),
    ({"files": [{"path": "a/", "content": ""}]}, "/files/0/path"),
    ({"files": [{"path": "../a", "content": ""}]}, "/files/0/path"),
    ({"files": [{"path": ".qstage/run", "content": ""}]}, "/files/0/path"),
    ({"stdin_path": "/etc/passwd"}, "/stdin_path"),
    ({"stdout_path": "../out"}, "/stdout_path"),
    ({"stderr_path": "logs/"}, "/stderr_path"),
    ({"resources": {"node_count": 0}}, "/resources/node_count"),
    ({"resources": {"node_count": True}}, "/resources/node_count"),
    ({"resources": {"node_count": 2, "processes_per_node": 3, "process_count": 5}}, "/resources/process_count"),
    ({"attributes": {"duration": 0}}, "/attributes/duration"),
    ({"attributes": {"duration": "1800"}}, "/attributes/duration"),
    ({"stage_in": {}}, "/stage_in"),
    ({"stage_in": [an_input("/data/in")]}, "/stage_in/0/source"),
    ({"stage_in": [an_input(target="/abs")]}, "/stage_in/0/target"),
    ({"stage_in": [an_input(target="../up")]}, "/stage_in/0/target"),
    ({"stage_in": [an_input(mode="move")]}, "/stage_in/0/mode"),
    ({"stage_in": [an_input(mode="link")]}, "/stage_in/0/source"),
    ({"stage_in": [an_input("/data/../etc/passwd", mode="link")]}, "/stage_in/0/source"),
    ({"stage_in": [an_input(f"globus://{LAB}/data/in/", executable=True)]}, "/stage_in/0/executable"),
    ({"stage_out": [an_output("/etc/")]}, "/stage_out/0/source"),
    ({"stage_out": [an_output("results/../..")]}, "/stage_out/0/source"),
    ({"stage_out": [{"source": "results/"}]}, "/stage_out/0/target"),
    ({"stage_out": [an_output(target="runs/{id}/")]}, "/stage_out/0/target"),
    ({"stage_out": [an_output(target=f"globus://{ARCHIVE}/{{jobid}}/")]}, "/stage_out/0/target"),
    ({"stage_out": [an_output(target=f"globus://{ARCHIVE}/{{tags.run}}/")]}, "/stage_out/0/target"),
    ({"stage_out": [an_output(target=f"globus://{ARCHIVE}/a/../b/")]}, "/stage_out/0/target"),
    ({"stage_out": [an_output(when=[])]}, "/stage_out/0/when"),
    ({"stage_out": [an_output(when=["on_success", "on_failure"])]}, "/stage_out/0/when/1"),
    ({"cleanup": ["results", "../../home"]}, "/cleanup/1"),
    ({"cleanup": "yes"}, "/cleanup"),
    ({"hold": 1}, "/hold"),
    ({"staging": "late"}, "/staging"),
    ({"tags": {"run": 7}}, "/tags/run"),
    ({"stage-in": []}, "/stage-in"),
    ({"a/b~c": 1}, "/a~1b~0c"),
]


@pytest.mark.parametrize(("fields", "pointer"), WRONG, ids=[f"{pointer} {fields}"[:60] for fields, pointer in WRONG])
def test_a_fault_is_named_where_it_is(fields: dict[str, Any], pointer: str) -> None:
    found = faults(raw_document(**fields))
    assert [fault.pointer for fault in found] == [pointer]
    assert found[0].detail, "in words"


def test_every_fault_of_a_document_is_named_at_once() -> None:
    document = {
        "name": "-",
        "arguments": [1],
        "stdin_path": "../x",
        "resources": {"node_count": 2, "processes_per_node": 2, "process_count": 3, "memory": "4G"},
        "files": [
            {"path": "../x", "content": 5},
            {"path": "a", "content": "one"},
            {"path": "./a", "content": "two"},
            {"path": "b", "content": "one"},
            {"path": "b", "content": "two", "mode": "rwx"},
        ],
        "stage_in": [
            {"source": "nowhere", "target": "../up", "optional": "yes"},
            an_input(target="a"),
            an_input(target="c"),
            an_input(target="./c"),
        ],
        "stage_out": [
            {"source": "../x", "target": "nowhere", "merge": 1},
            an_output(target=f"globus://{ARCHIVE}/{{tags.none}}/"),
        ],
        "unknown": True,
    }
    assert sorted(pointers(document)) == sorted(
        [
            "/name",
            "/site",
            "/executable",
            "/arguments/0",
            "/stdin_path",
            "/resources/memory",
            "/resources/process_count",
            "/files/0/path",
            "/files/0/content",
            "/files/2/path",
            "/files/4/path",
            "/files/4/mode",
            "/stage_in/0/source",
            "/stage_in/0/target",
            "/stage_in/0/optional",
            "/stage_in/1/target",
            "/stage_in/3/target",
            "/stage_out/0/source",
            "/stage_out/0/target",
            "/stage_out/0/merge",
            "/stage_out/1/target",
            "/unknown",
        ]
    )


def test_faults_stand_under_the_place_of_the_document_in_the_request() -> None:
    with pytest.raises(Invalid) as refused:
        read_document(raw_document(files=[{"path": "../a", "content": 1}], hold="no"), "/jobs/3")
    assert sorted(fault.pointer for fault in refused.value.faults) == [
        "/jobs/3/files/0/content",
        "/jobs/3/files/0/path",
        "/jobs/3/hold",
    ]


@pytest.mark.parametrize("raw", [None, True, 5, "text", [], [{}]])
def test_what_is_no_object_is_refused_as_a_whole(raw: Any) -> None:
    assert pointers(raw) == [""]


def test_a_bad_tag_is_one_fault_though_a_template_uses_it() -> None:
    out = an_output(target=f"globus://{ARCHIVE}/{{tags.run}}/")
    assert pointers(raw_document(tags={"run": 7}, stage_out=[out])) == ["/tags/run"]
    assert pointers(raw_document(tags=[], stage_out=[out])) == ["/tags"]


@pytest.mark.parametrize("value", ["", ".", "..", "a/b", "\n"])
def test_a_tag_that_would_add_steps_to_a_target_is_refused_where_it_is_used(value: str) -> None:
    assert not faults(raw_document(tags={"run": value}))
    used = raw_document(tags={"run": value}, stage_out=[an_output(target=f"globus://{ARCHIVE}/{{tags.run}}/")])
    assert pointers(used) == ["/stage_out/0/target"]


def test_tags_that_together_climb_out_of_a_target_are_refused() -> None:
    climbing = raw_document(
        tags={"a": "."}, stage_out=[an_output(target=f"globus://{ARCHIVE}/x/{{tags.a}}{{tags.a}}/")]
    )
    assert pointers(climbing) == ["/stage_out/0/target"]


def test_a_target_that_is_too_long_when_it_is_filled_is_refused() -> None:
    long = raw_document(tags={"t": "t" * 256}, stage_out=[an_output(target=f"globus://{ARCHIVE}/" + "{tags.t}/" * 20)])
    assert pointers(long) == ["/stage_out/0/target"]
    under_its_name = an_output("s" * 3000, f"globus://{ARCHIVE}/" + "t" * 2000 + "/")
    assert pointers(raw_document(stage_out=[under_its_name])) == ["/stage_out/0/target"]


def test_a_collection_cannot_be_made_of_placeholders() -> None:
    made = ARCHIVE[:-1] + "{index}"
    assert pointers(raw_document(stage_out=[an_output(target=f"globus://{made}/runs/{{id}}/")])) == [
        "/stage_out/0/target"
    ]


def test_percent_signs_are_taken_literally() -> None:
    document = a_document(
        stage_in=[an_input(f"globus://{LAB}/50%25/%2e%2e/a%2Fb", target="%7E/")],
        stage_out=[an_output("%7Bx%7D", f"globus://{ARCHIVE}/100%/")],
    )
    assert document.stage_in[0].source == Location(LAB, "/50%25/%2e%2e/a%2Fb")
    assert document.stage_in[0].target == "%7E/a%2Fb"
    assert document.targets(JobNumber(1001), 0) == (Location(ARCHIVE, "/100%/%7Bx%7D"),)


def test_braces_in_the_name_of_a_file_are_braces_at_its_target_too() -> None:
    document = a_document(
        stage_in=[an_input(f"globus://{LAB}/{{id}}.h5")],
        stage_out=[
            an_output("out/{id}{{x.txt", f"globus://{ARCHIVE}/{{id}}/"),
            an_output("{", f"globus://{ARCHIVE}/{{{{kept}}}}/"),
        ],
    )
    assert document.stage_in[0].target == "{id}.h5"
    assert document.stage_out[0].source == "out/{id}{{x.txt"
    assert document.targets(JobNumber(1001), 0) == (
        Location(ARCHIVE, "/1001/{id}{{x.txt"),
        Location(ARCHIVE, "/{kept}/{"),
    )


@pytest.mark.parametrize("target", ["out", "out/", "out/.", "./out//", "/out/./"])
def test_a_directory_s_contents_go_into_its_target_however_that_is_written(target: str) -> None:
    document = a_document(stage_out=[an_output("results/", f"globus://{ARCHIVE}/{target}")])
    assert document.targets(JobNumber(1), 0) == (Location(ARCHIVE, "/out/"),)


@pytest.mark.parametrize("target", ["out/", "out/.", "./out//"])
def test_a_file_lands_under_its_name_in_a_directory_however_that_is_written(target: str) -> None:
    document = a_document(stage_out=[an_output("r/a.h5", f"globus://{ARCHIVE}/{target}")])
    assert document.targets(JobNumber(1), 0) == (Location(ARCHIVE, "/out/a.h5"),)


def test_a_link_names_a_path_of_the_site() -> None:
    linked = a_document(stage_in=[an_input("/eagle/data/", target="data", mode="link")]).stage_in[0]
    assert (linked.source, linked.site_path, linked.target) == (None, "/eagle/data/", "data/")


@pytest.mark.parametrize("mode", ["copy", "link"])
def test_nothing_lands_on_what_is_qstage_s(mode: str) -> None:
    source = "/data/.qstage" if mode == "link" else f"globus://{LAB}/data/.qstage"
    assert pointers(raw_document(stage_in=[an_input(source, mode=mode)])) == ["/stage_in/0/target"]
    assert not faults(raw_document(stage_in=[an_input(source, mode=mode, target="sub/")]))


def test_the_executable_is_inside_the_job_s_directory_or_absolute() -> None:
    assert not faults(raw_document(executable="./run.sh"))
    assert not faults(raw_document(executable="/opt/app/bin/run"))
    for escape in ("../run.sh", "bin/../../x", ".qstage/run", "bin/"):
        assert pointers(raw_document(executable=escape)) == ["/executable"]


def test_two_things_on_one_place_are_refused_and_the_second_is_named() -> None:
    twice = raw_document(
        files=[{"path": "run.sh", "content": ""}],
        stage_in=[an_input(f"globus://{LAB}/run.sh"), an_input("/data/run.sh", mode="link"), an_input(target="d/")],
    )
    found = faults(twice)
    assert [fault.pointer for fault in found] == ["/stage_in/0/target", "/stage_in/1/target"]
    assert "/files/0" in found[0].detail
    assert "/stage_in/0" in found[1].detail


def test_directories_may_be_poured_together() -> None:
    both = [an_input(f"globus://{LAB}/a/", target="in/"), an_input(f"globus://{LAB}/b/", target="in/")]
    assert not faults(raw_document(stage_in=both))


@pytest.mark.parametrize(
    ("most", "beyond", "pointer"),
    [
        ({"name": "n" * 64}, {"name": "n" * 65}, "/name"),
        ({"arguments": ["a"] * 10_000}, {"arguments": ["a"] * 10_001}, "/arguments"),
        ({"arguments": ["a" * 32768]}, {"arguments": ["a" * 32769]}, "/arguments/0"),
        ({"stdin_path": "p" * 4096}, {"stdin_path": "p" * 4097}, "/stdin_path"),
        (
            {"attributes": {"duration": 366 * 86400}},
            {"attributes": {"duration": 366 * 86400 + 1}},
            "/attributes/duration",
        ),
        ({"tags": {f"t{n}": "" for n in range(20)}}, {"tags": {f"t{n}": "" for n in range(21)}}, "/tags"),
        (
            {"stage_in": [an_input(target=f"{n}/") for n in range(MOST_ITEMS)]},
            {"stage_in": [an_input(target=f"{n}/") for n in range(MOST_ITEMS + 1)]},
            "/stage_in",
        ),
        (
            {"files": [{"path": "a", "content": "x" * LARGEST}]},
            {"files": [{"path": "a", "content": "x" * (LARGEST + 1)}]},
            "/files/0/content",
        ),
    ],
)
def test_a_limit_is_kept_to_the_letter(most: dict[str, Any], beyond: dict[str, Any], pointer: str) -> None:
    assert not faults(raw_document(**most))
    assert pointers(raw_document(**beyond)) == [pointer]


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
def test_text_that_cannot_be_stored_is_refused(text: str) -> None:
    assert pointers(raw_document(arguments=[text])) == ["/arguments/0"]


def test_a_count_of_processes_that_agrees_may_be_given_twice() -> None:
    agreed = {"node_count": 2, "processes_per_node": 3, "process_count": 6}
    assert isinstance(a_document(resources=agreed), Document)


def test_filters_and_encryption_become_the_options_of_an_item() -> None:
    document = a_document(
        stage_in=[an_input(f"globus://{LAB}/d/", include=["*.h5", "*.txt"], exclude=["tmp*", ".git/"], encrypt=True)],
        stage_out=[an_output("results/", exclude=["core.*"])],
    )
    (inward,), (out,) = document.stage_in, document.stage_out
    told = [(rule.method, rule.name, rule.kind) for rule in inward.options.rules]
    assert told == [
        ("exclude", "tmp*", "file"),
        ("exclude", ".git", "dir"),
        ("include", "*.h5", "file"),
        ("include", "*.txt", "file"),
        ("exclude", "*", "file"),
    ]
    assert (inward.options.encrypt, out.options.encrypt) == (True, False)
    assert [(rule.method, rule.name) for rule in out.options.rules] == [("exclude", "core.*")]


def test_filters_that_cannot_be_are_refused_by_name() -> None:
    raw = raw_document(
        stage_in=[
            an_input(f"globus://{LAB}/one.txt", include=["*"]),
            an_input(f"globus://{LAB}/d/", target="d", include=["a/b", "x/"], exclude=["a/b", "/", ""]),
            an_input("/eagle/x/", target="l/", mode="link", exclude=["a"]),
        ],
        stage_out=[an_output("log.txt", exclude=["*"])],
    )
    assert pointers(raw) == [
        "/stage_in/1/exclude/2",
        "/stage_in/0/include",
        "/stage_in/1/include/0",
        "/stage_in/1/include/1",
        "/stage_in/1/exclude/0",
        "/stage_in/1/exclude/1",
        "/stage_in/2/mode",
        "/stage_out/0/exclude",
    ]
