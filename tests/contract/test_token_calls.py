"""What two days of one user's work cost at KMS and Globus Auth, counted where the calls arrive."""

from __future__ import annotations

from pathlib import Path

from bench.token_calls import count


def test_a_thousand_jobs_within_two_days_ask_kms_and_globus_auth_five_times_at_most(tmp_path: Path) -> None:
    counted = count(tmp_path, jobs=1000)
    assert set(counted) == {"kms_calls_per_1000_jobs", "auth_calls_per_1000_jobs"}
    assert all(2 <= calls <= 5 for calls in counted.values()), counted
