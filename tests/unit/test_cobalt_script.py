"""The batch script for Cobalt: what Cobalt reads of it, and what bash makes of the rest."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qstage.agent.cobalt_script import (
    Launch,
    Request,
    UnfitError,
    custom_options,
    option_words,
    render,
    split_words,
)
from qstage.cobalt.qsub import Qsub, parse_qsub


def request(**changes: object) -> Request:
    values: dict[str, object] = {"nodes": 2, "processes": 4, "walltime": 600.0}
    return Request(**(values | changes))  # type: ignore[arg-type]


def read_back(asked: Request) -> Qsub:
    """Return what Cobalt's own qsub makes of the script and the command line."""
    directives, line = split_words(option_words(asked, "/jobs/$jobid.cobaltlog"))
    script = render(directives, launch=Launch(command=["/bin/true"]), environment={}, work="/jobs", ticket="t")
    return parse_qsub([*line, "/jobs/x.job"], read_script=lambda _: script, cwd="/", user="ada")


def test_cobalt_reads_back_what_was_asked_for() -> None:
    job = read_back(request(cwd="/data/run", name="md-run", queue="debug", project="chem"))
    assert (job.nodes, job.procs, job.walltime, job.mode) == (2, 4, 10, "script")
    assert (job.cwd, job.jobname, job.queue, job.project) == ("/data/run", "md-run", "debug", "chem")
    assert (job.outputpath, job.errorpath) == ("/dev/null", "/dev/null")
    assert job.cobalt_log_file == "/jobs/$jobid.cobaltlog"
    assert job.envs == {}


@given(st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]), min_size=1, max_size=12))
def test_any_name_without_a_line_break_reaches_cobalt_whole(text: str) -> None:
    job = read_back(request(name=text, project=text, cwd="/" + text))
    assert (job.jobname, job.project, job.cwd) == (text, text, "/" + text)


@pytest.mark.parametrize(("seconds", "minutes"), [(1, 1), (60, 1), (61, 2), (599.5, 10), (600, 10), (86400, 1440)])
def test_the_walltime_is_rounded_up_to_whole_minutes(seconds: float, minutes: int) -> None:
    assert read_back(request(walltime=seconds)).walltime == minutes


def test_a_walltime_of_nothing_is_refused_as_cobalt_would_give_the_maximum() -> None:
    with pytest.raises(UnfitError, match="duration above zero"):
        option_words(request(walltime=0), "/l")


def test_a_reservation_wins_over_a_queue() -> None:
    assert read_back(request(queue="debug", reservation="R.mine")).queue == "R.mine"


def test_custom_attributes_become_long_options() -> None:
    custom = custom_options({"cobalt.attrs": "a=1:b", "cobalt.held": True, "slurm.x": 1, "Cobalt.notify": "a@b"})
    job = read_back(request(custom=custom))
    assert (job.attrs, job.user_hold, job.notify) == ({"a": "1", "b": "true"}, True, "a@b")


@pytest.mark.parametrize("name", ["cobalt.output", "cobalt.time", "cobalt.out", "cobalt.interactive", "cobalt.n"])
def test_a_custom_attribute_cannot_replace_what_the_script_relies_on(name: str) -> None:
    with pytest.raises(UnfitError, match="is not for a job to set"):
        custom_options({name: "x"})


@pytest.mark.parametrize("name", ["a b", "x\n#COBALT", "--y", "env=A"])
def test_a_custom_attribute_must_be_the_name_of_an_option(name: str) -> None:
    with pytest.raises(UnfitError):
        option_words(request(custom={name: "v"}), "/l")


def test_a_value_with_a_line_break_is_refused() -> None:
    with pytest.raises(UnfitError, match="line break"):
        option_words(request(name="a\n#COBALT -n 999"), "/l")


def run_script(work: Path, launch: list[str] | Launch, environment: dict[str, str | int]) -> int:
    script = work / "x.job"
    launch = launch if isinstance(launch, Launch) else Launch(command=launch)
    script.write_text(render([], launch=launch, environment=environment, work=str(work), ticket="ticket-1"))
    variables = {"COBALT_JOBID": "12", "COBALT_NODEFILE": "/nodes", "PATH": os.environ["PATH"]}
    return subprocess.run(["/bin/bash", str(script)], env=variables, check=False).returncode


def test_the_script_leaves_output_and_exit_status_and_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "12.ec").write_text("0 stale\n")
    code = run_script(tmp_path, ["/bin/sh", "-c", "echo to-out; echo to-err >&2; exit 3"], {})
    assert code == 3
    assert (tmp_path / "12.ec").read_text() == "3 ticket-1\n"
    assert (tmp_path / "12.out").read_text() == "to-out\nto-err\n"


@settings(max_examples=25)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20))
def test_any_value_reaches_the_jobs_environment_whole(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    work = tmp_path_factory.mktemp("script")
    assert run_script(work, ["/usr/bin/printenv", "VALUE"], {"VALUE": text, "PSI": 7}) == 0
    assert (work / "12.out").read_bytes() == text.encode() + b"\n"


def test_a_variable_must_have_a_variables_name() -> None:
    with pytest.raises(UnfitError, match="environment variable"):
        render([], launch=Launch(command=["x"]), environment={"A;rm": "1"}, work="/w", ticket="t")


def test_streams_and_the_scripts_around_the_command_are_its_own(tmp_path: Path) -> None:
    (tmp_path / "before").write_text("export FROM_BEFORE=1\n")
    (tmp_path / "after").write_text(f"echo $code >{tmp_path}/after-saw\n")
    launch = Launch(
        command=["/bin/sh", "-c", "echo $FROM_BEFORE; echo err >&2; exit 4"],
        stdout=str(tmp_path / "an out"),
        stderr=str(tmp_path / "an err"),
        before=str(tmp_path / "before"),
        after=str(tmp_path / "after"),
    )
    assert run_script(tmp_path, launch, {}) == 4
    assert (tmp_path / "an out").read_text() == "1\n"
    assert (tmp_path / "an err").read_text() == "err\n"
    assert (tmp_path / "after-saw").read_text() == "4\n"


def test_a_failing_script_before_the_command_is_how_the_job_ends(tmp_path: Path) -> None:
    (tmp_path / "before").write_text("return 9\n")
    launch = Launch(command=["/bin/touch", str(tmp_path / "ran")], before=str(tmp_path / "before"))
    assert run_script(tmp_path, launch, {}) == 9
    assert (tmp_path / "12.ec").read_text() == "9 ticket-1\n"
    assert not (tmp_path / "ran").exists()
