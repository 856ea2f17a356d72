"""Which items travel together: room, shares, order, and destinations that never meet."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
from core_examples import ADA, ARCHIVE, LAB, NOON, THETA, a_document, a_job, a_site, an_input, an_output
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core import drafting
from chalicelib.core.batch import (
    MOST_LIVE,
    Batch,
    Member,
    Movement,
    by_number,
    legs_to_stage_in,
    movement,
)
from chalicelib.core.desk import Route
from chalicelib.core.drafting import Draft, draft
from chalicelib.core.ids import BatchId, CollectionId, JobNumber, SubmissionId, user_tag
from chalicelib.core.job import Leg, Stage
from chalicelib.core.paths import Location, overlap
from chalicelib.core.sites import Mount
from chalicelib.core.transfer_options import PLAIN, Options

Wanted = tuple[Leg, Movement, Stage]
SECRET = Options(encrypt=True)
STEPS = st.lists(st.sampled_from(["a", "ab", "b", "c"]), max_size=3)
TREES = st.builds(
    lambda steps, tail: "/" + "/".join(steps) + (tail if steps else ""), STEPS, st.sampled_from(["", "/"])
)
PLACES = st.builds(Location, st.sampled_from([ARCHIVE, LAB]), TREES)


def staged_out(number: int, item: int, place: Location, *, share: int | None = None, source: str = "/j") -> Wanted:
    member = Member(JobNumber(number), item, 1)
    move = Movement(member=member, source=Location(THETA, f"{source}/{number}/{item}"), destination=place)
    return Leg(item=item, share=share), move, Stage.STAGE_OUT


def staged_in(
    number: int, item: int, *, share: int | None = None, source: CollectionId = LAB, options: Options = PLAIN
) -> Wanted:
    """As real ones: each below its own job's directory."""
    member = Member(JobNumber(number), item, 1)
    place = Location(THETA, f"/projects/u/job-{number}/{item}/")
    return (
        Leg(item=item, share=share),
        Movement(member=member, source=Location(source, "/d/"), destination=place, options=options),
        Stage.STAGE_IN,
    )


@st.composite
def wishes(draw: st.DrawFn) -> list[Wanted]:
    wanted = []
    for number in range(1001, 1001 + draw(st.integers(0, 6))):
        for item in range(draw(st.integers(1, 2))):
            share = draw(st.sampled_from([None, None, 1, 2, 2000]))
            if draw(st.booleans()):
                wanted.append(staged_out(number, item, draw(PLACES), share=share))
            else:
                source, options = draw(st.sampled_from([LAB, ARCHIVE])), draw(st.sampled_from([PLAIN, SECRET]))
                wanted.append(staged_in(number, item, share=share, source=source, options=options))
    return draw(st.permutations(wanted))


def meet(one: Location, other: Location) -> bool:
    return one.collection == other.collection and overlap(one.path, other.path)


@settings(max_examples=300)
@given(wishes(), st.lists(PLACES, max_size=2), st.integers(0, MOST_LIVE))
def test_drafts_keep_to_room_shares_routes_and_their_own_ground(
    wanted: list[Wanted], occupied: list[Location], room: int
) -> None:
    drafts = draft(wanted, occupied, room)
    assert len(drafts) <= room
    legs = {move.member: leg for leg, move, _ in wanted}
    members = [move.member for each in drafts for move in each.movements]
    assert len(members) == len(set(members)), "nothing goes twice"
    for each in drafts:
        shares = {legs[move.member].share for move in each.movements}
        assert len(shares) == 1, "what is tried in halves goes with its like"
        share = shares.pop()
        assert 0 < len(each.movements) <= (share or drafting.MOST_ITEMS)
        assert each.careful == (share is not None)
        assert len({move.options for move in each.movements}) == 1, "a task has one list of rules"
        ends = {(move.source.collection, move.destination.collection) for move in each.movements}
        assert ends == {(each.route.source, each.route.destination)}
        assert not any(meet(move.destination, place) for move in each.movements for place in occupied)
    check_apart(drafts)
    check_order(drafts, wanted, occupied, room)


def check_apart(drafts: Sequence[Draft]) -> None:
    for index, one in enumerate(drafts):
        for other in drafts[index + 1 :]:
            assert not any(meet(a.destination, b.destination) for a in one.movements for b in other.movements)


def check_order(drafts: Sequence[Draft], wanted: list[Wanted], occupied: list[Location], room: int) -> None:
    stages = [each.route.stage for each in drafts]
    assert stages == sorted(stages, key=lambda stage: stage is not Stage.STAGE_OUT), "stage-outs first"
    for each in drafts:
        numbers = [move.member for move in each.movements]
        assert numbers == sorted(numbers), "the oldest first"
    if room and not drafts:
        assert all(any(meet(move.destination, place) for place in occupied) for _, move, _ in wanted), "none idles"


def test_items_of_one_route_go_out_in_one_task() -> None:
    drafts = draft([staged_in(number, 0) for number in range(1001, 1101)], (), 3)
    assert [len(each.movements) for each in drafts] == [100]
    assert drafts[0].route == Route(stage=Stage.STAGE_IN, source=LAB, destination=THETA)


