"""A job's life by plain examples: the design's sentences, one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_examples import ADA, MINUTE, NOON, a_document, a_job, an_input

from chalicelib.core import lifecycle
from chalicelib.core.due import due
from chalicelib.core.events import (
    Active,
    Canceled,
    CancelRequested,
    Completed,
    Event,
    Exited,
    Failed,
    HoldPlaced,
    HoldReleased,
    Leased,
    LegsClaimed,
    LegsReleased,
    LegsSettled,
    Ordered,
    Queued,
    Report,
    RunRetried,
    StagedIn,
    StageInRetried,
    StageOutRetried,
    TriedAgain,
)
from chalicelib.core.ids import BatchId, JobNumber, JobRef, TaskId
from chalicelib.core.job import FINAL, Job, Leg, LegStatus, Outcome, Stage, State
from chalicelib.core.lifecycle import LONGEST_TRAIL, PAST, TABLE, IllegalTransition, transition
from chalicelib.core.progress import abandoned_by, plannable


def played(*events: Event, job: Job | None = None) -> Job:
    job = job or a_job()
    for number, event in enumerate(events):
        job = transition(job, event, NOON + number * MINUTE)
    return job


LEASED = Leased(epoch=1, until=NOON + 10 * MINUTE)
RUN = (StagedIn(), LEASED, Queued(epoch=1, native_id="7"), Active(epoch=1, native_id="7"))


def exited(outcome: Outcome = Outcome.OK, code: int | None = 0, legs: tuple[Leg, ...] = (), epoch: int = 1) -> Exited:
    return Exited(epoch=epoch, native_id="7", exit_code=code, outcome=outcome, legs=legs)


def test_the_plain_life_goes_through_every_state_of_the_design() -> None:
    document = a_document(stage_in=[an_input()])
    claimed = LegsClaimed(batch=BatchId("b"), items=frozenset({0}))
    settled = LegsSettled(batch=BatchId("b"), legs={0: Leg(item=0, status=LegStatus.DONE)}, task=TaskId("t"))
    job = played(claimed, settled, *RUN, exited(), Completed(), job=a_job(document))
    states = [mark.state for mark in job.trail]
    assert states == ["new", "stage_in", "stage_in", "staged", "staged", "queued", "active", "stage_out", "completed"]
    assert (job.exit_code, job.native_id, job.leased_until) == (0, "7", None)


@pytest.mark.parametrize("skipped", [RUN[:2], RUN[:3], (*RUN[:2], RUN[3])])
def test_a_report_may_be_skipped_where_life_skips(skipped: tuple[Event, ...]) -> None:
    assert played(*skipped, exited()).state is State.STAGE_OUT


def test_a_lease_that_ran_out_makes_its_reports_stale() -> None:
    again = played(*RUN[:2], Leased(epoch=2, until=NOON))
    assert transition(again, Queued(epoch=1, native_id="6"), NOON) is again
    assert transition(again, Queued(epoch=2, native_id="7"), NOON).native_id == "7"


def test_bin_false_cannot_complete() -> None:
    ended = played(*RUN, exited(Outcome.ERROR, 1))
    with pytest.raises(IllegalTransition, match="completed cannot happen"):
        transition(ended, Completed(), NOON)
    event = due(ended)
    assert event == Failed(stage=Stage.RUN, error="exit_code")


def test_exit_0_with_a_required_output_missing_fails_in_its_stage_and_keeps_the_exit_code_and_the_files() -> None:
    missing = Leg(item=0, status=LegStatus.FAILED, error="output_missing")
    ended = played(*RUN, exited(legs=(missing,)), job=replace(a_job(), cleanup=True))
    event = due(ended)
    assert event == Failed(stage=Stage.STAGE_OUT, error="output_missing")
    failed = transition(ended, event, NOON)
    assert (failed.state, failed.failed_stage, failed.exit_code) == (State.FAILED, Stage.STAGE_OUT, 0)
    assert not failed.cleanup, "nothing is cleaned"


@pytest.mark.parametrize(
    ("outcome", "code", "error"),
    [(Outcome.ERROR, 3, "exit_code"), (Outcome.OK, None, "exit_code"), (Outcome.WALLTIME, 0, "walltime"),
     (Outcome.LOST, None, "lost")],
)  # fmt: skip
def test_a_run_that_ended_badly_fails_as_a_run_once_its_outputs_have_moved(
    outcome: Outcome, code: int | None, error: str
) -> None:
    moving = played(*RUN, exited(outcome, code, (Leg(item=0),)))
    assert due(moving) is None
    assert plannable(moving)
    claimed = played(LegsClaimed(batch=BatchId("b"), items=frozenset({0})), job=moving)
    assert due(claimed) is None
    done = LegsSettled(batch=BatchId("b"), legs={0: Leg(item=0, status=LegStatus.DONE)}, task=TaskId("t"))
    assert due(played(done, job=claimed)) == Failed(stage=Stage.RUN, error=error)


def test_a_failed_input_fails_the_job_only_when_its_others_have_landed() -> None:
    document = a_document(stage_in=[an_input(target=f"{n}/") for n in range(3)])
    one = LegsClaimed(batch=BatchId("b1"), items=frozenset({0}))
    two = LegsClaimed(batch=BatchId("b2"), items=frozenset({1}))
    bad = {0: Leg(item=0, status=LegStatus.FAILED, error="source_missing")}
    job = played(one, two, LegsSettled(batch=BatchId("b1"), legs=bad, task=TaskId("t")), job=a_job(document))
    assert due(job) is None, "one is in flight"
    assert not plannable(job), "and the third need not set out"
    job = played(LegsReleased(batch=BatchId("b2")), job=job)
    assert due(job) == Failed(stage=Stage.STAGE_IN, error="source_missing")


@pytest.mark.parametrize("event", [Canceled(), Failed(stage=Stage.STAGE_IN, error="x"), StagedIn()])
def test_a_job_does_not_move_on_while_something_of_it_is_in_flight(event: Event) -> None:
    job = played(LegsClaimed(batch=BatchId("b"), items=frozenset({0})), job=a_job(a_document(stage_in=[an_input()])))
    with pytest.raises(IllegalTransition):
        transition(job, event, NOON)


def test_an_output_that_cannot_move_does_not_keep_back_the_others() -> None:
    missing = Leg(item=0, status=LegStatus.FAILED, error="output_missing")
    job = played(*RUN, exited(legs=(missing, Leg(item=1))))
    assert due(job) is None
    assert plannable(job)


def test_a_cancel_that_comes_while_outputs_wait_leaves_them_where_they_are() -> None:
    job = played(*RUN, exited(legs=(Leg(item=0), Leg(item=1, status=LegStatus.DONE))), CancelRequested())
    assert not plannable(job)
    assert due(job) == Canceled()


def test_a_cancel_waits_for_what_is_in_flight_and_then_ends_the_job() -> None:
    claimed = LegsClaimed(batch=BatchId("b"), items=frozenset({0}))
    job = played(claimed, CancelRequested(), job=a_job(a_document(stage_in=[an_input()])))
    assert abandoned_by(job)
    assert due(job) is None
    with pytest.raises(IllegalTransition):
        transition(job, Canceled(), NOON)
    assert due(played(LegsReleased(batch=BatchId("b")), job=job)) == Canceled()


def test_a_cancel_of_a_job_that_a_site_has_had_waits_for_the_site_s_word() -> None:
    leased = played(*RUN[:2], CancelRequested())
    assert due(leased) is None
    with pytest.raises(IllegalTransition):
        transition(leased, Canceled(), NOON)
    told = played(exited(Outcome.CANCELED, None), job=leased)
    assert due(told) == Canceled()


def test_a_cancelled_run_still_delivers_what_it_is_to_leave() -> None:
    job = played(*RUN, CancelRequested(), exited(Outcome.CANCELED, 143, (Leg(item=0),)))
    assert due(job) is None
    assert plannable(job)
    claimed = played(LegsClaimed(batch=BatchId("b"), items=frozenset({0})), job=job)
    assert not abandoned_by(claimed)


def test_a_cancel_that_comes_after_the_last_output_has_moved_changes_nothing_of_the_end() -> None:
    done = played(*RUN, exited(legs=(Leg(item=0, status=LegStatus.DONE),)), CancelRequested())
    assert due(done) == Completed()


def test_a_hold_keeps_a_job_from_a_lease_and_not_from_staging() -> None:
    held = a_job(a_document(stage_in=[an_input()], hold=True))
    assert held.waiting_for == {"hold"}
    assert plannable(held)
    staged = played(StagedIn(), job=replace(held, legs=()))
    with pytest.raises(IllegalTransition):
        transition(staged, LEASED, NOON)
    assert played(HoldReleased(), LEASED, job=staged).epoch == 1


def test_an_epoch_cannot_be_jumped_over() -> None:
    with pytest.raises(IllegalTransition):
        played(StagedIn(), Leased(epoch=2, until=NOON))


def test_items_that_are_under_way_cannot_be_claimed_by_another_batch() -> None:
    document = a_document(stage_in=[an_input(target=f"{n}/") for n in range(2)])
    job = played(LegsClaimed(batch=BatchId("b1"), items=frozenset({0})), job=a_job(document))
    for items in ({0}, {0, 1}, {7}, set()):
        with pytest.raises(IllegalTransition):
            transition(job, LegsClaimed(batch=BatchId("b2"), items=frozenset(items)), NOON)


def test_a_settling_touches_only_its_own_items() -> None:
    document = a_document(stage_in=[an_input(target=f"{n}/") for n in range(3)])
    job = played(
        LegsClaimed(batch=BatchId("b1"), items=frozenset({0})),
        LegsClaimed(batch=BatchId("b2"), items=frozenset({1})),
        LegsSettled(
            batch=BatchId("b1"), legs={n: Leg(item=n, status=LegStatus.DONE) for n in range(3)}, task=TaskId("t")
        ),
        job=a_job(document),
    )
    assert [leg.status for leg in job.legs] == [LegStatus.DONE, LegStatus.MOVING, LegStatus.PENDING]


def test_the_trail_of_an_endless_story_keeps_its_beginning_and_its_end() -> None:
    job = played(*(HoldPlaced() if n % 2 == 0 else HoldReleased() for n in range(2 * LONGEST_TRAIL)))
    versions = [mark.version for mark in job.trail]
    assert len(versions) == LONGEST_TRAIL
    assert versions[:3] == [1, 2, 3]
    assert versions[-1] == job.version == 2 * LONGEST_TRAIL + 1


def test_only_another_try_leads_out_of_a_final_state_and_only_of_failed() -> None:
    for state in FINAL:
        out = {event for event, target in TABLE[state].items() if target not in (PAST, state)}
        assert out == ({StageInRetried, RunRetried, StageOutRetried} if state is State.FAILED else set())


def test_every_state_has_its_row_and_every_event_its_column() -> None:
    assert set(TABLE) == set(State)

    events = {each for each in vars(lifecycle).values() if isinstance(each, type) and issubclass(each, Event)}
    assert {event for row in TABLE.values() for event in row} == events - {Event, Ordered, Report, TriedAgain}


def test_the_story_of_what_cannot_be_tells_nothing_that_a_user_wrote() -> None:
    job = replace(a_job(), ref=JobRef(user=ADA, number=JobNumber(1001)), tags={"secret": "hidden"})
    with pytest.raises(IllegalTransition) as refused:
        transition(job, Completed(), NOON)
    assert "hidden" not in str(refused.value)
    assert job.owner not in str(refused.value)
