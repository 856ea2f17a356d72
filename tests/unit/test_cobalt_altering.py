"""What qalter does to a waiting job: its fields, its holds, and what is written down."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emulators.cobalt import altering, life
from emulators.cobalt.jobs import Job, Spec, State
from emulators.cobalt.records import Record
from emulators.cobalt.store import Store

SPEC = Spec(user="ada", command="/x", nodes=2, procs=2, walltime=10, cwd="/w", outputdir="/w")
NOW = 1795363320.0


def submitted(**changes: object) -> Job:
    return life.submit(7, replace(SPEC, **changes), NOW)[0]  # type: ignore[arg-type]


def kinds(step: life.Step) -> list[str]:
    return [effect.kind for effect in step[1] if isinstance(effect, Record)]


def test_fields_change_as_they_were_written_and_both_records_say_so() -> None:
    step = altering.alter(submitted(), {"walltime": "45.0", "nodes": 3, "queue": "debug"}, NOW)
    spec = step[0].spec
    assert (spec.walltime, spec.nodes, spec.queue) == (45, 3, "debug")
    assert kinds(step) == ["Q", "QA"]
    assert all(effect.fields["queue"] == "debug" for effect in step[1] if isinstance(effect, Record))


def test_a_field_that_a_job_does_not_have_is_kept_beside_the_others(tmp_path_factory: pytest.TempPathFactory) -> None:
    job = altering.alter(submitted(), {"stagein": "qstage:1001"}, NOW)[0]
    store = Store(tmp_path_factory.mktemp("store") / "jobs.sqlite", 1)
    store.save(job)
    assert store.load()[7].spec.extra == {"stagein": "qstage:1001"}
    store.close()


def test_a_number_that_is_none_changes_nothing() -> None:
    with pytest.raises(ValueError, match="soon"):
        altering.alter(submitted(), {"walltime": "soon"}, NOW)


def test_a_dependency_holds_a_ready_job_and_its_end_releases_it() -> None:
    held, _ = altering.alter(submitted(), {"dependencies": ["3"]}, NOW)
    assert (held.state, held.word) == (State.HOLD, "dep_hold")
    freed = altering.alter(held, {"dependencies": []}, NOW)
    assert freed[0].state is State.READY
    assert kinds(freed) == ["Q", "HR", "HR", "QA"]


def test_qalter_h_holds_a_job_that_waits_and_a_second_changes_nothing() -> None:
    held, _ = altering.alter(submitted(), {"user_hold": True}, NOW)
    assert held.word == "user_hold"
    assert kinds(altering.alter(held, {"user_hold": True}, NOW)) == ["Q", "QA"]


def test_deferring_takes_the_score_away_and_records_it() -> None:
    step = altering.defer(replace(submitted(), score=3.0))
    assert step[0].score == 0.0
    assert kinds(step) == ["QA"]


def test_a_filters_score_is_the_jobs_first() -> None:
    spec = altering.read_spec(
        {"user": "ada", "command": "/x", "nodes": "2", "walltime": "10", "cwd": "/w", "score": "50"}
    )
    assert life.submit(7, spec, NOW)[0].score == 50.0
