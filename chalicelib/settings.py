"""What a deployment chooses: one frozen value, read from the environment once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from urllib.parse import urlsplit

_SCOPE = re.compile(r"https://auth\.globus\.org/scopes/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/[A-Za-z0-9_.-]{1,64}")


class BadSetting(Exception):
    """A variable is missing or has a value that cannot be meant; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Names are those of AWS resources. A function is told only what it needs; what it was not told is empty."""

    base_url: str
    """Where the API is reached, with its stage prefix and without a slash at the end."""
    jobs_table: str
    tokens_table: str
    logins_table: str
    places_table: str
    wake_queue_url: str
    token_key: str
    """Id, ARN or alias of the KMS key that seals tokens."""
    globus_client_id: str
    globus_secret: str
    """Name or ARN of the secret. Only the functions that may read it have any use for the name."""
    globus_scope: str
    """The scope of this service at Globus Auth; empty: API keys alone open it."""
    exchange_function: str
    allowed_domains: frozenset[str]
    allowed_identities: frozenset[str]
    sign_ins_per_address: int
    """How many sign-ins one network address may begin in ten minutes; terminals are counted apart."""
    most_live_jobs: int
    """How many jobs of one user may be live at once."""
    most_live_bytes: int
    """How many bytes the documents of one user's live jobs may have together."""
    retention: timedelta
    reconcile_life: timedelta
    """The time-out of the reconcile function, from its configuration."""
    queue_wait: timedelta
    """How long a job is expected to wait in a queue, where its site does not say."""
    staging_margin: timedelta
    """How long the staging of a job's inputs, or of its outputs, is expected to take."""
    warning_lead: timedelta
    """How long before a login session ends that jobs still need its user is warned again."""
    notify_topic: str
    """ARN of the SNS topic for news that only a person can act on; "" tells nobody."""
    clock_file: str | None

    @property
    def loopback(self) -> bool:
        """Whether this is a stack on one machine: plain http and everybody may sign in."""
        return urlsplit(self.base_url).hostname in ("127.0.0.1", "localhost", "::1")


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables.

    :raises BadSetting: naming the variable.
    """
    base_url = _text(environment, "QSTAGE_BASE_URL").rstrip("/")
    parts = urlsplit(base_url)
    loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadSetting(f"QSTAGE_BASE_URL must be an http(s) address, not {base_url!r}")
    if parts.scheme == "http" and not loopback:
        raise BadSetting("QSTAGE_BASE_URL must be https, except on loopback")
    clock_file = environment.get("QSTAGE_CLOCK_FILE") or None
    if clock_file and not loopback:
        raise BadSetting("QSTAGE_CLOCK_FILE turns the clock of a stack on one machine; a deployment must not set it")
    return Settings(
        base_url=base_url,
        jobs_table=environment.get("QSTAGE_JOBS_TABLE", ""),
        tokens_table=environment.get("QSTAGE_TOKENS_TABLE", ""),
        logins_table=environment.get("QSTAGE_LOGINS_TABLE", ""),
        places_table=environment.get("QSTAGE_PLACES_TABLE", ""),
        wake_queue_url=environment.get("QSTAGE_WAKE_QUEUE_URL", ""),
        token_key=environment.get("QSTAGE_TOKEN_KEY", ""),
        globus_client_id=environment.get("QSTAGE_GLOBUS_CLIENT_ID", ""),
        globus_secret=environment.get("QSTAGE_GLOBUS_SECRET", ""),
        globus_scope=_scope(environment, "QSTAGE_GLOBUS_SCOPE"),
        exchange_function=environment.get("QSTAGE_EXCHANGE_FUNCTION", ""),
        allowed_domains=_words(environment, "QSTAGE_ALLOWED_DOMAINS"),
        allowed_identities=_words(environment, "QSTAGE_ALLOWED_IDENTITIES"),
        sign_ins_per_address=_number(environment, "QSTAGE_SIGN_INS_PER_ADDRESS", 300),
        most_live_jobs=_number(environment, "QSTAGE_MOST_LIVE_JOBS", 50_000),
        most_live_bytes=_number(environment, "QSTAGE_MOST_LIVE_BYTES", 2**30),
        retention=timedelta(days=_number(environment, "QSTAGE_RETENTION_DAYS", 180)),
        reconcile_life=timedelta(seconds=_number(environment, "QSTAGE_RECONCILE_SECONDS", 120)),
        queue_wait=timedelta(hours=_number(environment, "QSTAGE_QUEUE_WAIT_HOURS", 24)),
        staging_margin=timedelta(minutes=_number(environment, "QSTAGE_STAGING_MINUTES", 60)),
        warning_lead=timedelta(hours=_number(environment, "QSTAGE_WARNING_HOURS", 6)),
        notify_topic=environment.get("QSTAGE_NOTIFY_TOPIC", ""),
        clock_file=clock_file,
    )


@cache
def settings() -> Settings:
    """This process's settings."""
    return read_settings(os.environ)


def _text(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise BadSetting(f"{name} is not set")
    return value


def _scope(environment: Mapping[str, str], name: str) -> str:
    scope = environment.get(name, "").strip()
    if scope and _SCOPE.fullmatch(scope) is None:
        raise BadSetting(f"{name} must be https://auth.globus.org/scopes/<client id>/<name>, not {scope!r}")
    return scope


def _words(environment: Mapping[str, str], name: str) -> frozenset[str]:
    return frozenset(word.strip().lower() for word in environment.get(name, "").split(",") if word.strip())


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip() or str(default)
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise BadSetting(f"{name} must be a whole number above 0, not {text!r}")
    return int(text)
