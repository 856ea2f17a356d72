"""All tests: what they make qstage log, store and answer is searched for secrets; and no example of Hypothesis fails
because the machine is slow."""

from __future__ import annotations

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
    "pytest_configure",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_testnodedown",
]

settings.register_profile("qstage", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("qstage")
