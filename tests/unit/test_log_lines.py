"""One record is one line of JSON, whatever is in it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from chalicelib.logs import JsonLines

BREAKS = 'a\r\nb\n{"level": "ERROR"}\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x1b[31mz'


def line(message: str, *args: Any, **extra: Any) -> str:
    record = logging.LogRecord(
        "chalicelib.test", logging.WARNING, "f.py", 1, message, args, extra.pop("exc_info", None)
    )
    record.__dict__.update(extra)
    return JsonLines().format(record)


@pytest.mark.parametrize(
    "made",
    [
        line("said %s", BREAKS),
        line("said", fields={"user": BREAKS, BREAKS: 1, "bytes": BREAKS.encode()}),
        line("said", incident=BREAKS),
    ],
)
def test_line_breaks_in_a_record_begin_no_new_line(made: str) -> None:
    assert made.splitlines() == [made]
    assert "z" in str(json.loads(made))
    assert json.loads(made)["level"] == "WARNING"


def test_line_breaks_in_an_exception_begin_no_new_line() -> None:
    made = line("broke", exc_info=(ValueError, ValueError(BREAKS), None))
    assert made.splitlines() == [made]
    assert BREAKS in json.loads(made)["exception"]
