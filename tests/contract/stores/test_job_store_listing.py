"""Listings: one suite over every store of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from store_samples import a_job, new_user, ref

from chalicelib.core.ids import JobNumber, SiteId, UserId
from chalicelib.core.job import Job, State
from chalicelib.core.listing import MOST_EXAMINED, write_marker
from chalicelib.core.ports.jobs import Page, Wanted

if TYPE_CHECKING:
    from conftest import Stores


def put(stores: Stores, *jobs: Job) -> None:
    stores.postings.put_rows([(job, {}) for job in jobs])


def pages(stores: Stores, user: UserId, wanted: Wanted, limit: int) -> Iterator[Page]:
    marker = None
    while True:
        page = stores.jobs.list(user, wanted, limit, marker)
        yield page
        marker = page.marker
        if marker is None:
            return


def numbers(stores: Stores, user: UserId, wanted: Wanted, limit: int = 50) -> list[int]:
    return [job.ref.number for page in pages(stores, user, wanted, limit) for job in page.jobs]


def test_a_listing_is_newest_first_and_each_job_is_on_exactly_one_page(stores: Stores) -> None:
    user = new_user()
    put(stores, *(a_job(ref(user, number)) for number in range(1001, 1024)))
    turned = list(pages(stores, user, Wanted(), 10))
    assert [len(page.jobs) for page in turned] == [10, 10, 3]
    assert [job.ref.number for page in turned for job in page.jobs] == list(range(1023, 1000, -1))


def test_the_last_page_has_no_marker_though_it_is_full(stores: Stores) -> None:
    user = new_user()
    put(stores, *(a_job(ref(user, number)) for number in range(1001, 1005)))
    assert stores.jobs.list(user, Wanted(), 4, None).marker is None


def test_the_listing_of_somebody_without_jobs_is_empty(stores: Stores) -> None:
    put(stores, a_job(ref(new_user())))
    assert stores.jobs.list(new_user(), Wanted(), 10, None) == Page(jobs=(), marker=None)


def test_jobs_that_come_while_pages_are_turned_shift_nothing(stores: Stores) -> None:
    user = new_user()
    put(stores, *(a_job(ref(user, number)) for number in range(1001, 1005)))
    first = stores.jobs.list(user, Wanted(), 2, None)
    put(stores, a_job(ref(user, 1005)))
    second = stores.jobs.list(user, Wanted(), 2, first.marker)
    assert [job.ref.number for job in (*first.jobs, *second.jobs)] == [1004, 1003, 1002, 1001]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(states=frozenset({"new"})), [1005, 1003, 1001]),
        (Wanted(states=frozenset({"new", "staged"})), [1005, 1004, 1003, 1002, 1001]),
        (Wanted(site=SiteId("polaris")), [1003]),
        (Wanted(name="other"), [1004, 1002]),
        (Wanted(tags={"run": "1"}), [1005, 1001]),
        (Wanted(tags={"run": "1", "by": "ada"}), [1005]),
        (Wanted(states=frozenset({"staged"}), name="md-run"), []),
    ],
)
def test_a_listing_shows_what_matches_everything_asked_for(stores: Stores, wanted: Wanted, found: list[int]) -> None:
    user = new_user()
    put(
        stores,
        a_job(ref(user, 1001), tags={"run": "1"}),
        a_job(ref(user, 1002), name="other", state=State.STAGED),
        a_job(ref(user, 1003), site=SiteId("polaris")),
        a_job(ref(user, 1004), name="other", state=State.STAGED, tags={"run": "2"}),
        a_job(ref(user, 1005), tags={"run": "1", "by": "ada"}),
    )
    assert numbers(stores, user, wanted) == found
    assert numbers(stores, user, wanted, limit=1) == found


def test_a_page_examines_a_bounded_number_of_rows_and_the_marker_goes_on_behind_them(stores: Stores) -> None:
    user = new_user()
    put(stores, a_job(ref(user, 1001), name="needle"), a_job(ref(user, 1002)))
    put(stores, *(a_job(ref(user, 1003 + number)) for number in range(MOST_EXAMINED)))
    first = stores.jobs.list(user, Wanted(name="needle"), 10, None)
    assert first.jobs == ()
    assert first.marker is not None
    second = stores.jobs.list(user, Wanted(name="needle"), 10, first.marker)
    assert [job.ref.number for job in second.jobs] == [1001]
    assert second.marker is None


def test_expired_jobs_are_passed_over(stores: Stores) -> None:
    user = new_user()
    jobs = [a_job(ref(user, number)) for number in range(1001, 1006)]
    put(stores, *jobs)
    for job in jobs[1:4]:
        assert stores.jobs.save(replace(job, version=2, state=State.CANCELED), was=1)
    stores.clock.turn(timedelta(days=181))
    assert numbers(stores, user, Wanted(), limit=1) == [1005, 1001]


@pytest.mark.parametrize("marker", ["", "x", "!", "☃", "ajE6MA", "eyJuIjoxMDAxfQ", "ajE6MTAwMQ==x", "A" * 4000])
def test_a_marker_that_was_not_given_is_refused(stores: Stores, marker: str) -> None:
    with pytest.raises(ValueError, match="not a marker"):
        stores.jobs.list(new_user(), Wanted(), 10, marker)


def test_a_marker_of_somebody_else_opens_nothing_of_theirs(stores: Stores) -> None:
    theirs, mine = new_user(), new_user()
    put(stores, *(a_job(ref(theirs, number)) for number in range(1001, 1010)), a_job(ref(mine, 1001)))
    page = stores.jobs.list(mine, Wanted(), 10, write_marker(JobNumber(1005)))
    assert [job.ref for job in page.jobs] == [ref(mine, 1001)]
