"""Job items: what is stored of a status, how large it is, and what expires when."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.adapters.attributes import from_item, to_item
from chalicelib.adapters.dynamodb.encoding import LONGEST_LIFE, expiry
from chalicelib.adapters.dynamodb.job_items import (
    read_document,
    read_job,
    read_tale,
    write_document,
    write_job,
    write_tale,
)
from chalicelib.core import lifecycle as life
from chalicelib.core.dependencies import MOST_PARENTS, Parent, When
from chalicelib.core.holds import Hold
from chalicelib.core.ids import BatchId, CollectionId, JobNumber, JobRef, SiteId, TaskId, UserId
from chalicelib.core.job import Ahead, Deadlines, Job, Leg, LegStatus, Mark, Outcome, Retry, Stage, State
from chalicelib.core.journey import Journey
from chalicelib.core.orders import Order, Verb
from chalicelib.core.ports.jobs import Tale

NOON = datetime(2026, 11, 22, 12, 0, 0, 123457, tzinfo=UTC)
RETENTION = timedelta(days=180)
USER = UserId("6f7c1c1e-5ee4-4d5c-9c3e-0a1b2c3d4e5f")
TASK = TaskId("0a1b2c3d-5ee4-11ef-9c3e-6f7c1c1e0000")
REF = JobRef(user=USER, number=JobNumber(123_456))

moments = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
words = st.text(st.characters(codec="utf-8"), max_size=20)
counts = st.integers(0, 2**53)
legs = st.builds(
    Leg,
    item=st.integers(0, 99),
    status=st.sampled_from(LegStatus),
    batch=st.none() | words.map(BatchId),
    files=st.none() | counts,
    bytes=st.none() | counts,
    error=st.none() | words,
    share=st.none() | counts,
)
collections = st.sampled_from([CollectionId(f"aaaaaaaa-0000-4000-8000-00000000000{each}") for each in range(3)])
journeys = st.builds(
    Journey,
    inputs=st.lists(st.none() | collections, max_size=6).map(tuple),
    outputs=st.lists(collections, max_size=6).map(tuple),
    walltime=counts,
    notify=words,
    nodes=counts,
    processes=counts,
    queue=words,
    account=words,
)
marks = st.builds(Mark, version=counts, at=moments, code=words, state=st.sampled_from(State), note=words)
orders = st.builds(
    Order,
    number=st.integers(2, 99),
    verb=st.sampled_from(Verb),
    terms=st.dictionaries(words, words | st.integers(1, 9), max_size=2),
)
jobs = st.builds(
    Job,
    ref=st.builds(JobRef, user=st.just(USER), number=st.integers(1, 10**10 - 1).map(JobNumber)),
    owner=words,
    site=words.map(SiteId),
    name=words,
    index=counts,
    created_at=moments,
    updated_at=moments,
    state=st.sampled_from(State),
    version=counts,
    revision=counts,
    legs=st.lists(legs, max_size=5).map(tuple),
    epoch=counts,
    leased_until=st.none() | moments,
    native_id=st.none() | words,
    outcome=st.none() | st.sampled_from(Outcome),
    exit_code=st.none() | st.integers(-(2**31), 2**31),
    failed_stage=st.none() | st.sampled_from(Stage),
    error=st.none() | words,
    told=st.none() | counts,
    exited=st.none() | counts,
    cancel_requested=st.booleans(),
    hold=st.none() | st.sampled_from(Hold),
    deadlines=st.builds(Deadlines, stage_in=st.none() | counts, stage_out=st.none() | counts, queue=st.none() | counts),
    ahead=st.none() | st.sampled_from(Ahead),
    awaits_start=st.booleans(),
    starts_at=st.none() | moments,
    submission=st.integers(1, 99),
    overdue=st.booleans(),
    retry=st.builds(Retry, attempts=st.integers(1, 10), delay=st.integers(0, 86400)),
    attempt=st.integers(1, 99),
    not_before=st.none() | moments,
    parents=st.lists(
        st.builds(Parent, number=counts.map(JobNumber), when=st.sampled_from(When)), max_size=MOST_PARENTS
    ).map(tuple),
    broken=st.none() | counts.map(JobNumber),
    awaited=st.booleans(),
    cleanup=st.booleans(),
    waiting_for=st.frozensets(words, max_size=4),
    posted=st.none() | words,
    orders=st.lists(orders, max_size=2).map(tuple),
    answered=st.integers(0, 99),
    trail=st.lists(marks, max_size=5).map(tuple),
    tags=st.dictionaries(words, words, max_size=3),
    journey=st.none() | journeys,
    size=st.integers(0, 400_000),
)


def stored(job: Job) -> dict[str, Any]:
    return to_item(write_job(job, RETENTION))


def size(item: dict[str, Any]) -> int:
    """The bytes by which DynamoDB counts an item (Developer Guide, "DynamoDB item sizes and formats")."""
    total = 0
    for name, attribute in item.items():
        ((kind, value),) = attribute.items()
        bytes_of = {
            "S": lambda v: len(v.encode()),
            "N": lambda v: (len(v.lstrip("-")) + 1) // 2 + 1,
            "BOOL": lambda _: 1,
        }
        total += len(name.encode()) + bytes_of[kind](value)
    return total


@given(jobs)
def test_any_status_is_read_as_it_was_written(job: Job) -> None:
    assert read_job(from_item(stored(job)), job.updated_at) == job


def test_the_strategy_above_knows_every_field_of_a_job() -> None:
    assert {each.name for each in fields(Job)} == set(jobs.wrapped_strategy.kwargs)  # type: ignore[attr-defined]
    assert {each.name for each in fields(Leg)} == set(legs.wrapped_strategy.kwargs)  # type: ignore[attr-defined]
    assert {each.name for each in fields(Journey)} == set(journeys.wrapped_strategy.kwargs)  # type: ignore[attr-defined]
    assert {each.name for each in fields(Mark)} == set(marks.wrapped_strategy.kwargs)  # type: ignore[attr-defined]


def a_plain_life() -> list[Job]:
    """Every status of a job with one input and one output, leased once, of which all goes well."""
    inward, outward = BatchId("b0a1b2c3d4e5f6a7b8c9"), BatchId("b9c8b7a6f5e4d3c2b1a0")
    job = Job(
        ref=REF,
        owner="ada.lovelace@university.example",
        site=SiteId("theta"),
        name="md-run",
        index=0,
        created_at=NOON,
        updated_at=NOON,
        legs=(Leg(item=0),),
        cleanup=True,
        posted="f" * 40,
        trail=(Mark(version=1, at=NOON, code="submitted", state=State.NEW),),
        journey=Journey(
            inputs=(CollectionId("6c54cade-bde5-45c1-bdea-f4bd71dba2cc"),),
            outputs=(CollectionId("9d6d994a-6d04-11e5-ba46-22000b92c6ec"),),
            walltime=86_400,
        ),
    )

    def done(batch: BatchId) -> Leg:
        return Leg(item=0, status=LegStatus.DONE, batch=batch, files=1000, bytes=200_000_000)

    only = frozenset({0})
    events: list[life.Event] = [
        life.LegsClaimed(batch=inward, items=only),
        life.LegsSettled(batch=inward, legs={0: done(inward)}, task=TASK),
        life.StagedIn(),
        life.Leased(epoch=1, until=NOON + timedelta(hours=1)),
        life.Queued(epoch=1, native_id="1234567.theta"),
        life.Active(epoch=1, native_id="1234567.theta"),
        life.Exited(
            epoch=1,
            native_id="1234567.theta",
            exit_code=0,
            outcome=Outcome.OK,
            legs=(Leg(item=0, files=1000, bytes=200_000_000),),
        ),
        life.LegsClaimed(batch=outward, items=only),
        life.LegsSettled(batch=outward, legs={0: done(outward)}, task=TASK),
        life.Completed(),
        life.Cleaned(epoch=1),
    ]
    lived = [job]
    for step, event in enumerate(events, 1):
        lived.append(life.transition(lived[-1], event, NOON + step * timedelta(hours=7, microseconds=1)))
    assert lived[-1].state is State.COMPLETED
    assert len({each.version for each in lived}) == len(lived)
    return lived


@pytest.mark.parametrize("job", a_plain_life(), ids=lambda job: f"v{job.version}-{job.state}")
def test_the_status_of_a_plain_job_is_one_write_unit_all_its_life(job: Job) -> None:
    assert size(stored(job)) <= 1024


def test_a_hundred_items_in_flight_and_the_longest_trail_fit_an_item_many_times_over() -> None:
    job = a_plain_life()[4]
    moving = tuple(
        Leg(item=item, status=LegStatus.MOVING, batch=BatchId("b0a1b2c3d4e5f6a7b8c9")) for item in range(100)
    )
    trail = tuple(
        Mark(version=n, at=NOON, code="settled", state=State.STAGE_IN, note=TASK) for n in range(life.LONGEST_TRAIL)
    )
    assert size(stored(replace(job, legs=moving, trail=trail))) < 40_000


def test_only_a_final_status_expires_and_it_does_so_after_the_retention() -> None:
    lived = a_plain_life()
    final = lived[-1]
    items = [from_item(stored(job)) for job in lived]
    assert [("expires" in item) for item in items] == [job.state.final for job in lived]
    assert items[-1]["expires"] == expiry(final.updated_at + RETENTION)
    assert read_job(items[-1], final.updated_at + RETENTION) == final
    assert read_job(items[-1], final.updated_at + RETENTION + timedelta(seconds=1)) is None


def test_an_expiry_is_never_earlier_than_the_moment_it_stands_for() -> None:
    assert expiry(NOON) == NOON.timestamp() // 1 + 1
    assert expiry(NOON.replace(microsecond=0)) == NOON.timestamp() // 1


def test_a_status_is_in_the_index_of_its_site_only_while_the_site_has_something_to_do() -> None:
    indexed = [job.state for job in a_plain_life() if "site_due" in stored(job)]
    assert indexed == [State.STAGED, State.STAGED, State.COMPLETED]
    for job in a_plain_life():
        assert ("site_due" in stored(job)) == ("site_bucket" in stored(job))


def test_keys_of_the_site_index_sort_as_their_moments_do() -> None:
    staged = a_plain_life()[3]
    later = replace(staged, created_at=staged.created_at + timedelta(microseconds=1))
    much_later = replace(staged, created_at=staged.created_at + timedelta(days=30_000))
    keys = [stored(job)["site_due"]["S"] for job in (staged, later, much_later)]
    assert keys == sorted(set(keys))


def test_words_expire_long_after_the_longest_life_of_their_job() -> None:
    document = write_document(REF, 3, {"a": ["é"]}, 17)
    tale = write_tale(REF, Tale(version=4, detail={"a": ["é"]}), NOON, RETENTION)
    assert tale["expires"] == expiry(NOON + LONGEST_LIFE + RETENTION)
    assert read_document(document) == {"a": ["é"]}
    assert read_tale(tale) == Tale(version=4, detail={"a": ["é"]})
    assert (document["sk"], tale["sk"]) == ("D#0000123456#0003", "T#0000123456#00000004")


def test_a_document_of_the_largest_size_fits_an_item_in_any_script() -> None:
    text = "\u6f22" * (256 * 1024 // 3)
    item = to_item(write_document(REF, 1, {"text": text}, 17))
    assert size(item) < 400 * 1024
