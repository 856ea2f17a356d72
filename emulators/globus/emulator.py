"""The emulator as an object: start it on a free port, point the SDK at ``environment()``, stop it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self

from emulators.clock import Clock, SystemClock
from emulators.globus.app import Application
from emulators.globus.config import Client, Config, default_config
from emulators.globus.control import Controls
from emulators.globus.engine import Engine
from emulators.globus.pace import Pace
from emulators.globus.places import Places
from emulators.globus.server import Server
from emulators.globus.urls import url_map
from emulators.globus.world import World


class GlobusEmulator:
    """Globus Auth and Transfer on 127.0.0.1, with a directory under ``data`` for each collection that names none.

    State lives in memory and as long as the object. ``pace`` is by clock unless given; ``control`` serves the control
    API under ``/_emulator``; ``controls`` does the same from within the process.
    """

    def __init__(
        self,
        data: Path,
        config: Config | None = None,
        clock: Clock | None = None,
        pace: Pace | None = None,
        control: bool = False,
        port: int = 0,
    ) -> None:
        self.config = config or default_config()
        self.clock = clock or SystemClock()
        self.world = World(self.config, Places(self.config, Path(data)), self.clock, pace or Pace.by_clock())
        self.world.engine = Engine(self.world)
        self._application = Application(self.world, url_map(control_api=control))
        self._port = port
        self.controls = Controls(self.world)
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    # -- life ----------------------------------------------------------------------------------------------

    def start(self) -> Self:
        limit = self.config.settings.body_limit
        self._server = Server(("127.0.0.1", self._port), self._application, limit)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="globus-emulator", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving and every task. A second call does nothing."""
        server, self._server = self._server, None
        if server is None:
            return
        self.world.engine.close()
        server.shutdown()
        server.end_connections()
        server.server_close()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- what a client needs to know -----------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The base URL of both services, without a slash at its end."""
        if self._server is None:
            raise RuntimeError("the emulator is not running")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self) -> dict[str, str]:
        """The variables that send the unmodified SDK and command line tool here.

        The addresses end in a slash: the tool's login joins its path to them as they are.
        """
        cli = self.client(self.config.cli)
        return {
            "GLOBUS_SDK_ENVIRONMENT": "local",
            "GLOBUS_SDK_SERVICE_URL_AUTH": self.url + "/",
            "GLOBUS_SDK_SERVICE_URL_TRANSFER": self.url + "/",
            "GLOBUS_CLI_CLIENT_ID": cli.id,
            "GLOBUS_CLI_CLIENT_SECRET": cli.secret or "",
        }

    @property
    def collections(self) -> dict[str, str]:
        """Collection ids by name."""
        return {place.collection.name: place.collection.id for place in self.world.places.all()}

    def client(self, name: str) -> Client:
        """A client with its id and secret. Raises ``StopIteration`` for a name that is not configured."""
        return self.world.people.client_named(name)

    @property
    def clients(self) -> dict[str, Client]:
        return {client.name: client for client in self.world.people.clients.values()}

    def directory(self, name: str) -> Path:
        """The directory of a collection, by name or id."""
        return self.world.places.named(name).root.path
