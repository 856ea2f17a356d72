"""Sealed tokens in memory, and a seal whose ciphertext only opens under its own context. Twins for tests."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from threading import RLock

from chalicelib.core.ids import UserId
from chalicelib.core.tokens import PlainTokens, Sealed, TokenRecord


class MemoryTokens:
    """``core.ports.tokens.TokenStore`` in memory."""

    def __init__(self) -> None:
        self._records: dict[UserId, TokenRecord] = {}
        self._lock = RLock()

    def load(self, user: UserId) -> TokenRecord | None:
        with self._lock:
            return self._records.get(user)

    def replace(self, record: TokenRecord, *, over: int | None) -> bool:
        with self._lock:
            stored = self._records.get(record.user)
            if stored == record:
                return True
            if (stored.version if stored else None) != over:
                return False
            self._records[record.user] = record
            return True

    def refuse(self, user: UserId, version: int) -> bool:
        return self._change(user, version, refused=True, renew_at=None)

    def postpone(self, user: UserId, version: int, renew_at: datetime) -> bool:
        return self._change(user, version, renew_at=renew_at)

    def due(self, now: datetime) -> Iterator[UserId]:
        with self._lock:
            records = tuple(self._records.values())
        yield from (r.user for r in records if r.renew_at is not None and r.renew_at <= now)

    def remove(self, user: UserId, version: int) -> bool:
        with self._lock:
            stored = self._records.get(user)
            if stored is not None and stored.version != version:
                return False
            self._records.pop(user, None)
            return True

    def _change(self, user: UserId, version: int, **fields: object) -> bool:
        with self._lock:
            stored = self._records.get(user)
            if stored is None or stored.version != version:
                return False
            self._records[user] = replace(stored, **fields)  # type: ignore[arg-type]
            return True


class MemorySeal:
    """``core.ports.tokens.Seal`` in memory: what was sealed is kept under a random name and its context."""

    def __init__(self) -> None:
        self._contents: dict[tuple[bytes, UserId, str], bytes] = {}
        self.sealed = 0
        self.unsealed = 0

    def seal(self, plain: PlainTokens, *, user: UserId, purpose: str) -> Sealed:
        name = secrets.token_bytes(16)
        self._contents[name, user, purpose] = plain.to_bytes()
        self.sealed += 1
        return Sealed(name)

    def unseal(self, sealed: Sealed, *, user: UserId, purpose: str) -> PlainTokens:
        self.unsealed += 1
        return PlainTokens.from_bytes(self._contents[sealed.content, user, purpose])
