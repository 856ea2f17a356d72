"""Desk, inbox, batch and site items: read as they were written, and readable for as long as they are stored."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.attributes import from_item, to_item
from chalicelib.adapters.dynamodb.desk_items import (
    plan_values,
    read_batch,
    read_desk,
    read_fact,
    write_batch,
    write_fact,
)
from chalicelib.adapters.dynamodb.encoding import micros, moment, read_numbers, write_numbers
from chalicelib.adapters.dynamodb.places import read_site, write_site
from chalicelib.adapters.dynamodb.plain import to_plain, to_record
from chalicelib.core.batch import MOST_ITEMS, Batch, Member
from chalicelib.core.consent import LoginReason, SessionDemand
from chalicelib.core.desk import InboxItem, LiveBatch, LoginNeed, Look, Plan, Route, Trouble
from chalicelib.core.ids import BatchId, CollectionId, JobNumber, SiteId, SubmissionId, TaskId, UserId
from chalicelib.core.job import Stage
from chalicelib.core.sites import Mount, Site

USER = UserId("6f7c1c1e-5ee4-4d5c-9c3e-0a1b2c3d4e5f")
LAB, ARCHIVE = CollectionId("lab"), CollectionId("archive")

moments = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2250, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
numbers = st.integers(1, 10**10 - 1).map(JobNumber)
members = st.builds(Member, number=numbers, item=st.integers(0, 99), revision=st.integers(1, 9999))
# Every field of every part is drawn: hypothesis reads them from the records themselves.
st.register_type_strategy(datetime, moments)
plans = st.from_type(Plan)
batches = st.builds(Batch, user=st.just(USER), members=st.lists(members, max_size=20).map(tuple), deadline=moments)
sites = st.from_type(Site)


@given(plans)
def test_any_plan_is_read_as_it_was_written(plan: Plan) -> None:
    item = from_item(to_item({"user": USER, "sk": "DESK", "v": 1, **plan_values(plan)}))
    assert read_desk(item).plan == plan


@given(batches)
def test_any_batch_is_read_as_it_was_written(batch: Batch) -> None:
    assert read_batch(from_item(to_item(write_batch(batch)))) == batch


@given(sites)
def test_any_site_is_read_as_it_was_written(site: Site) -> None:
    assert read_site(from_item(to_item(write_site(site)))) == site


@given(
    st.one_of(
        st.builds(InboxItem, id=st.text(st.characters(codec="ascii")), numbers=st.lists(numbers).map(tuple)),
        st.builds(
            InboxItem,
            id=st.just("i"),
            numbers=st.lists(numbers).map(tuple),
            stage=st.sampled_from(Stage),
            routes=st.lists(st.from_type(Route), max_size=3).map(tuple),
        ),
        st.builds(InboxItem, id=st.just("i"), numbers=st.lists(numbers).map(tuple), after=moments),
    )
)
def test_any_fact_is_read_as_it_was_written(fact: InboxItem) -> None:
    assert read_fact(from_item(to_item(write_fact(USER, fact)))) == fact


@given(st.lists(numbers))
def test_any_numbers_keep_their_order_as_text(some: list[JobNumber]) -> None:
    assert read_numbers(write_numbers(some)) == tuple(some)


def test_a_thousand_numbers_in_a_row_are_nine_characters() -> None:
    assert write_numbers(range(1001, 2001)) == "1001-2000"


@given(moments)
def test_any_moment_is_stored_exactly(at: datetime) -> None:
    assert moment(micros(at)) == at


def test_the_largest_batch_fits_an_item_many_times_over() -> None:
    scattered = tuple(Member(JobNumber(9_000_000_000 - 7 * n), n % 100, 1 + n % 3) for n in range(MOST_ITEMS))
    route = Route(stage=Stage.STAGE_IN, source=LAB, destination=ARCHIVE)
    batch = Batch(
        id=BatchId("b"),
        user=USER,
        submission=SubmissionId("s"),
        route=route,
        members=scattered,
        deadline=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert len(write_batch(batch)["members"]) < 40_000


PLAN = Plan(
    version=3,
    claimed_until=moment(1_795_348_800_000_001),
    batches=(
        LiveBatch(
            batch=BatchId("b-1"),
            submission=SubmissionId("s-1"),
            route=Route(stage=Stage.STAGE_IN, source=LAB, destination=ARCHIVE),
            opened_at=moment(1_795_348_800_000_000),
            task=TaskId("t-1"),
            canceling="EACCES",
            look=Look(files=1, bytes=2, paused=True, trouble="QUOTA", words="full"),
        ),
    ),
    failures=2,
    need=LoginNeed(
        reason=LoginReason.SESSION,
        words="sign in",
        since=moment(1_795_348_800_000_000),
        collections=frozenset({LAB}),
        scopes=("openid",),
        session=SessionDemand(
            message="m", identities=("i",), single_domain=("d",), policies=("p",), mfa=True, fresh=True
        ),
    ),
    trouble=Trouble(code="c", words="w", since=moment(1_795_348_800_000_000)),
)
# What deployments have stored by now. If a test of this fails, a field was renamed or retyped: give it a default
# or read the old form as well; do not change the sample.
STORED_PLAN = """
{"version":3,"claimed_until":1795348800000001,"batches":[{"batch":"b-1","submission":"s-1","route":{"stage":"stage_in",
"source":"lab","destination":"archive"},"opened_at":1795348800000000,"task":"t-1","canceling":"EACCES","look":{"files":1,
"bytes":2,"paused":true,"trouble":"QUOTA","words":"full"}}],"failures":2,"need":{"reason":"session","words":"sign in",
"since":1795348800000000,"collections":["lab"],"scopes":["openid"],"session":{"message":"m","identities":["i"],
"single_domain":["d"],"policies":["p"],"mfa":true,"fresh":true}},"trouble":{"code":"c","words":"w",
"since":1795348800000000}}
"""
SITE = Site(
    id=SiteId("theta"),
    owner=UserId("o"),
    scheduler="cobalt",
    mappings=(Mount(collection=LAB, path="/s/", directory="/lus/s/"),),
    created_at=moment(1_795_348_800_000_000),
    title="Theta",
    roots=("/lus/shared/",),
    queue_name="default",
    account="chem",
    users=frozenset({"ada@uni.example"}),
)
STORED_SITE = """
{"id":"theta","owner":"o","scheduler":"cobalt","mappings":[{"collection":"lab","path":"/s/","directory":"/lus/s/"}],
"created_at":1795348800000000,"title":"Theta","roots":["/lus/shared/"],"queue_name":"default","account":"chem",
"users":["ada@uni.example"]}
"""


def test_a_stored_plan_stays_readable() -> None:
    assert to_record(Plan, json.loads(STORED_PLAN)) == PLAN


def test_a_stored_site_stays_readable() -> None:
    assert to_record(Site, json.loads(STORED_SITE)) == SITE


def test_a_field_that_is_none_is_not_stored_so_that_one_can_be_added() -> None:
    assert "task" not in to_plain(replace(PLAN.batches[0], task=None))


def test_a_stored_field_that_the_record_does_not_have_is_an_error() -> None:
    with pytest.raises(TypeError, match="unexpected"):
        to_record(Look, {"files": 1, "colour": "red"})


def test_a_record_of_what_cannot_be_stored_is_an_error() -> None:
    @dataclass
    class Odd:
        part: object

    with pytest.raises(TypeError, match="cannot hold a float"):
        to_plain(Odd(part=1.5))
