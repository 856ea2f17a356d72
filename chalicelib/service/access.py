"""Who is calling: from an Authorization header to a Caller."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.bearers import may_be_token
from chalicelib.core.errors import Unauthenticated
from chalicelib.core.keys import JOBS, ApiKey, Caller, KeyKind, KeyRecord, parse_key
from chalicelib.core.ports.logins import KeyStore
from chalicelib.service.bearers import KnownBearers


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Checks credentials. A key is read afresh each time, so a revoked one is dead at once; what Globus Auth says
    of a token is believed for a minute. Without ``bearers`` no Globus token opens anything."""

    keys: KeyStore
    bearers: KnownBearers | None = None

    def authenticate(self, header: str | None, now: datetime, *, address: str = "") -> Caller:
        """Return who sent this header, from ``address``.

        Raises Unauthenticated, without saying which part was wrong; TooMany for an address that sends many Globus
        tokens that are not good; FarSide if Globus Auth cannot be asked.
        """
        scheme, _, credential = (header or "").strip().partition(" ")
        credential = credential.strip()
        if not credential:
            raise Unauthenticated("Send an API key: Authorization: Bearer qsk_...")
        caller = None
        if scheme.lower() == "bearer":
            key = parse_key(credential)
            caller = self._by_token(credential, address, now) if key is None else self._by_key(key, now)
        if caller is None:
            raise Unauthenticated("This API key or token is not valid, has expired, or was revoked.")
        return caller

    def _by_key(self, key: ApiKey, now: datetime) -> Caller | None:
        record = self.keys.load_key(key.id)
        if record is None or not record.opened_by(key, now):
            return None
        if record.wants_touch(now):
            if self._outlived(record):
                return None
            self.keys.touch_key(record.id, now)
        return Caller(
            user=record.user,
            username=record.username,
            kind=record.kind,
            scopes=record.scopes,
            key_id=record.id,
            life=record.expires_at - record.created_at,
        )

    def _outlived(self, record: KeyRecord) -> bool:
        """Whether its user signed out everywhere since it was made, and the index of keys did not show it yet."""
        left_at = self.keys.departure(record.user) if record.kind is KeyKind.KEY else None
        if left_at is None or record.created_at > left_at:
            return False
        self.keys.remove_key(record.id, record.user)
        return True

    def _by_token(self, token: str, address: str, now: datetime) -> Caller | None:
        if self.bearers is None or not may_be_token(token):
            return None
        bearer = self.bearers.find(token, address, now)
        if bearer is None:
            return None
        return Caller(
            user=bearer.user,
            username=bearer.username,
            kind=KeyKind.BEARER,
            scopes=frozenset({JOBS}),
            key_id="",
            life=bearer.expires_at - bearer.issued_at,
        )
