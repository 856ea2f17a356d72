"""Frozen batches: one suite over every store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from store_samples import a_batch, at_once, new_user

from chalicelib.core.batch import MOST_ITEMS, Member
from chalicelib.core.ids import BatchId, JobNumber, SubmissionId

if TYPE_CHECKING:
    from conftest import Stores


def test_a_batch_comes_back_as_it_was_frozen(stores: Stores) -> None:
    batch = a_batch(new_user(), careful=True)
    assert stores.batches.freeze(batch) == batch
    assert stores.batches.get(batch.user, batch.id) == batch
    assert stores.batches.get(batch.user, BatchId("b-2")) is None
    assert stores.batches.get(new_user(), batch.id) is None


def test_the_order_of_the_members_is_kept(stores: Stores) -> None:
    members = (Member(JobNumber(1007), 3, 1), Member(JobNumber(1001), 0, 2), Member(JobNumber(1007), 1, 1))
    batch = a_batch(new_user(), members=0)
    batch = replace(batch, members=members)
    stores.batches.freeze(batch)
    stored = stores.batches.get(batch.user, batch.id)
    assert stored is not None
    assert stored.members == members


def test_the_largest_batch_can_be_frozen(stores: Stores) -> None:
    scattered = tuple(Member(JobNumber(9_000_000_000 - 7 * n), n % 100, 1 + n % 3) for n in range(MOST_ITEMS))
    batch = replace(a_batch(new_user()), members=scattered)
    stores.batches.freeze(batch)
    assert stores.batches.get(batch.user, batch.id) == batch


def test_a_batch_once_frozen_is_what_everybody_goes_on_with(stores: Stores) -> None:
    first = a_batch(new_user())
    stores.batches.freeze(first)
    assert stores.batches.freeze(replace(first, members=(), submission=SubmissionId("s-2"))) == first


def test_of_many_who_freeze_at_once_all_go_on_with_the_same(stores: Stores) -> None:
    first = a_batch(new_user())
    tries = [replace(first, submission=SubmissionId(f"s-{n}")) for n in range(6)]
    told = at_once([lambda one=one: stores.batches.freeze(one) for one in tries])  # type: ignore[misc]
    assert len({batch.submission for batch in told}) == 1
    assert stores.batches.get(first.user, first.id) == told[0]


def test_a_dropped_batch_is_gone_and_may_be_dropped_again(stores: Stores) -> None:
    batch = a_batch(new_user())
    stores.batches.freeze(batch)
    stores.batches.drop(batch.user, batch.id)
    stores.batches.drop(batch.user, batch.id)
    assert stores.batches.get(batch.user, batch.id) is None
