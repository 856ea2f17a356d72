"""The edges between jobs that wait and those they wait for, in every store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from store_samples import new_user, ref

from chalicelib.core.ids import JobNumber

if TYPE_CHECKING:
    from conftest import Stores


def edges(*pairs: tuple[int, int]) -> list[tuple[JobNumber, JobNumber]]:
    return [(JobNumber(parent), JobNumber(child)) for parent, child in pairs]


def test_a_job_s_children_are_its_own_and_its_user_s(stores: Stores) -> None:
    ada, bob = new_user(), new_user()
    stores.dependants.note(ada, edges((1001, 1003), (1001, 1002), (1002, 1003), (10010, 10011)))
    stores.dependants.note(bob, edges((1001, 1009)))
    assert stores.dependants.of(ref(ada, 1001)) == [1002, 1003]
    assert stores.dependants.of(ref(ada, 1002)) == [1003]
    assert stores.dependants.of(ref(ada, 1003)) == []
    assert stores.dependants.of(ref(bob, 1001)) == [1009]


def test_an_edge_that_is_written_again_is_one_edge(stores: Stores) -> None:
    ada = new_user()
    for _ in range(2):
        stores.dependants.note(ada, edges((1001, 1002), (1001, 1002)))
    assert stores.dependants.of(ref(ada, 1001)) == [1002]


def test_many_children_are_all_found(stores: Stores) -> None:
    ada = new_user()
    stores.dependants.note(ada, edges(*((1001, number) for number in range(1002, 1062))))
    assert stores.dependants.of(ref(ada, 1001)) == list(range(1002, 1062))
