"""Changing the document of a job that exists: what may be changed when, and what goes on with the old one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from loop_house import ADA, ARCHIVE, LAB, OTHER, CrashNow, House, a_document

from chalicelib.core.altering import ALTERABLE
from chalicelib.core.document import SHAPE
from chalicelib.core.errors import Conflict, Invalid, NotFound
from chalicelib.core.ids import JobNumber
from chalicelib.core.job import State

LONGER = {"attributes": {"duration": 7200}}
UNLEASED = {"new", "stage_in", "staged"}
LIVE = {*UNLEASED, "leased", "queued", "active", "stage_out"}


def at(state: str, **fields: Any) -> tuple[House, JobNumber]:
    """A job in this state."""
    house = House()
    house.globus.takes = timedelta(minutes=5)
    (number,) = house.post(a_document(**fields))
    for _ in range(60):
        job = house.job(number)
        if job.state.value == state or (state == "leased" and job.leased_until is not None):
            return house, number
        house.clock.turn(minutes=1)
        house.by_sweep_alone()
        if house.job(number).state is not State.STAGED:
            house.agent.work(1)
        elif state == "leased":
            house.agent.call()
        elif state != "staged":
            house.agent.work(1)
    raise AssertionError(f"it never was {state}")


def document(house: House, number: JobNumber) -> Any:
    return house.manage.show(ADA, number).document


@pytest.mark.parametrize("state", sorted(LIVE))
@pytest.mark.parametrize(
    ("patch", "states"),
    [
        ({"name": "other"}, {"new"}),
        ({"stage_in": []}, {"new"}),
        ({"resources": {"memory": 1}}, UNLEASED),
        ({"arguments": ["-x"]}, UNLEASED),
        ({"stage_out": []}, UNLEASED),
        ({"tags": {"run": "8"}}, LIVE),
        ({"retry": {"attempts": 2}}, LIVE),
        ({"site": "mira"}, set()),
        ({"hold": True}, set()),
        ({"depends_on": [1001]}, set()),
    ],
)
def test_a_field_is_changed_in_the_states_that_the_table_says_and_refused_by_name_in_others(
    state: str, patch: dict[str, Any], states: set[str]
) -> None:
    house, number = at(state)
    before = house.job(number)
    if state in states:
        seen = house.manage.alter(ADA, number, patch)
        assert (seen.job.revision, seen.job.state) == (2, before.state)
        assert seen.document is not None
        assert all(seen.document[name] == value for name, value in patch.items())
        house.live_on(90)
        assert house.job(number).state is State.COMPLETED
        return
    with pytest.raises(Conflict) as refused:
        house.manage.alter(ADA, number, patch)
    assert refused.value.code == "not-alterable"
    assert all(name in str(refused.value) for name in patch)
    assert f"is {state}" in str(refused.value)
    assert house.job(number) == before


def test_the_table_names_fields_of_the_document_and_no_others() -> None:
    assert set(SHAPE.fields) - set(ALTERABLE) == {"site", "depends_on", "hold", "staging"}
    assert set(ALTERABLE) <= set(SHAPE.fields)


def test_the_site_is_given_the_document_as_it_is_by_then() -> None:
    house, number = at("staged")
    house.manage.alter(ADA, number, {**LONGER, "environment": {"A": "1"}})
    (lease,) = house.agent.call().leases
    assert lease.document.values["attributes"]["duration"] == 7200
    assert lease.document.values["environment"] == {"A": "1"}


def test_a_merge_patch_changes_what_it_names_and_null_removes() -> None:
    house, number = at("new", attributes={"duration": 60, "account": "chem"}, tags={"a": "1", "b": "2"})
    house.manage.alter(ADA, number, {"attributes": {"duration": 90}, "tags": {"a": None, "c": "3"}})
    found = document(house, number)
    assert found["attributes"] == {"duration": 90, "account": "chem"}
    assert found["tags"] == {"b": "2", "c": "3"} == dict(house.job(number).tags)


def test_an_alteration_between_a_draft_and_its_claim_keeps_the_job_out_of_that_batch() -> None:
    """The input now comes from another collection: a batch by the old route must not take it on."""
    house = House()
    house.globus.put(OTHER, "/y")
    (number,) = house.post(a_document())
    patch = {"stage_in": [{"source": f"globus://{OTHER}/y", "target": "y"}]}

    def meanwhile(call: str, moment: str) -> None:
        if call == "globus.submission" and moment == "after":
            house.gate = lambda call, moment: None
            house.manage.alter(ADA, number, patch)

    house.gate = meanwhile
    house.live_on()
    assert house.job(number).revision == 2
    assert house.job(number).state is State.COMPLETED
    sent = [move.source for task in house.globus.of_job(number) for move in task.movements]
    assert str(sent[0]) == f"globus://{OTHER}/y"


def test_a_batch_under_way_goes_on_with_the_revision_it_was_made_of() -> None:
    house, number = at("stage_in")
    house.manage.alter(ADA, number, {**LONGER, "cleanup": True})
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    assert {member.revision for task in house.globus.of_job(number) for member in task.batch.members} == {1, 2}


def test_of_two_alterations_at_once_both_stand_and_each_has_its_revision() -> None:
    house, number = at("new")

    def meanwhile(call: str, moment: str) -> None:
        if call == "jobs.save" and moment == "before":
            house.gate = lambda call, moment: None
            house.manage.alter(ADA, number, {"tags": {"first": "1"}})

    house.gate = meanwhile
    house.manage.alter(ADA, number, {"tags": {"second": "2"}})
    assert house.job(number).revision == 3
    assert document(house, number)["tags"] == {"first": "1", "second": "2"}


@pytest.mark.parametrize("at_call", range(12))
def test_an_alteration_that_is_cut_off_has_been_made_whole_or_not_at_all(at_call: int) -> None:
    house, number = at("new")
    calls = 0

    def cut(call: str, moment: str) -> None:
        nonlocal calls
        calls += 1
        if calls - 1 == at_call:
            raise CrashNow

    house.gate = cut
    with pytest.raises(CrashNow):
        house.manage.alter(ADA, number, LONGER)
    house.gate = lambda call, moment: None
    assert ("attributes" in document(house, number)) is (house.job(number).revision == 2)
    house.manage.alter(ADA, number, LONGER)
    assert house.job(number).revision == 2, "a repeat changes nothing more"
    house.live_on()
    assert house.job(number).state is State.COMPLETED


def test_what_says_the_same_is_no_alteration() -> None:
    house, number = at("staged")
    before = house.job(number)
    for patch in ({}, {"hold": False}, {"name": "job"}, {"tags": None}):
        house.manage.alter(ADA, number, patch)
    assert house.job(number) == before


def test_faults_of_the_document_as_it_would_be_are_named() -> None:
    house, number = at("new")
    with pytest.raises(Invalid) as refused:
        house.manage.alter(ADA, number, {"attributes": {"duration": 0}, "colour": "red", "executable": None})
    assert {fault.pointer for fault in refused.value.faults} == {"/attributes/duration", "/colour", "/executable"}
    with pytest.raises(Invalid):
        house.manage.alter(ADA, number, ["x"])
    with pytest.raises(NotFound):
        house.manage.alter(ADA, JobNumber(77), LONGER)


def test_tags_that_an_output_s_target_names_are_as_fixed_as_the_output() -> None:
    target = [{"source": "r/", "target": f"globus://{ARCHIVE}/{{tags.run}}/{{id}}/"}]
    house, number = at("queued", results=False, stage_out=target, tags={"run": "7"})
    with pytest.raises(Conflict):
        house.manage.alter(ADA, number, {"tags": {"run": "8"}})


def test_an_output_is_not_sent_where_a_live_job_s_goes() -> None:
    house = House()
    fixed = {"stage_out": [{"source": "r/", "target": f"globus://{ARCHIVE}/latest/"}]}
    house.post(a_document(results=False, **fixed))
    (number,) = house.post(a_document())
    with pytest.raises(Conflict) as refused:
        house.manage.alter(ADA, number, fixed)
    assert refused.value.code == "output-conflict"
    assert house.job(number).revision == 1


def test_the_story_names_the_fields_and_no_values() -> None:
    house, number = at("new")
    house.manage.alter(ADA, number, {"environment": {"SECRET": "hush"}, **LONGER})
    job = house.job(number)
    tale = house.manage.story(ADA, number).tales[job.version]
    assert (tale.code, tale.detail) == ("altered", {"fields": ["environment", "attributes"]})


def test_a_final_job_s_document_stays() -> None:
    house = House()
    (number,) = house.post(a_document(source=None, results=False))
    house.live_on()
    with pytest.raises(Conflict):
        house.manage.alter(ADA, number, {"tags": {"a": "b"}})


def test_inputs_that_are_changed_before_they_set_out_are_those_that_arrive() -> None:
    house, number = at("new")
    items = [{"source": f"globus://{LAB}/x", "target": "a"}, {"source": f"globus://{LAB}/in/", "target": "b/"}]
    house.manage.alter(ADA, number, {"stage_in": items})
    house.live_on()
    assert house.job(number).state is State.COMPLETED
    (task, *_) = house.globus.of_job(number)
    assert sorted(move.source.path for move in task.movements) == ["/in/", "/x"]
