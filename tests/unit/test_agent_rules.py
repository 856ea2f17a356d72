"""What happens to a job next, without a scheduler, a directory or a clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qstage.agent.rules import (
    CANCEL_AGAIN,
    Act,
    End,
    ExitNote,
    Held,
    Phase,
    Presence,
    RunMarker,
    Seen,
    Step,
    advance,
    cancel,
    exited,
    leased_again,
    submitted,
    turned_down,
)
from qstage.agent.wire import Lease, read_lease

RAW: dict[str, Any] = {
    "job": "u/1001", "id": 1001, "epoch": 1, "leased_until": "2026-11-22T17:00:00Z",
    "owner": {"id": "u", "username": "ada"}, "tag": "k3j2", "name": "md", "directory": "/jobs/k3j2/md-1001",
    "executable": "run.sh", "attributes": {"duration": 600},
}  # fmt: skip
GRACE = 30.0


def lease(**changes: Any) -> Lease:
    return read_lease(RAW | changes)


def held(phase: Phase = Phase.QUEUED, **changes: Any) -> Held:
    native = None if phase in {Phase.LEASED, Phase.SUBMITTING} else "7"
    return replace(Held(lease=lease(), phase=phase, native_id=native), **changes)


def look(now: float = 1000.0, **seen: Any) -> Seen:
    return Seen(now=now, **seen)


def after(job: Held, seen: Seen) -> Step:
    return advance(job, seen, grace=GRACE)


def events(step: Step) -> list[str]:
    return [report.event for report in step.reports]


def test_a_leased_job_is_submitted_and_marked_as_about_to_be_first() -> None:
    step = after(held(Phase.LEASED), look())
    assert (step.act, step.held.phase) == (Act.SUBMIT, Phase.SUBMITTING)


def test_after_a_crash_the_run_marker_is_believed_and_nothing_is_submitted() -> None:
    step = after(held(Phase.SUBMITTING), look(run=RunMarker(native_id="42", started=900)))
    assert step.act is None
    assert (step.held.native_id, step.held.phase) == ("42", Phase.ACTIVE)
    assert events(step) == ["queued", "active"]


def test_after_a_crash_a_job_that_the_scheduler_knows_by_name_is_adopted() -> None:
    step = after(held(Phase.SUBMITTING), look(found="42"))
    assert (step.act, step.held.native_id, events(step)) == (None, "42", ["queued"])


def test_after_a_crash_a_job_that_nobody_knows_is_submitted_again() -> None:
    assert after(held(Phase.SUBMITTING), look()).act is Act.SUBMIT


def test_a_job_that_ended_while_the_agent_was_away_is_reported_whole() -> None:
    step = after(
        held(Phase.SUBMITTING), look(run=RunMarker(native_id="42", started=900), exit=ExitNote(code=0, ended=950))
    )
    assert events(step) == ["queued", "active"]
    assert step.end == End(outcome="ok", exit_code=0)


def test_the_exit_status_of_the_job_is_believed_over_the_scheduler() -> None:
    for presence in (Presence.ACTIVE, Presence.QUEUED, Presence.GONE, None):
        step = after(held(Phase.ACTIVE), look(exit=ExitNote(code=3, ended=950), presence=presence))
        assert step.end == End(outcome="error", exit_code=3)


def test_a_job_that_runs_under_another_native_id_is_followed_there() -> None:
    step = after(held(), look(run=RunMarker(native_id="8", started=900), presence=Presence.GONE))
    assert (step.held.native_id, step.held.gone_since, step.act) == ("8", None, None)


def test_a_job_that_is_gone_without_exit_status_is_given_its_grace_and_then_lost() -> None:
    first = after(held(), look(now=1000, presence=Presence.GONE))
    assert (first.act, first.held.gone_since) == (None, 1000)
    assert after(first.held, look(now=1029, presence=Presence.GONE)).act is None
    assert after(first.held, look(now=1030, presence=Presence.GONE)).end == End(outcome="lost", exit_code=None)


def test_a_machine_whose_time_is_set_back_gives_no_longer_grace_and_cancels_as_often() -> None:
    first = after(held(), look(now=9000, presence=Presence.GONE))
    back = after(first.held, look(now=1000, presence=Presence.GONE))
    assert (back.act, back.held.gone_since) == (None, 1000)
    assert after(back.held, look(now=1030, presence=Presence.GONE)).end == End(outcome="lost", exit_code=None)
    canceled = held(cancel_at=9000.0, cancel_sent=9000.0)
    again = after(canceled, look(now=1000, presence=Presence.ACTIVE))
    assert (again.act, again.held.cancel_sent) == (None, 1000)
    assert after(again.held, look(now=1000 + CANCEL_AGAIN, presence=Presence.ACTIVE)).act is Act.CANCEL


def test_a_job_that_comes_back_into_sight_is_not_lost() -> None:
    gone = after(held(), look(now=1000, presence=Presence.GONE)).held
    back = after(gone, look(now=1010, presence=Presence.QUEUED)).held
    assert back.gone_since is None
    assert after(back, look(now=1031, presence=Presence.GONE)).act is None


def test_a_scheduler_that_is_away_changes_nothing_however_long() -> None:
    assert after(held(gone_since=10.0), look(now=10**9, presence=None)).act is None


def test_a_signal_at_the_end_of_the_walltime_is_the_walltime() -> None:
    run = RunMarker(native_id="7", started=100)
    over = after(held(Phase.ACTIVE), look(run=run, exit=ExitNote(code=143, ended=700)))
    early = after(held(Phase.ACTIVE), look(run=run, exit=ExitNote(code=143, ended=669)))
    failed = after(held(Phase.ACTIVE), look(run=run, exit=ExitNote(code=1, ended=800)))
    assert [step.end and step.end.outcome for step in (over, early, failed)] == ["walltime", "error", "error"]


@pytest.mark.parametrize(("gone", "outcome"), [(669.0, "lost"), (670.0, "walltime"), (705.0, "walltime")])
def test_a_scheduler_counts_the_walltime_from_before_the_jobs_own_note(gone: float, outcome: str) -> None:
    run = RunMarker(native_id="7", started=100)
    first = after(held(Phase.ACTIVE), look(now=gone, run=run, presence=Presence.GONE)).held
    end = after(first, look(now=gone + GRACE, run=run, presence=Presence.GONE)).end
    assert end is not None
    assert end.outcome == outcome


def test_without_a_scheduler_that_does_it_the_agent_ends_a_job_at_its_walltime_once() -> None:
    seen = look(now=1000, run=RunMarker(native_id="7", started=300), presence=Presence.ACTIVE)
    step = advance(held(Phase.ACTIVE), seen, grace=GRACE, keeps_walltime=False)
    assert step.act is Act.CANCEL
    assert advance(step.held, seen, grace=GRACE, keeps_walltime=False).act is None
    assert advance(held(Phase.ACTIVE), seen, grace=GRACE, keeps_walltime=True).act is None


def test_another_attempt_of_a_job_begins_from_the_beginning_whatever_the_one_before_came_to() -> None:
    again = lease(epoch=3, attempt=2)
    for phase in Phase:
        step = leased_again(held(phase, gone_since=900.0, cancel_at=900.0), again, 1000)
        assert step == Step(held=Held(lease=again))
    assert again.scheduler_name == f"{lease().scheduler_name}-2"


def test_a_job_canceled_before_it_was_submitted_never_is() -> None:
    step = after(cancel(held(Phase.LEASED), 990), look())
    assert (step.act, step.end) == (Act.GATHER, End(outcome="canceled", exit_code=None))


def test_a_cancel_is_sent_again_only_when_it_has_not_helped_for_a_minute() -> None:
    first = after(cancel(held(), 1000), look(now=1000, presence=Presence.QUEUED))
    assert first.act is Act.CANCEL
    assert after(first.held, look(now=1059, presence=Presence.QUEUED)).act is None
    assert after(first.held, look(now=1060, presence=Presence.QUEUED)).act is Act.CANCEL


def test_a_job_that_is_to_end_unless_it_has_begun_runs_on_once_it_has() -> None:
    late = cancel(held(), 1000, unless_ran=True)
    step = after(late, look(run=RunMarker(native_id="7", started=999)))
    assert (step.act, step.held.cancel_at, step.held.phase) == (None, None, Phase.ACTIVE)
    assert after(step.held, look(exit=ExitNote(code=0, ended=1001))).end == End(outcome="ok", exit_code=0)
    begun = held(Phase.ACTIVE)
    assert cancel(begun, 1000, unless_ran=True) is begun
    assert after(late, look(presence=Presence.QUEUED)).act is Act.CANCEL


def test_a_cancel_by_its_user_counts_for_more_than_lateness() -> None:
    late = cancel(held(), 1000, unless_ran=True)
    wished = cancel(late, 1010)
    assert (wished.cancel_at, wished.unless_ran) == (1000, False)
    assert cancel(wished, 1020, unless_ran=True) is wished
    step = after(wished, look(presence=Presence.ACTIVE))
    assert (step.act, step.held.cancel_at) == (Act.CANCEL, 1000)


def test_a_job_that_was_canceled_and_is_gone_needs_no_grace() -> None:
    for run in (RunMarker(native_id=None, started=1000), RunMarker(native_id="7", started=900), None):
        sent = after(cancel(held(), 1000), look(run=run, presence=Presence.ACTIVE)).held
        step = after(sent, look(run=run, presence=Presence.GONE))
        assert step.end == End(outcome="canceled", exit_code=None)


def test_a_job_that_is_gone_before_its_cancel_was_sent_has_its_grace() -> None:
    assert after(cancel(held(), 1000), look(presence=Presence.GONE)).act is None


def test_a_job_that_completed_before_its_cancel_arrived_is_said_to_have_completed() -> None:
    step = after(cancel(held(), 1000), look(exit=ExitNote(code=0, ended=999)))
    assert step.end == End(outcome="ok", exit_code=0)


def test_a_new_epoch_is_told_all_of_it_again_and_an_old_one_nothing() -> None:
    job = held(Phase.ACTIVE)
    again = leased_again(job, lease(epoch=2), 1000)
    assert events(again) == ["queued", "active"]
    assert {report.epoch for report in again.reports} == {2}
    assert leased_again(again.held, lease(epoch=1), 1000) == Step(held=again.held)


def test_an_ended_job_leased_again_is_looked_at_again() -> None:
    again = leased_again(held(Phase.ENDED), lease(epoch=2), 1000).held
    seen = look(run=RunMarker(native_id="7", started=900), exit=ExitNote(code=0, ended=950))
    assert events(after(again, seen)) == ["queued", "active"]


def test_what_the_journal_keeps_is_what_was_held() -> None:
    job = held(Phase.ACTIVE, ticket="t", cancel_at=5.0, gone_since=3.0)
    assert Held.from_plain(job.to_plain()) == job


seen_things = st.builds(
    Seen,
    now=st.floats(1000, 5000),
    run=st.none() | st.builds(RunMarker, native_id=st.none() | st.sampled_from(["7", "8"]), started=st.just(900.0)),
    exit=st.none() | st.builds(ExitNote, code=st.integers(0, 255), ended=st.floats(900, 2000)),
    presence=st.none() | st.sampled_from(Presence),
    found=st.none() | st.just("9"),
)
happenings = st.one_of(
    seen_things, st.just("cancel"), st.just("late"), st.just("release"), st.just("accept"), st.just("refuse")
)


@given(st.lists(happenings, max_size=25))
def test_whatever_is_seen_reports_come_in_an_order_that_life_allows(course: list[Seen | str]) -> None:
    job, epoch, said = held(Phase.LEASED), 1, dict[int, list[str]]()
    for happening in course:
        before = job
        if happening in ("cancel", "late"):
            job = cancel(job, 1000, unless_ran=happening == "late")
            continue
        if happening == "release":
            epoch += 1
            step = leased_again(job, lease(epoch=epoch), 1000)
        elif happening == "accept":
            step = submitted(job, "7", "t", 1000) if job.phase is Phase.SUBMITTING else Step(held=job)
        elif happening == "refuse":
            waits = job.phase is Phase.SUBMITTING
            step = turned_down(job, "rejected", "no", 1000) if waits else Step(held=job)
        else:
            assert isinstance(happening, Seen)
            step = after(job, happening)
            if step.act is Act.GATHER:
                assert step.end is not None
                ended = exited(step.held, step.end, 1000, tail="", outputs=(), detail=None)
                step = replace(ended, reports=step.reports + ended.reports)
        job = step.held
        said.setdefault(job.epoch, []).extend(events(step))
        assert before.phase is not Phase.ENDED or happening == "release" or not step.reports
    for order in said.values():
        assert order == sorted(order, key=["queued", "active", "exited", "rejected"].index)
        assert len(order) == len(set(order))
        assert sum(event in {"exited", "rejected"} for event in order) <= 1
        assert "active" not in order or "queued" in order
