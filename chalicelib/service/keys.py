"""API keys: minted, listed, revoked. A key is shown once, by the call that makes it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.errors import Conflict, Fault, Forbidden, Invalid, NotFound, TooMany
from chalicelib.core.ids import UserId
from chalicelib.core.keys import (
    ADMIN,
    LONGEST_DAYS,
    MOST_KEYS,
    ApiKey,
    Caller,
    KeyKind,
    KeyRecord,
    key_id,
    new_key,
    scope_faults,
)
from chalicelib.core.ports.logins import KeyStore

Entropy = Callable[[int], bytes]
"""Gives that many random bytes, fit for secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Minted:
    """A key as made. ``key`` is None when the request was a repeat: a secret is not shown twice."""

    key: ApiKey | None
    record: KeyRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAsk:
    """What somebody asks a new key to be."""

    name: str
    scopes: tuple[str, ...]
    days: int

    def faults(self, maker: Caller) -> list[Fault]:
        """Everything wrong with it, for this maker."""
        faults = scope_faults(self.scopes, maker)
        if not 1 <= len(self.name) <= 64 or not self.name.isprintable():
            faults.append(Fault("/name", "must have 1 to 64 printable characters"))
        if not 1 <= self.days <= LONGEST_DAYS:
            faults.append(Fault("/days", f"must be from 1 to {LONGEST_DAYS}"))
        return faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The verbs of keys."""

    store: KeyStore
    entropy: Entropy

    def mint(
        self,
        *,
        user: UserId,
        username: str,
        name: str,
        scopes: frozenset[str],
        life: timedelta,
        now: datetime,
        kind: KeyKind = KeyKind.KEY,
        id: str | None = None,
    ) -> Minted:
        """Make and store a key. Under a given ``id`` that is taken, return the stored record and no key."""
        while True:
            key = new_key(kind, self.entropy(40), id=id)
            record = KeyRecord(
                id=key.id,
                digest=key.digest,
                user=user,
                username=username,
                kind=kind,
                name=name,
                scopes=scopes,
                created_at=now,
                expires_at=now + life,
            )
            if self.store.put_key(record):
                return Minted(key=key, record=record)
            if id is not None and (stored := self.store.load_key(id)) is not None:
                return Minted(key=None, record=stored)

    def create(self, caller: Caller, ask: KeyAsk, now: datetime, idempotency_key: str | None) -> Minted:
        """Make a key for the caller. The id follows from the Idempotency-Key, so a repeat finds the first.

        Raises Forbidden, Invalid, and TooMany beyond ``MOST_KEYS``.
        """
        caller.require(ADMIN)
        if faults := ask.faults(caller):
            raise Invalid(tuple(faults))
        repeatable = _repeatable_id(caller.user, idempotency_key)
        if repeatable is None or self.store.load_key(repeatable) is None:
            self._check_room(caller.user, now)
        minted = self.mint(
            user=caller.user,
            username=caller.username,
            name=ask.name,
            scopes=frozenset(ask.scopes),
            life=timedelta(days=ask.days),
            now=now,
            id=repeatable,
        )
        if minted.key is None:
            _check_same(minted.record, caller, ask)
        return minted

    def _check_room(self, user: UserId, now: datetime) -> None:
        good = sum(key.kind is KeyKind.KEY and now < key.expires_at for key in self.store.keys_of(user))
        if good >= MOST_KEYS:
            raise TooMany(
                f"You have {good} keys that are good; {MOST_KEYS} are the most. Revoke some: qstage keys revoke ID.",
                code="too-many-keys",
            )

    def list(self, caller: Caller) -> Sequence[KeyRecord]:
        """The caller's own keys and agents' tokens, newest first; the expired ones too, until they are tidied."""
        caller.require("read")
        return self.store.keys_of(caller.user)

    def revoke(self, caller: Caller, key: str) -> None:
        """End a key of the caller's at once. Any key may end itself; another one takes ``admin``."""
        if key != caller.key_id and not caller.may(ADMIN):
            raise Forbidden("This key can only end itself.", code="missing-scope")
        if not self.store.remove_key(key, caller.user):
            raise NotFound("You have no such key.")


def _repeatable_id(user: UserId, idempotency_key: str | None) -> str | None:
    if idempotency_key is None:
        return None
    return key_id(hashlib.sha256(f"{user}\n{idempotency_key}".encode()).digest())


def _check_same(record: KeyRecord, caller: Caller, ask: KeyAsk) -> None:
    if record.user != caller.user:
        raise Conflict("key-id-taken", "Repeat the request with another Idempotency-Key.")
    life = timedelta(days=ask.days)
    if (record.name, record.scopes, record.expires_at - record.created_at) != (
        ask.name,
        frozenset(ask.scopes),
        life,
    ):
        raise Invalid(
            (Fault("", "this Idempotency-Key was used before with another body"),), code="idempotency-mismatch"
        )
