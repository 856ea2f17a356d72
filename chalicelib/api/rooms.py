"""What the handlers reach for. ``wiring.services()`` gives an object that has these.

The import is inside: wiring reads the environment and names every adapter, which a test of a handler replaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from chalicelib.core.ports.clock import Clock
    from chalicelib.service.access import Access
    from chalicelib.service.device import Devices
    from chalicelib.service.jobs import ManageJobs
    from chalicelib.service.keys import Keys
    from chalicelib.service.leaving import Leaving
    from chalicelib.service.me import Me
    from chalicelib.service.posting import PostJobs
    from chalicelib.service.sign_in import SignIn
    from chalicelib.service.sites import ManageSites
    from chalicelib.service.sync import Syncing
    from chalicelib.service.throttle import Throttle


class Rooms(Protocol):
    """The services of one process."""

    @property
    def base_url(self) -> str:
        """The address of the service with its stage prefix, without a slash at the end."""
        ...

    @property
    def clock(self) -> Clock: ...

    @property
    def access(self) -> Access: ...

    @property
    def sign_in(self) -> SignIn: ...

    @property
    def throttle(self) -> Throttle: ...

    @property
    def devices(self) -> Devices: ...

    @property
    def keys(self) -> Keys: ...

    @property
    def me(self) -> Me: ...

    @property
    def leaving(self) -> Leaving: ...

    @property
    def post_jobs(self) -> PostJobs: ...

    @property
    def jobs(self) -> ManageJobs: ...

    @property
    def sites(self) -> ManageSites: ...

    @property
    def syncing(self) -> Syncing: ...


def rooms() -> Rooms:
    """The services of this process."""
    from chalicelib.wiring import services

    return services()
