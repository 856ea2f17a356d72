"""When a login session is good enough: by identity, by domain, by age, by a second factor.

The same rules decide at the login pages (``session_required_*``) and at a collection (time-out, domains, policy).
"""

from __future__ import annotations

from dataclasses import dataclass

from emulators.globus.auth_models import Authentication, Session
from emulators.globus.config import Identity, Policy
from emulators.globus.people import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One thing asked of a session: some sign-in must meet all of it. Empty means no demand."""

    identities: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    max_age: float | None = None
    mfa: bool = False

    def fits(self, identity: Identity) -> bool:
        """Whether signing in as this identity could meet it."""
        if self.identities and identity.id not in self.identities and identity.username not in self.identities:
            return False
        if self.domains and identity.domain not in self.domains:
            return False
        return identity.mfa or not self.mfa

    def met_by(self, identity: Identity, sign_in: Authentication, now: float) -> bool:
        if not self.fits(identity) or (self.mfa and "mfa" not in sign_in.methods):
            return False
        return self.max_age is None or now - sign_in.auth_time <= self.max_age


def of_policy(policy: Policy) -> Demand:
    age = None if policy.timeout_minutes is None else policy.timeout_minutes * 60.0
    return Demand(domains=policy.domains, max_age=age, mfa=policy.mfa)


def met(demand: Demand, account: Account, session: Session | None, now: float) -> bool:
    """Whether any sign-in of the session, by any identity of the account, meets the demand."""
    if session is None:
        return False
    return any(
        demand.met_by(identity, session.authentications[identity.id], now)
        for identity in account.identities
        if identity.id in session.authentications
    )
