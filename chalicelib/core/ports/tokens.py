"""Where sealed tokens lie, who seals them and who may open them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from chalicelib.core.ids import UserId
from chalicelib.core.tokens import PlainTokens, Sealed, TokenRecord


class TokenStore(Protocol):
    """One record a user. Every write is conditional on the version; every read of a record is strong."""

    def load(self, user: UserId) -> TokenRecord | None:
        """The user's record as last written, or None."""
        ...

    def replace(self, record: TokenRecord, *, over: int | None) -> bool:
        """Store ``record`` if the stored version is ``over`` (None: if there is no record).

        False, and nothing changed, if another version is there. A repeat after an answer that got lost is
        told apart by reading: a record with the same version and sealed content is one's own.
        """
        ...

    def refuse(self, user: UserId, version: int) -> bool:
        """Mark ``version`` as refused by Globus and take it off the schedule. False if another is stored."""
        ...

    def postpone(self, user: UserId, version: int, renew_at: datetime) -> bool:
        """Let the schedule look again at ``renew_at``. False if another version is stored."""
        ...

    def due(self, now: datetime) -> Iterator[UserId]:
        """Users whose ``renew_at`` has come, fetched page by page as they are taken.

        A hint: read the record before acting on it. A user can be missing for moments after a write.
        """
        ...

    def remove(self, user: UserId, version: int) -> bool:
        """Forget the user's tokens. False, and nothing changed, if another version is stored. Safe to repeat."""
        ...


class Sealer(Protocol):
    """Encrypts tokens under a context of {user, purpose}."""

    def seal(self, plain: PlainTokens, *, user: UserId, purpose: str) -> Sealed:
        """Raises FarSide (transient) if the key service does not answer."""
        ...


class Unsealer(Protocol):
    """Decrypts what a Sealer made. The public API has no implementation of this."""

    def unseal(self, sealed: Sealed, *, user: UserId, purpose: str) -> PlainTokens:
        """Raises if the context differs from that of the sealing (crash and alarm: somebody moved an item);
        FarSide (transient) if the key service does not answer."""
        ...


class Seal(Sealer, Unsealer, Protocol):
    """Both directions, for the functions that renew tokens."""


class LiveUsers(Protocol):
    """Tells the schedule whose tokens are needed soon."""

    def has_live_jobs(self, user: UserId) -> bool:
        """Whether any job of the user is not final."""
        ...

    def look_again(self, user: UserId) -> None:
        """Have the user's planner find out whether their login still holds."""
        ...
