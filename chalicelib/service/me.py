"""What a caller may know of themselves."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.core.consent import LoginDemand, LoginReason
from chalicelib.core.errors import NotFound
from chalicelib.core.ids import UserId
from chalicelib.core.keys import READ, Caller, KeyRecord
from chalicelib.core.logins import LoginRequest, Profile, request_for
from chalicelib.core.ports.auth import LoginNeeds
from chalicelib.core.ports.logins import KeyStore, ProfileStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Whoami:
    """A caller: their key (None: they showed a Globus token), what their last login told (None: they never signed
    in), and what is wanted now."""

    caller: Caller
    key: KeyRecord | None
    profile: Profile | None
    demand: LoginDemand | None
    link: LoginRequest | None
    """The login that meets the demand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    """The one verb about oneself."""

    keys: KeyStore
    profiles: ProfileStore
    needs: LoginNeeds

    def whoami(self, caller: Caller) -> Whoami:
        """Who the caller is and whether they have to sign in."""
        caller.require(READ)
        key = self.keys.load_key(caller.key_id) if caller.key_id else None
        if key is None and caller.key_id:
            raise NotFound("This key was revoked a moment ago.")
        profile = self.profiles.load_profile(caller.user)
        demand = self.needs.current(caller.user)
        if profile is None and demand is None:
            demand = LoginDemand(reason=LoginReason.NEVER, detail="You have not signed in yet.")
        link = self.link(caller.user, demand) if demand else None
        return Whoami(caller=caller, key=key, profile=profile, demand=demand, link=link)

    def link(self, user: UserId, demand: LoginDemand) -> LoginRequest:
        """The one login that meets a demand and keeps all that the user had consented to before."""
        profile = self.profiles.load_profile(user)
        return request_for(demand, user, consented=profile.scopes if profile else ())
