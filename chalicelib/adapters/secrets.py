"""The deployment's Globus client, from Secrets Manager: JSON with ``client_id`` and ``client_secret``."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from chalicelib.adapters.aws_errors import aws
from chalicelib.core.ports.auth import ClientCredentials
from chalicelib.core.ports.clock import Clock

_KEPT = timedelta(minutes=5)


class GlobusSecret:
    """Reads the secret when it is first needed; a warm process keeps it for minutes, so that a new one is seen."""

    def __init__(self, client: Callable[[], Any], secret_id: str, clock: Clock) -> None:
        self._client = client
        self._secret_id = secret_id
        self._clock = clock
        self._kept: tuple[ClientCredentials, datetime] | None = None

    def __call__(self) -> ClientCredentials:
        """The client's id and secret. Raises FarSide if AWS does not answer."""
        now = self._clock.now()
        if self._kept is None or self._kept[1] <= now:
            with aws("secretsmanager"):
                answer = self._client().get_secret_value(SecretId=self._secret_id)
            self._kept = (_read(answer["SecretString"]), now + _KEPT)
        return self._kept[0]


def _read(text: str) -> ClientCredentials:
    content = json.loads(text)
    return ClientCredentials(client_id=content["client_id"], client_secret=content["client_secret"])
