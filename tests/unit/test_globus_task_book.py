"""The book in which the Globus emulator keeps its tasks: conflicts, turns, deadlines, each at the same cost always."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from werkzeug.datastructures import MultiDict

from emulators.globus import query
from emulators.globus.config import Settings
from emulators.globus.task_book import TaskBook
from emulators.globus.task_models import Item, Options, Task


def task_of(number: int, *paths: str, deadline: float = 100.0, owner: str = "ada", **more: Any) -> Task:
    """A transfer of these paths, from ``lab`` to ``theta``."""
    return Task(
        id=f"task-{number}",
        type="TRANSFER",
        owner=owner,
        client="app",
        session=None,
        submission_id=f"submission-{number}",
        source="lab",
        destination="theta",
        items=tuple(Item(source_path=each, destination_path=each) for each in paths),
        options=Options(),
        label=None,
        request_time=0.0,
        deadline=deadline,
        **more,
    )


@pytest.mark.parametrize(
    ("identical", "paths", "conflicts"),
    [
        ("set", ("/a", "/b"), True),
        ("set", ("/b", "/a"), True),
        ("set", ("/a",), False),
        ("any", ("/a",), True),
        ("any", ("/c",), False),
    ],
)
def test_a_live_task_conflicts_with_its_like_and_an_ended_one_with_none(
    identical: Literal["set", "any"], paths: tuple[str, ...], conflicts: bool
) -> None:
    book, first = TaskBook(Settings(identical=identical)), task_of(1, "/a", "/b")
    book.add(first)
    assert book.moving(task_of(2, *paths)) is conflicts
    assert not book.moving(task_of(3, *paths, owner="bob"))
    assert (book.pending("ada"), book.in_use("theta"), book.in_use("archive")) == (1, True, False)
    book.ended(first)
    assert not book.moving(task_of(2, *paths))
    assert (book.pending("ada"), book.in_use("theta")) == (0, False)


def test_what_a_submission_asks_reads_no_other_task(monkeypatch: pytest.MonkeyPatch) -> None:
    book = TaskBook(Settings())
    for number in range(50):
        book.add(task_of(number, f"/{number}"))
    asked: list[str] = []
    pairs = Task.pairs
    monkeypatch.setattr(Task, "pairs", lambda task: asked.append(task.id) or pairs(task))
    assert not book.moving(task_of(50, "/50"))
    assert asked == ["task-50"]


def test_waiting_tasks_are_overdue_by_the_deadline_that_they_have_now() -> None:
    book = TaskBook(Settings())
    early, moved, late, runs = (task_of(number, "/a", deadline=10.0 * number) for number in (1, 2, 3, 4))
    for task in (late, moved, early, runs):
        book.add(task)
    moved.deadline = 50.0
    book.dated(moved)
    book.lane(runs).running[runs.id] = runs
    assert [task.id for task in book.overdue(45.0)] == ["task-1", "task-3"]
    assert [task.id for task in book.overdue(50.0)] == ["task-2"]
    assert list(book.overdue(1000.0)) == []


def test_a_task_that_ended_while_it_waited_loses_its_turn() -> None:
    book = TaskBook(Settings())
    first, second = task_of(1, "/a"), task_of(2, "/b")
    for task in (first, second):
        book.add(task)
    first.status = "FAILED"
    book.ended(first)
    assert book.lane(second).next() is second
    assert book.lane(second).next() is None


def test_a_page_by_marker_writes_what_is_on_it_and_nothing_else() -> None:
    written: list[int] = []

    def write(number: int) -> dict[str, int]:
        written.append(number)
        return {"number": number}

    page = query.marked(range(1000), MultiDict({"marker": "300", "limit": "3"}), "numbers", write)
    assert written == [300, 301, 302]
    assert (page["next_marker"], len(page["DATA"])) == (303, 3)
