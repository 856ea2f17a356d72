"""What a POST of jobs makes: documents, first statuses, digests; and how often to look at what is under way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from core_examples import ADA, ARCHIVE, LAB, a_document, a_job, an_input, an_output, raw_document
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.document import LARGEST
from chalicelib.core.errors import Invalid
from chalicelib.core.ids import JobNumber, UserId, user_tag
from chalicelib.core.job import Leg, State
from chalicelib.core.lifecycle import faults_of
from chalicelib.core.polling import LONGEST, SHORTEST, interval
from chalicelib.core.posting import MOST_JOBS, body_digest, contested, key_digest, read_documents


def faults(raw: Any) -> list[str]:
    with pytest.raises(Invalid) as refused:
        read_documents(raw)
    return [fault.pointer for fault in refused.value.faults]


def test_a_request_is_one_document_or_many() -> None:
    assert [document.name for document in read_documents(raw_document(name="one"))] == ["one"]
    many = {"jobs": [raw_document(name=f"n{index}") for index in range(3)]}
    assert [document.name for document in read_documents(many)] == ["n0", "n1", "n2"]


def test_every_fault_of_every_document_is_named_at_once() -> None:
    jobs = [raw_document(), raw_document(name="-", hold=1), [], raw_document(stage_in=[an_input("x")])]
    assert faults({"jobs": jobs}) == ["/jobs/1/name", "/jobs/1/hold", "/jobs/2", "/jobs/3/stage_in/0/source"]


@pytest.mark.parametrize("jobs", [[], {}, "x", None, [raw_document()] * (MOST_JOBS + 1)])
def test_a_list_of_jobs_has_one_to_a_thousand(jobs: Any) -> None:
    assert faults({"jobs": jobs}) == ["/jobs"]


def test_a_thousand_jobs_are_taken_at_once() -> None:
    assert len(read_documents({"jobs": [raw_document()] * MOST_JOBS})) == 1000


def test_a_document_beyond_its_size_is_refused_and_the_others_are_read_all_the_same() -> None:
    def filled(size: int) -> dict[str, Any]:
        content = "é" * (size // 2)
        return raw_document(files=[{"path": "a", "content": content}])

    assert len(read_documents(filled(LARGEST - 200))) == 1
    assert faults({"jobs": [filled(LARGEST + 2), raw_document(hold=1)]}) == ["/jobs/0", "/jobs/1/hold"]


@pytest.mark.parametrize("raw", [None, 1, "text", [], [raw_document()], {}])
def test_what_is_no_document_is_refused(raw: Any) -> None:
    assert faults(raw)


def test_text_that_no_one_can_store_is_a_fault_and_no_crash() -> None:
    assert faults(raw_document(arguments=["\ud800"])) == ["/arguments/0"]


def test_a_job_begins_new_with_its_inputs_pending_and_nothing_wrong() -> None:
    document = a_document(
        stage_in=[an_input(), an_input("/eagle/x", mode="link"), an_input(target="b")],
        cleanup=["tmp/"],
        tags={"a": "b"},
    )
    job = a_job(document)
    assert (job.state, job.version, job.revision, job.epoch) == (State.NEW, 1, 1, 0)
    assert job.legs == (Leg(item=0), Leg(item=2))
    assert (job.hold, job.cleanup, dict(job.tags), job.posted) == (None, True, {"a": "b"}, "posting")
    assert [(mark.version, mark.code) for mark in job.trail] == [(1, "submitted")]
    assert faults_of(job) == []


def test_a_status_holds_no_value_of_the_environment() -> None:
    job = a_job(a_document(environment={"PASSWORD": "hunter2"}, arguments=["hunter2"]))
    assert "hunter2" not in repr(job)


@pytest.mark.parametrize("cleanup", [False, []])
def test_no_cleanup_is_no_cleanup(cleanup: Any) -> None:
    assert not a_job(a_document(cleanup=cleanup)).cleanup


def test_requests_that_say_the_same_have_one_digest() -> None:
    assert body_digest({"a": 1, "b": [1, 2]}) == body_digest({"b": [1, 2], "a": 1})
    others = [{"a": 1}, {"a": "1"}, {"a": True}, {"a": None}, {"a": [1]}, {}, []]
    assert len({body_digest(other) for other in others}) == len(others)


def test_a_key_counts_for_its_user_and_its_purpose_alone() -> None:
    digests = {key_digest(user, purpose, "k") for user in (ADA, UserId("b")) for purpose in ("jobs", "sites")}
    assert len(digests) == 4
    assert not any(digest == "k" for digest in digests)


def places(*outputs: dict[str, Any], number: int = 1001, **fields: Any) -> set[str]:
    return set(contested(a_document(stage_out=list(outputs), **fields), JobNumber(number), 0))


def test_outputs_of_two_jobs_that_resolve_to_one_place_are_contested() -> None:
    one = places(an_output("a/", f"globus://{ARCHIVE}/r//{{name}}/./"), name="x")
    assert len(one) == 1
    assert one == places(an_output("b/", f"globus://{ARCHIVE}/r/{{tags.t}}"), number=1002, tags={"t": "x"})
    assert not one & places(an_output("a/", f"globus://{ARCHIVE}/r/{{name}}/"), name="y")
    assert not one & places(an_output("a/", f"globus://{LAB}/r/x/"))


def test_a_place_with_the_job_s_id_is_its_own_and_merge_welcomes_company() -> None:
    assert not places(an_output("a/", f"globus://{ARCHIVE}/r/{{id}}/"))
    assert not places(an_output("a/", f"globus://{ARCHIVE}/r/", merge=True))
    assert places(an_output("a/", f"globus://{ARCHIVE}/r/{{{{id}}}}/")), "a directory of that very name is nobody's own"
    assert places(an_output("{id}", f"globus://{ARCHIVE}/r/")), "nor is a file of that name"


def test_a_contested_place_tells_which_output_goes_there() -> None:
    document = a_document(stage_out=[an_output(), an_output("b/", f"globus://{ARCHIVE}/r/")])
    ((item, place),) = contested(document, JobNumber(1001), 0).values()
    assert (item, str(place)) == (1, f"globus://{ARCHIVE}/r/")


def test_a_user_s_tag_is_short_fit_for_paths_and_its_own() -> None:
    tags = {user_tag(UserId(f"user-{number}")) for number in range(1000)}
    assert len(tags) == 1000
    assert all(len(tag) == 12 and tag.isalnum() and tag == tag.lower() for tag in tags)


@given(st.timedeltas(timedelta(0), timedelta(days=30)), st.timedeltas(timedelta(0), timedelta(days=30)))
def test_the_interval_between_looks_grows_with_a_task_s_age_within_bounds(one: timedelta, other: timedelta) -> None:
    assert SHORTEST <= interval(one) <= LONGEST
    assert (one <= other) <= (interval(one) <= interval(other))
