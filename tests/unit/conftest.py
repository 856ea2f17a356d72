"""Unit tests stay in their process: a connection to anywhere fails the test that tries it."""

from __future__ import annotations

import socket
from typing import Any, NoReturn

import pytest


@pytest.fixture(autouse=True)
def no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection; a socket pair, as an event loop makes one, connects to nothing."""

    def refuse(self: socket.socket, address: Any) -> NoReturn:
        raise AssertionError(f"a unit test connects to {address!r}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
