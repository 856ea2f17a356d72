"""The login session at Globus Auth: who authenticated when and how, and what may be demanded of that.

Pure rules. A session is what the tokens of one login carry; refreshing them does not renew it. Globus judges one
authentication at a time: some linked identity must meet all of a demand by itself. What qstage cannot see (the
inside of a policy that its client may not read) is not judged here: Globus says so when it refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.core.ids import UserId

NEVER = datetime.min.replace(tzinfo=UTC)
"""The moment until which a session serves that has no authentication of the kind demanded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """One linked identity's sign-in. ``mfa``: a second factor is known to have been used; unknown counts as no."""

    identity: UserId
    username: str
    auth_time: datetime
    mfa: bool = False
    provider: str = ""
    """Globus Auth's id of the identity provider, "" if it was not told."""

    @property
    def domain(self) -> str:
        """The domain of the username, in lower case."""
        return self.username.rpartition("@")[2].lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Every authentication that the tokens of a user's last login carry, at most one for each linked identity."""

    authentications: tuple[Authentication, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.authentications)


NOBODY = Session()
"""A session in which nobody is known to have signed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInDemand:
    """What a collection or a site demands of a sign-in; empty demands nothing. ``domains``: any one of them."""

    domains: tuple[str, ...] = ()
    mfa: bool = False
    max_age: timedelta | None = None

    def __bool__(self) -> bool:
        return bool(self.domains or self.mfa or self.max_age is not None)

    def fits(self, found: Authentication) -> bool:
        """Whether the authentication is of the kind demanded, however old it is."""
        of_domain = not self.domains or found.domain in {domain.lower() for domain in self.domains}
        return of_domain and (found.mfa or not self.mfa)


def newest(session: Session, demand: SignInDemand) -> Authentication | None:
    """The latest authentication of the kind demanded, whatever its age; None if there is none."""
    fitting = (each for each in session.authentications if demand.fits(each))
    return max(fitting, key=lambda each: each.auth_time, default=None)


def good_until(session: Session, demand: SignInDemand) -> datetime | None:
    """Until when the session meets the demand: None is for ever, NEVER if it does not at any time."""
    if not demand:
        return None
    found = newest(session, demand)
    if found is None:
        return NEVER
    return None if demand.max_age is None else found.auth_time + demand.max_age


def satisfies(session: Session, demand: SignInDemand, now: datetime) -> bool:
    """Whether the session meets the demand now."""
    until = good_until(session, demand)
    return until is None or now <= until


def session_values(session: Session) -> list[dict[str, Any]]:
    """The session as plain values, to be stored or sent; ``read_session`` reads them back."""
    return [
        {
            "identity": str(each.identity),
            "username": each.username,
            "auth_time": each.auth_time.astimezone(UTC).isoformat(),
            "mfa": each.mfa,
            "provider": each.provider,
        }
        for each in session.authentications
    ]


def read_session(values: Iterable[Mapping[str, Any]]) -> Session:
    """Read what ``session_values`` wrote."""
    return Session(
        authentications=tuple(
            Authentication(
                identity=UserId(each["identity"]),
                username=each["username"],
                auth_time=datetime.fromisoformat(each["auth_time"]),
                mfa=each["mfa"],
                provider=each["provider"],
            )
            for each in values
        )
    )
