"""Who is calling: from an Authorization header to a Caller."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chalicelib.core.errors import Unauthenticated
from chalicelib.core.keys import Caller, parse_key
from chalicelib.core.ports.logins import KeyStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Checks credentials. A key is read afresh each time, so a revoked one is dead at once."""

    keys: KeyStore

    def authenticate(self, header: str | None, now: datetime) -> Caller:
        """Return who sent this header. Raises Unauthenticated, without saying which part was wrong."""
        scheme, _, credential = (header or "").strip().partition(" ")
        if not credential:
            raise Unauthenticated("Send an API key: Authorization: Bearer qsk_...")
        key = parse_key(credential.strip()) if scheme.lower() == "bearer" else None
        record = self.keys.load_key(key.id) if key else None
        if key is None or record is None or not record.opened_by(key, now):
            raise Unauthenticated("This API key is not valid, has expired, or was revoked.")
        if record.wants_touch(now):
            self.keys.touch_key(record.id, now)
        return Caller(
            user=record.user,
            username=record.username,
            kind=record.kind,
            scopes=record.scopes,
            key_id=record.id,
        )
