"""Sign-ins, terminals, keys, profiles and browser sessions in memory. Twin for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from threading import RLock

from chalicelib.core.devices import DeviceGrant, DeviceState
from chalicelib.core.ids import UserId
from chalicelib.core.keys import KeyRecord
from chalicelib.core.logins import LoginAttempt, Profile, WebSession


class MemoryLogins:
    """``core.ports.logins.LoginStore`` in memory."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._attempts: dict[str, LoginAttempt] = {}
        self._grants: dict[str, DeviceGrant] = {}
        self._codes: dict[str, DeviceGrant] = {}
        self._keys: dict[str, KeyRecord] = {}
        self._profiles: dict[UserId, Profile] = {}
        self._sessions: dict[str, WebSession] = {}
        self._departures: dict[UserId, datetime] = {}
        self._counts: dict[str, int] = {}

    def put_attempt(self, attempt: LoginAttempt) -> None:
        with self._lock:
            self._attempts[attempt.state_hash] = attempt

    def take_attempt(self, state_hash: str, browser_hash: str) -> LoginAttempt | None:
        with self._lock:
            found = self._attempts.get(state_hash)
            if found is None or found.browser_hash != browser_hash:
                return None
            return self._attempts.pop(state_hash)

    def put_grant(self, grant: DeviceGrant) -> bool:
        with self._lock:
            taken = self._codes.get(grant.user_code)
            if taken and taken.expires_at > grant.created_at and taken.device_hash != grant.device_hash:
                return False
            self._codes[grant.user_code] = grant
            self._grants[grant.device_hash] = grant
            return True

    def load_grant(self, device_hash: str) -> DeviceGrant | None:
        with self._lock:
            return self._grants.get(device_hash)

    def find_grant(self, user_code: str) -> DeviceGrant | None:
        with self._lock:
            named = self._codes.get(user_code)
            return self._grants.get(named.device_hash) if named else None

    def note_poll(self, grant: DeviceGrant, *, polls: int) -> bool:
        with self._lock:
            stored = self._grants.get(grant.device_hash)
            if stored is None or stored.polls != polls:
                return False
            self._grants[grant.device_hash] = replace(
                stored, last_poll=grant.last_poll, polls=grant.polls, interval=grant.interval
            )
            return True

    def decide_grant(self, grant: DeviceGrant) -> bool:
        with self._lock:
            stored = self._grants.get(grant.device_hash)
            if stored is None or stored.state is not DeviceState.PENDING:
                return False
            self._grants[grant.device_hash] = replace(
                stored, state=grant.state, user=grant.user, username=grant.username
            )
            return True

    def take_grant(self, device_hash: str) -> DeviceGrant | None:
        with self._lock:
            stored = self._grants.get(device_hash)
            if stored is None or stored.state is not DeviceState.APPROVED:
                return None
            return self._grants.pop(device_hash)

    def put_key(self, record: KeyRecord) -> bool:
        with self._lock:
            stored = self._keys.setdefault(record.id, record)
            return stored.digest == record.digest

    def load_key(self, key_id: str) -> KeyRecord | None:
        with self._lock:
            return self._keys.get(key_id)

    def keys_of(self, user: UserId) -> Sequence[KeyRecord]:
        with self._lock:
            own = [record for record in self._keys.values() if record.user == user]
        return sorted(own, key=lambda record: record.created_at, reverse=True)

    def touch_key(self, key_id: str, at: datetime) -> None:
        with self._lock:
            if key_id in self._keys:
                self._keys[key_id] = replace(self._keys[key_id], last_used_at=at)

    def remove_key(self, key_id: str, user: UserId) -> bool:
        with self._lock:
            stored = self._keys.get(key_id)
            if stored is None or stored.user != user:
                return False
            del self._keys[key_id]
            return True

    def note_departure(self, user: UserId, at: datetime) -> None:
        with self._lock:
            self._departures[user] = at

    def departure(self, user: UserId) -> datetime | None:
        with self._lock:
            return self._departures.get(user)

    def load_profile(self, user: UserId) -> Profile | None:
        with self._lock:
            return self._profiles.get(user)

    def put_profile(self, profile: Profile) -> None:
        with self._lock:
            self._profiles[profile.user] = profile

    def put_session(self, session: WebSession) -> None:
        with self._lock:
            self._sessions[session.cookie_hash] = session

    def load_session(self, cookie_hash: str) -> WebSession | None:
        with self._lock:
            return self._sessions.get(cookie_hash)

    def sessions_of(self, user: UserId) -> Sequence[WebSession]:
        with self._lock:
            return tuple(session for session in self._sessions.values() if session.user == user)

    def note_miss(self, cookie_hash: str) -> None:
        with self._lock:
            if cookie_hash in self._sessions:
                session = self._sessions[cookie_hash]
                self._sessions[cookie_hash] = replace(session, misses=session.misses + 1)

    def remove_session(self, cookie_hash: str) -> None:
        with self._lock:
            self._sessions.pop(cookie_hash, None)

    def count(self, key: str, ends: datetime) -> int:
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + 1
            return self._counts[key]
