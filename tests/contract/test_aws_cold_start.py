"""The measure of cold starts: what it times, and what it will not count."""

import sys
from pathlib import Path

import pytest

from bench.cold_start import Command, measure, time_once


def python(code: str) -> Command:
    return Command(arguments=(sys.executable, "-c", code))


def test_a_process_is_timed_to_its_answer_and_not_to_its_end() -> None:
    quick = time_once(python("print(1, flush=True); import time; time.sleep(1)"))
    assert quick < 900


def test_figures_are_ratios_to_the_first_command() -> None:
    slow = "import time; time.sleep(0.3); print(1, flush=True)"
    base, other = measure({"base": python("print(1)"), "slow": python(slow)}, runs=3)
    assert base.ratio == 1.0
    assert len(other.runs) == 3
    assert other.median - base.median > 200
    assert other.ratio == pytest.approx(other.median / base.median)


@pytest.mark.parametrize(
    "code", ["raise SystemExit(1)", "pass", "print('{\"statusCode\": 500}')"], ids=["failed", "silent", "refused"]
)
def test_a_start_that_ends_in_an_error_is_no_figure(code: str) -> None:
    with pytest.raises(RuntimeError):
        measure({"base": python(code)}, runs=1)


def test_a_function_is_run_once_from_an_event_file(tmp_path: Path) -> None:
    from bench.cold_start import once

    (tmp_path / "app.py").write_text("def greet(event, context): return 'hello ' + event['name']\n")
    (tmp_path / "event.json").write_text('{"name": "ann"}')
    command = once("greet", project=tmp_path, event=tmp_path / "event.json", environment={})
    assert time_once(command) > 0
