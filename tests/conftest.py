"""All tests: what they make qstage log, store and answer is searched for secrets; no example of Hypothesis fails
because the machine is slow; and what takes long begins first."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from leak_scan import (
    pytest_configure,
    pytest_runtest_setup,
    pytest_runtest_teardown,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_testnodedown",
]

settings.register_profile("qstage", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("qstage")

LONG_FIRST = ("tests/e2e/", "tests/unit/test_loop_crashes.py", "tests/contract/", "tests/unit/")
"""Where several processes share the files, one that begins a long file last would keep the others waiting: first what
waits for other processes, then the one long file of the unit rung, then the many short ones."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files in that order; those of one rung, and the tests of a file, keep theirs."""

    def place(item: pytest.Item) -> int:
        return next((at for at, start in enumerate(LONG_FIRST) if item.nodeid.startswith(start)), len(LONG_FIRST))

    items.sort(key=place)
