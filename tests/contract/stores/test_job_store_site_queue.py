"""What a site has to do, by the index: one suite over every store, and over indexes that lag."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from store_samples import NOON, a_job, new_user, ref

from chalicelib.core.holds import Hold
from chalicelib.core.ids import JobRef, SiteId
from chalicelib.core.job import Job, Outcome, State

if TYPE_CHECKING:
    from conftest import Stores

THETA, SECOND, HOUR = SiteId("theta"), timedelta(seconds=1), timedelta(hours=1)


def put(stores: Stores, *jobs: Job) -> None:
    stores.postings.put_rows([(job, {}) for job in jobs])


def staged(at: JobRef, since: int = 0, **fields: object) -> Job:
    return a_job(at, state=State.STAGED, created_at=NOON + since * SECOND, updated_at=NOON + HOUR, **fields)


def leasable(stores: Stores, limit: int = 100, site: SiteId = THETA) -> list[JobRef]:
    return list(stores.site_queue.due(site, commands=10, leases=limit).leasable)


def commanded(stores: Stores, limit: int = 10) -> list[JobRef]:
    return list(stores.site_queue.due(THETA, commands=limit, leases=10).commanded)


def test_a_staged_job_can_be_leased_by_its_own_site_alone(stores: Stores) -> None:
    job = staged(ref(new_user()))
    put(stores, job)
    assert leasable(stores) == [job.ref]
    assert leasable(stores, site=SiteId("polaris")) == []
    assert leasable(stores, site=SiteId("thet")) == []
    assert commanded(stores) == []


def test_jobs_of_many_users_are_given_the_oldest_first_and_no_more_than_asked(stores: Stores) -> None:
    jobs = [staged(ref(new_user()), since=since) for since in (7, 3, 9, 1, 5, 2, 8, 6, 4)]
    put(stores, *jobs)
    waiting = [job.ref for job in sorted(jobs, key=lambda job: job.created_at)]
    assert leasable(stores) == waiting
    assert leasable(stores, limit=4) == waiting[:4]


def test_a_leased_job_stays_where_it_was(stores: Stores) -> None:
    user = new_user()
    jobs = [staged(ref(user, number), since=number) for number in (1001, 1002)]
    put(stores, *jobs)
    taken = replace(jobs[0], version=2, epoch=1, leased_until=NOON + 600 * SECOND, updated_at=NOON + 2 * HOUR)
    assert stores.jobs.save(taken, was=1)
    assert leasable(stores) == [job.ref for job in jobs]


def test_a_job_leaves_the_queue_when_it_is_held_or_goes_on(stores: Stores) -> None:
    user = new_user()
    jobs = [staged(ref(user, number)) for number in (1001, 1002, 1003)]
    put(stores, *jobs)
    assert stores.jobs.save(replace(jobs[0], version=2, hold=Hold.RUN), was=1)
    assert stores.jobs.save(replace(jobs[1], version=2, state=State.QUEUED, epoch=1, native_id="1"), was=1)
    assert leasable(stores) == [jobs[2].ref]
    assert stores.jobs.save(replace(jobs[0], version=3, hold=None), was=2)
    assert set(leasable(stores)) == {jobs[0].ref, jobs[2].ref}


def test_commands_are_to_cancel_what_the_site_has_and_to_clean_what_is_completed(stores: Stores) -> None:
    user = new_user()
    wanted = [
        a_job(
            ref(user, 1001),
            state=State.ACTIVE,
            epoch=1,
            native_id="1",
            cancel_requested=True,
            updated_at=NOON + SECOND,
        ),
        a_job(ref(user, 1002), state=State.QUEUED, epoch=1, native_id="2", cancel_requested=True),
        a_job(
            ref(user, 1003),
            state=State.STAGED,
            epoch=1,
            cancel_requested=True,
            updated_at=NOON + 2 * SECOND,
        ),
    ]
    others = [
        a_job(ref(user, 1004), state=State.STAGED, cancel_requested=True),
        a_job(ref(user, 1005), state=State.STAGE_OUT, epoch=1, cancel_requested=True),
        a_job(ref(user, 1006), state=State.ACTIVE, epoch=1, native_id="6"),
    ]
    put(stores, *wanted, *others)
    done = a_job(ref(user, 1007), version=2, state=State.COMPLETED, outcome=Outcome.OK, exit_code=0, cleanup=True)
    done = replace(done, updated_at=NOON + 3 * SECOND)
    put(stores, a_job(done.ref))
    assert stores.jobs.save(done, was=1)
    inorder = [ref(user, number) for number in (1002, 1001, 1003, 1007)]
    assert commanded(stores) == inorder
    assert commanded(stores, 2) == inorder[:2]
    assert leasable(stores) == []
    assert stores.jobs.save(replace(done, version=3, cleanup=False), was=2)
    assert commanded(stores) == inorder[:3]


def test_commands_that_nobody_carries_out_keep_no_job_from_being_leased(stores: Stores) -> None:
    user = new_user()
    ends = [
        a_job(ref(user, number), state=State.QUEUED, epoch=1, native_id="1", cancel_requested=True)
        for number in range(1001, 1031)
    ]
    jobs = [staged(ref(user, number), since=number) for number in range(1101, 1131)]
    put(stores, *ends, *jobs)
    due = stores.site_queue.due(THETA, commands=3, leases=7)
    assert len(due.commanded) == 3
    assert list(due.leasable) == [job.ref for job in jobs[:7]]
    due = stores.site_queue.due(THETA, commands=100, leases=20)
    assert set(due.commanded) == {job.ref for job in ends}
    assert list(due.leasable) == [job.ref for job in jobs[:20]]
    assert stores.site_queue.due(THETA, commands=100, leases=0).leasable == []
    assert stores.site_queue.due(THETA, commands=0, leases=5).commanded == []


def test_an_index_that_lags_shows_jobs_that_are_gone_and_not_yet_those_that_came(lagging: Stores) -> None:
    user = new_user()
    old, fresh = staged(ref(user, 1001)), staged(ref(user, 1002))
    put(lagging, old)
    lagging.catch_up()
    assert lagging.jobs.save(replace(old, version=2, hold=Hold.RUN), was=1)
    put(lagging, fresh)
    assert leasable(lagging) == [old.ref]
    assert lagging.jobs.get(old.ref) == replace(old, version=2, hold=Hold.RUN)
    lagging.catch_up()
    assert leasable(lagging) == [fresh.ref]
