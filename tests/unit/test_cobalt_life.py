"""A simulated job's life: the table, the words shown, what is logged, and what never happens."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulators.cobalt import life
from emulators.cobalt.jobs import ON_NODES, Job, Spec, State
from emulators.cobalt.records import CobaltLog, Record, accounting_line, clock_text
from qstage.cobalt.states import StateWord

SPEC = Spec(user="ada", command="/x", nodes=2, procs=2, walltime=10, cwd="/w", outputdir="/w")
NOW = 1795363320.0


def submitted(*, user_hold: bool = False, dependencies: tuple[str, ...] = ()) -> Job:
    return life.submit(7, replace(SPEC, user_hold=user_hold, dependencies=dependencies), NOW)[0]


def running() -> Job:
    job, _ = life.run(submitted(), ("node1", "node2"), NOW)
    job, _ = life.progress(job, NOW)
    return life.task_started(job, 4242, NOW)[0]


def logged(step: life.Step) -> list[str]:
    return [effect.text for effect in step[1] if isinstance(effect, CobaltLog)]


def kinds(step: life.Step) -> list[str]:
    return [effect.kind for effect in step[1] if isinstance(effect, Record)]


def test_a_job_runs_through_every_state_of_the_main_path() -> None:
    job = submitted()
    seen = [job.state]
    steps: list[Callable[[Job], life.Step]] = [
        lambda j: life.run(j, ("node1", "node2"), NOW),
        lambda j: life.progress(j, NOW),
        lambda j: life.task_started(j, 1, NOW),
        lambda j: life.task_ended(j, 3, NOW + 5),
        lambda j: life.progress(j, NOW + 5),
        lambda j: life.progress(j, NOW + 5),
    ]
    records = ["Q"]
    for step in steps:
        result = step(job)
        job = result[0]
        seen.append(job.state)
        records += kinds(result)
    assert [str(state) for state in seen] == [
        *("Ready", "Job_Prologue", "Resource_Prologue", "Running"),
        *("Resource_Epilogue", "Job_Epilogue", "Terminal"),
    ]
    assert records == ["Q", "S", "TS", "TE", "E"]
    assert job.exit_status == 3


def test_the_end_of_a_task_is_told_in_cobalts_words() -> None:
    assert logged(life.task_ended(running(), 3, NOW)) == [
        "Info: task completed normally with an exit code of 3; initiating job cleanup and removal"
    ]


@pytest.mark.parametrize(
    ("job", "word"),
    [
        (submitted(), StateWord.QUEUED),
        (submitted(user_hold=True), StateWord.USER_HOLD),
        (submitted(dependencies=("3",)), StateWord.DEP_HOLD),
        (submitted(dependencies=("3",), user_hold=True), StateWord.USER_HOLD),
        (running(), StateWord.RUNNING),
        (life.delete(running(), "ada", NOW)[0], StateWord.KILLING),
        (life.task_ended(running(), 0, NOW)[0], StateWord.EXITING),
    ],
)
def test_each_state_is_shown_by_its_word(job: Job, word: StateWord) -> None:
    assert job.word is word


def test_deleting_a_queued_or_held_job_ends_it_at_once_and_signals_nobody() -> None:
    for job in (submitted(), submitted(user_hold=True)):
        ended, effects = life.delete(job, "ada", NOW)
        assert ended.state is State.TERMINAL
        assert not any(isinstance(effect, life.Signal) for effect in effects)
        assert "user delete requested; removing job from the queue" in logged((ended, effects))[0]


def test_deleting_a_running_job_terminates_it_and_a_second_delete_changes_nothing() -> None:
    job, effects = life.delete(running(), "ada", NOW)
    assert life.Signal(signal.SIGTERM) in effects
    again, effects = life.delete(job, "ada", NOW)
    assert again == job
    assert not any(isinstance(effect, life.Signal) for effect in effects)


def test_the_walltime_ends_a_job_and_leaves_an_abort_record() -> None:
    step = life.expire(running(), NOW + 600)
    assert kinds(step) == ["A"]
    assert logged(step) == ["Info: maximum execution time exceeded; initiating job termination"]
    assert life.Signal(signal.SIGTERM) in step[1]


def test_a_hold_on_a_running_job_is_ignored() -> None:
    job = running()
    held, effects = life.hold(job, NOW)
    assert held == job
    assert logged((held, effects)) == ["Info: non-preemptable job has already started; hold request ignored"]


def test_the_last_hold_that_goes_makes_a_job_ready() -> None:
    job = submitted(user_hold=True, dependencies=("3",))
    job, _ = life.satisfy(job, "3", 4.0, NOW)
    assert job.state is State.HOLD
    step = life.release(job, NOW)
    assert step[0].state is State.READY
    assert logged(step)[-1] == "Info: no holds remain; releasing job"


def test_a_satisfied_dependency_passes_its_score_on() -> None:
    job, _ = life.satisfy(submitted(dependencies=("3",)), "3", 4.0, NOW)
    assert (job.state, job.score) == (State.READY, 4.0)


def test_an_event_that_does_not_fit_is_refused_and_named() -> None:
    with pytest.raises(life.IllegalEventError, match="job 7: no Task_End in state Ready"):
        life.task_ended(submitted(), 0, NOW)


EVENTS: dict[str, Callable[[Job], life.Step]] = {
    "hold": lambda j: life.hold(j, NOW),
    "release": lambda j: life.release(j, NOW),
    "satisfy": lambda j: life.satisfy(j, "3", 0.0, NOW),
    "free": lambda j: life.free_dependencies(j, NOW),
    "run": lambda j: life.run(j, ("node1",), NOW),
    "progress": lambda j: life.progress(j, NOW),
    "task_started": lambda j: life.task_started(j, 1, NOW),
    "task_ended": lambda j: life.task_ended(j, 0, NOW),
    "delete": lambda j: life.delete(j, "ada", NOW),
    "expire": lambda j: life.expire(j, NOW),
    "force": lambda j: life.force(j, NOW),
}


@given(st.booleans(), st.booleans(), st.lists(st.sampled_from(sorted(EVENTS)), max_size=25))
def test_whatever_happens_a_job_stays_a_possible_one(held: bool, depends: bool, events: list[str]) -> None:
    job = submitted(user_hold=held, dependencies=("3",) if depends else ())
    for event in events:
        before = job
        try:
            job, effects = EVENTS[event](job)
        except life.IllegalEventError:
            continue
        assert (job.state in ON_NODES) <= bool(job.location)
        assert (job.state is State.HOLD) == (job.held and job.started is None and job.state is not State.TERMINAL)
        if before.state is State.TERMINAL:
            assert job == before
        if any(isinstance(effect, life.Signal) for effect in effects):
            assert before.state in (State.RUNNING, State.KILLING)


def test_an_accounting_line_has_its_keys_in_order_and_quotes_blanks() -> None:
    record = Record("Q", {"queue": "default", "args": ["a b", "c"], "Resource_List": {"nodect": 2}})
    assert accounting_line(NOW, 7, record) == (
        '11/22/2026 16:02:00;Q;7;Resource_List.nodect=2 args="a b",c queue=default resource=NOTSET'
    )
    assert clock_text(36061) == "10:01:01"
