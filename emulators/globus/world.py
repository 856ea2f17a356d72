"""The emulated world: everything that is remembered, under one lock, and the clock that all of it asks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from emulators.clock import Clock
from emulators.globus.auth_models import AuthBook
from emulators.globus.bookmarks import Bookmarks
from emulators.globus.config import Collection, Config, Policy, Settings
from emulators.globus.faults import FaultBoard
from emulators.globus.limits import RateMeter
from emulators.globus.pace import Pace
from emulators.globus.pauses import Pauses
from emulators.globus.people import Account, People
from emulators.globus.places import Place, Places
from emulators.globus.scopes import ScopeCatalog
from emulators.globus.signing import Signer
from emulators.globus.task_book import TaskBook

if TYPE_CHECKING:
    from emulators.globus.authorize import Attempt
    from emulators.globus.engine import Engine


class World:
    """State only. Handlers and the engine change it while they hold ``lock``; no file is copied under it."""

    engine: Engine

    def __init__(self, config: Config, places: Places, clock: Clock, pace: Pace) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.config = config
        self.settings: Settings = config.settings
        self.pace = pace
        self.people = People(config)
        self.catalog = ScopeCatalog(config.collections, config.clients)
        self.policies: dict[str, Policy] = {policy.id: policy for policy in config.policies}
        self.auth = AuthBook(config.settings)
        self.signer = Signer()
        self.attempts: dict[str, Attempt] = {}
        self.places = places
        self.tasks = TaskBook(config.settings)
        self.pauses = Pauses()
        self.bookmarks = Bookmarks()
        self.admin_cancels: dict[str, list[str]] = {}
        self.meter = RateMeter(config.settings)
        self.faults = FaultBoard()

    def now(self) -> float:
        return self.clock.now()

    def account(self, identity_id: str) -> Account:
        """The person of an identity that is known to exist."""
        account = self.people.account(identity_id)
        assert account is not None, "a grant names an identity that does not exist"
        return account

    def collection(self, collection_id: str) -> Collection:
        return self.places.get(collection_id).collection

    def place(self, collection_id: str) -> Place:
        return self.places.get(collection_id)
