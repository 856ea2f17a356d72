"""Statuses, documents and tales: one suite over every store of jobs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from store_samples import NOON, a_fact, a_full_job, a_job, at_once, new_user, ref

from chalicelib.core.holds import Hold
from chalicelib.core.ids import JobNumber, SiteId
from chalicelib.core.job import Job, Outcome, State
from chalicelib.core.ports.jobs import Save, Tale, Wanted

if TYPE_CHECKING:
    from conftest import Stores


def put(stores: Stores, *jobs: Job) -> None:
    stores.postings.put_rows([(job, {"name": job.name, "number": job.ref.number}) for job in jobs])


def step(job: Job, **fields: object) -> Job:
    """The job one version on."""
    return replace(job, version=job.version + 1, updated_at=job.updated_at + timedelta(seconds=1), **fields)  # type: ignore[arg-type]


def test_a_status_comes_back_exactly_as_it_was_saved(stores: Stores) -> None:
    at = ref(new_user())
    put(stores, a_job(at))
    full = a_full_job(at)
    assert stores.jobs.save(full, was=1)
    assert stores.jobs.get(at) == full
    assert stores.jobs.get_many([at]) == {at: full}


def test_a_job_that_nobody_posted_is_not_there(stores: Stores) -> None:
    user = new_user()
    put(stores, a_job(ref(user)))
    assert stores.jobs.get(ref(user, 1002)) is None
    assert stores.jobs.get(ref(new_user())) is None


def test_many_statuses_are_read_at_once_and_those_that_are_missing_are_left_out(stores: Stores) -> None:
    user = new_user()
    jobs = [a_job(ref(user, number)) for number in range(1001, 1251)]
    put(stores, *jobs)
    asked = [ref(user, number) for number in (*range(990, 1260), 1001, 1001)]
    assert stores.jobs.get_many(asked) == {job.ref: job for job in jobs}
    assert stores.jobs.get_many([]) == {}


def test_documents_come_back_as_they_were_sent_however_large(stores: Stores) -> None:
    user = new_user()
    documents = {
        ref(user, 1001 + index): {"name": "ünïcode ☃", "nothing": None, "half": 0.5, "text": "é" * 125_000, "n": index}
        for index in range(70)
    }
    for start in range(0, len(documents), 10):  # a request to the API is 5 MB at most
        stores.postings.put_rows([(a_job(at), document) for at, document in [*documents.items()][start : start + 10]])
    assert stores.jobs.documents([(at, 1) for at in documents]) == documents


def test_a_status_is_replaced_only_in_the_version_that_was_read(stores: Stores) -> None:
    first = a_job(ref(new_user()))
    put(stores, first)
    second = step(first, state=State.STAGE_IN)
    assert stores.jobs.save(second, was=1)
    assert not stores.jobs.save(second, was=1)
    assert not stores.jobs.save(step(first, hold=Hold.RUN), was=1)
    assert stores.jobs.get(first.ref) == second


def test_a_status_that_was_never_put_cannot_be_saved(stores: Stores) -> None:
    job = a_job(ref(new_user()))
    assert not stores.jobs.save(job, was=1)
    assert stores.jobs.get(job.ref) is None


def test_a_save_that_lost_leaves_no_trace_of_its_fact_and_its_tale(stores: Stores) -> None:
    user = new_user()
    first = a_job(ref(user))
    put(stores, first)
    won, lost = step(first, native_id="1"), step(first, native_id="2")
    assert stores.jobs.save(won, was=1, tales=[Tale(version=2, detail={"words": "of the winner"})])
    assert not stores.jobs.save(lost, was=1, tales=[Tale(version=2, detail={"words": "of the loser"})], fact=a_fact())
    assert stores.jobs.tale(first.ref, 2) == Tale(version=2, detail={"words": "of the winner"})
    assert stores.desks.inbox(user, 10) == []
    assert stores.desks.read(user) is None


def test_a_save_with_a_fact_puts_it_in_the_inbox_and_wakes_the_desk(stores: Stores) -> None:
    user = new_user()
    first = a_job(ref(user))
    put(stores, first)
    assert stores.jobs.save(step(first), was=1, fact=a_fact())
    desk = stores.desks.read(user)
    assert desk is not None
    assert (desk.seq, desk.wake_at) == (1, NOON + timedelta(seconds=1))
    assert list(stores.desks.inbox(user, 10)) == [a_fact()]


def test_tales_are_told_oldest_first_and_one_by_one(stores: Stores) -> None:
    user = new_user()
    job = a_job(ref(user))
    put(stores, job, a_job(ref(user, 1002)))
    for version in range(2, 13):
        job, was = step(job), job.version
        assert stores.jobs.save(job, was=was, tales=[Tale(version=version, detail={"n": version, "t": ["é"]})])
    assert [tale.version for tale in stores.jobs.tales(job.ref)] == list(range(2, 13))
    assert stores.jobs.tale(job.ref, 7) == Tale(version=7, detail={"n": 7, "t": ["é"]})
    assert stores.jobs.tale(job.ref, 70) is None
    assert list(stores.jobs.tales(ref(user, 1002))) == []


def test_a_tale_that_a_loser_left_is_told_by_its_code_and_gives_way_to_the_winners(stores: Stores) -> None:
    first = a_job(ref(new_user()))
    put(stores, first)
    lost, won = (
        Tale(version=3, detail={"by": "loser"}, code="exited"),
        Tale(version=3, detail={"by": "winner"}, code="x"),
    )
    assert not stores.jobs.save(replace(first, version=3), was=2, tales=[lost])
    assert {tale.code for tale in stores.jobs.tales(first.ref)} <= {"exited"}
    second = step(first)
    assert stores.jobs.save(second, was=1)
    assert stores.jobs.save(step(second), was=2, tales=[won])
    assert not stores.jobs.save(step(second), was=2, tales=[lost])
    assert list(stores.jobs.tales(first.ref)) == [won]


def test_many_are_saved_each_by_itself(stores: Stores) -> None:
    user = new_user()
    jobs = [a_job(ref(user, number)) for number in range(1001, 1041)]
    put(stores, *jobs)
    ahead = step(jobs[7])
    assert stores.jobs.save(ahead, was=1)
    saves = [Save(job=step(job, native_id="1"), was=1, tales=[Tale(version=2, detail={"n": 1})]) for job in jobs]
    assert list(stores.jobs.save_many(saves)) == [job.ref != ahead.ref for job in jobs]
    found = stores.jobs.get_many([job.ref for job in jobs])
    assert [ref for ref, job in found.items() if job.native_id is None] == [ahead.ref]
    assert stores.jobs.tale(jobs[3].ref, 2) == Tale(version=2, detail={"n": 1})
    assert list(stores.jobs.save_many([])) == []


def test_of_many_each_finds_its_words_free_or_taken(stores: Stores) -> None:
    user = new_user()
    jobs = [a_job(ref(user, number)) for number in range(1001, 1005)]
    put(stores, *jobs)
    mine = [Tale(version=2, detail={"by": "me"}, code="settled") for _ in jobs]
    theirs = Tale(version=2, detail={"by": "loser"}, code="exited")
    saves = [Save(job=step(job), was=1, tales=[tale]) for job, tale in zip(jobs, mine, strict=True)]
    # What a loser left, what this very call left when it was cut off, and what a winner has.
    assert not stores.jobs.save(replace(jobs[0], version=2), was=7, tales=[theirs])
    assert not stores.jobs.save(replace(jobs[1], version=2), was=7, tales=[mine[1]])
    assert stores.jobs.save(step(jobs[2]), was=1, tales=[theirs])
    assert list(stores.jobs.save_many(saves)) == [True, True, False, True]
    assert [stores.jobs.tale(job.ref, 2) for job in jobs] == [mine[0], mine[1], theirs, mine[3]]


def test_a_status_that_many_are_saved_with_leaves_what_it_no_longer_has(stores: Stores) -> None:
    user, site = new_user(), SiteId("theta")
    jobs = [a_job(ref(user, number)) for number in (1001, 1002)]
    put(stores, *jobs)
    staged = [step(job, state=State.STAGED, posted=None) for job in jobs]
    assert list(stores.jobs.save_many([Save(job=job, was=1) for job in staged])) == [True, True]
    assert set(stores.site_queue.due(site, commands=0, leases=10).leasable) == {job.ref for job in jobs}
    queued = [step(job, state=State.QUEUED, epoch=1, native_id="7") for job in staged]
    assert list(stores.jobs.save_many([Save(job=job, was=2) for job in queued])) == [True, True]
    assert list(stores.site_queue.due(site, commands=0, leases=10).leasable) == []
    assert stores.jobs.get_many([job.ref for job in jobs]) == {job.ref: job for job in queued}


def test_a_final_job_is_kept_for_the_retention_and_no_longer(stores: Stores) -> None:
    user = new_user()
    first = a_job(ref(user))
    put(stores, first, a_job(ref(user, 1002)))
    done = step(first, state=State.COMPLETED, outcome=Outcome.OK, exit_code=0)
    assert stores.jobs.save(done, was=1)
    stores.clock.turn(timedelta(days=180))
    assert stores.jobs.get(done.ref) == done
    stores.clock.turn(timedelta(seconds=3))
    assert stores.jobs.get(done.ref) is None
    assert list(stores.jobs.get_many([done.ref, ref(user, 1002)])) == [ref(user, 1002)]
    assert [job.ref.number for job in stores.jobs.list(user, Wanted(), 10, None).jobs] == [JobNumber(1002)]


def test_of_many_who_save_the_same_version_one_succeeds_each_time(stores: Stores) -> None:
    user = new_user()
    job = a_job(ref(user))
    put(stores, job)
    for _ in range(6):
        tries = [step(job, native_id=str(writer)) for writer in range(6)]
        answers = at_once([lambda one=one, was=job.version: stores.jobs.save(one, was=was) for one in tries])  # type: ignore[misc]
        assert answers.count(True) == 1
        job = tries[answers.index(True)]
        assert stores.jobs.get(job.ref) == job


def test_facts_that_are_recorded_at_once_are_all_counted(stores: Stores) -> None:
    user = new_user()
    jobs = [a_job(ref(user, number)) for number in range(1001, 1013)]
    put(stores, *jobs)
    answers = at_once(
        [lambda job=job: stores.jobs.save(step(job), was=1, fact=a_fact(job.ref.number)) for job in jobs]  # type: ignore[misc]
    )
    desk = stores.desks.read(user)
    assert all(answers)
    assert desk is not None
    assert desk.seq == len(jobs)
    assert len(stores.desks.inbox(user, 100)) == len(jobs)


def test_a_new_revision_s_document_is_written_with_its_status_or_not_at_all(stores: Stores) -> None:
    first = a_job(ref(new_user()))
    put(stores, first)
    altered = replace(first, version=2, revision=2)
    assert stores.jobs.save(altered, was=1, document={"name": "second"}, fact=a_fact())
    assert not stores.jobs.save(altered, was=1, document={"name": "late"}, fact=a_fact())
    assert stores.jobs.documents([(first.ref, 2)])[first.ref] == {"name": "second"}
    assert stores.jobs.get(first.ref) == altered
    assert stores.jobs.documents([(first.ref, 1)])[first.ref] != {"name": "second"}


def test_a_weak_read_may_miss_what_is_new_and_show_what_was_replaced(lagging: Stores) -> None:
    user = new_user()
    old, fresh = a_job(ref(user, 1001)), a_job(ref(user, 1002))
    put(lagging, old)
    lagging.catch_up()
    after = step(old, hold=Hold.RUN)
    assert lagging.jobs.save(after, was=1)
    put(lagging, fresh)
    refs = [old.ref, fresh.ref]
    assert lagging.jobs.get_many(refs, strong=False) == {old.ref: old}
    assert lagging.jobs.get_many(refs) == {old.ref: after, fresh.ref: fresh}
    assert lagging.jobs.documents([(fresh.ref, 1)])[fresh.ref]["number"] == 1002
    lagging.catch_up()
    assert lagging.jobs.get_many(refs, strong=False) == {old.ref: after, fresh.ref: fresh}
