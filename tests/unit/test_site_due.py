"""What a site has to do with a job, in every state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.core.holds import Hold
from chalicelib.core.ids import JobNumber, JobRef, SiteId, UserId
from chalicelib.core.job import Job, State
from chalicelib.core.shards import SITE_SHARDS, WAKE_SHARDS, site_shard, wake_shard
from chalicelib.core.site_queue import Kind, leased, site_due

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def a_job(state: State, **fields: object) -> Job:
    ref = JobRef(user=UserId("u"), number=JobNumber(1001))
    return Job(
        ref=ref,
        owner="ada",
        site=SiteId("theta"),
        name="job",
        index=0,
        created_at=NOON - HOUR,
        updated_at=NOON,
        state=state,
        **fields,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize("hold", [None, *Hold])
@pytest.mark.parametrize("cancel", [False, True])
@pytest.mark.parametrize("cleanup", [False, True])
def test_a_site_leases_submits_cancels_and_cleans_and_nothing_else(
    state: State, epoch: int, hold: Hold | None, cancel: bool, cleanup: bool
) -> None:
    due = site_due(a_job(state, epoch=epoch, hold=hold, cancel_requested=cancel, cleanup=cleanup))
    lease = state is State.STAGED and not hold and not cancel
    to_cancel = cancel and (state in (State.QUEUED, State.ACTIVE) or (state is State.STAGED and epoch > 0))
    to_clean = state in (State.COMPLETED, State.CANCELED) and cleanup
    expected = Kind.LEASE if lease else Kind.COMMAND if to_cancel or to_clean else None
    assert (due and due[0]) == expected


def test_jobs_are_leased_by_their_age_and_a_lease_moves_them_nowhere() -> None:
    """Each move would be two writes of the index."""
    assert site_due(a_job(State.STAGED)) == (Kind.LEASE, NOON - HOUR)
    assert site_due(a_job(State.STAGED, epoch=1, leased_until=NOON + HOUR)) == (Kind.LEASE, NOON - HOUR)


def test_a_lease_lasts_until_its_time_and_no_longer() -> None:
    job = a_job(State.STAGED, epoch=1, leased_until=NOON)
    assert leased(job, NOON - HOUR)
    assert not leased(job, NOON)
    assert not leased(a_job(State.STAGED), NOON)


def test_a_command_stands_since_the_last_change() -> None:
    assert site_due(a_job(State.ACTIVE, epoch=1, cancel_requested=True)) == (Kind.COMMAND, NOON)


def test_a_cancel_of_a_leased_job_does_not_wait_for_the_lease_to_run_out() -> None:
    job = a_job(State.STAGED, epoch=1, leased_until=NOON + HOUR, cancel_requested=True)
    assert site_due(job) == (Kind.COMMAND, NOON)


def test_users_and_jobs_are_spread_over_every_shard_and_always_the_same() -> None:
    users = [UserId(f"6f7c1c1e-0000-4000-8000-{n:012d}") for n in range(400)]
    assert {wake_shard(user) for user in users} == set(range(WAKE_SHARDS))
    refs = [JobRef(user=users[0], number=JobNumber(1001 + n)) for n in range(100)]
    assert {site_shard(ref) for ref in refs} == set(range(SITE_SHARDS))
    # Stored: another answer would hide the rows that were written with this one.
    assert (wake_shard(users[0]), site_shard(refs[0])) == (5, 3)