def test_more_than_a_batch_may_have_goes_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafting, "MOST_ITEMS", 10)
    drafts = draft([staged_in(number, 0) for number in range(1001, 1016)], (), 3)
    assert len(drafts[0].movements) == 10
    assert drafts[0].movements[0].member.number == 1001


def test_stage_outs_take_the_room_before_stage_ins() -> None:
    wanted = [staged_in(1001, 0), staged_out(1002, 0, Location(ARCHIVE, "/r/"))]
    (only,) = draft(wanted, (), 1)
    assert only.route.stage is Stage.STAGE_OUT


def test_what_would_write_where_a_live_batch_writes_waits_and_its_neighbours_do_not() -> None:
    wanted = [staged_out(1001, 0, Location(ARCHIVE, "/r/x/")), staged_out(1002, 0, Location(ARCHIVE, "/r2/"))]
    (only,) = draft(wanted, [Location(ARCHIVE, "/r/")], 3)
    assert [move.member.number for move in only.movements] == [1002]


def test_a_full_house_and_an_empty_wish_make_no_draft() -> None:
    assert draft([staged_in(1001, 0)], (), 0) == ()
    assert draft([], (), 3) == ()


def test_the_cost_of_a_draft_grows_with_what_is_wanted_and_not_with_what_is_live_besides() -> None:
    live = [Location(ARCHIVE, f"/runs/{number}/out/") for number in range(4000)]
    wanted = [staged_out(number, 0, Location(ARCHIVE, f"/runs/{number}/out/")) for number in range(2000, 8000)]
    before = time.process_time()
    (only,) = draft(wanted, live, 1)
    assert time.process_time() - before < 2, "each with each would be 24 million comparisons"
    assert [move.member.number for move in only.movements] == list(range(4000, 6000))


def test_a_movement_goes_between_the_collections_and_the_job_s_own_directory() -> None:
    document = a_document(
        name="md",
        stage_in=[an_input(f"globus://{LAB}/data/in/", target="inputs"), an_input("/eagle/x", mode="link")],
        stage_out=[an_output("results/"), an_output("log.txt", f"globus://{ARCHIVE}/logs/")],
    )
    job, site = a_job(document), a_site()
    home = f"/projects/{user_tag(ADA)}/md-1001/"
    inward = movement(job, document, site, Stage.STAGE_IN, 0)
    assert (inward.source, inward.destination) == (Location(LAB, "/data/in/"), Location(THETA, f"{home}inputs/"))
    assert inward.recursive
    whole = movement(job, document, site, Stage.STAGE_OUT, 0)
    assert (whole.source, whole.destination) == (Location(THETA, f"{home}results/"), Location(ARCHIVE, "/runs/1001/"))
    assert whole.recursive
    one = movement(job, document, site, Stage.STAGE_OUT, 1)
    assert (one.source, one.destination) == (Location(THETA, f"{home}log.txt"), Location(ARCHIVE, "/logs/log.txt"))
    assert not one.recursive
    assert one.member == Member(JobNumber(1001), 1, 1)


def test_a_job_that_stages_its_whole_directory_out_names_it_with_a_slash() -> None:
    document = a_document(stage_out=[an_output("./")], stage_in=[an_input(f"globus://{LAB}/d/")])
    home = Location(THETA, f"/projects/{user_tag(ADA)}/job-1001/")
    assert movement(a_job(document), document, a_site(), Stage.STAGE_OUT, 0).source == home
    assert movement(a_job(document), document, a_site(), Stage.STAGE_IN, 0).destination == home


@pytest.mark.parametrize("root", ["/", "/a b/"])
def test_a_site_may_be_mapped_at_any_root(root: str) -> None:
    site = a_site(mappings=(Mount(collection=THETA, path=root, directory="/lus/"),))
    assert site.job_place(ADA, "job-1").path == f"{root}{user_tag(ADA)}/job-1/"
    assert site.job_directory(ADA, "job-1") == f"/lus/{user_tag(ADA)}/job-1"


def test_what_is_linked_is_never_moved() -> None:
    document = a_document(stage_in=[an_input("/eagle/x", mode="link"), an_input(), an_input("/eagle/y", mode="link")])
    assert [leg.item for leg in legs_to_stage_in(document)] == [1]


def a_batch(members: list[Member], **fields: Any) -> Batch:
    route = Route(stage=Stage.STAGE_IN, source=LAB, destination=THETA)
    given: dict[str, Any] = {"id": BatchId("b1"), "user": ADA, "submission": SubmissionId("s"), "route": route}
    return Batch(**{**given, "members": tuple(members), "deadline": NOON, **fields})


def test_a_batch_names_its_jobs_once_and_is_found_by_its_label() -> None:
    members = [Member(JobNumber(1002), 0, 1), Member(JobNumber(1001), 0, 1), Member(JobNumber(1002), 3, 1)]
    assert a_batch(members).numbers() == (1002, 1001)
    assert by_number(members) == {1001: {0}, 1002: {0, 3}}
    label = a_batch(members).label
    assert user_tag(ADA) in label
    assert "b1" in label
    assert ADA not in label
    assert len(label) <= 128, "Globus takes no more"
