"""The end of a task, read for each of its items: nobody is forgotten, and nobody pays for a neighbour."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from core_examples import ARCHIVE, LAB, NOON
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.core.batch import MOST_ITEMS, Member, Movement
from chalicelib.core.ids import BatchId, JobNumber, TaskId
from chalicelib.core.job import Leg, LegStatus
from chalicelib.core.paths import Location
from chalicelib.core.ports.transfer import Skip, Task, TaskEvent, TaskStatus
from chalicelib.core.settling import (
    MOST_TOLD,
    RENEWED,
    WITHDRAWN,
    Aboard,
    Settled,
    count_delivered,
    falls_short,
    lacks_login,
    settle_failure,
    settle_success,
)

MOVING = LegStatus.MOVING
STEP = st.sampled_from(["a", "ab", "b", "a b", "é"])
PATH = st.lists(STEP, min_size=1, max_size=3).map(lambda steps: "/" + "/".join(steps))
CODES = st.sampled_from(["PERMISSION_DENIED", "FILE_NOT_FOUND", "ENDPOINT_TOO_BUSY", "AUTH", "NEVER_HEARD_OF"])
DETAILS = st.one_of(st.just(""), PATH.map(lambda path: f"File: {path}\nMessage: no"), PATH)


def aboard(
    number: int,
    source: str,
    destination: str = "/out/x",
    *,
    files: int | None = None,
    share: int | None = None,
    optional: bool = False,
) -> Aboard:
    leg = Leg(item=0, status=MOVING, batch=BatchId("b"), files=files, share=share)
    member = Member(JobNumber(number), 0, 1)
    movement = Movement(member=member, source=Location(LAB, source), destination=Location(ARCHIVE, destination))
    return Aboard(leg=leg, movement=movement, optional=optional)


def a_task(status: TaskStatus = TaskStatus.SUCCEEDED, *, done: int = 0, fatal: str | None = None) -> Task:
    return Task(
        id=TaskId("task"),
        status=status,
        label="label",
        files=done,
        files_done=done,
        bytes=0,
        ok=True,
        paused=False,
        faults=0,
        skipped=0,
        nice_status=None,
        fatal=fatal,
    )


def an_event(code: str, path: str = "", detail: str | None = None) -> TaskEvent:
    """As Transfer words them."""
    words = f"Error (transfer)\nFile: {path}\nMessage: Fatal FTP response\n---\nDetails: 550 no" if path else ""
    return TaskEvent(code=code, description="no", detail=words if detail is None else detail, time=NOON)


def failed(
    items: Sequence[Aboard], *events: TaskEvent, fatal: str | None = None, canceling: str | None = None
) -> dict[int, Settled]:
    task = a_task(TaskStatus.FAILED, fatal=fatal)
    return by_number(settle_failure(items, task, events, canceling))


def succeeded(items: Sequence[Aboard], *skips: Skip) -> dict[int, Settled]:
    return by_number(settle_success(items, skips, None))


def by_number(found: object) -> dict[int, Settled]:
    assert isinstance(found, dict)
    return {member.number: settled for member, settled in found.items()}


def skip(path: str, code: str = "FILE_NOT_FOUND", detail: str = "gone") -> Skip:
    return Skip(source_path=path, code=code, detail=detail)


def goes_again(settled: Settled) -> bool:
    return settled.leg.status is LegStatus.PENDING and settled.leg.batch is None and settled.leg.share is not None


ITEMS = st.lists(
    st.tuples(PATH, st.sampled_from(["", "/"]), PATH, st.booleans(), st.sampled_from([None, 1, 3, 2000])),
    min_size=1,
    max_size=6,
).map(
    lambda rows: [
        aboard(1000 + n, source + tail, destination + tail, optional=optional, share=share, files=n)
        for n, (source, tail, destination, optional, share) in enumerate(rows)
    ]
)


def check_answers(items: Sequence[Aboard], answers: dict[int, Settled]) -> None:
    """One answer each: settled or to go again, in no batch, with nothing of the leg lost."""
    assert set(answers) == {each.movement.member.number for each in items}
    for each in items:
        leg = answers[each.movement.member.number].leg
        assert leg.status is not MOVING
        assert leg.batch is None
        assert (leg.item, leg.files) == (each.leg.item, each.leg.files)
        assert (leg.error is not None) == (leg.status is LegStatus.FAILED)
        assert leg.status is not LegStatus.ABSENT or each.optional
        assert leg.share is None or leg.status is LegStatus.PENDING


@settings(max_examples=200)
@given(ITEMS, st.lists(st.builds(skip, PATH, CODES), max_size=5), st.none() | st.integers(0, 5))
def test_every_item_of_a_task_that_succeeded_gets_one_answer(
    items: list[Aboard], skips: list[Skip], short: int | None
) -> None:
    delivered = None if short is None else {each.movement.member: short for each in items}
    answers = by_number(settle_success(items, skips, delivered))
    check_answers(items, answers)
    for each in items:
        own = each.movement.source.path.rstrip("/")
        hit = any(s.source_path == own or s.source_path.startswith(f"{own}/") for s in skips)
        status = answers[each.movement.member.number].leg.status
        missing = short is not None and short < (each.leg.files or 0)
        assert (status is LegStatus.DONE) == (not hit and not missing)


@settings(max_examples=300)
@given(
    ITEMS,
    st.lists(st.builds(lambda code, detail: an_event(code, detail=detail), CODES, DETAILS), max_size=4),
    st.none() | CODES,
    st.sampled_from([None, None, WITHDRAWN, "PERMISSION_DENIED"]),
)
def test_every_item_of_a_task_that_failed_gets_one_answer_and_the_tries_have_an_end(
    items: list[Aboard], events: list[TaskEvent], fatal: str | None, canceling: str | None
) -> None:
    answers = failed(items, *events, fatal=fatal, canceling=canceling)
    check_answers(items, answers)
    again = [settled.leg for settled in answers.values() if settled.leg.status is LegStatus.PENDING]
    for each in items:
        share = answers[each.movement.member.number].leg.share
        assert share is None or share <= (each.leg.share or MOST_ITEMS), "a share never grows again"
    needs_user = lacks_login(a_task(TaskStatus.FAILED, fatal=fatal), events, canceling) is not None
    if len(again) == len(items) and canceling != WITHDRAWN and not needs_user:
        assert all(leg.share is not None and leg.share < len(items) for leg in again), "or it would go on for ever"


USER_CODES = ["AUTH", "CREDENTIAL_EXPIRED"]


@pytest.mark.parametrize("code", USER_CODES)
def test_a_task_that_died_for_want_of_a_login_fails_nothing_and_goes_again(code: str) -> None:
    items = [aboard(1, "/a"), aboard(2, "/b")]
    for answers in (failed(items, an_event(code)), failed(items, fatal=code)):
        assert {settled.leg.status for settled in answers.values()} == {LegStatus.PENDING}


def test_a_task_that_stood_still_until_its_deadline_goes_again_after_the_login() -> None:
    items = [aboard(1, "/a")]
    events = [an_event("EXPIRED"), an_event("AUTH", detail="Credentials expired")]
    assert failed(items, *events, fatal="EXPIRED")[1].leg.status is LegStatus.PENDING
    assert "Credentials expired" in (lacks_login(a_task(TaskStatus.FAILED, fatal="EXPIRED"), events, None) or "")


def test_a_login_that_was_wanted_on_the_way_excuses_no_permanent_fault() -> None:
    items = [aboard(1, "/a")]
    assert failed(items, an_event("FILE_NOT_FOUND", detail="/a"), an_event("AUTH"))[1].leg.status is LegStatus.FAILED


def test_what_is_sent_anew_after_a_login_asks_for_no_other_login() -> None:
    items = [aboard(1, "/a")]
    assert failed(items, an_event("AUTH"), canceling=RENEWED)[1].leg.status is LegStatus.PENDING
    assert lacks_login(a_task(TaskStatus.FAILED), [an_event("AUTH")], RENEWED) == ""


def test_an_item_is_done_if_nothing_under_its_source_was_skipped() -> None:
    items = [aboard(1, "/data/run-1/"), aboard(2, "/data/run-10/"), aboard(3, "/data/run-1.txt")]
    answers = succeeded(items, skip("/data/run-1/deep/er"))
    assert [answers[n].leg.status for n in (1, 2, 3)] == [LegStatus.FAILED, LegStatus.DONE, LegStatus.DONE]


def test_the_owner_of_a_skipped_file_fails_with_its_name_and_with_globus_s_reason() -> None:
    answer = succeeded([aboard(1, "/data/")], skip("/data/x y", "PERMISSION_DENIED", "550 denied"))[1]
    assert answer.leg.error == "source_denied"
    assert answer.words == ("/data/x y: 550 denied",)


@pytest.mark.parametrize(("code", "error"), [("FILE_NOT_FOUND", "source_missing"), ("ODD", "source_odd")])
def test_a_skip_s_code_is_the_item_s_error(code: str, error: str) -> None:
    assert succeeded([aboard(1, "/data/x")], skip("/data/x", code, ""))[1].leg.error == error
    assert succeeded([aboard(1, "/data/x")], skip("/data/x", code, ""))[1].words == (f"/data/x: {code}",)


def test_two_jobs_with_one_source_share_its_fate() -> None:
    answers = succeeded([aboard(1, "/data/"), aboard(2, "/data/"), aboard(3, "/data/x")], skip("/data/x"))
    assert {answer.leg.status for answer in answers.values()} == {LegStatus.FAILED}


@pytest.mark.parametrize("source", ["/data/x", "/data/x/"])
def test_what_is_optional_may_be_missing(source: str) -> None:
    assert succeeded([aboard(1, source, optional=True)], skip("/data/x"))[1].leg.status is LegStatus.ABSENT
    assert succeeded([aboard(1, source, optional=True)], skip("/data/x/"))[1].leg.status is LegStatus.ABSENT
    assert succeeded([aboard(1, source)], skip("/data/x"))[1].leg.status is LegStatus.FAILED


def test_what_is_optional_must_be_whole_and_readable_if_it_is_there() -> None:
    item = aboard(1, "/data/x/", optional=True)
    assert succeeded([item], skip("/data/x/inner"))[1].leg.status is LegStatus.FAILED
    assert succeeded([item], skip("/data/x", "PERMISSION_DENIED"))[1].leg.error == "source_denied"
    assert succeeded([item], skip("/data/x"), skip("/data/x/inner"))[1].leg.status is LegStatus.FAILED


def test_of_endless_skips_the_first_are_told_and_the_rest_counted() -> None:
    words = succeeded([aboard(1, "/data/")], *(skip(f"/data/{n}") for n in range(MOST_TOLD + 5)))[1].words
    assert len(words) == MOST_TOLD + 1
    assert words[-1] == "and 5 more"


def test_a_source_that_is_a_collection_s_root_owns_every_skip() -> None:
    assert succeeded([aboard(1, "/")], skip("/x"))[1].leg.status is LegStatus.FAILED


def test_a_stage_out_is_proved_against_what_the_site_counted() -> None:
    whole, short = aboard(1, "/j/1/", "/out/1/", files=2), aboard(2, "/j/2/", "/out/2/", files=3)
    uncounted = aboard(3, "/j/3/", "/out/3/")
    items = [whole, short, uncounted]
    legs = [item.leg for item in items]
    assert not falls_short(legs, a_task(done=5))
    assert falls_short(legs, a_task(done=4))
    counts = count_delivered(items, ["/out/1/a", "/out/1/d/b", "/out/2/a", "/out/2/b", "/out/22/c", "/out/3/x"])
    answers = by_number(settle_success(items, (), counts))
    assert [answers[n].leg.status for n in (1, 2, 3)] == [LegStatus.DONE, LegStatus.FAILED, LegStatus.DONE]
    assert answers[2].leg.error == "output_incomplete"
    assert "2 of 3" in answers[2].words[0]


def test_a_single_file_is_counted_at_its_own_path() -> None:
    item = aboard(1, "/j/1/a", "/out/a", files=1)
    assert count_delivered([item], ["/out/ab", "/out/a"]) == {item.movement.member: 1}
    assert by_number(settle_success([item], (), {}))[1].leg.error == "output_incomplete"


def test_the_culprit_fails_with_globus_s_words_and_its_neighbours_go_again_with_care() -> None:
    items = [aboard(1, "/in/1/", "/out/run-1/"), aboard(2, "/in/2/", "/out/run-2/")]
    answers = failed(items, an_event("PERMISSION_DENIED", "/out/run-2/deep/file"), canceling="PERMISSION_DENIED")
    assert goes_again(answers[1])
    assert (answers[2].leg.status, answers[2].leg.error) == (LegStatus.FAILED, "permission_denied")
    assert "/out/run-2/deep/file" in answers[2].words[0]


@pytest.mark.parametrize(
    ("innocent", "named"),
    [
        ("/out/run-1/", "/out/run-10/file"),
        ("/out/run-1", "/out/run-10"),
        ("/out/run-1/", "/out/run-1 (copy)/file"),
        ("/out/run-1/", "/big/out/run-1/file"),
        ("/out/a", "/out/a.txt"),
    ],
)
def test_nobody_is_blamed_for_a_path_that_only_looks_like_theirs(innocent: str, named: str) -> None:
    owner = named if named.startswith("/big") or "." in named else named.removesuffix("file")
    items = [aboard(1, "/in/1", innocent), aboard(2, "/in/2", owner)]
    answers = failed(items, an_event("PERMISSION_DENIED", named))
    assert goes_again(answers[1])
    assert answers[2].leg.status is LegStatus.FAILED


@pytest.mark.parametrize("detail", ["/out/a", "'/out/a'", '"/out/a/b"', "File: /out/a\nMessage", "path=/out/a/b, no"])
def test_a_culprit_is_found_however_its_path_is_set_in_the_words(detail: str) -> None:
    items = [aboard(1, "/in/1", "/out/a/"), aboard(2, "/in/2", "/out/b/")]
    answers = failed(items, an_event("PERMISSION_DENIED", detail=detail))
    assert answers[1].leg.status is LegStatus.FAILED
    assert goes_again(answers[2])


def test_a_fault_at_a_source_names_every_job_that_reads_it() -> None:
    items = [aboard(1, "/data/", "/j/1/"), aboard(2, "/data/", "/j/2/"), aboard(3, "/more/", "/j/3/")]
    answers = failed(items, an_event("NOT_A_DIRECTORY", "/data"))
    assert [answers[n].leg.status for n in (1, 2)] == [LegStatus.FAILED, LegStatus.FAILED]
    assert goes_again(answers[3])


def test_errors_that_pass_make_nobody_a_culprit() -> None:
    items = [aboard(1, "/in/1", "/out/1"), aboard(2, "/in/2", "/out/2")]
    passing, permanent = an_event("ENDPOINT_TOO_BUSY", "/out/1"), an_event("PERMISSION_DENIED", "/out/2")
    answers = failed(items, passing, permanent)
    assert goes_again(answers[1])
    assert answers[2].leg.error == "permission_denied"


@pytest.mark.parametrize(
    ("events", "fatal", "canceling"),
    [
        ((an_event("PERMISSION_DENIED"),), None, "PERMISSION_DENIED"),
        ((an_event("PERMISSION_DENIED"),), None, None),
        ((an_event("CONNECT_FAILED", "/out/1"),), None, "PERMISSION_DENIED"),
        ((), None, "PERMISSION_DENIED"),
        ((), "PERMISSION_DENIED", None),
    ],
)
def test_where_no_event_names_the_culprit_the_batch_is_halved_until_it_stands_alone(
    events: tuple[TaskEvent, ...], fatal: str | None, canceling: str | None
) -> None:
    waiting = [aboard(n, f"/in/{n}", f"/out/{n}") for n in range(1, 8)]
    rounds = 0
    while len(waiting) > 1:
        rounds += 1
        answers = failed(waiting, *events, fatal=fatal, canceling=canceling)
        assert all(goes_again(answer) for answer in answers.values()), "nobody fails for a neighbour"
        share = answers[waiting[0].movement.member.number].leg.share
        assert share is not None
        waiting = [aboard(n, f"/in/{n}", f"/out/{n}", share=share) for n in range(1, share + 1)]
    assert rounds == 2
    alone = failed(waiting, *events, fatal=fatal, canceling=canceling)[1]
    assert (alone.leg.status, alone.leg.error) == (LegStatus.FAILED, "permission_denied")
    assert alone.words


def test_a_task_that_ran_out_of_time_or_was_ended_by_others_fails_its_items_with_what_is_known() -> None:
    items = [aboard(1, "/in/1"), aboard(2, "/in/2")]
    answers = failed(items, an_event("CONNECT_FAILED", detail="no route"))
    assert {answer.leg.error for answer in answers.values()} == {"connect_failed"}
    assert "no route" in answers[1].words[0]
    blank = failed(items)
    assert all(answer.leg.status is LegStatus.FAILED and answer.words for answer in blank.values())


def test_a_withdrawn_task_blames_nobody() -> None:
    items = [aboard(1, "/in/1", share=3), aboard(2, "/in/2")]
    answers = failed(items, an_event("PERMISSION_DENIED", "/in/1"), canceling=WITHDRAWN)
    assert all(goes_again(answer) for answer in answers.values())
    assert answers[1].leg.share == 3
