"""Whether a user may send jobs through a site's door: by the demands of the site, and by who signed in when.

Reads a user's profile at most once a call, and not at all for sites that demand nothing of a sign-in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.core.consent import LoginDemand, LoginReason
from chalicelib.core.errors import Forbidden, LoginNeeded
from chalicelib.core.ids import SiteId, UserId
from chalicelib.core.keys import Caller
from chalicelib.core.logins import LoginRequest, Profile, request_for
from chalicelib.core.ports.logins import ProfileStore
from chalicelib.core.sessions import NOBODY, satisfies
from chalicelib.core.sites import Site

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The three questions: at a submission, at a lease, and when a job is looked at."""

    profiles: ProfileStore

    def check(self, caller: Caller, sites: Iterable[Site], now: datetime) -> None:
        """Raise unless the caller may submit to all of these sites.

        Forbidden for a key that was made for too long, with the figure; LoginNeeded, which becomes the link of the
        sign-in that satisfies the site.
        """
        demanding = [site for site in sites if site.demands]
        for site in demanding:
            _check_key(caller, site)
        shut, profile = self._shut(caller.user, demanding, now)
        for site in shut:
            raise LoginNeeded(
                LoginReason.SESSION,
                f"Site {site.id} takes jobs of who signed in {site.demands.words()}. Sign in so, and submit again.",
                scopes=profile.scopes if profile else (),
                session=site.demands.login,
                user=caller.user,
            )

    def serves(self, user: UserId, site: Site, now: datetime) -> bool:
        """Whether a job of this user may be given to the site now."""
        return not self._shut(user, [site], now)[0]

    def waits(self, user: UserId, sites: Iterable[Site | None], now: datetime) -> Mapping[SiteId, LoginRequest]:
        """The sites to which no job of this user is given now, each with the login that changes this."""
        demanding = {site.id: site for site in sites if site is not None and site.demands.sign_in}
        shut, profile = self._shut(user, demanding.values(), now)
        consented = profile.scopes if profile else ()
        return {site.id: request_for(_demand(site), user, consented=consented) for site in shut}

    def _shut(self, user: UserId, sites: Iterable[Site], now: datetime) -> tuple[list[Site], Profile | None]:
        asking = [site for site in sites if site.demands.sign_in]
        if not asking:
            return [], None
        profile = self.profiles.load_profile(user)
        session = profile.session if profile else NOBODY
        return [site for site in asking if not satisfies(session, site.demands.sign_in, now)], profile


def _demand(site: Site) -> LoginDemand:
    return LoginDemand(reason=LoginReason.SESSION, detail="", session=site.demands.login)


def _check_key(caller: Caller, site: Site) -> None:
    demands = site.demands
    if demands.takes(caller.life):
        return
    days, made_for = demands.key_life, -(-caller.life // _DAY)
    raise Forbidden(
        f"Site {site.id} takes jobs by keys that were made for at most {days} days, and this one was made for "
        f"{made_for}. Make a shorter one: qstage login --days {days}, or qstage keys create NAME --days {days}.",
        code="key-too-long-lived",
    )
