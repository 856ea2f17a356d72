"""What is kept about people who sign in and programs that call: six small stores in one table.

Every read is strong. Expiry is the caller's to check (``expires_at`` is in each value): a store may keep an
expired value for days.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from chalicelib.core.devices import DeviceGrant
from chalicelib.core.ids import UserId
from chalicelib.core.keys import KeyRecord
from chalicelib.core.logins import LoginAttempt, Profile, WebSession


class AttemptStore(Protocol):
    """Sign-ins under way."""

    def put_attempt(self, attempt: LoginAttempt) -> None:
        """Keep a new attempt."""
        ...

    def take_attempt(self, state_hash: str, browser_hash: str) -> LoginAttempt | None:
        """Remove and return the attempt, once; None if there is none or another browser began it.

        Of several callers at once exactly one gets it. A call with the wrong browser leaves it in place.
        """
        ...


class DeviceStore(Protocol):
    """Terminals that wait for a key."""

    def put_grant(self, grant: DeviceGrant) -> bool:
        """Keep a new grant; False, and nothing kept, if its user code is taken."""
        ...

    def load_grant(self, device_hash: str) -> DeviceGrant | None:
        """The grant of a device code."""
        ...

    def find_grant(self, user_code: str) -> DeviceGrant | None:
        """The grant of a user code."""
        ...

    def note_poll(self, grant: DeviceGrant, *, polls: int) -> bool:
        """Store the poll fields (``last_poll, polls, interval``) if ``polls`` is still the stored count."""
        ...

    def decide_grant(self, grant: DeviceGrant) -> bool:
        """Store the decision (``state, user, username``) if the grant is still pending."""
        ...

    def take_grant(self, device_hash: str) -> DeviceGrant | None:
        """Remove and return an approved grant, once; None if there is none or it is not approved."""
        ...


class KeyStore(Protocol):
    """API keys and agents' tokens."""

    def put_key(self, record: KeyRecord) -> bool:
        """Keep a new key; False, and nothing kept, if the id is taken."""
        ...

    def load_key(self, key_id: str) -> KeyRecord | None:
        """The key of that id."""
        ...

    def keys_of(self, user: UserId) -> Sequence[KeyRecord]:
        """All keys of the user, newest first. A key made a moment ago can be missing."""
        ...

    def touch_key(self, key_id: str, at: datetime) -> None:
        """Note a use; nothing happens if the key is gone."""
        ...

    def remove_key(self, key_id: str, user: UserId) -> bool:
        """Remove the key if it is this user's; False otherwise."""
        ...

    def note_departure(self, user: UserId, at: datetime) -> None:
        """Note that the user signed out everywhere. A later note replaces an earlier one."""
        ...

    def departure(self, user: UserId) -> datetime | None:
        """When the user last signed out everywhere."""
        ...


class ProfileStore(Protocol):
    """Who the users are."""

    def load_profile(self, user: UserId) -> Profile | None:
        """What the last login told."""
        ...

    def put_profile(self, profile: Profile) -> None:
        """Keep what a login told, over what was there."""
        ...


class WebSessionStore(Protocol):
    """Browsers that are signed in."""

    def put_session(self, session: WebSession) -> None:
        """Keep a new session."""
        ...

    def load_session(self, cookie_hash: str) -> WebSession | None:
        """The session of a cookie."""
        ...

    def sessions_of(self, user: UserId) -> Sequence[WebSession]:
        """The user's sessions, the expired ones too. One begun a moment ago can be missing."""
        ...

    def note_miss(self, cookie_hash: str) -> None:
        """Count one more wrong device code; nothing happens if the session is gone."""
        ...

    def remove_session(self, cookie_hash: str) -> None:
        """Forget the session; nothing happens if there is none."""
        ...


class Tallies(Protocol):
    """Counts of requests that need no credential."""

    def count(self, key: str, ends: datetime) -> int:
        """Add one to the count of this key, which may be forgotten after ``ends``; return the count."""
        ...


class LoginStore(AttemptStore, DeviceStore, KeyStore, ProfileStore, WebSessionStore, Tallies, Protocol):
    """All six, as one table holds them."""
